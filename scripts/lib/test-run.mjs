// Runs compiled test files with Node's own runner and gathers what happened, for `npm test` and `npm run
// rows`.
import { run } from "node:test";
import { relativePath, root } from "./project.mjs";

/** A file that takes longer is stopped and counts as failed: nothing in the tests may hang the build. */
const fileLimitMs = 240_000;

const concurrency = 2;

/** A parent that failed only because a test inside it did says nothing new. */
function isEcho(details) {
  return details?.error?.failureType === "subtestsFailed";
}

/**
 * A test file as its source's path, relative to the root. The runner reports it compiled or, through the
 * source map, as it was written.
 */
export function sourceOf(file) {
  return relativePath(root, file)
    .replace(/^dist\//, "")
    .replace(/\.js$/, ".ts");
}

function outcomeOf(type, { skip, todo }) {
  if (skip !== undefined && skip !== false) return "skipped";
  if (todo !== undefined && todo !== false) return "skipped";
  return type === "test:pass" ? "passed" : "failed";
}

function toResult(type, data) {
  return {
    name: data.name,
    path: sourceOf(data.file),
    line: data.line,
    outcome: outcomeOf(type, data),
    ms: data.details.duration_ms,
    error: data.details.error,
    isSuite: data.details.type === "suite",
  };
}

/** The error that a test really threw; the runner wraps it, sometimes twice. */
export function causeOf(error) {
  return error?.code === "ERR_TEST_FAILURE" && error.cause !== undefined ? causeOf(error.cause) : error;
}

/**
 * Runs the files. Resolves to `results`, one for each test (suites are not tests), and `output`, what each
 * file printed, by its source's path.
 */
export async function runTests(files) {
  const results = [];
  const output = new Map();
  const collect = ({ file, message }) => {
    const path = sourceOf(file);
    output.set(path, (output.get(path) ?? "") + message);
  };
  const add = (type) => (data) => {
    const result = toResult(type, data);
    // A file in which no test was declared is reported as one that passed.
    if (result.outcome === "passed" && data.name === data.file) return;
    // A suite counts only when it failed by itself, in a hook for example.
    if (isEcho(data.details) || (result.isSuite && result.outcome !== "failed")) return;
    results.push(result);
  };
  const stream = run({ files, concurrency, timeout: fileLimitMs });
  stream.on("test:pass", add("test:pass"));
  stream.on("test:fail", add("test:fail"));
  stream.on("test:stdout", collect);
  stream.on("test:stderr", collect);
  // The stream ends only when somebody reads it.
  stream.resume();
  await new Promise((resolve, reject) => {
    stream.on("end", resolve);
    stream.on("error", reject);
  });
  return { results, output };
}

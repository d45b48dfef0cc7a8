// `npm run test:sanitized [-- PATTERN]`: the addon built with AddressSanitizer and UndefinedBehaviorSanitizer, under the tests
// that call it most: test/os, test/region and test/native. Every process that those start is under the sanitizers too, and what
// one of them reports is a failure, even where nobody looked at how the process ended.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildNative } from "./build-native.mjs";
import { listFiles, root } from "./lib/project.mjs";
import { causeOf, runTests } from "./lib/test-run.mjs";
import { setupOrExit } from "./setup.mjs";

/** The sanitizer's library has to be the first that a process loads: Node itself is built without it. */
function sanitizerLibrary() {
  const compiler = process.env["CC"] || "cc";
  const path = execFileSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
  if (path.includes("/")) return path;
  throw new Error(`${compiler} has no libasan.so (Debian, Ubuntu: apt-get install gcc)`);
}

function environmentFor(addon, reports) {
  // V8 and the guard (native/guard.c) have handlers of their own for these signals; V8 does not free what it has at exit.
  const asan = ["detect_leaks=0", "handle_segv=0", "handle_sigbus=0", `log_path=${join(reports, "report")}`];
  return {
    LD_PRELOAD: sanitizerLibrary(),
    ASAN_OPTIONS: asan.join(":"),
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(reports, "report")}`,
    SHOAL_NATIVE: addon,
  };
}

/** A run without reports means nothing unless the sanitizers are there. */
function assertWatched(environment) {
  const program =
    `require(${JSON.stringify(environment.SHOAL_NATIVE)});` +
    'process.stdout.write(require("node:fs").readFileSync("/proc/self/maps", "utf8"))';
  const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", program], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  const isThere = ["libasan", "shoal-asan.node"].every((name) => stdout.includes(name));
  if (status !== 0 || !isThere) throw new Error(`the sanitizers do not run here: ${stderr}`);
}

const [pattern = ""] = process.argv.slice(2);
await setupOrExit();
const reports = mkdtempSync(join(tmpdir(), "shoal-sanitized-"));
try {
  const environment = environmentFor(await buildNative({ sanitize: true }), reports);
  assertWatched(environment);
  Object.assign(process.env, environment);
  const files = ["os", "region", "native"].flatMap((folder) =>
    listFiles(
      join(root, "dist", "test", folder),
      (path) => path.endsWith(".test.js") && path.includes(pattern),
    ),
  );
  const { results } = await runTests(files);
  const failed = results.filter(({ outcome }) => outcome === "failed");
  for (const { name, path, error } of failed) {
    const cause = causeOf(error);
    process.stdout.write(`FAILED ${name} (${path}): ${cause?.stack ?? cause}\n`);
  }
  const found = readdirSync(reports);
  for (const name of found) process.stdout.write(`REPORT ${readFileSync(join(reports, name), "utf8")}\n`);
  process.stdout.write(
    `${results.filter(({ outcome }) => outcome === "passed").length} passed, ${failed.length + found.length} failed\n`,
  );
  process.exitCode = failed.length + found.length === 0 && results.length > 0 ? 0 : 1;
} finally {
  rmSync(reports, { recursive: true, force: true });
}

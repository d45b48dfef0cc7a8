// Checks the documents against the tree: every relative link leads to a file, every anchor to a heading,
// and every `npm run NAME` to a script.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isMain, listFiles, relativePath, root as projectRoot } from "./lib/project.mjs";

const notOurs = /^(dist|build|prebuilds|coverage)\//;

/** The text with its code replaced by blanks: a link inside code is an example. */
function withoutCode(text) {
  const blank = (code) => code.replace(/[^\n]/g, " ");
  return text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`/g, blank);
}

/** A heading's anchor as the code hosts make it. */
function anchorOf(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

function listAnchors(text) {
  const body = text.replace(/^```[\s\S]*?^```/gm, "");
  return [...body.matchAll(/^#{1,6}\s+(.*)$/gm)].map((match) => anchorOf(match[1]));
}

function checkLink(root, path, target) {
  const [file, anchor] = target.split("#", 2);
  const targetPath = file === "" ? join(root, path) : join(root, dirname(path), decodeURIComponent(file));
  if (!existsSync(targetPath)) return `the link to ${target} leads nowhere.`;
  if (anchor === undefined || !targetPath.endsWith(".md")) return undefined;
  const isFound = listAnchors(readFileSync(targetPath, "utf8")).includes(anchor);
  return isFound ? undefined : `${file || path} has no heading with the anchor #${anchor}.`;
}

function checkDocument(root, path, scripts) {
  const text = readFileSync(join(root, path), "utf8");
  const complaints = [];
  const complain = (index, problem) => {
    if (problem !== undefined)
      complaints.push({ path, line: text.slice(0, index).split("\n").length, problem });
  };
  for (const match of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (!/^[a-z]+:/.test(match[1])) complain(match.index, checkLink(root, path, match[1]));
  }
  for (const match of text.matchAll(/\bnpm run ([a-z][\w:-]*)/g)) {
    if (!scripts.includes(match[1])) complain(match.index, `package.json has no script "${match[1]}".`);
  }
  return complaints;
}

/** All complaints about the documents in the tree at `root`: `{ path, line, problem }` each. */
export function findComplaints(root) {
  const scripts = Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts);
  const paths = listFiles(root, (path) => path.endsWith(".md")).map((path) => relativePath(root, path));
  return paths.filter((path) => !notOurs.test(path)).flatMap((path) => checkDocument(root, path, scripts));
}

if (isMain(import.meta.url)) {
  const complaints = findComplaints(projectRoot);
  for (const { path, line, problem } of complaints) process.stdout.write(`${path}:${line}: ${problem}\n`);
  if (complaints.length > 0) process.exitCode = 1;
}

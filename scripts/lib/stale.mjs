// Decides whether a build step has anything to do. A step's stamp holds a fingerprint of its inputs
// (path, size, time of change), so an input that was added, removed or put back to an older version is
// noticed as well.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { relativePath, root } from "./project.mjs";

function stampPath(step) {
  return join(root, "build", "stamps", step);
}

/** A digest of the inputs' paths, sizes and times of change. */
export function fingerprint(inputs) {
  const hash = createHash("sha256");
  for (const input of inputs) {
    const stats = statSync(input, { throwIfNoEntry: false });
    hash.update(`${relativePath(root, input)} ${stats?.size} ${stats?.mtimeMs}\n`);
  }
  return hash.digest("hex");
}

/** Whether the step must run: an output is missing, or the inputs are not those of the last success. */
export function isStale(step, print, outputs) {
  if (outputs.some((output) => !existsSync(output))) return true;
  const path = stampPath(step);
  return !existsSync(path) || readFileSync(path, "utf8") !== print;
}

/** Records a successful run over the inputs that `print` stands for. */
export function markFresh(step, print) {
  mkdirSync(dirname(stampPath(step)), { recursive: true });
  writeFileSync(stampPath(step), print);
}

/** Forgets the last run, so that a step which fails or is interrupted runs again. */
export function markStale(step) {
  rmSync(stampPath(step), { force: true });
}

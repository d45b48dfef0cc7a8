// `npm run format` writes every file as prettier has it; with --check it only names those that differ.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { maskDecorators, unmaskDecorators } from "./lib/decorators.mjs";
import { listFiles, relativePath, root, runNode } from "./lib/project.mjs";

const isCheck = process.argv.includes("--check");

/** Formats core/ through a mask; says which files are not as they should be. */
async function formatCore() {
  const { format, resolveConfig } = await import("prettier");
  const complaints = [];
  for (const path of listFiles(join(root, "core"), (name) => name.endsWith(".ts"))) {
    const name = relativePath(root, path);
    const text = readFileSync(path, "utf8");
    const options = { ...(await resolveConfig(path)), filepath: path };
    try {
      const formatted = unmaskDecorators(await format(maskDecorators(text), options));
      if (formatted === text) continue;
      if (isCheck) complaints.push(`[warn] ${name}`);
      else writeFileSync(path, formatted);
    } catch (error) {
      complaints.push(`[error] ${name}: ${error.message}`);
    }
  }
  return complaints;
}

const prettier = join(root, "node_modules", "prettier", "bin", "prettier.cjs");
const cacheAt = join(root, ".cache", "prettier");
const mode = isCheck ? "--check" : "--write";
const [others, complaints] = await Promise.all([
  // What prettier knows of old results is dropped when its version or options change.
  runNode([prettier, mode, "--log-level", "warn", "--cache", "--cache-location", cacheAt, "."]),
  formatCore(),
]);
process.stdout.write(others.output);
for (const complaint of complaints) process.stdout.write(`${complaint}\n`);
if (others.code !== 0 || complaints.length > 0) {
  if (isCheck) process.stdout.write("mend it with: npm run format\n");
  process.exitCode = 1;
}

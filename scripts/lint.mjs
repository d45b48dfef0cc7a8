// `npm run lint`: oxlint over everything. core/ is linted as a copy whose decorators are comments.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { maskDecorators } from "./lib/decorators.mjs";
import { listFiles, relativePath, root, runNode } from "./lib/project.mjs";

const oxlint = join(root, "node_modules", "oxlint", "bin", "oxlint");
const config = join(root, ".oxlintrc.json");

async function lintCore() {
  const copy = mkdtempSync(join(tmpdir(), "shoal-lint-"));
  try {
    const files = listFiles(join(root, "core"), (path) => path.endsWith(".ts"));
    if (files.length === 0) return { code: 0, output: "" };
    for (const file of files) {
      const path = join(copy, relativePath(root, file));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, maskDecorators(readFileSync(file, "utf8")));
    }
    // AssemblyScript's == is the strict one.
    return await runNode([oxlint, "-c", config, "-A", "eqeqeq", "--format", "unix", "core"], { cwd: copy });
  } finally {
    rmSync(copy, { recursive: true });
  }
}

const outcomes = [
  await runNode([oxlint, "--format", "unix", "--ignore-pattern", "core", "."]),
  await lintCore(),
];
for (const { code, output } of outcomes) {
  if (code === 0) continue;
  process.stdout.write(output);
  process.exitCode = 1;
}

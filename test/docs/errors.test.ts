/** The documents tell the truth about error codes: the table and the source have the same codes with the same words. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERROR_CODES } from "../../src/errors.ts";

const root = join(import.meta.dirname, "..", "..", "..");

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(root, folder, name));
}

test("docs/errors.md lists every code of the source with its meaning, and no other", () => {
  const text = readFileSync(join(root, "docs", "errors.md"), "utf8");
  const rows = [...text.matchAll(/^\| `(ERR_SHOAL_\w+)`\s*\| (.*?)\s*\|$/gm)].map(([, code, meaning]) => [
    code,
    meaning?.replaceAll("\\|", "|"),
  ]);
  assert.deepEqual(Object.fromEntries(rows), ERROR_CODES);
});

test("every code in the table is used somewhere in the source", () => {
  const source = sourceFiles("src")
    .filter((path) => !path.endsWith("errors.ts") || path.includes("heap"))
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const unused = Object.keys(ERROR_CODES).filter((code) => !source.includes(`"${code}"`));
  assert.deepEqual(unused, []);
});

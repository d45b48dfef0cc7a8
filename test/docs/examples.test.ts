/** The documents' examples are programs, and they run: each block of code that imports Shoal by its name. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { transformSync } from "esbuild";
import { Region } from "../../src/index.ts";
import { freshFolder } from "../helpers/segments.ts";

const root = join(import.meta.dirname, "..", "..", "..");

/** The names that heaps have in the documents. */
const NAMES = ["orders", "words", "pictures", "guestbook"];

const documents = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

/** The blocks of a document that are whole programs, with the lines on which they begin. */
function listPrograms(document: string): { line: number; source: string }[] {
  const text = readFileSync(join(root, document), "utf8");
  return [...text.matchAll(/^```[jt]s\n([\s\S]*?)^```/gm)]
    .map((match) => ({ line: text.slice(0, match.index).split("\n").length, source: match[1]! }))
    .filter(({ source }) => /from "shoal/.test(source));
}

const programs = documents.flatMap((document) =>
  listPrograms(document).map(({ line, source }) => ({ place: `${document}:${line}`, source })),
);

test("there are examples in the documents", () => {
  assert.ok(programs.length >= 8, programs.map(({ place }) => place).join(", "));
});

for (const { place, source } of programs) {
  test(`the example runs: ${place}`, (t) => {
    const prefix = `shoal-test-${process.pid}-`;
    const renamed = NAMES.reduce((text, name) => text.replaceAll(`"${name}"`, `"${prefix}${name}"`), source);
    const { code } = transformSync(renamed, { loader: "ts", target: "node20" });
    // In the package's own folder, where its name means itself.
    const path = join(freshFolder(t, join(root, "dist")), "example.mjs");
    writeFileSync(path, code);
    const present = (): string[] => readdirSync("/dev/shm").filter((name) => name.startsWith(prefix));
    const before = present();
    t.after(() => {
      for (const name of present()) if (!before.includes(name)) Region.unlink(name);
    });
    const { status, stderr } = spawnSync(process.execPath, [path], {
      encoding: "utf8",
      env: { ...process.env, SHOAL_HEAP: `${prefix}auto` },
    });
    assert.equal(status, 0, stderr);
  });
}

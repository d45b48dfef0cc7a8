import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

interface Complaint {
  path: string;
  line: number;
  problem: string;
}

interface Checker {
  findComplaints(root: string): Complaint[];
}

const root = join(import.meta.dirname, "..", "..", "..");
const script = pathToFileURL(join(root, "scripts", "check-docs.mjs")).href;
const { findComplaints } = (await import(script)) as Checker;

function check(document: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "shoal-gates-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "scripts": { "build": "x" } }');
    writeFileSync(join(folder, "OTHER.md"), "# Other\n\n## What it's for\n");
    writeFileSync(join(folder, "A.md"), document);
    return findComplaints(folder).map(({ path, line, problem }) => `${path}:${line}: ${problem}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("links to files, headings and the web, and scripts that exist, are accepted", () => {
  const document =
    "# A\n[o](OTHER.md) [w](OTHER.md#what-its-for) [a](#a) [h](https://x.y)\n`npm run build`\n";
  assert.deepEqual(check(document), []);
});

test("a dead link, a dead anchor and an unknown script are found with their lines", () => {
  const complaints = check("# A\n[x](NONE.md)\n[y](OTHER.md#nothing)\n`npm run nothing`\n");
  assert.equal(complaints.length, 3);
  assert.match(String(complaints[0]), /^A\.md:2: .*NONE\.md leads nowhere/);
  assert.match(String(complaints[1]), /^A\.md:3: .*#nothing/);
  assert.match(String(complaints[2]), /^A\.md:4: .*"nothing"/);
});

test("a link inside code is an example", () => {
  assert.deepEqual(check("```\n[x](NONE.md)\n```\n`[y](NONE.md)`\n"), []);
});

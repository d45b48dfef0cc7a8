/** The README's example is a program, and it works: several processes, one book. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Region } from "../../src/index.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const example = readFileSync(join(root, "examples", "guestbook.mjs"), "utf8");

test("the README's example is examples/guestbook.mjs, word for word, in at most 15 lines", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const block = /^```js\n([\s\S]*?)^```/m.exec(readme)?.[1];
  assert.equal(block, example);
  assert.ok(example.trimEnd().split("\n").length <= 15);
});

test("three runs of the example count each other", (t) => {
  const name = `shoal-test-${process.pid}-guestbook`;
  const path = join(import.meta.dirname, `guestbook-${process.pid}.mjs`);
  writeFileSync(path, example.replace('"guestbook"', JSON.stringify(name)));
  t.after(() => {
    rmSync(path);
    Region.unlink(name);
  });
  for (const visit of [1, 2, 3]) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [path], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^visit ${visit} by process \\d+, 1 here now\n$`));
  }
});

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..", "..");

test("the addon's sanitizers find nothing in the mappings of POSIX regions (npm run test:sanitized: in the rest)", () => {
  // The runner of these tests is not to be told of those.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "scripts", "test-sanitized.mjs"), "region/posix"],
    { encoding: "utf8", env, timeout: 120_000 },
  );
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^(?!0 )\d+ passed, 0 failed$/m);
});

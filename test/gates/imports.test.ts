import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

interface Violation {
  path: string;
  line: number;
  problem: string;
}

interface Checker {
  findViolations(root: string): Violation[];
}

const root = join(import.meta.dirname, "..", "..", "..");
const script = pathToFileURL(join(root, "scripts", "check-imports.mjs")).href;
const { findViolations } = (await import(script)) as Checker;

/** Checks a project that consists of these files (path: text) and declares one dependency, "commander". */
function check(files: Record<string, string>): string[] {
  const folder = mkdtempSync(join(tmpdir(), "shoal-gates-"));
  const all = { "package.json": '{ "dependencies": { "commander": "1" } }', ...files };
  try {
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return findViolations(folder).map(({ path, line, problem }) => `${path}:${line}: ${problem}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function assertRefused(path: string, text: string, expected: RegExp): void {
  const violations = check({ [path]: text });
  assert.equal(violations.length, 1, `${path} with ${JSON.stringify(text)}: ${violations.join("\n")}`);
  assert.match(String(violations[0]), expected);
}

test("a room may import itself, lower rooms, the errors and Node's modules", () => {
  const violations = check({
    "src/index.ts": 'export { open } from "./region/index.ts";\n',
    "src/region/open.ts":
      'import { readFileSync } from "node:fs";\nimport { a } from "./header.ts";\n' +
      'import { b } from "../os/shm.ts";\n',
    "src/os/shm.ts": 'import { ShoalError } from "../errors.ts";\n',
    "src/cli/main.ts": 'import { Command } from "commander";\nimport { open } from "../region/index.ts";\n',
    "src/layout/header.ts":
      "/** Bytes. */\nexport const PAGE = 1 << 16; // 64 KiB\nexport const HALF = PAGE - 0x8000;\n",
    "core/index.ts": 'import { PAGE } from "../src/layout/header.ts";\nexport { load } from "./mem";\n',
    "test/a.test.ts": 'import fc from "fast-check";\nimport { open } from "../src/region/open.ts";\n',
  });
  assert.deepEqual(violations, []);
});

test("an import upwards is refused with its line: over several lines, of types, or dynamic", () => {
  assertRefused(
    "src/os/a.ts",
    'const x = 1;\nimport { y } from "../heap/b.ts";\n',
    /^src\/os\/a\.ts:2: .*src\/heap/,
  );
  assertRefused("src/os/a.ts", 'import {\n  y,\n} from "../heap/b.ts";\n', /^src\/os\/a\.ts:3: /);
  assertRefused("src/os/a.ts", 'import type { Y } from "../heap/b.ts";\n', /src\/heap/);
  assertRefused("src/os/a.ts", 'export { y } from "../heap/b.ts";\n', /src\/heap/);
  assertRefused("src/os/a.ts", 'const y = await import("../heap/b.ts");\n', /src\/heap/);
  assertRefused("src/os/a.ts", 'import { x } from "../index.ts";\n', /above the rooms/);
});

test("what a comment says is not an import", () => {
  assert.deepEqual(check({ "src/os/a.ts": '/**\n * import { y } from "../heap/b.ts";\n */\n' }), []);
});

test("packages are imported from src/cli only, and only declared ones", () => {
  assertRefused("src/heap/a.ts", 'import pc from "commander";\n', /only src\/cli may import packages/);
  assertRefused("src/heap/a.ts", 'import { readFileSync } from "fs";\n', /node:NAME/);
  assertRefused(
    "src/cli/a.ts",
    'import x from "@some/thing/deep";\n',
    /"@some\/thing" is not in the dependencies/,
  );
});

test("src imports nothing outside itself, and core only the layout's constants", () => {
  assertRefused("src/heap/a.ts", 'import { y } from "../../test/b.ts";\n', /must not import test\//);
  assertRefused("core/a.ts", 'import { y } from "../src/os/b.ts";\n', /core\/ may import/);
  assertRefused("core/a.ts", 'import { y } from "../src/layout/stamp.ts";\n', /stamp\.ts/);
  assertRefused("core/a.ts", 'import { y } from "../src/layout/stamp";\n', /stamp\.ts/);
  assertRefused("src/errors.ts", 'import { y } from "./os/b.ts";\n', /imports nothing/);
  assertRefused("src/layout/a.ts", 'import { y } from "../errors.ts";\n', /src\/layout/);
});

test("the command calls the public API only", () => {
  assertRefused("src/cli/a.ts", 'import { y } from "../heap/slab.ts";\n', /public API only/);
});

test("an import without its real extension is refused", () => {
  assertRefused("test/a.ts", 'import { y } from "./b.js";\n', /real extension/);
});

test("default exports, export * in an entry, unknown rooms and long files are refused", () => {
  assertRefused("src/os/a.ts", "export default 1;\n", /no default exports/);
  assertRefused("src/os/index.ts", 'export * from "./a.ts";\n', /one by one/);
  assertRefused("src/garage/a.ts", "", /no room/);
  assertRefused("native/a.c", "int x;\n".repeat(501), /501 lines/);
});

test("a layout file holds integer constants only", () => {
  assertRefused(
    "src/layout/a.ts",
    "export const A = 1;\nexport const NAME = 'x';\n",
    /^src\/layout\/a\.ts:2: .*integer/,
  );
  assertRefused("src/layout/a.ts", "export function f(): number {\n  return 1\n}\n", /integer/);
});

/** Sizes as people write them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, parseCount, parseMode, parseSize } from "../../src/cli/sizes.ts";

test("sizes may have a unit of 1024, in either case, with or without B", () => {
  const cases = {
    "0": 0,
    "65536": 65536,
    "64k": 65536,
    "64K": 65536,
    "64KiB": 65536,
    "1.5M": 1572864,
    "4M": 4194304,
    "1G": 2 ** 30,
  };
  for (const [text, sizeBytes] of Object.entries(cases)) assert.equal(parseSize(text), sizeBytes, text);
});

test("what is no size, count or mode is refused", () => {
  for (const text of ["", "k", "-1", "1.3", "4X", "0x10", "NaN", "9".repeat(20)])
    assert.throws(() => parseSize(text), text);
  for (const text of ["", "-1", "0", "11", "1.5", "x"]) assert.throws(() => parseCount(1, 10)(text), text);
  for (const text of ["", "9", "888", "rw"]) assert.throws(() => parseMode(text), text);
  assert.equal(parseMode("0640"), 0o640);
  assert.equal(parseMode("0o640"), 0o640);
});

test("sizes are shown in the largest unit of which there is one", () => {
  const cases = { "0 B": 0, "1023 B": 1023, "1 KiB": 1024, "1.5 MiB": 1572864, "4 GiB": 2 ** 32 };
  for (const [text, sizeBytes] of Object.entries(cases)) assert.equal(formatSize(sizeBytes), text);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { ERROR_CODES, ShoalError, shoalError } from "../../src/errors.ts";
import { checkResult, errnoName, systemError } from "../../src/os/errno.ts";

test("every code has one sentence or two that say what it means", () => {
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    assert.match(code, /^ERR_SHOAL_[A-Z_]+$/);
    assert.match(meaning, /^[A-Z].+\.$/, code);
  }
});

test("a ShoalError is an Error with its code, its numbers and its cause", () => {
  const cause = new Error("underneath");
  const error = shoalError("ERR_SHOAL_SIZE", "too large: 5", { sizeBytes: 5 }, cause);
  assert.ok(error instanceof Error && error instanceof ShoalError);
  assert.deepEqual(
    [error.name, error.code, error.message, error.cause],
    ["ShoalError", "ERR_SHOAL_SIZE", "too large: 5", cause],
  );
  assert.equal(error.details["sizeBytes"], 5);
  assert.ok(Object.isFrozen(error.details));
  assert.match(inspect(error), /^ShoalError: too large: 5\n +at /);
  assert.doesNotMatch(error.stack!, /at shoalError/);
  assert.equal("cause" in shoalError("ERR_SHOAL_SIZE", "x"), false);
});

test("a system call's error shows the call as C would write it, and maps errno to a code", () => {
  const error = systemError("shm_open", -2, { name: "/x", flags: "O_RDWR", mode: "0o600", fd: 3 });
  assert.match(error.message, /^shm_open\("\/x", O_RDWR, 0o600, 3\): ENOENT, .+; .+/);
  assert.equal(error.code, "ERR_SHOAL_NOT_FOUND");
  assert.deepEqual(
    { ...error.details },
    { call: "shm_open", errno: "ENOENT", name: "/x", flags: "O_RDWR", mode: "0o600", fd: 3 },
  );
  const codes = {
    1: "PERMISSION",
    13: "PERMISSION",
    17: "EXISTS",
    28: "NO_SPACE",
    38: "UNSUPPORTED",
    22: "SYSTEM",
    5: "SYSTEM",
  };
  for (const [errno, code] of Object.entries(codes)) {
    assert.equal(systemError("x", Number(errno)).code, `ERR_SHOAL_${code}`);
  }
});

test("errno's names are found for both signs, and an unknown number is shown as it is", () => {
  assert.deepEqual([errnoName(2), errnoName(-2), errnoName(4000)], ["ENOENT", "ENOENT", "errno 4000"]);
});

test("a result that is not negative passes", () => {
  assert.equal(checkResult(7, "x"), 7);
  assert.throws(
    () => checkResult(-28, "x", {}, "the disk; empty it"),
    /^ShoalError: x\(\): ENOSPC, the disk; empty it$/,
  );
});

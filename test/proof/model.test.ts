import assert from "node:assert/strict";
import { test } from "node:test";
import { DOUBLE_FREE, NEED_PAGES, NOT_OWNER, OK } from "../../src/layout/result.ts";
import { isLinearisable } from "../../proof/model.ts";
import type { History, ModelState } from "../../proof/model.ts";
import type { Ending, Operation } from "../../proof/operations.ts";

const rules = { isTight: false, isMisuse: false };
const ok = (value: number): Ending => ({ value, error: OK });
const refused = (error: number): Ending => ({ value: error, error });

function state(blocks: Record<number, number | undefined>, roots: Record<string, number> = {}): ModelState {
  const all = Object.entries(blocks).map(
    ([handle, owner]) => [Number(handle), { sizeBytes: 64, owner }] as const,
  );
  return { blocks: new Map(all), roots: new Map(Object.entries(roots)), sizePages: 2 };
}

function history(slot: number, steps: readonly (readonly [Operation, Ending?])[], before = 0): History {
  const endings = steps.flatMap(([, ending]) => (ending === undefined ? [] : [ending]));
  const isDead = endings.length < steps.length;
  return { slot, operations: steps.map(([operation]) => operation), endings, isDead, before };
}

const alloc = { kind: "alloc", sizeBytes: 64 } as const;
const free = { kind: "free", block: 1000 } as const;
const empty = state({});
const one = state({ 1000: undefined });

test("what happened one after the other is explained, in either order", () => {
  const both = state({ 1000: undefined, 2000: undefined });
  const histories = [history(0, [[alloc, ok(1000)]]), history(1, [[alloc, ok(2000)]])];
  assert.ok(isLinearisable(empty, both, histories, rules));
  assert.ok(!isLinearisable(empty, one, histories, rules), "a block is lost");
});

test("the same bytes are not given to two", () => {
  const histories = [history(0, [[alloc, ok(1000)]]), history(1, [[alloc, ok(1032)]])];
  const found = state({ 1000: undefined, 1032: undefined });
  assert.ok(!isLinearisable(empty, found, histories, rules));
});

test("a block is freed once, and what is freed can be given out again", () => {
  const twice = [history(0, [[free, ok(0)]]), history(1, [[free, ok(0)]])];
  assert.ok(!isLinearisable(one, empty, twice, rules));
  assert.ok(isLinearisable(one, empty, twice, { ...rules, isMisuse: true }));
  const once = [history(0, [[free, ok(0)]]), history(1, [[free, refused(DOUBLE_FREE)]])];
  assert.ok(isLinearisable(one, empty, once, rules));
  const again = [history(0, [[free, ok(0)]]), history(1, [[alloc, ok(1000)]])];
  assert.ok(isLinearisable(one, one, again, rules));
});

test("what ended before something began comes before it", () => {
  const histories = (before: number): History[] => [
    history(0, [[free, ok(0)]]),
    history(1, [[alloc, ok(1000)]], before),
  ];
  assert.ok(isLinearisable(one, one, histories(1), rules));
  const late = [history(0, [[free, ok(0)]], 2), history(1, [[alloc, ok(1000)]])];
  assert.ok(!isLinearisable(one, one, late, rules), "it was allocated before it was free");
});

test("there is room unless there may be none", () => {
  const histories = [history(0, [[alloc, { value: 0, error: NEED_PAGES }]])];
  assert.ok(!isLinearisable(empty, empty, histories, rules));
  assert.ok(isLinearisable(empty, empty, histories, { ...rules, isTight: true }));
});

test("only the owner frees what is owned, and its death does", () => {
  const theirs = state({ 1000: 1 });
  assert.ok(isLinearisable(theirs, theirs, [history(0, [[free, refused(NOT_OWNER)]])], rules));
  assert.ok(!isLinearisable(one, one, [history(0, [[free, refused(NOT_OWNER)]])], rules));
  assert.ok(isLinearisable(theirs, empty, [history(1, [[alloc]])], rules));
  assert.ok(!isLinearisable(theirs, theirs, [history(1, [[alloc]])], rules));
});

test("who died in an operation did it or did not", () => {
  const died = [history(0, [[free]])];
  assert.ok(isLinearisable(one, one, died, rules));
  assert.ok(isLinearisable(one, empty, died, rules));
  assert.ok(!isLinearisable(one, state({ 2000: undefined }), died, rules));
});

test("a root leads to what it was set to, for whoever looks after that", () => {
  const set = { kind: "setRoot", name: "one", block: 1000 } as const;
  const get = { kind: "getRoot", name: "one" } as const;
  const named = state({ 1000: undefined }, { one: 1000 });
  const histories = (value: number, before = 0): History[] => [
    history(0, [[set, ok(0)]]),
    history(1, [[get, ok(value)]], before),
  ];
  assert.ok(isLinearisable(one, named, histories(0), rules));
  assert.ok(isLinearisable(one, named, histories(1000, 1), rules));
  assert.ok(!isLinearisable(one, named, histories(0, 1), rules));
});

test("what somebody who was dead from the start had owned may be had by others once it was recovered", () => {
  const theirs = state({ 1000: 4 });
  const histories = [history(0, [[alloc, ok(1000)]])];
  assert.ok(!isLinearisable(theirs, one, histories, rules));
  assert.ok(isLinearisable(theirs, one, histories, rules, [4]));
  assert.ok(!isLinearisable(theirs, state({ 1000: 4 }), histories, rules, [4]));
});

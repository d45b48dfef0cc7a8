/**
 * Every store of the core is a point where its participant may die.
 *
 * Each operation of each allocator, of the segment and of the survey is cut short before each of its accesses to shared
 * memory; a survivor recovers, and is cut short before each of its own changes; afterwards an oracle that knows nothing of
 * the core must find the state before the operation or after it, everything in order and nothing lost (proof/crash.ts).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crashCases } from "../../proof/crash-cases.ts";
import { crashEverywhere } from "../../proof/crash.ts";
import { makeTally } from "../../proof/tally.ts";
import { readSites } from "../helpers/core-world.ts";

const tally = makeTally();

describe("a participant that dies at any access of an operation, and a recoverer that dies at any of its own", () => {
  for (const one of crashCases())
    test(`lose nothing: ${one.name}`, () => crashEverywhere(one.prepare(), { tally, isDeep: false }));
});

test("every access that the core can make was crashed at", (t) => {
  t.diagnostic(`${tally.crashPoints} deaths, ${tally.recovererCrashPoints} of recoverers`);
  const missed = [...readSites()].filter(([site]) => !tally.sitesHit.has(site));
  assert.deepEqual(missed, []);
  assert.ok(tally.crashPoints > 8000 && tally.recovererCrashPoints > 100_000, "all of it was done");
});

/** What the proof has found, each with the smallest race that shows it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crashCases } from "../../proof/crash-cases.ts";
import { crashEverywhere } from "../../proof/crash.ts";
import { contestOf, raceName } from "../../proof/race.ts";
import { races } from "../../proof/races.ts";
import { replayRace, runRace } from "../../proof/run-race.ts";
import { usual } from "../../proof/run.ts";
import { parseSchedule } from "../../proof/schedule.ts";
import type { Contest } from "../../proof/stage.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

await buildProof();

function raceNamed(name: string): Contest {
  const found = races.find((one) => raceName(one) === name);
  assert.ok(found !== undefined, `there is a race "${name}"`);
  return contestOf(found);
}

/** All schedules of the race, with all deaths. */
function assertRight(name: string): void {
  const tally = makeTally();
  runRace(raceNamed(name), tally, {
    ...usual,
    mostStatesOfThree: 100_000,
    deathStride: 1,
    deathStrideOfThree: 1,
    isOver: () => false,
  });
  assert.deepEqual([tally.violations, tally.cut], [[], 0]);
  assert.ok(tally.schedules > 1 && tally.deaths > 1);
}

test("a slab page whose last block is freed at the moment its owner is recovered does not stay behind", () => {
  const name = "slab/one allocates, another frees a block that the other allocated";
  // The second has seen whose the page is; then that one dies and is recovered.
  replayRace(raceNamed(name), parseSchedule("0*1 1*1 0!!"));
  assertRight(name);
});

test("a root that gets another handle while it is looked up is found", () => {
  const name = "slab/one names a root, another reads a root that there is";
  replayRace(raceNamed(name), parseSchedule("1*1 0*28"));
  assertRight(name);
});

test("a block of a first-fit heap that is moved while another has the lock is neither doubled nor owned", () => {
  assertRight("first-fit/one allocates and frees, another lets a block grow");
  assertRight("first-fit/one lets a block grow, another lets a block grow");
});

/** A repairer that dies at any access, in this damaged heap. */
function assertRepaired(name: string): void {
  assert.ok(crashesOf(name) > 100);
}

/** All deaths of that case. */
function crashesOf(name: string): number {
  const found = crashCases(true).find((one) => one.name === name);
  assert.ok(found !== undefined, `there is a case "${name}"`);
  const tally = makeTally();
  crashEverywhere(found.prepare(), { tally, isDeep: false });
  return tally.crashPoints;
}

test("a first-fit block does not become a part of the one before it when the heap's repairer dies there", () => {
  // The start bit of each block was taken away for a moment.
  assertRepaired("repair/first-fit heap 0");
});

test("what belonged to one who is gone does not become nobody's when a slab heap's repairer dies there", () => {
  // The owners of a word of blocks were forgotten before the blocks were free.
  assertRepaired("repair/slab heap 123");
});

test("a port whose sides have two who died, and nobody has recovered, is not taken", () => {
  // ERR_SHOAL_TAKEN, before any death of the one that comes.
  assert.ok(crashesOf("port/slab/coming where both have died and were not recovered") > 100);
});

test("who comes to a port does not wait for a door that one who died has left shut", () => {
  // Until somebody looked who had died, which was 50 ms later.
  assert.ok(crashesOf("port/slab/coming after one that died there and was not recovered, 12 of 24") > 100);
});

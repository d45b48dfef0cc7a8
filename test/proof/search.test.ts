/** That the proof finds what is wrong, and shows it again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Race } from "../../proof/race.ts";
import { parseSchedule, replayRace, runRace, showSchedule } from "../../proof/run-race.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

await buildProof();

const options = { mostStates: 100_000, deathStride: 0, isOver: () => false };

/** Both free the same block, and each is to be the only one who does: a slab heap does not promise that. */
const wrong: Race = {
  name: "both free it, and one is told so",
  heap: "slab",
  pages: 3,
  setUp(enterSlot) {
    const block = enterSlot(0).alloc(16384) >>> 0;
    return [[{ kind: "free", block }], [{ kind: "free", block }]];
  },
};

test("a race that can go wrong is found to, with a schedule of one preemption that shows it again", () => {
  const tally = makeTally();
  runRace(wrong, tally, options);
  assert.equal(tally.violations.length, 1);
  const [{ message, replay }] = tally.violations as [(typeof tally.violations)[0]];
  assert.match(
    message,
    /^no order of the operations explains what was found: .*free 65536: 0; .*free 65536: 0/,
  );
  const text = /--schedule "(.*)"/.exec(replay)?.[1] ?? "";
  assert.match(text, /^(\d)\*\d+ (\d)\*\d+ \1\*\d+$/, "one is interrupted once");
  assert.throws(() => replayRace(wrong, parseSchedule(text)), { message });
  replayRace(wrong, parseSchedule("0*1"));
});

test("a participant that dies in a race and is not recovered as it should be is noticed", () => {
  // Nobody may be without room here: the one that allocates is, when it does so before the other has freed.
  const race: Race = {
    name: "no room",
    heap: "buddy",
    pages: 1,
    setUp(enterSlot) {
      const core = enterSlot(0);
      const [first] = Array.from({ length: 4 }, () => core.alloc(16384) >>> 0);
      return [[{ kind: "alloc", sizeBytes: 16384 }], [{ kind: "free", block: first! }]];
    },
  };
  const tally = makeTally();
  runRace(race, tally, options);
  assert.match(tally.violations[0]?.message ?? "", /alloc 16384: code 4/);
});

test("a schedule that is written down is read as it was", () => {
  for (const text of ["0*12 1*3 0*1", "0*1 1!", "1*4 0*2 0!!", ""])
    assert.equal(showSchedule(parseSchedule(text)), text);
  assert.throws(() => parseSchedule("0-12"), /is no part of a schedule/);
});

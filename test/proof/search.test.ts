/** That the proof finds what is wrong, and shows it again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEED_CATCH_UP } from "../../src/layout/result.ts";
import type { Participant } from "../../proof/coroutine.ts";
import { explore, makeTouches } from "../../proof/explore.ts";
import type { Touches, View } from "../../proof/explore.ts";
import { heapKinds } from "../../proof/heaps.ts";
import { joinHash } from "../../proof/journal.ts";
import { contestOf, prepareRace, raceName } from "../../proof/race.ts";
import type { Race } from "../../proof/race.ts";
import { races } from "../../proof/races.ts";
import { runAtRandom } from "../../proof/random.ts";
import { replayRace, runRace } from "../../proof/run-race.ts";
import { usual } from "../../proof/run.ts";
import { parseSchedule, showSchedule } from "../../proof/schedule.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

await buildProof();

const options = {
  ...usual,
  mostStatesOfThree: 100_000,
  deathStride: 0,
  deathStrideOfThree: 0,
  isOver: () => false,
};

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
  runRace(contestOf(wrong), tally, options);
  assert.equal(tally.violations.length, 1);
  const [{ message, replay }] = tally.violations as [(typeof tally.violations)[0]];
  assert.match(
    message,
    /^no order of the operations explains what was found: .*free 65536: 0; .*free 65536: 0/,
  );
  const text = /--schedule "(.*)"/.exec(replay)?.[1] ?? "";
  assert.match(text, /^\d\*\d+$/, "one is interrupted, once, and the other goes on to its end");
  assert.throws(() => replayRace(contestOf(wrong), parseSchedule(text)), { message });
  replayRace(contestOf(wrong), parseSchedule("0*1"));
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
  runRace(contestOf(race), tally, options);
  assert.match(tally.violations[0]?.message ?? "", /alloc 16384: code 4/);
});

test("a schedule that is written down is read as it was", () => {
  for (const text of ["0*12 1*3 0*1", "0*1 1!", "1*4 0*2 0!!", ""])
    assert.equal(showSchedule(parseSchedule(text)), text);
  assert.throws(() => parseSchedule("0-12"), /is no part of a schedule/);
});

/** Every access is a place to switch at. */
const allNoticed: Touches = { add: () => false, isNoticed: () => true };

/** What the memory and the results can be like when everybody has ended. */
function endsOf(race: Race, preemptions: number | undefined, touches?: Touches): ReadonlySet<number> {
  const stage = prepareRace(race);
  stage.begin();
  const { journal, participants, world } = stage;
  const ends = new Set<number>();
  const onEnd = ({ positions }: View): void => {
    const results = positions.reduce((hash, { low }) => Math.imul(hash ^ low, 31), 1);
    ends.add(joinHash(journal.low() ^ results, journal.high()));
  };
  const bound = preemptions === undefined ? {} : { preemptions };
  assert.ok(
    explore({ journal, participants, onEnd, ...bound }, touches ?? makeTouches(world.memory)).isWhole,
  );
  return ends;
}

test("a search up to so many preemptions comes to all ends that there are up to so many switches anywhere", () => {
  const names = [
    "slab/one allocates, another frees a block that the other allocated",
    "slab/one names another root, another removes a root and names another",
    "buddy/one allocates, another adopts and shares a block",
    "buddy/one allocates, one frees its block, one allocates",
    "first-fit/one allocates, another frees its last block",
  ];
  let ends = 0;
  for (const name of names) {
    const race = races.find((one) => raceName(one) === name);
    assert.ok(race !== undefined, name);
    const all = endsOf(race, undefined);
    let fewer: ReadonlySet<number> = new Set();
    for (let preemptions = 0; preemptions <= 3; preemptions++) {
      const now = endsOf(race, preemptions);
      const found = endsOf(race, preemptions, allNoticed);
      const missed = [...found].filter((one) => !now.has(one));
      assert.deepEqual(missed, [], `${name}, ${preemptions} preemptions`);
      assert.ok([...fewer].every((one) => now.has(one)) && [...now].every((one) => all.has(one)));
      fewer = now;
    }
    ends += all.size;
  }
  assert.ok(ends > 12, `${ends} ends`);
});

test("a race that is too large to be gone through whole is gone through up to three preemptions", () => {
  const tally = makeTally();
  const sound = races.find((one) => raceName(one) === "slab/one allocates, another allocates");
  runRace(contestOf(sound!), tally, { ...options, mostStates: 20 });
  assert.deepEqual([tally.violations, tally.bounded, tally.cut], [[], 1, 0]);
  assert.ok(tally.schedules > 100);
  runRace(contestOf(wrong), tally, { ...options, mostStates: 2 });
  assert.match(tally.violations[0]?.message ?? "", /^no order of the operations/);
  let isOver = false;
  runRace(contestOf(sound!), tally, { ...options, isOver: () => isOver || !(isOver = true) });
  assert.equal(tally.cut, 1, "told to stop, it says that it did");
});

test("a random schedule that goes wrong is made as small as it can be", () => {
  // Long rows of operations, in which the one free meets the other somewhere.
  const race: Race = {
    ...wrong,
    setUp(enterSlot, world) {
      const [mine, theirs] = wrong.setUp(enterSlot, world);
      const more = [
        { kind: "alloc", sizeBytes: 16384 },
        { kind: "free", block: { resultOf: 1 } },
      ] as const;
      return [
        [...mine!, ...more],
        [...theirs!, ...more, ...theirs!],
        [...more.slice(0, 1), { kind: "free", block: { resultOf: 0 } }],
      ];
    },
  };
  const tally = makeTally();
  runAtRandom(race, "random/planted/1", 1, 500, tally);
  const [{ replay, message }] = tally.violations as [(typeof tally.violations)[0]];
  const text = /--replay "random\/planted\/1" --schedule "(.*)"/.exec(replay)?.[1] ?? "";
  assert.match(text, /^(\d\*\d+ ?){1,3}$/, "no death, and hardly a switch");
  assert.throws(() => replayRace(contestOf(race), parseSchedule(text)), { message });
});

test("a participant that has not caught up with another's growth is told to, and touches nothing that it has not mapped", () => {
  for (const heap of heapKinds) {
    const race = races.find((one) => one.heap === heap && one.name.endsWith("adopts and shares it"));
    const { participants, begin } = prepareRace(race!);
    begin();
    const [one, two] = participants as [Participant, Participant];
    one.finish();
    assert.ok(!one.position().results.includes(NEED_CATCH_UP));
    two.finish();
    assert.deepEqual([two.position().isDone, two.position().failure], [true, undefined]);
    assert.ok(two.position().results.includes(NEED_CATCH_UP), heap);
  }
  const [one] = prepareRace(wrong).participants as [Participant];
  one.begin((core) => {
    core.setMapped(0);
    return core.sizePages();
  });
  assert.match(one.position().failure?.message ?? "", /which its participant has not mapped$/);
});

/** Queues and rings in every order of the accesses of those who use them, with deaths on the way (proof/channel-races.ts). */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { channelContests } from "../../proof/channel-races.ts";
import { replayRace, runRace } from "../../proof/run-race.ts";
import { replay, usualChannels } from "../../proof/run.ts";
import { parseSchedule } from "../../proof/schedule.ts";
import type { Contest } from "../../proof/stage.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

before(() => buildProof());

for (const race of channelContests)
  test(`channels hold in every order: ${race.name}`, (t) => {
    const tally = makeTally();
    runRace(race, tally, { ...usualChannels, isOver: () => false });
    const { schedules, deaths, bounded, cut, violations } = tally;
    t.diagnostic(`${schedules} schedules, ${deaths} deaths${bounded > 0 ? ", not gone through whole" : ""}`);
    const [found] = violations;
    assert.equal(found, undefined, `${found?.message}\n${found?.replay}`);
    assert.ok(schedules > 1 && deaths > 0 && cut === 0);
  });

test("a channel's race that goes wrong is shown again by its schedule, and so is one that dies in it", () => {
  const sound = channelContests.find(({ name }) => name === "channel/two send")!;
  /** Whoever dies must have been told something first. */
  const wrong: Contest = {
    name: "channel/wrong",
    prepare() {
      const stage = sound.prepare();
      return {
        ...stage,
        judge(positions, earlier, isKnownSound) {
          const first = positions.map(({ results }) => results[0]);
          assert.notDeepEqual(first[0], undefined, "the first one was told nothing");
          stage.judge(positions, earlier, isKnownSound);
        },
      };
    },
  };
  const tally = makeTally();
  runRace(wrong, tally, { ...usualChannels, deathStride: 1, isOver: () => false });
  const [{ message, replay: line }] = tally.violations as [(typeof tally.violations)[0]];
  const text = /^npm run proof -- --replay "race\/channel\/wrong" --schedule "(.*)"$/.exec(line)?.[1] ?? "";
  assert.match(text, /^(0\*\d+ )?0!!?$/, `${text}: it dies, and nobody else does anything before`);
  assert.throws(() => replayRace(wrong, parseSchedule(text)), { message });
  replay("race/channel/two send", text);
  replay("race/topic/two publish", "0*3 1*4 0!!");
  assert.throws(() => replay("race/topic/two publish", "0*3000"), /the schedule is another race's/);
});

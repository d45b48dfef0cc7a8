/** Topics in every order of the accesses of those who use them, with deaths on the way (proof/topic-races.ts). */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { topicContests } from "../../proof/topic-races.ts";
import { runRace } from "../../proof/run-race.ts";
import { usualChannels } from "../../proof/run.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

before(() => buildProof());

for (const race of topicContests)
  test(`topics hold in every order: ${race.name}`, (t) => {
    const tally = makeTally();
    runRace(race, tally, { ...usualChannels, isOver: () => false });
    const { schedules, deaths, bounded, cut, violations } = tally;
    t.diagnostic(`${schedules} schedules, ${deaths} deaths${bounded > 0 ? ", not gone through whole" : ""}`);
    const [found] = violations;
    assert.equal(found, undefined, `${found?.message}\n${found?.replay}`);
    assert.ok(schedules > 1 && deaths > 0 && cut === 0);
  });

/** Topics in every order of the accesses of those who use them, with deaths on the way (proof/topic-races.ts). */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { runTopicRace, topicRaces } from "../../proof/topic-races.ts";
import { buildProof } from "./build.ts";

before(() => buildProof());

for (const race of topicRaces)
  test(`topics hold in every order: ${race.name}`, (t) => {
    const { states, schedules, deaths } = runTopicRace(race, 20_000, 16);
    t.diagnostic(`${states} states, ${schedules} schedules, ${deaths} deaths`);
    assert.ok(schedules > 1 && deaths > 0);
  });

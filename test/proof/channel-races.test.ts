/** Queues and rings in every order of the accesses of those who use them, with deaths on the way (proof/channel-races.ts). */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { channelRaces, runChannelRace } from "../../proof/channel-races.ts";
import { buildProof } from "./build.ts";

before(() => buildProof());

for (const race of channelRaces)
  test(`channels hold in every order: ${race.name}`, (t) => {
    const { states, schedules, deaths } = runChannelRace(race, 20_000, 16);
    t.diagnostic(`${states} states, ${schedules} schedules, ${deaths} deaths`);
    assert.ok(schedules > 1 && deaths > 0);
  });

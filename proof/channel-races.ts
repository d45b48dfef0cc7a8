/**
 * Two or three participants on one queue or ring, in every order of their accesses, and with one of them dying at the states on
 * the way. Judged by counting: what was committed to a cell, and what came out of it.
 */

import assert from "node:assert/strict";
import type { ChannelCore } from "../src/data/channel/core.ts";
import {
  C_DROPPED,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_REDELIVER,
  CHANNEL_RING,
} from "../src/layout/channel.ts";
import { OK } from "../src/layout/result.ts";
import {
  cellIn,
  countTagged,
  enterChannels,
  isCode,
  makeChannel,
  receive,
  repeat,
  ringReceive,
  ringSend,
  send,
} from "../test/helpers/channel-world.ts";
import type { Channel, ChannelOptions, Member } from "../test/helpers/channel-world.ts";
import { enter } from "../test/helpers/core-world.ts";
import { JUDGE, recoverAll, stageChannel } from "./channel-stage.ts";
import type { Position } from "./coroutine.ts";
import { makeHeap } from "./heaps.ts";
import type { Contest, Stage } from "./stage.ts";

/** Who was there before. */
const EARLIER = 4;

type Part = "send" | "receive" | "borrow" | "cancel" | "give back" | "sweep";

interface ChannelRace extends ChannelOptions {
  readonly name: string;
  /** Messages that are there. */
  readonly present?: number;
  /** Somebody is gone who had borrowed the first of them. */
  readonly isHeld?: true;
  /** What each participant does, one after the other. */
  readonly parts: readonly (readonly Part[])[];
}

const races: readonly ChannelRace[] = [
  { name: "two send", parts: [["send"], ["send"]] },
  { name: "two send where there is room for one", present: 1, parts: [["send"], ["send"]] },
  { name: "one sends, one receives", parts: [["send"], ["receive"]] },
  {
    name: "one sends and one receives, all round",
    present: 1,
    parts: [
      ["send", "send"],
      ["receive", "receive"],
    ],
  },
  { name: "two receive", present: 2, parts: [["receive"], ["receive"]] },
  { name: "two receive, one sends", present: 1, parts: [["receive"], ["receive"], ["send"]] },
  { name: "one gives up what it was to send, one receives", parts: [["cancel"], ["send"], ["receive"]] },
  {
    name: "one gives back, one receives",
    present: 2,
    flags: CHANNEL_REDELIVER,
    parts: [["give back"], ["receive", "receive"]],
  },
  { name: "two sweep what a dead one held", present: 2, isHeld: true, parts: [["sweep"], ["receive"]] },
  {
    name: "two sweep what a dead one held, which is given back",
    present: 2,
    isHeld: true,
    flags: CHANNEL_REDELIVER,
    parts: [["receive"], ["receive"]],
  },
  {
    name: "ring: one sends, one receives",
    kind: CHANNEL_RING,
    present: 1,
    parts: [
      ["send", "send"],
      ["receive", "receive"],
    ],
  },
];

/** The calls of a part, in terms of the core: nothing else may be done in a program. */
function run(core: ChannelCore, object: number, part: Part, isRing: boolean): void {
  if (part === "sweep") return void core.sweepQueue(object);
  if (part === "send" || part === "cancel") {
    const cell = isRing ? core.ringRoom(object) : core.claimSend(object);
    if (isCode(cell)) return;
    if (part === "cancel") core.cancelSend(object, cellIn(cell));
    else if (isRing) core.ringSend(object, cellIn(cell), 4, 0);
    else core.commitSend(object, cellIn(cell), 4);
    return;
  }
  const isLent = part === "receive" ? 0 : 1;
  const cell = isRing ? core.ringNextMessage(object, isLent) : core.claimReceive(object, isLent);
  if (isCode(cell)) return;
  if (part === "give back") core.giveBack(object, cellIn(cell));
  else if (isRing) core.ringReceived(object);
  else core.endReceive(object, cellIn(cell));
}

/** What the results of the parts' calls say: how many messages came and went; and the codes. */
function tallyOf(
  parts: readonly Part[],
  { results }: Position,
): { sent: number; received: number; codes: number[] } {
  const tally = { sent: 0, received: 0, codes: [] as number[] };
  let at = 0;
  for (const part of parts) {
    const first = results[at++];
    if (first === undefined) break;
    if (part === "sweep") continue;
    if (isCode(first)) {
      tally.codes.push(first);
      continue;
    }
    const second = results[at++];
    if (second === undefined) break;
    assert.ok(second >= 0, `${part}: code ${-second}`);
    if (part === "send") tally.sent++;
    if (part === "receive" || part === "borrow") tally.received++;
  }
  return tally;
}

/** Receives all there is. */
function drain(member: Member, channel: Channel, isRing: boolean): number {
  for (let count = 0; ; count++) {
    const { code } = (isRing ? ringReceive : receive)(member, channel);
    if (code === CHANNEL_EMPTY) return count;
    assert.equal(code, OK);
  }
}

interface Judged {
  readonly race: ChannelRace;
  readonly channel: Channel;
  /** Counted before the race. */
  readonly present: number;
}

/** Everybody has ended, or died. Destroys the channel. */
function judge({ race, channel, present }: Judged, positions: readonly Position[]): void {
  const isRing = race.kind === CHANNEL_RING;
  for (const { failure } of positions) if (failure !== undefined) throw failure;
  const dead = positions.flatMap(({ isDone }, index) => (isDone ? [] : [index]));
  const tallies = positions.map((one, index) => tallyOf(race.parts[index]!, one));
  const sent = tallies.reduce((sum, one) => sum + one.sent, present);
  const received = tallies.reduce((sum, one) => sum + one.received, 0);
  // A ring's ends are taken as long as those who have them live.
  recoverAll(channel.world, isRing ? positions.map((_one, index) => index) : dead);
  const member = enterChannels(channel.world, JUDGE);
  if (!isRing)
    assert.equal(
      repeat(member, channel.object, () => member.core.sweepQueue(channel.object)),
      OK,
    );
  const left = drain(member, channel, isRing);
  const dropped = isRing ? 0 : countTagged(channel, C_DROPPED);
  const surplus = received + left + dropped - sent;
  // One that died may have sent or received what it was not told of.
  const least = -dead.length;
  assert.ok(
    surplus >= least && surplus <= dead.length,
    `${sent} sent, ${received} received, ${left} left, ${dropped} dropped, ${dead.length} dead`,
  );
  if (dead.length === 0 && race.flags === CHANNEL_REDELIVER) assert.equal(dropped, 0);
  for (let count = 0; count < channel.capacity; count++)
    assert.equal((isRing ? ringSend : send)(member, channel, count), OK, "it has room again");
  assert.equal((isRing ? ringSend : send)(member, channel, 9), CHANNEL_FULL);
  assert.equal(drain(member, channel, isRing), channel.capacity);
}

function prepare(race: ChannelRace): Stage {
  const world = makeHeap("slab", 2, 0);
  const isRing = race.kind === CHANNEL_RING;
  const earlier = enterChannels(world, EARLIER);
  const channel = makeChannel(world, earlier.heap, race);
  const { object } = channel;
  let present = race.present ?? 0;
  for (let count = 0; count < present; count++)
    assert.equal((isRing ? ringSend : send)(earlier, channel, count), OK);
  if (race.isHeld === true) {
    assert.ok(!isCode(earlier.core.claimReceive(object, 1)));
    if (race.flags !== CHANNEL_REDELIVER) present = race.present!;
  }
  assert.equal(enter(world, JUDGE).recoverSlot(EARLIER, 1), OK);
  enter(world, JUDGE);

  const judged: Judged = { race, channel, present };
  return stageChannel(
    world,
    race.parts.map((parts) => (core) => {
      for (const part of parts) run(core, object, part, isRing);
    }),
    (positions) => judge(judged, positions),
  );
}

export const channelContests: readonly Contest[] = races.map((race) => ({
  name: `channel/${race.name}`,
  prepare: () => prepare(race),
}));

/**
 * Ports for crash exhaustion: the real port-place.ts and port-sender.ts, whose words are TypeScript's own (port-words.ts), over the
 * real core. The actor dies at each access of what it does with its side; somebody recovers it. Then the one at the other side
 * must see it go if it was connected with it, must have been rung, and gets what was sent before, once, in order; and the next one
 * on the dead one's side is connected with whom it should, gets nothing that was for the dead one, and can use all of the port.
 * Nothing is left in the heap but the port.
 */

import assert from "node:assert/strict";
import { MessageChannel } from "node:worker_threads";
import { makeBridges } from "../src/data/channel/port-bridge.ts";
import { PORT_CLOSE, PORT_VALUE } from "../src/layout/port.ts";
import { OK } from "../src/layout/result.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { CrashCase } from "./crash-cases.ts";
import { heapKinds } from "./heaps.ts";
import { enterHeap } from "./port-stage.ts";
import {
  PARTNER,
  SURVIVOR,
  THIRD,
  DEAD,
  CAPACITY,
  LARGE,
  frameOf,
  open,
  senderOf,
  post,
  CLOSES,
  drain,
  watch,
  postAs,
  getAs,
  useBefore,
  dieSomewhere,
  eachDeath,
  LIFE,
  doorWaits,
  leaves,
  lives,
  sceneOf,
} from "./crash-port-play.ts";
import type { Scenario } from "./crash-port-play.ts";

const calls: readonly Scenario[] = [
  { name: "coming where there is no port", heaps: heapKinds },
  { name: "coming to a port that was used before", before: useBefore },
  { name: "coming where somebody waits", before: useBefore, hasPartner: true },
  {
    name: "coming where somebody has not noticed yet that its partner is gone",
    hasPartner: true,
    setUp(world, partner) {
      const gone = open(enterHeap(world, THIRD));
      post(partner!, 5);
      post(gone, 6);
      gone.seat.leave();
    },
  },
  {
    name: "posting",
    hasPartner: true,
    run: (side, play) => postAs(side, play, 11),
  },
  {
    name: "posting what is larger than a cell",
    heaps: heapKinds,
    hasPartner: true,
    run: (side, play) => postAs(side, play, LARGE + 11),
  },
  {
    name: "posting where there is no room",
    hasPartner: true,
    run(side, play) {
      for (let value = 11; value < 11 + CAPACITY; value++) postAs(side, play, value);
      assert.equal(side.seat.outbound.trySend(frameOf(20)), false);
    },
  },
  {
    name: "posting a MessagePort, and its close",
    hasPartner: true,
    run(side, play) {
      const sender = senderOf(side);
      const { port1, port2 } = new MessageChannel();
      const bridges = makeBridges(side.seat.side, {
        post: (channel, what, frame) => sender.post(channel, what, frame),
        fail(error) {
          throw error;
        },
      });
      try {
        play.ledger.tried.push(12, CLOSES);
        sender.post(0, PORT_VALUE, bridges.encode({ value: 12, port: port1 }, [port1]));
        play.ledger.posted.push(12);
        sender.post(2 + side.seat.side, PORT_CLOSE, new Uint8Array(0));
        play.ledger.posted.push(CLOSES);
      } finally {
        sender.stop();
        bridges.close();
        port2.close();
      }
    },
  },
  {
    name: "receiving",
    heaps: heapKinds,
    hasPartner: true,
    ready(_side, play) {
      for (const value of [7, LARGE + 7]) {
        post(play.partner!, value);
        play.ledger.sent.push(value);
      }
    },
    run(side, play) {
      getAs(side, play);
      getAs(side, play);
      assert.equal(side.seat.inbound.tryReceive(), undefined);
    },
    checkDone: (_side, { ledger }) => assert.deepEqual(ledger.received, ledger.sent),
  },
  {
    name: "waiting for the other side",
    run(side) {
      const { context, point } = side.seat;
      watch(side);
      assert.equal(side.seat.partner(), 0);
      context.core.arm();
      context.core.takeRung();
      context.leave(point.object, point.set);
      context.core.noteWait(0, 0, 0);
    },
  },
  { name: "leaving", run: leaves, hasLeft: true },
  {
    name: "leaving what somebody is connected with",
    hasPartner: true,
    run(side, play) {
      postAs(side, play, 11);
      side.seat.leave();
    },
    hasLeft: true,
    checkDone: (_side, { partner }) => assert.ok(partner!.seat.isPartnerGone()),
  },
  {
    name: "coming where both have died and were not recovered",
    setUp(world) {
      const [one, other] = [open(enterHeap(world, DEAD)), open(enterHeap(world, PARTNER))];
      for (const value of LIFE) {
        post(one, value);
        post(other, value);
      }
    },
    dead: [DEAD, PARTNER],
  },
];

/** What those find who come after a death, or see it. */
const afterDeaths = (isDeep: boolean): readonly Scenario[] => [
  ...eachDeath(isDeep, (index, name) => ({
    name: `coming after one that died there, ${name}`,
    setUp(world) {
      dieSomewhere(world, index, lives);
      assert.equal(enter(world, SURVIVOR).recoverSlot(DEAD, 1), OK);
    },
  })),
  ...eachDeath(isDeep, (index, name) => ({
    name: `coming after one that died there and was not recovered, ${name}`,
    before: useBefore,
    setUp: (world) => void dieSomewhere(world, index, lives),
    dead: [DEAD],
    checkDone: (side, { world }) => assert.equal(doorWaits(side, world), 0, "it has waited for the dead"),
  })),
  ...eachDeath(isDeep, (index, name) => ({
    name: `coming where somebody waits whose partner died, ${name}`,
    hasPartner: true,
    setUp(world, partner) {
      dieSomewhere(world, index, (side, told) => {
        post(partner!, 5);
        post(partner!, LARGE + 5);
        lives(side, told);
      });
      assert.equal(enter(world, SURVIVOR).recoverSlot(DEAD, 1), OK);
    },
  })),
  ...eachDeath(isDeep, (index, name) => ({
    name: `seeing a partner go that died, and leaving, ${name}`,
    ready(_side, { world, ledger }) {
      ledger.sent.push(...dieSomewhere(world, index, lives));
      assert.equal(enter(world, SURVIVOR).recoverSlot(DEAD, 1), OK);
    },
    run(side, { ledger }) {
      if (side.seat.partner() !== 0) assert.ok(side.seat.isPartnerGone());
      ledger.received.push(...drain(side));
      side.seat.leave();
    },
    hasLeft: true,
    checkDone(_side, { ledger }) {
      assert.deepEqual(ledger.received, LIFE.slice(0, ledger.received.length), "once, in their order");
      const more = ledger.received.length - ledger.sent.length;
      assert.ok(more === 0 || more === 1, "all that was posted, and perhaps what it died posting");
    },
  })),
];

export const portCases = (isDeep: boolean): readonly CrashCase[] =>
  [...calls, ...afterDeaths(isDeep)].flatMap((scenario) =>
    (scenario.heaps ?? ["slab"]).map((kind) => ({
      name: `port/${kind}/${scenario.name}`,
      prepare: () => sceneOf(kind, scenario),
    })),
  );

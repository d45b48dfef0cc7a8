/** Damage of locks and channels: which of their words are hit, and with what. */

import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_LENGTH,
  CELL_OUT,
  CELL_TURN_MASK,
  CELL_TURN_SHIFT,
  CHANNEL_QUEUE,
  CHANNEL_RING,
  C_CELL_BYTES,
  C_ENDED,
  C_HELD,
  C_RECORD_IDENT,
  C_RING_DROPPED,
  C_SKIPPED,
  C_SWEPT,
  POSITION_BITS,
} from "../src/layout/channel.ts";
import { H_DEPARTURES, H_SLOTS_USED } from "../src/layout/header.ts";
import { PORT_CELL_BYTES, PORT_KIND, PORT_PARTNERS, PORT_SERIALS } from "../src/layout/port.ts";
import {
  S_BELL,
  S_BLOCKED,
  S_INTENT,
  S_INTENT_PLACE,
  S_STATE,
  SLOT_EPOCH_SHIFT,
  SLOT_SIZE_BYTES,
} from "../src/layout/slot.ts";
import {
  IDENT_EPOCH_MASK,
  IDENT_SLOT_BITS,
  MUTEX_OFFERED,
  ONCE_DONE,
  SYNC_COUNTER,
  SYNC_MAGIC,
  Y_FLAGS,
  Y_KIND,
  Y_LAST,
  Y_LIMIT,
  Y_TRACE,
  Y_WAITERS,
} from "../src/layout/sync.ts";
import {
  CHANNEL_TOPIC,
  C_HISTORY,
  C_JOINS,
  C_KNOWN_JOINS,
  C_KNOWN_LIMIT,
  C_SUBSCRIBERS,
  ENTRY_IDENT_SHIFT,
  ENTRY_SERIAL_SHIFT,
  E_POSITION,
  E_START,
  TOPIC_ENTRY_BYTES,
} from "../src/layout/topic.ts";
import { SLOT_COUNT } from "./images.ts";
import type { ObjectPlace } from "./objects.ts";
import type { Random } from "./random.ts";
import { readWord } from "./target.ts";
import type { Draw, Place, Target } from "./target.ts";

type Values = (random: Random) => number | bigint;

const place = (what: string, offset: number, widthBytes: Place["widthBytes"], values: Values): Place => ({
  what,
  offset,
  widthBytes,
  values,
});

const COUNTS = [
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  63,
  64,
  65,
  4096,
  65535,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 2,
  2 ** 32 - 1,
];

const counts: Values = (random) => random.pick(COUNTS);

function slotWord({ geometry }: Target, slot: number, at: number): number {
  return geometry.slotsOffset + SLOT_SIZE_BYTES * slot + at;
}

/** Of somebody who lives, who is dead, who was, who will be; or of nobody that there can be. */
function idents(image: Target): (random: Random) => number {
  return (random) => {
    if (random.once(8))
      return random.pick([0, 1023, SLOT_COUNT + 1, 2 ** 31 - 1, 2 ** 32 - 1, random.word()]);
    const slot = random.below(SLOT_COUNT);
    const state = Number(readWord(image, { offset: slotWord(image, slot, S_STATE), widthBytes: 4 }));
    const epoch = (state >>> SLOT_EPOCH_SHIFT) + random.pick([0, 0, 0, 1, -1]);
    return (((epoch & IDENT_EPOCH_MASK) << IDENT_SLOT_BITS) | (slot + 1)) >>> 0;
  };
}

/** Handles of others' blocks, of the object itself, offsets that are nowhere. */
function blocks(image: Target, object: number): Values {
  const end = image.lengthBytes();
  return (random) =>
    random.once(2) && image.handles.length > 0
      ? random.pick(image.handles)
      : random.pick([0, 1, 4, 8, object, object + 64, end, end - 8, end - 4, end - 1, 2 ** 32 - 8, 2 ** 31]);
}

const halves = (high: number | bigint, low: number | bigint): bigint =>
  (BigInt(high) << 32n) | (BigInt(low) & 0xffff_ffffn);

// Locks

/** The words of a kind's own, which begin at 32, by kind. */
function ownWord(image: Target, { noun, offset }: ObjectPlace, random: Random): Place {
  const ident = idents(image);
  const word = (at: number, what: string, values: Values): Place =>
    place(`${noun}'s ${what}`, offset + at, 4, values);
  switch (noun) {
    case "mutex":
      return random.pick([
        word(32, "holder", (one) => (ident(one) | (one.once(3) ? MUTEX_OFFERED : 0)) >>> 0),
        word(40, "tickets", counts),
      ]);
    case "rwlock":
      return random.pick([word(32, "writer", ident), word(36, "entered", ident)]);
    case "once":
      return word(32, "runner", (one) => (one.once(4) ? ONCE_DONE : ident(one)));
    case "semaphore":
      return place("semaphore's tally", offset + 32, 8, (one) =>
        halves(one.below(8) << 26, (one.pick([0, 1, 5, 65535]) | (one.below(SLOT_COUNT + 2) << 16)) >>> 0),
      );
    case "barrier":
      return place("barrier's words", offset + 32 + 8 * random.below(2), 8, (one) =>
        halves(counts(one), one.once(2) ? counts(one) : (2 ** 31 + one.below(4)) >>> 0),
      );
    case "port": {
      const at = random.pick([PORT_SERIALS, PORT_SERIALS + 4, PORT_PARTNERS, PORT_PARTNERS + 4]);
      if (random.once(3)) return word(PORT_CELL_BYTES, "cell size", cellSizes);
      return word(at, "words", counts);
    }
    default:
      return random.once(3)
        ? place(`${noun}'s words`, offset + 32, 8, (one) => halves(counts(one), counts(one)))
        : word(32 + 4 * random.below(4), "words", counts);
  }
}

const lockWords: Draw = (image, random) => {
  const locks = image.objects.filter(({ channel }) => channel === undefined);
  if (locks.length === 0) return slotWords(image, random);
  const object = random.pick(locks);
  const { noun, offset, sizeBytes } = object;
  const draw = random.below(8);
  if (draw < 3) return ownWord(image, object, random);
  if (draw === 3) return head(object, random);
  if (draw === 4) return place(`${noun}'s set of waiters`, offset + Y_WAITERS, 8, waiters);
  if (draw === 5)
    return place(`${noun}'s swept, or last`, offset + random.pick([Y_WAITERS + 8, Y_LAST]), 4, counts);
  if (draw === 6) return place(`${noun}'s trace`, offset + Y_TRACE, 4, blocks(image, offset));
  const ident = idents(image);
  const cellCount = Math.max(Math.floor((Math.min(sizeBytes, 256) - Y_WAITERS - 16) / 8), 1);
  const at = offset + Y_WAITERS + 16 + 8 * random.below(cellCount);
  if (random.once(2)) return place(`${noun}'s cell`, at + 4 * random.below(2), 4, ident);
  return place(`${noun}'s cell`, at, 8, (one) => halves(ident(one), one.once(2) ? one.below(8) : one.word()));
};

const waiters: Values = (random) =>
  random.pick([0n, 2n ** 64n - 1n, 2n ** BigInt(random.below(SLOT_COUNT)), 2n ** 63n, 0xffn, 0xff00n]);

const kinds: Values = (random) =>
  random.pick([
    0,
    SYNC_MAGIC | (1 + random.below(SYNC_COUNTER)),
    SYNC_MAGIC | random.pick([CHANNEL_QUEUE, CHANNEL_RING, CHANNEL_TOPIC, PORT_KIND, 0, 9, 0xffff]),
  ]) >>> 0;

const cellSizes: Values = (random) =>
  random.pick([
    0,
    1,
    16,
    17,
    63,
    64,
    65,
    128,
    192,
    256,
    4096,
    65536,
    2 ** 20,
    2 ** 20 + 64,
    2 ** 31,
    2 ** 32 - 64,
  ]);

const capacities: Values = (random) =>
  random.pick([0, 1, 2, 3, 4, 8, 16, 64, 1024, 2 ** 17, 2 ** 18, 2 ** 19, 2 ** 31, 2 ** 32 - 1]);

/** What all objects begin with. */
function head({ noun, offset }: ObjectPlace, random: Random): Place {
  return random.pick([
    place(`${noun}'s kind`, offset + Y_KIND, 4, kinds),
    place(`${noun}'s flags`, offset + Y_FLAGS, 4, (one) => (one.once(2) ? one.below(256) : one.word())),
    place(`${noun}'s limit`, offset + Y_LIMIT, 4, capacities),
  ]);
}

// Channels

type ChannelObject = Required<ObjectPlace>;

function channelHead(object: ObjectPlace, random: Random): Place {
  const { noun, offset } = object;
  return random.pick([
    head(object, random),
    head(object, random),
    place(`${noun}'s cell size`, offset + C_CELL_BYTES, 4, cellSizes),
    place(`${noun}'s end`, offset + C_ENDED, 4, counts),
    place(`${noun}'s subscribers`, offset + C_SUBSCRIBERS, 4, capacities),
    place(`${noun}'s history or joins`, offset + random.pick([C_HISTORY, C_JOINS]), 4, counts),
  ]);
}

/** Positions: near the one that there is, a turn from it, on the other side of the world. */
function positions(image: Target, offset: number, capacity: number): Values {
  return (random) => {
    const now = readWord(image, { offset, widthBytes: 8 });
    const steps = [1, -1, 2, capacity, -capacity, 2 * capacity + 1, 1000, 2 ** 40, 2 ** 46, 2 ** 47];
    const far = BigInt(random.pick(steps)) + now;
    return BigInt.asUintN(
      64,
      random.pick([far, far, 0n, 2n ** BigInt(POSITION_BITS) - 1n, now | (2n ** 63n)]),
    );
  };
}

function sides(image: Target, { noun, offset, channel }: ChannelObject, random: Random): Place {
  const side = offset + random.pick([channel.tailSide, channel.headSide]);
  if (noun !== "ring") return place(`${noun}'s position`, side, 8, positions(image, side, channel.capacity));
  const at = 4 * random.below(4);
  if (at === 0 || at === 12) return place("ring's role", side + at, 4, idents(image));
  if (random.once(4))
    return place("ring's held, or dropped", side + random.pick([C_HELD, C_RING_DROPPED]), 8, (one) =>
      halves(one.below(4), one.below(8)),
    );
  const now = Number(readWord(image, { offset: side + at, widthBytes: 4 }));
  return place("ring's index", side + at, 4, (one) =>
    one.once(3) ? counts(one) : (now + one.pick([1, -1, 2, channel.capacity, -channel.capacity, 5])) >>> 0,
  );
}

function records(image: Target, { noun, offset, channel }: ChannelObject, random: Random): Place {
  const record = offset + channel.records + 64 * random.below(SLOT_COUNT);
  const ident = idents(image);
  return random.pick([
    place(`${noun}'s record`, record + C_RECORD_IDENT, 4, ident),
    place(`${noun}'s record`, record + random.pick([C_SWEPT, C_KNOWN_JOINS]), 4, counts),
    place(`${noun}'s counts`, record + 8 * (1 + random.below(7)), 8, (one) =>
      halves(counts(one), counts(one)),
    ),
    place(`${noun}'s count of skipped`, record + C_SKIPPED, 8, (one) => halves(one.word(), 1)),
    place(
      `${noun}'s limit`,
      record + C_KNOWN_LIMIT,
      8,
      positions(image, record + C_KNOWN_LIMIT, channel.capacity),
    ),
  ]);
}

function entries(image: Target, { offset, channel }: ChannelObject, random: Random): Place {
  const count = Math.max((channel.cells - channel.entries) / TOPIC_ENTRY_BYTES, 1);
  const entry = offset + channel.entries + TOPIC_ENTRY_BYTES * random.below(count);
  const ident = idents(image);
  if (random.once(2))
    return place("a subscriber's word", entry, 8, (one) => {
      const phase = one.pick([0, 1, 2, 2, 3, 4, 4, 5, 6, 255]);
      return (
        (BigInt(ident(one)) << BigInt(ENTRY_IDENT_SHIFT)) |
        (BigInt(one.below(4)) << BigInt(ENTRY_SERIAL_SHIFT)) |
        BigInt(phase)
      );
    });
  const at = entry + random.pick([E_POSITION, E_POSITION, E_START]);
  return place("a subscriber's position", at, 8, positions(image, at, channel.capacity));
}

function cells(image: Target, { noun, offset, channel }: ChannelObject, random: Random): Place {
  const { capacity, cellBytes } = channel;
  const cell = offset + channel.cells + cellBytes * random.below(capacity);
  const draw = random.below(8);
  if (draw < 4) {
    const ident = idents(image);
    return place(`${noun}'s cell`, cell, 8, (one) => {
      const turn = Number(readWord(image, { offset: cell, widthBytes: 8 }) >> BigInt(CELL_TURN_SHIFT));
      const near = turn + one.pick([0, 0, 1, -1, 2, -2, 2 ** 27, 2 ** 28, -(2 ** 28), one.word()]);
      const name = one.once(3) ? 0 : ident(one);
      return (
        (BigInt((near & CELL_TURN_MASK) >>> 0) << BigInt(CELL_TURN_SHIFT)) |
        (BigInt(name) << 3n) |
        BigInt(one.below(8))
      );
    });
  }
  if (draw < 6)
    return place(`${noun}'s length`, cell + CELL_LENGTH, 4, (one) => {
      const length = one.pick([
        0,
        1,
        cellBytes - CELL_DATA,
        cellBytes - CELL_DATA + 1,
        cellBytes,
        700,
        65536,
        2 ** 21,
        2 ** 31 - 1,
      ]);
      return (length | (one.once(2) ? CELL_OUT : 0)) >>> 0;
    });
  if (draw === 6) return place(`${noun}'s block`, cell + CELL_BLOCK, 4, blocks(image, offset));
  return place(`${noun}'s message`, cell + CELL_DATA + 4 * random.below(4), 4, (one) => one.word());
}

const channelWords: Draw = (image, random) => {
  const channels = image.objects.filter((one) => one.channel !== undefined) as ChannelObject[];
  if (channels.length === 0) return slotWords(image, random);
  const object = random.pick(channels);
  const draw = random.below(10);
  if (draw < 2) return channelHead(object, random);
  if (draw < 4) return sides(image, object, random);
  if (draw === 4) return records(image, object, random);
  if (draw === 5) {
    const { receivers, senders } = object.channel;
    const at = object.offset + random.pick([receivers, senders, receivers + 8, senders + 8]);
    return place(`${object.noun}'s waiters`, at, 8, waiters);
  }
  if (draw < 8 && object.noun === "topic") return entries(image, object, random);
  return cells(image, object, random);
};

/** What a slot says of who waits, and of what is handed over; and who is gone. */
const slotWords: Draw = (image, random) => {
  const slot = random.below(SLOT_COUNT);
  const at = (offset: number, what: string, values: Values): Place =>
    place(what, slotWord(image, slot, offset), 4, values);
  const object = (one: Random): number =>
    image.objects.length > 0 && !one.once(3) ? one.pick(image.objects).offset : (counts(one) as number);
  return random.pick([
    at(S_BELL + 4 * random.below(3), "a bell", counts),
    at(S_BLOCKED + 4 * random.below(2), "what somebody waits for", object),
    at(S_BLOCKED, "what somebody waits for", object),
    at(S_INTENT_PLACE, "the place of an intent", (one) => object(one) + 4 * one.below(40)),
    at(S_INTENT, "an intent", (one) => one.below(6)),
    at(S_STATE, "a slot's state", (one) => (one.below(4) << SLOT_EPOCH_SHIFT) | one.below(4)),
    place("departures", H_DEPARTURES, 4, counts),
    place("slots used", H_SLOTS_USED, 4, counts),
  ]);
};

export const objectDraws: readonly Draw[] = [
  lockWords,
  lockWords,
  lockWords,
  channelWords,
  channelWords,
  channelWords,
  channelWords,
  slotWords,
];

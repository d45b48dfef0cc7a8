/**
 * Channels in a heap without files or processes (core-world.ts): made, used by participants that may die at any access, and read
 * from raw memory by an oracle that knows nothing of the core.
 */

import assert from "node:assert/strict";
import { instantiateChannels } from "../../src/data/channel/core.ts";
import type { ChannelCore } from "../../src/data/channel/core.ts";
import { placesOf } from "../../src/data/channel/places.ts";
import type { ChannelPlaces } from "../../src/data/channel/places.ts";
import * as layout from "../../src/layout/channel.ts";
import { NEED_STORAGE, OK } from "../../src/layout/result.ts";
import { C_HISTORY, C_SUBSCRIBERS } from "../../src/layout/topic.ts";
import { SYNC_MAGIC, Y_FLAGS, Y_KIND, Y_LIMIT } from "../../src/layout/sync.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { enter } from "./core-world.ts";
import type { Trigger, World } from "./core-world.ts";

/** A channel, and where its parts are (addresses). */
export interface Channel extends ChannelPlaces {
  readonly world: World;
  readonly object: number;
  readonly capacity: number;
  readonly cellBytes: number;
}

/** A participant: its core of the heap, and of channels. */
export interface Member {
  readonly slot: number;
  readonly heap: HeapCore;
  readonly core: ChannelCore;
}

export interface ChannelOptions {
  readonly kind?: number;
  readonly capacity?: number;
  readonly flags?: number;
  /** Of a topic. */
  readonly subscribers?: number;
  readonly history?: number;
}

/** Room for 48 bytes in a cell. */
const CELL_BYTES = 64;

function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

/** A channel in a block of the heap. */
export function makeChannel(world: World, heap: HeapCore, options: ChannelOptions = {}): Channel {
  const { kind = layout.CHANNEL_QUEUE, capacity = 2, flags = 0, subscribers = 0, history = 0 } = options;
  const places = placesOf(world.geometry.slotCount, capacity, CELL_BYTES, subscribers);
  const object = must(heap.alloc(places.sizeBytes));
  new Uint8Array(world.memory.buffer, object, places.sizeBytes).fill(0);
  const view = new DataView(world.memory.buffer);
  view.setUint32(object + Y_FLAGS, flags, true);
  view.setUint32(object + Y_LIMIT, capacity, true);
  view.setUint32(object + layout.C_CELL_BYTES, CELL_BYTES, true);
  view.setUint32(object + C_SUBSCRIBERS, subscribers, true);
  view.setUint32(object + C_HISTORY, history, true);
  view.setUint32(object + Y_KIND, SYNC_MAGIC | kind, true);
  const { receivers, senders, records, tailSide, headSide, entries, cells, sizeBytes } = places;
  return {
    world,
    object,
    capacity,
    cellBytes: CELL_BYTES,
    sizeBytes,
    receivers: object + receivers,
    senders: object + senders,
    records: object + records,
    tailSide: object + tailSide,
    headSide: object + headSide,
    entries: object + entries,
    cells: object + cells,
  };
}

/** The participant in slot `slot`, as enter() of core-world.ts. */
export function enterChannels(world: World, slot: number, trigger?: Trigger): Member {
  const heap = enter(world, slot, trigger);
  useCheckpoint(trigger?.hook);
  try {
    return { slot, heap, core: instantiateChannels(world.memory, slot) };
  } finally {
    useCheckpoint(undefined);
  }
}

/** A block of the participant's own. */
export function allocOwned({ heap }: Member, sizeBytes: number): number {
  const handle = heap.allocWith(sizeBytes, 0, 1, 0);
  if (handle !== 0) return handle >>> 0;
  heap.noteStorage(heap.errorDetail());
  return must(heap.allocWith(sizeBytes, 0, 1, 0));
}

export const isCode = (result: number): boolean => result >>> 0 <= layout.CHANNEL_LAST_CODE;

/** A claimed cell's address, without what it says of those who wait. */
export const cellIn = (result: number): number => (result & ~7) >>> 0;

/** Calls again after what src/heap/obstacles.ts would have done. */
export function withStorage({ heap, core }: Member, call: () => number): number {
  const result = call();
  if (result !== NEED_STORAGE) return result;
  heap.noteStorage(core.errorDetail());
  return call();
}

/** Calls until it neither wants a block to be freed nor to be called again. */
export function repeat(member: Member, object: number, call: () => number): number {
  for (let tries = 0; tries < 100; tries++) {
    const result = withStorage(member, call);
    if (result === layout.CHANNEL_RELEASE) assert.equal(member.heap.free(member.core.errorDetail()), OK);
    else if (result !== layout.CHANNEL_AGAIN) return result;
  }
  throw new Error(`channel ${object} has no end of what is to be put right`);
}

/** What a message is, in these tests: a number. In a cell, or in a block. */
export function writeMessage({ memory }: World, at: number, value: number): void {
  new DataView(memory.buffer).setUint32(at, value, true);
}

export function readMessage({ world }: Channel, cell: number): number {
  const view = new DataView(world.memory.buffer);
  const block = view.getUint32(cell + layout.CELL_BLOCK, true);
  return view.getUint32(block === 0 ? cell + layout.CELL_DATA : block, true);
}

/** Sends a number; from a block, which is then the channel's. The code, 0 = sent. */
export function send(member: Member, channel: Channel, value: number, block = 0): number {
  const { core } = member;
  const { object, world } = channel;
  const claimed = repeat(member, object, () => core.claimSend(object));
  if (isCode(claimed)) return claimed;
  const cell = cellIn(claimed);
  writeMessage(world, block === 0 ? cell + layout.CELL_DATA : block, value);
  if (block !== 0) {
    const result = withStorage(member, () => core.putBlock(object, cell, block));
    if (result !== OK) return result;
  }
  const result = core.commitSend(object, cell, 4);
  return result < 0 ? -result : OK;
}

/** What a receiver was told. */
export interface Received {
  readonly code: number;
  readonly value: number;
}

/** Receives a number. */
export function receive(
  member: Member,
  channel: Channel,
  isLent = 0,
  use: () => void = () => undefined,
): Received {
  const { core, heap } = member;
  const { object } = channel;
  const claimed = repeat(member, object, () => core.claimReceive(object, isLent));
  if (isCode(claimed)) return { code: claimed, value: 0 };
  const cell = cellIn(claimed);
  const value = readMessage(channel, cell);
  use();
  let code = withStorage(member, () => core.takeBlock(object, cell));
  if (code !== OK) return { code, value };
  const block = core.errorDetail() >>> 0;
  if (block !== 0) assert.equal(heap.free(block), OK);
  code = core.endReceive(object, cell);
  return { code: code < 0 ? -code : OK, value };
}

export function ringSend(member: Member, channel: Channel, value: number, block = 0): number {
  const { core } = member;
  const { object, world } = channel;
  const room = repeat(member, object, () => core.ringRoom(object));
  if (isCode(room)) return room;
  writeMessage(world, block === 0 ? cellIn(room) + layout.CELL_DATA : block, value);
  if (block !== 0) {
    const result = withStorage(member, () => core.ringPutBlock(object, block));
    if (result !== OK) return result;
  }
  const result = core.ringSend(object, cellIn(room), 4, block === 0 ? 0 : 1);
  return result < 0 ? -result : OK;
}

export function ringReceive(
  member: Member,
  channel: Channel,
  isLent = 0,
  use: () => void = () => undefined,
): Received {
  const { core, heap } = member;
  const { object } = channel;
  const next = repeat(member, object, () => core.ringNextMessage(object, isLent));
  if (isCode(next)) return { code: next, value: 0 };
  const value = readMessage(channel, cellIn(next));
  use();
  let code = withStorage(member, () => core.ringTakeBlock(object));
  if (code !== OK) return { code, value };
  const block = core.errorDetail() >>> 0;
  if (block !== 0) assert.equal(heap.free(block), OK);
  code = core.ringReceived(object);
  return { code: code < 0 ? -code : OK, value };
}

/** A cell, read from raw memory. */
export interface CellPicture {
  readonly phase: number;
  readonly ident: number;
  readonly turn: number;
  readonly block: number;
}

export function readCells({ world, cells, capacity, cellBytes }: Channel): CellPicture[] {
  const view = new DataView(world.memory.buffer);
  return Array.from({ length: capacity }, (_none, index) => {
    const cell = cells + index * cellBytes;
    const state = view.getBigUint64(cell + layout.CELL_STATE, true);
    return {
      phase: Number(state & 7n),
      ident: Number((state >> 3n) & 0xffffffffn),
      turn: Number(state >> 35n),
      block: view.getUint32(cell + layout.CELL_BLOCK, true),
    };
  });
}

/** A tagged count (C_DROPPED, C_SKIPPED) of all records together. */
export function countTagged({ world, records }: Channel, at: number): number {
  const view = new DataView(world.memory.buffer);
  let sum = 0;
  for (let slot = 0; slot < world.geometry.slotCount; slot++)
    sum += view.getUint32(records + slot * layout.CHANNEL_RECORD_BYTES + at, true);
  return sum;
}

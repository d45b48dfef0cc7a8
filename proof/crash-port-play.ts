/** What the crash cases of ports are made of: the sides, their messages, deaths before, and the verdict. See crash-port.ts. */

import assert from "node:assert/strict";
import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { decode, encode } from "../src/data/channel/port-clone.ts";
import { takeSide } from "../src/data/channel/port-place.ts";
import type { Seat } from "../src/data/channel/port-place.ts";
import { makeSender } from "../src/data/channel/port-sender.ts";
import type { Heap } from "../src/heap/index.ts";
import {
  PORT_CLOSE,
  PORT_HEAD_CHANNEL,
  PORT_HEAD_SERIAL,
  PORT_HEAD_WHAT,
  PORT_VALUE,
} from "../src/layout/port.ts";
import { LOCKED, OK } from "../src/layout/result.ts";
import { S_BELL, SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import { Y_WAITERS, Y_WAITS } from "../src/layout/sync.ts";
import { useCheckpoint } from "../src/region/core.ts";
import type { HeapCore } from "../src/region/core.ts";
import { waitersBytes } from "../src/sync/objects.ts";
import { makeTrigger, snapshot, survives } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import type { CrashScene } from "./crash.ts";
import { blocksOf, checkGone, checkHeap, makeHeap } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import { closeHeap, enterHeap } from "./port-stage.ts";

const ACTOR = 0;
/** Who has the other side. */
export const PARTNER = 1;
export const SURVIVOR = 2;
export const THIRD = 3;
export const DEAD = 4;

const NAME = "desk";
export const CAPACITY = 4;
/** A small message fits into 48 bytes with its head, a large one does not. */
const OPTIONS = { capacity: CAPACITY, messageBytes: 48 };
const LARGE_BYTES = 300;

/** A side of the port that somebody has. */
interface Side {
  readonly heap: Heap;
  readonly seat: Seat;
}

/** Numbers are what is posted: from LARGE on as large messages. */
export const LARGE = 100;

const messageOf = (value: number): unknown =>
  value < LARGE ? value : { value, bytes: new Uint8Array(LARGE_BYTES) };

const valueOf = (message: unknown): number =>
  typeof message === "object" && message !== null
    ? (message as { value: number }).value
    : (message as number);

export const frameOf = (value: number): Uint8Array => encode(messageOf(value), [], () => undefined);

export function open(heap: Heap): Side {
  return { heap, seat: takeSide(heap, NAME, OPTIONS) };
}

export const senderOf = ({ seat }: Side): ReturnType<typeof makeSender> =>
  makeSender(seat, {
    drained: () => undefined,
    fail(error) {
      throw error;
    },
  });

/** As postMessage() where there is room. */
export function post(side: Side, value: number): void {
  const sender = senderOf(side);
  sender.post(0, PORT_VALUE, frameOf(value));
  assert.equal(sender.backlog, 0, "there is room");
}

/** What port.ts does about a frame: the value, if it is for this one. */
function read({ seat }: Side, frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint32(PORT_HEAD_SERIAL, true) !== seat.serial) return undefined;
  const ports: MessagePort[] = [];
  const channel = view.getUint32(PORT_HEAD_CHANNEL, true);
  if (channel !== 0) return view.getUint32(PORT_HEAD_WHAT, true) === PORT_CLOSE ? CLOSES : valueIn(frame);
  try {
    return valueIn(frame, ports);
  } finally {
    for (const port of ports) port.close();
  }
}

/** A channel's close, as a value. */
export const CLOSES = 99;

function valueIn(frame: Uint8Array, ports: MessagePort[] = []): number {
  const { value } = decode(frame, () => {
    const { port1 } = new MessageChannel();
    ports.push(port1);
    return port1;
  });
  return valueOf(value);
}

/** Receives the next message; undefined: none, or one for somebody else. */
function get(side: Side): number | undefined {
  const frame = side.seat.inbound.tryReceive();
  return frame === undefined ? undefined : read(side, frame);
}

/** All there is for this one. */
export function drain(side: Side): number[] {
  const values: number[] = [];
  for (
    let frame = side.seat.inbound.tryReceive();
    frame !== undefined;
    frame = side.seat.inbound.tryReceive()
  ) {
    const value = read(side, frame);
    if (value !== undefined) values.push(value);
  }
  return values;
}

/** As port.ts, which waits for the partner to come or go. Returns the bell as it is now. */
export function watch({ seat }: Side): number {
  const { context, point } = seat;
  const { core } = context;
  core.noteWaiting(point.object);
  core.noteWait(point.object, 1, 0);
  return core.enter(point.set);
}

/** What has happened to messages, as those who did it were told. */
interface Ledger {
  /** To the partner: those whose posting has ended, and has begun; first of all what was there for it before. */
  readonly posted: number[];
  readonly tried: number[];
  /** To the actor; those that it was told. */
  readonly sent: number[];
  readonly received: number[];
}

interface Play {
  readonly kind: HeapKind;
  readonly world: World;
  /** Who has the other side, and waits. */
  readonly partner: Side | undefined;
  readonly ledger: Ledger;
  /** What the partner saw when it looked last, and its bell then. */
  seen: number;
  bell: number;
}

export interface Scenario {
  readonly name: string;
  readonly heaps?: readonly HeapKind[];
  /** Before anybody else comes. */
  before?(world: World): void;
  /** Somebody comes next, to wait. */
  readonly hasPartner?: true;
  /** Then. */
  setUp?(world: World, partner: Side | undefined): void;
  /** Who is dead when the actor comes, and nobody has recovered. */
  readonly dead?: readonly number[];
  /** When the actor has come. */
  ready?(side: Side, play: Play): void;
  /** What the actor does until it dies. Without it: it comes. */
  run?(side: Side, play: Play): void;
  /** When all has gone well. */
  checkDone?(side: Side, play: Play): void;
  /** The actor has not its side any more then. */
  readonly hasLeft?: true;
}

/** The actor's own post. */
export function postAs(side: Side, { ledger }: Play, value: number): void {
  ledger.tried.push(value);
  post(side, value);
  ledger.posted.push(value);
}

export function getAs(side: Side, { ledger }: Play): void {
  const value = get(side);
  if (value !== undefined) ledger.received.push(value);
}

/** Whoever comes and goes again leaves a port behind, and messages that nobody has received. */
export function useBefore(world: World): void {
  const [one, other] = [open(enterHeap(world, SURVIVOR)), open(enterHeap(world, THIRD))];
  post(one, 1);
  post(one, LARGE + 1);
  post(other, 2);
  other.seat.leave();
  one.seat.leave();
}

/** Somebody comes in slot DEAD, does something, and dies before access `at` of all that (0: never). Returns how many there were. */
function dieAt(world: World, at: number, step: (side: Side) => void): number {
  const trigger = makeTrigger();
  const heap = enterHeap(world, DEAD, [], trigger);
  useCheckpoint(trigger.hook);
  try {
    trigger.arm(at, "kill");
    survives(() => step(open(heap)));
  } finally {
    useCheckpoint(undefined);
    closeHeap(heap);
  }
  return trigger.sites.length;
}

/** Deaths that are spread over somebody's life. By default one in so many of them. */
const DEATHS = 24;
const DEATH_STRIDE = 6;

/** The death number `index` of them. Returns what that one was told that it had posted. */
export function dieSomewhere(
  world: World,
  index: number,
  step: (side: Side, told: number[]) => void,
): readonly number[] {
  const restore = snapshot(world);
  const accesses = dieAt(world, 0, (side) => step(side, []));
  restore();
  const told: number[] = [];
  dieAt(world, Math.max(1, Math.round(((index + 1) * accesses) / DEATHS)), (side) => step(side, told));
  return told;
}

export const eachDeath = (isDeep: boolean, make: (index: number, name: string) => Scenario): Scenario[] =>
  Array.from({ length: DEATHS }, (_none, index) => make(index, `${index + 1} of ${DEATHS}`)).filter(
    (_one, index) => isDeep || index % DEATH_STRIDE === DEATH_STRIDE - 1,
  );

export const LIFE = [11, LARGE + 11];

/** How often somebody had to wait for the door. */
export function doorWaits({ heap, seat }: Side, { memory }: World): number {
  const door = seat.handle + Math.ceil((Y_WAITERS + waitersBytes(heap)) / 64) * 64;
  return new DataView(memory.buffer).getUint32(door + Y_WAITS, true);
}

export const leaves = ({ seat }: Side): void => seat.leave();

/** Of somebody who has died: in all its life. */
export const lives = (side: Side, told: number[]): void => {
  for (const value of LIFE) {
    // Without anybody at the other side it would wait in its own list.
    if (side.seat.partner() === 0) break;
    post(side, value);
    told.push(value);
  }
  get(side);
  leaves(side);
};

/** 0: with nobody; 1: with somebody who is there; 2: who is gone. */
const stateOf = ({ seat }: Side): number => (seat.partner() === 0 ? 0 : seat.isPartnerGone() ? 2 : 1);

function bellOf({ memory, geometry }: World, slot: number): number {
  const at = geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_BELL;
  return new DataView(memory.buffer).getUint32(at, true);
}

/** Both have all of the port: messages of both kinds go both ways, as many as there is room for. */
function checkUse(one: Side, other: Side): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    assert.equal(from.seat.partner(), to.seat.serial, "they are connected");
    assert.equal(from.seat.isPartnerGone(), false);
    assert.deepEqual(drain(to), [], "nothing is there that was for somebody else");
    const values = [31, LARGE + 31, 32, 33];
    for (const value of values) post(from, value);
    assert.equal(from.seat.outbound.trySend(frameOf(34)), false, "it is full");
    assert.deepEqual(drain(to), values);
  }
}

/** What the partner has got of what was posted to it. */
function checkMessages(partner: Side, { posted, tried }: Ledger, isDone: boolean): void {
  const values = drain(partner);
  assert.deepEqual(values, tried.slice(0, values.length), "once, in their order");
  assert.ok(values.length >= posted.length, `${posted.join()} were posted, ${values.join()} came`);
  assert.ok(values.length <= posted.length + (isDone ? 0 : 1));
}

/** Where the partner's state has changed since it looked, it was rung. */
function checkPartner(play: Play, partner: Side): void {
  const state = stateOf(partner);
  assert.notEqual(state, 1, "it is connected with one who is dead, and does not see it");
  if (state === play.seen) return;
  assert.notEqual(bellOf(play.world, PARTNER), play.bell, "it sleeps, and nobody will ring it");
}

/** Everybody else is dead and recovered: somebody comes, and then the partner leaves and comes again, if it must. */
function checkAfter(play: Play, slot: number, isDone: boolean): void {
  const { world, kind, partner, ledger } = play;
  if (partner !== undefined) checkPartner(play, partner);
  const next = open(enterHeap(world, slot));
  assert.equal(next.seat.inbound.depth, 0, "what was for the one before is in nobody's way");
  let other = partner;
  if (partner === undefined) {
    assert.equal(next.seat.partner(), 0);
    other = open(enterHeap(world, PARTNER));
  } else if (partner.seat.partner() !== next.seat.serial || partner.seat.isPartnerGone()) {
    assert.ok(partner.seat.isPartnerGone(), "it sees that its partner is another one");
    assert.equal(next.seat.partner(), 0, "nobody is connected with one that is about to leave");
    checkMessages(partner, ledger, isDone);
    partner.seat.leave();
    other = open(partner.heap);
  }
  checkUse(next, other!);
  const third = enterHeap(world, DEAD);
  assert.throws(() => open(third), { code: "ERR_SHOAL_TAKEN" });
  other!.seat.leave();
  assert.ok(next.seat.isPartnerGone());
  next.seat.leave();
  assert.deepEqual([...blocksOf(kind, world).keys()], [next.seat.handle as number], "only the port is left");
  checkHeap(kind, world, []);
}

/** Calls it at a time that is always the same. */
function atOnce<T>(what: () => T): T {
  const { now } = Date;
  Date.now = () => 1;
  try {
    return what();
  } finally {
    Date.now = now;
  }
}

/** By default recoverers die before one in so many of their changes, another one of them for each death of the actor. */
const RECOVERER_STRIDE = 32;

export function sceneOf(kind: HeapKind, scenario: Scenario): CrashScene {
  const world = makeHeap(kind, kind === "slab" ? 8 : 4, 0);
  scenario.before?.(world);
  const partner = scenario.hasPartner === true ? open(enterHeap(world, PARTNER)) : undefined;
  scenario.setUp?.(world, partner);
  const restore = snapshot(world);
  const present = partner === undefined ? [] : drain(partner);
  restore();
  const makePlay = (): Play => {
    const ledger = { posted: [...present], tried: [...present], sent: [], received: [] };
    return { kind, world, partner, ledger, seen: 0, bell: 0 };
  };
  let play = makePlay();
  let actor: Side | undefined;
  const wait = (): void => {
    if (partner === undefined) return;
    play.bell = watch(partner);
    play.seen = stateOf(partner);
  };
  const dead = (isSecond: boolean): readonly number[] => [
    ...(scenario.dead ?? []),
    ACTOR,
    ...(isSecond ? [SURVIVOR] : []),
  ];
  const act = (heap: Heap, trigger: Trigger, arm: () => void): void => {
    if (scenario.run === undefined) {
      wait();
      arm();
      actor = open(heap);
      return;
    }
    actor = open(heap);
    useCheckpoint(undefined);
    wait();
    scenario.ready?.(actor, play);
    useCheckpoint(trigger.hook);
    arm();
    scenario.run(actor, play);
  };
  return {
    world,
    recovererStride: RECOVERER_STRIDE,
    restore() {
      restore();
      play = makePlay();
      actor = undefined;
    },
    run(trigger, arm) {
      const heap = enterHeap(world, ACTOR, scenario.dead, trigger);
      useCheckpoint(trigger.hook);
      try {
        atOnce(() => act(heap, trigger, arm));
      } catch (error) {
        closeHeap(heap);
        throw error;
      } finally {
        useCheckpoint(undefined);
      }
      return 0;
    },
    checkDone() {
      const side = actor!;
      scenario.checkDone?.(side, play);
      if (partner !== undefined) {
        if (stateOf(partner) !== play.seen)
          assert.notEqual(bellOf(world, PARTNER), play.bell, "it sleeps, and nobody will ring it");
        checkMessages(partner, play.ledger, true);
        if (scenario.hasLeft !== true && stateOf(partner) === 1) checkUse(side, partner);
      }
      closeHeap(side.heap);
    },
    recoverers: [SURVIVOR, THIRD],
    recover(core: HeapCore, isSecond) {
      const left = dead(isSecond).filter((slot) => core.recoverSlot(slot, 1) === LOCKED);
      for (const slot of left) assert.equal(core.recoverSlot(slot, 1), OK);
    },
    check(isDone, isSecond) {
      if (actor !== undefined) closeHeap(actor.heap);
      checkGone(kind, world, dead(isSecond));
      atOnce(() => checkAfter(play, isSecond ? THIRD : SURVIVOR, isDone));
    },
  };
}

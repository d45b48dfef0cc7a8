/**
 * Races of the synchronisation objects. A participant waits as those of src/sync/wait.ts do: it enters the set, tries, sleeps
 * until its bell has been rung, and tries again. One that sleeps makes no step before that; so if all have ended but one that sleeps,
 * nobody will ever ring it. Any one participant may die, at any access; then another one, which sleeps until that, recovers
 * it, while the rest go on.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { OK } from "../src/layout/result.ts";
import { S_BELL, S_RUNG, S_STATE, SLOT_LIVE, SLOT_SIZE_BYTES, SLOT_STATE_MASK } from "../src/layout/slot.ts";
import { SYNC_ABANDONED, SYNC_YES, Y_LIMIT, Y_SINCE, Y_WAITERS, Y_WAITS } from "../src/layout/sync.ts";
import { packageRoot } from "../src/os/native.ts";
import { PLAIN } from "../src/region/geometry.ts";
import { instantiateSync } from "../src/sync/core.ts";
import type { SyncCore } from "../src/sync/core.ts";
import { enter, makeWorld } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { AREA_BYTES, makeParticipant } from "./coroutine.ts";
import type { Participant, Position } from "./coroutine.ts";
import { makeJournal } from "./journal.ts";
import type { Journal } from "./journal.ts";

/** The core as a participant calls it, and what it sleeps by: the word at `at`, once it is not `seen`. */
export interface Caller extends SyncCore {
  sleep(at: number, seen: number): number;
}

/** What a participant does; asked again for each of its steps, with the results that it had so far. */
export type SyncProgram = (core: Caller) => void;

/** What a race is set up on, and what its programs are made of. */
export interface SyncScene {
  readonly world: World;
  readonly view: DataView;
  /** The object that the race is about, and another one, all zeros. */
  readonly object: number;
  readonly other: number;
  /** A word of its own for each number: a counter's offset. */
  count(index: number): number;
  setLimit(limit: number): void;
  /** A participant beside those that race. It may leave, or die: see goAway. */
  core(slot: number): SyncCore;
  /** The participant in that slot dies and is recovered, and somebody else has the slot, if `isTaken`. */
  goAway(slot: number, isTaken: boolean): void;
  isAnybodyDead(): boolean;
}

export interface SyncRace {
  readonly name: string;
  /** Which of the participants (by number) may die; without it, nobody does. */
  readonly mortal?: readonly number[];
  /** What the dead one's slot becomes: some participant's with that number, which begins by that. */
  readonly heir?: number;
  /** Who may wait in the end: what they wait for need not come. */
  readonly mayWait?: readonly number[];
  /** The same, if nobody has died. */
  readonly mayWaitAlive?: readonly number[];
  /** Only with --deep. */
  readonly isLarge?: true;
  setUp(scene: SyncScene): readonly SyncProgram[];
  /** When everybody has ended, or died. `core` is somebody else's. */
  check?(scene: SyncScene, core: SyncCore): void;
}

const SLOT_COUNT = 6;
/** Who judges. */
export const JUDGE = 5;
/** Who recovers is behind those who race. */
const DEATH_AT = 4096;

const modules = new Map<string, WebAssembly.Module>();

function moduleOf(name: string): WebAssembly.Module {
  const known = modules.get(name);
  if (known !== undefined) return known;
  const module = new WebAssembly.Module(
    readFileSync(join(packageRoot, "dist", "core", `${name}.coroutine.wasm`)),
  );
  modules.set(name, module);
  return module;
}

/** What a race runs on. */
export interface SyncStage {
  readonly scene: SyncScene;
  readonly journal: Journal;
  readonly participants: readonly Participant[];
  readonly mortal: number;
  /** Words that nobody looks at. */
  readonly ignored: readonly number[];
  begin(): void;
  isAsleep(position: Position): boolean;
  die(index: number): void;
  /** Throws what is wrong in the end. Changes the memory. */
  judge(positions: readonly Position[], dead: number): void;
  aside(action: () => void): void;
}

function makeScene(world: World): SyncScene {
  const { dataOffset } = world.geometry;
  const view = new DataView(world.memory.buffer);
  const object = dataOffset;
  const core = (slot: number): SyncCore => {
    enter(world, slot);
    const instance = instantiateSync(world.memory);
    instance.join(slot);
    return instance;
  };
  return {
    world,
    view,
    object,
    other: dataOffset + 512,
    count: (index) => dataOffset + 1024 + index * 64,
    setLimit: (limit) => view.setUint32(object + Y_LIMIT, limit, true),
    core,
    goAway(slot, isTaken) {
      assert.equal(enter(world, JUDGE).recoverSlot(slot, 1), OK);
      if (isTaken) enter(world, slot);
    },
    isAnybodyDead: () => view.getUint32(dataOffset + DEATH_AT, true) !== 0,
  };
}

const slotAt = (world: World, slot: number): number => world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES;

/** An object's set of waiters. */
export const setOf = (object: number): number => object + Y_WAITERS;

export const isIn = (result: number): boolean => result === SYNC_YES || result === SYNC_ABANDONED;

/** As `context.ringAll`. */
export function ringAll(core: Caller, object: number): void {
  for (let count = SLOT_COUNT; count > 0 && core.ringNext(object, setOf(object)) !== 0;) count--;
}

/** Waits as src/sync/wait.ts does, without a time limit: until `attempt` does not return 0. */
export function waitFor(
  scene: SyncScene,
  core: Caller,
  slot: number,
  object: number,
  attempt: () => number,
): number {
  const bell = slotAt(scene.world, slot) + S_BELL;
  for (;;) {
    const seen = core.enter(setOf(object));
    const result = attempt();
    if (result !== 0) {
      leave(core, object);
      return result;
    }
    core.sleep(bell, seen);
  }
}

/** Leaves the set; who was rung since its last look passes that on. */
export function leave(core: Caller, object: number): void {
  if (core.leave(setOf(object)) === 0) core.ringNext(object, setOf(object));
}

/** Between these two nobody else is. Told that it was abandoned, it makes good what is half done; else nothing may be. */
export function goIn(scene: SyncScene, core: Caller, place: number, result: number): void {
  const inside = scene.count(place);
  assert.ok(isIn(result), `it got in with ${result}`);
  if (result === SYNC_ABANDONED) {
    assert.ok(scene.isAnybodyDead(), "it was told that somebody had died");
    assert.ok(core.swapCounter(inside, 1) <= 1, "two were in");
    return;
  }
  assert.equal(core.addCounter(inside, 1), 1, "somebody was in, or had died there, and it was not told");
}

export function goOut(scene: SyncScene, core: Caller, place: number): void {
  assert.equal(core.addCounter(scene.count(place), -1), 0, "two were in");
}

/** The heir's beginning: waits until the slot is taken again, and is its participant. */
function inherit(world: World, core: Caller, slot: number, before: number): void {
  const at = slotAt(world, slot) + S_STATE;
  for (let state = before; ;) {
    state = core.sleep(at, state) >>> 0;
    if ((state & SLOT_STATE_MASK) === SLOT_LIVE) break;
  }
  core.join(slot);
}

/** Prepares a race; everybody stands before the first access. */
export function prepareSyncRace(race: SyncRace): SyncStage {
  const world = makeWorld(1, 0, SLOT_COUNT, PLAIN, 1);
  const journal = makeJournal(world.memory);
  const { slotsOffset, spanPages, dataOffset } = world.geometry;
  const around = { memory: world.memory, journal, slotsOffset, slotSizeBytes: SLOT_SIZE_BYTES };
  const scene = makeScene(world);
  const { object } = scene;
  const deathAt = dataOffset + DEATH_AT;
  const words = new Int32Array(world.memory.buffer);
  const programs = race.setUp(scene);
  const { mortal = [], heir } = race;
  const slotOf = (index: number): number => (index === heir ? mortal[0]! : index);
  const areaAt = (index: number): number => spanPages * PAGE_SIZE_BYTES + index * AREA_BYTES;

  const bodies: SyncProgram[] = [];
  const participants = programs.map((program, index) => {
    const slot = slotOf(index);
    enter(world, slot);
    const made = makeParticipant(slot, { ...around, module: moduleOf("sync"), areaOffset: areaAt(index) });
    made.core.setMapped(world.geometry.sizePages);
    assert.equal(made.core.attach(), 0);
    const core = made.core as unknown as SyncCore;
    if (index !== heir) core.join(slot);
    const before = words[(slotAt(world, slot) + S_STATE) >> 2]! >>> 0;
    bodies.push((caller) => {
      if (index === heir) inherit(world, caller, slot, before);
      program(caller);
    });
    return made;
  });
  if (mortal.length > 0) {
    const slot = programs.length;
    enter(world, slot);
    const made = makeParticipant(slot, { ...around, module: moduleOf("segment"), areaOffset: areaAt(slot) });
    made.core.setMapped(world.geometry.sizePages);
    assert.equal(made.core.attach(), 0);
    made.core.takeSlot(slot, 1000 + slot, 1, 0, 1);
    participants.push(made);
    bodies.push((caller) => {
      const died = caller.sleep(deathAt, 0) - 1;
      const region = caller as unknown as Participant["core"];
      assert.equal(region.recoverSlot(died, 1), OK);
      if (heir !== undefined) region.takeSlot(died, 2000, 1, 0, 1);
    });
  }
  for (const one of participants) one.keepGlobals();

  const buffer = new Uint8Array(world.memory.buffer);
  const spare = new Uint8Array(buffer.length);
  const stage: SyncStage = {
    scene,
    journal,
    participants,
    ignored: [
      object + Y_SINCE,
      object + Y_WAITS,
      ...participants.map(({ slot }) => slotAt(world, slot) + S_RUNG),
    ],
    mortal: mortal.reduce((set, index) => set | (1 << index), 0),
    begin() {
      participants.forEach((one, index) =>
        one.begin((core) => {
          bodies[index]!(core as unknown as Caller);
          return 0;
        }),
      );
    },
    isAsleep: ({ call, args, isDone, next }) =>
      !isDone && call === "sleep" && next.site !== 0 && words[args[0]! >>> 2] === (args[1]! | 0),
    die(index) {
      journal.note(deathAt, 4);
      words[deathAt >>> 2] = participants[index]!.slot + 1;
      journal.settle();
    },
    judge(positions, dead) {
      for (const { failure } of positions) if (failure !== undefined) throw failure;
      positions.forEach(({ isDone }, index) => {
        const isIdle = dead === -1 && (index === programs.length || index === heir);
        const mayWait =
          (dead === -1 ? (race.mayWaitAlive ?? race.mayWait) : race.mayWait)?.includes(index) === true;
        assert.ok(isDone || isIdle || mayWait, `participant ${index} sleeps, and nobody will ring it`);
      });
      race.check?.(scene, scene.core(JUDGE));
    },
    aside(action) {
      spare.set(buffer);
      try {
        action();
      } finally {
        buffer.set(spare);
      }
    },
  };
  return stage;
}

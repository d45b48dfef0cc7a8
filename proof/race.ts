/**
 * A race: two or three participants on one heap, each with a row of operations; prepared once, then run in every order of
 * their accesses, and judged wherever it ends. Also, at every state that is met on the way, somebody dies there.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LOCKED, OK } from "../src/layout/result.ts";
import { SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import { packageRoot } from "../src/os/native.ts";
import type { HeapCore } from "../src/region/core.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { recoverAll } from "../test/helpers/fit-stage.ts";
import { AREA_BYTES, makeParticipant } from "./coroutine.ts";
import type { Participant, Position, SteppedCore } from "./coroutine.ts";
import {
  blocksOf,
  checkEmptiable,
  checkGone,
  checkHeap,
  checkRoomOf,
  makeHeap,
  rootNames,
  sizePagesOf,
} from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import { makeJournal } from "./journal.ts";
import { isLinearisable } from "./model.ts";
import type { History, ModelState } from "./model.ts";
import { describe, endingsFrom, runAll, writeName } from "./operations.ts";
import type { Operations } from "./operations.ts";
import { makeAside } from "./stage.ts";
import type { Contest, Stage } from "./stage.ts";

export interface Race {
  readonly name: string;
  readonly heap: HeapKind;
  /** Pages for blocks, and pages that may be added. */
  readonly pages: number;
  readonly sparePages?: number;
  /** There may be no room. */
  readonly isTight?: boolean;
  /** Several use a block without agreeing on who frees it (proof/model.ts). */
  readonly isMisuse?: boolean;
  /** Slots that are dead from the start. */
  readonly dead?: readonly number[];
  /** Prepares the heap with the participants' cores, index = slot; returns what each of them does. */
  setUp(enterSlot: (slot: number) => HeapCore, world: World): readonly Operations[];
}

/** Who recovers and judges. */
export const JUDGE = 5;

/** What is judged. */
interface Judged extends Pick<Stage, "world" | "participants" | "aside"> {
  readonly race: Race;
  readonly programs: readonly Operations[];
  readonly initial: ModelState;
}

const modules = new Map<HeapKind, WebAssembly.Module>();

function coroutineModule(kind: HeapKind): WebAssembly.Module {
  const known = modules.get(kind);
  if (known !== undefined) return known;
  const path = join(packageRoot, "dist", "core", `${kind}.coroutine.wasm`);
  const module = new WebAssembly.Module(readFileSync(path));
  modules.set(kind, module);
  return module;
}

/** What is there, as the model sees it. */
function observe(race: Race, world: World): ModelState {
  const core = enter(world, JUDGE);
  const roots = new Map<string, number>();
  for (const name of rootNames) {
    const handle = core.rootGet(writeName(world, JUDGE, name)) >>> 0;
    if (handle !== 0) roots.set(name, handle);
  }
  return { blocks: blocksOf(race.heap, world), roots, sizePages: sizePagesOf(world) };
}

/** Prepares a race. */
export function prepareRace(race: Race): Stage {
  const world = makeHeap(race.heap, race.pages, race.sparePages ?? 0);
  const journal = makeJournal(world.memory);
  const { slotsOffset, spanPages } = world.geometry;
  const around = { memory: world.memory, journal, slotsOffset, slotSizeBytes: SLOT_SIZE_BYTES };
  const module = coroutineModule(race.heap);
  const entered = new Map<number, Participant>();
  const enterSlot = (slot: number): HeapCore => {
    const areaOffset = spanPages * 65536 + slot * AREA_BYTES;
    const participant = makeParticipant(slot, { ...around, module, areaOffset });
    participant.core.setMapped(world.geometry.sizePages);
    assert.equal(participant.core.attach(), 0);
    participant.core.takeSlot(slot, 1000 + slot, 1, 0, 1);
    entered.set(slot, participant);
    return participant.core;
  };
  const programs = race.setUp(enterSlot, world);
  const participants = programs.map((_program, slot) => {
    if (!entered.has(slot)) enterSlot(slot);
    return entered.get(slot)!;
  });
  const initial = observe(race, world);
  for (const participant of participants) participant.keepGlobals();

  const aside = makeAside(world.memory);
  const judged: Judged = { race, world, participants, programs, initial, aside };
  return {
    world,
    journal,
    participants,
    aside,
    recoverDead: (died) => recoverDead(judged, died),
    judge: (positions, before, isKnownSound) => judge(judged, positions, before, isKnownSound),
    begin() {
      participants.forEach((participant, index) => {
        const program = (core: SteppedCore): number => {
          runAll(world, index, core, programs[index]!);
          return 0;
        };
        participant.begin(program);
      });
    },
  };
}

export const raceName = ({ heap, name }: Race): string => `${heap}/${name}`;

export const contestOf = (race: Race): Contest => ({
  name: raceName(race),
  prepare: () => prepareRace(race),
});

/** How a participant fared: it has ended, or died there. */
function historyOf(stage: Judged, index: number, position: Position, before: number): History {
  const operations = stage.programs[index]!;
  return {
    slot: index,
    operations,
    endings: endingsFrom(stage.world, index, operations, position.results),
    isDead: !position.isDone,
    before,
  };
}

const showEndings = (histories: readonly History[]): string =>
  histories
    .map(({ slot, operations, endings, isDead }) => {
      const parts = endings.map(({ value, error }, at) => {
        const result = error === OK ? String(value) : `code ${error}`;
        return `${describe(operations[at]!)}: ${result}`;
      });
      const last = operations[endings.length];
      if (isDead) parts.push(last === undefined ? "died" : `died in ${describe(last)}`);
      return `participant ${slot} ${parts.join(", ")}`;
    })
    .join("; ");

const showState = ({ blocks, roots, sizePages }: ModelState): string => {
  const shown = [...blocks].map(
    ([handle, { sizeBytes, owner }]) => `${handle}+${sizeBytes}@${owner ?? "shared"}`,
  );
  const names = [...roots].map(([name, handle]) => `${name}=${handle}`);
  return `${[...shown, ...names].join(" ")} in ${sizePages} pages`;
};

/** As Stage.judge. Destroys the heap. */
function judge(
  stage: Judged,
  positions: readonly Position[],
  before: readonly number[],
  isKnownSound: boolean,
): void {
  const { race, world, initial } = stage;
  for (const { failure } of positions) if (failure !== undefined) throw failure;
  const died = positions.flatMap(({ isDone }, index) => (isDone ? [] : [index]));
  const wereDead = died.length === 0 ? [] : (race.dead ?? []);
  if (died.length > 0) recoverAll(enter(world, JUDGE), [...died, ...wereDead]);
  const histories = positions.map((one, index) => historyOf(stage, index, one, before[index]!));
  const found = observe(race, world);
  const rules = { isTight: race.isTight === true, isMisuse: race.isMisuse === true };
  assert.ok(
    isLinearisable(initial, found, histories, rules, wereDead),
    `no order of the operations explains what was found: ${showEndings(histories)}; found ${showState(found)}; before there was ${showState(initial)}`,
  );
  if (isKnownSound) return;
  const living = positions.flatMap(({ isDone }, index) => (isDone ? [index] : []));
  checkHeap(race.heap, world, living);
  // Of a slab heap whose block two have freed at the same moment the proof only says that it is sound as long as nobody
  // allocates: the owner's own free is a plain store, so both bits may be set, and the block be given out twice.
  for (const slot of race.isMisuse === true ? [] : living)
    stage.aside(() => checkRoomOf(race.heap, world, enter(world, slot), slot));
  const judging = enter(world, JUDGE);
  recoverAll(judging, [...living, ...(race.dead ?? [])]);
  checkGone(race.heap, world, [...stage.participants.map(({ slot }) => slot), ...(race.dead ?? [])]);
  checkEmptiable(race.heap, world, judging, JUDGE);
}

/**
 * The judge recovers the dead, as far as it can: somebody who lives may hold a lock that it needs, or be about to recover one of
 * them, which nobody else does meanwhile. What is left is done when everybody has ended.
 */
function recoverDead(stage: Judged, died: readonly number[]): void {
  const { participants, programs, race, world } = stage;
  const core = enter(world, JUDGE);
  const living = participants.filter((one, index) => !died.includes(index) && !one.position().isDone);
  const isTheirs = (slot: number): boolean =>
    living.some((one) => programs[one.slot]!.some((what) => what.kind === "recover" && what.slot === slot));
  for (const slot of [...died, ...(race.dead ?? []).filter((one) => !isTheirs(one))])
    assert.ok([OK, LOCKED].includes(core.recoverSlot(slot, 1)));
}

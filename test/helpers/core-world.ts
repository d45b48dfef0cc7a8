/**
 * A heap without files, locks or processes: one WebAssembly.Memory, and cores on it that stand for its participants.
 *
 * What the core tests need beyond Region: to make a participant stop, be overtaken or die before any one of its accesses
 * to shared memory, to put the memory back to what it was, and to do both ten thousand times a second. The core cannot
 * tell the difference. Liveness is the test's to decide: it recovers whom it has killed.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectFolder } from "../os/support.ts";
import {
  ALLOCATOR_SLAB,
  BACKEND_POSIX,
  H_MAX_SHIFT,
  H_MIN_SHIFT,
  H_SIDE_BYTES,
  H_SIDE_OFFSET,
  PAGE_SIZE_BYTES,
  STATE_READY,
} from "../../src/layout/header.ts";
import { S_SCRATCH, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import { instantiateCore, instantiateSurvey, moduleFor, useCheckpoint } from "../../src/region/core.ts";
import type { HeapCore, Survey } from "../../src/region/core.ts";
import { PLAIN, planGeometry } from "../../src/region/geometry.ts";
import type { Contents, Geometry } from "../../src/region/geometry.ts";

/** A segment in memory. */
export interface World {
  readonly memory: WebAssembly.Memory;
  readonly geometry: Geometry;
  readonly contents: Contents;
  readonly survey: Survey;
}

const SLAB: Contents = { ...PLAIN, allocator: ALLOCATOR_SLAB };

/**
 * A heap with `dataPages` pages for blocks that may grow by `sparePages` (by more, if it is a large one).
 *
 * @param areaPages pages of the memory behind the segment's span, for the test's own use; then all of the span is mapped
 */
export function makeWorld(
  dataPages: number,
  sparePages = 0,
  slotCount = 4,
  contents = SLAB,
  areaPages = 0,
): World {
  // The largest table has a byte for sixty of the data.
  const overheadPages = 1 + Math.floor(dataPages / 50);
  const sizeBytes = dataPages * PAGE_SIZE_BYTES;
  const spanBytes = (dataPages + sparePages + overheadPages) * PAGE_SIZE_BYTES;
  const geometry = planGeometry({ sizeBytes, spanBytes, maxParticipants: slotCount }, contents);
  const { sizePages, spanPages } = geometry;
  const mostPages = spanPages + areaPages;
  const initial = areaPages === 0 ? sizePages : mostPages;
  const memory = new WebAssembly.Memory({ initial, maximum: mostPages, shared: true });
  const { allocator } = contents;
  const core = instantiateCore(memory, moduleFor(allocator));
  const { growStepPages, slotsOffset, rootCount, rootsOffset, tableOffset, tableBytesPerPage, dataOffset } =
    geometry;
  core.describeSegment(
    ...([BACKEND_POSIX, allocator, spanPages, growStepPages, slotCount, slotsOffset] as const),
    ...([rootCount, rootsOffset, tableOffset, tableBytesPerPage, dataOffset] as const),
  );
  const view = new DataView(memory.buffer);
  view.setUint32(H_SIDE_OFFSET, geometry.sideOffset, true);
  view.setUint32(H_SIDE_BYTES, geometry.sideBytes, true);
  view.setUint32(H_MIN_SHIFT, geometry.minShift, true);
  view.setUint32(H_MAX_SHIFT, geometry.maxShift, true);
  core.publishSize(sizePages);
  core.setSegmentState(STATE_READY);
  return { memory, geometry, survey: instantiateSurvey(memory), contents };
}

/**
 * The participant in slot `slot`: a new one, or, on a heap that was put back, the one that was there. (Taking a slot that
 * is taken writes what is written there already.)
 */
export function enter(world: World, slot: number, trigger?: Trigger): HeapCore {
  useCheckpoint(trigger?.hook);
  try {
    const core = instantiateCore(world.memory, moduleFor(world.contents.allocator)) as HeapCore;
    assert.equal(core.attach(), 0);
    core.takeSlot(slot, 1000 + slot, 1, 0, 1);
    return core;
  } finally {
    useCheckpoint(undefined);
  }
}

/**
 * The memory as it is now; call what this returns to have it so again (growth stays mapped, but unpublished).
 *
 * @param into where to keep it: at least as long as the memory; by default a place of its own
 */
export function snapshot(world: World, into = new Uint8Array(world.memory.buffer.byteLength)): () => void {
  const length = world.memory.buffer.byteLength;
  into.set(new Uint8Array(world.memory.buffer));
  return () => {
    const now = new Uint8Array(world.memory.buffer);
    now.set(into.subarray(0, length));
    now.fill(0, length);
  };
}

/** Leaves a root's name where the core of slot `slot` looks for it; returns its length. */
export function passName(world: World, slot: number, name: string): number {
  const bytes = new TextEncoder().encode(name);
  const scratch = new Uint8Array(
    world.memory.buffer,
    world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_SCRATCH,
    64,
  );
  scratch.fill(0);
  scratch.set(bytes);
  return bytes.length;
}

/** What a participant throws when it is killed. */
const killed = new Error("killed at a checkpoint");

/** Lets a test act just before a participant's access number `at`, counted from arming. */
export interface Trigger {
  readonly hook: (site: number) => void;
  /** Sites passed since arming, in order. */
  readonly sites: number[];
  arm(at: number, action: "kill" | (() => void)): void;
  /** From an action: the participant dies before the access that comes so many later. */
  killAfter(accesses: number): void;
}

export function makeTrigger(): Trigger {
  let target = 0;
  let action: "kill" | (() => void) | undefined;
  let isDead = false;
  const sites: number[] = [];
  return {
    sites,
    hook(site) {
      // The dead touch nothing any more, not even in a `finally`.
      if (isDead) throw killed;
      if (action === undefined) return;
      sites.push(site);
      if (sites.length !== target) return;
      if (action === "kill") {
        isDead = true;
        throw killed;
      }
      action();
    },
    arm(at, what) {
      target = at;
      action = what;
      sites.length = 0;
    },
    killAfter(accesses) {
      target = sites.length + accesses;
      action = "kill";
    },
  };
}

/** Runs `step`; true when it ended, false when its participant was killed. Other errors are thrown on. */
export function survives(step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (error === killed) return false;
    throw error;
  }
}

/** Where TypeScript has its own. */
const TYPESCRIPT_SITES = [
  "src/sync/object-words.ts",
  "src/data/channel/channel-words.ts",
  "src/data/channel/port-words.ts",
];

/** The helpers of core/mem*.ts, and the few of TypeScript's, by site number. */
export function readSites(): Map<number, string> {
  const folder = projectFolder();
  const inCore = readdirSync(join(folder, "core")).filter((name) => /^mem(-\w+)?\.ts$/.test(name));
  const found = new Map<number, string>();
  for (const file of [...inCore.map((name) => join("core", name)), ...TYPESCRIPT_SITES]) {
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, name, site] of text.matchAll(
      /export function (\w+)\([^)]*\)[^{]*\{\s*(?:if \(CHECKED\) checkpoint|\w+\.touch)\((\d+)\)/g,
    )) {
      assert.ok(!found.has(Number(site)), `site ${site} is there twice`);
      found.set(Number(site), name!);
    }
  }
  return found;
}

const names = readSites();

/** Whether the access at `site` can change memory: only before such a one is a death different from an earlier one. */
export function isWrite(site: number): boolean {
  return /^(set|store|cas|or|and|add|fill|copy)[A-Z]/.test(names.get(site) ?? "set?");
}

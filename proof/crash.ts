/**
 * Crash exhaustion: an operation's participant dies before each of its accesses to shared memory, and whoever recovers it
 * before each of its own.
 *
 * A death before a mere read leaves the memory that the death before the next change leaves: what is to be judged is judged
 * once.
 */

import { enter, isWrite, makeTrigger, survives } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import { catchUp } from "../test/helpers/core-check.ts";
import type { HeapCore } from "../src/region/core.ts";
import type { Tally } from "./tally.ts";

/** One operation, prepared, and how to judge what a death in it has left. */
export interface CrashScene {
  readonly world: World;
  /** As it was before the operation. */
  restore(): void;
  /** Runs the operation; what it returns is given to `checkDone`. Every access calls the trigger once `arm` was called. */
  run(trigger: Trigger, arm: () => void): number;
  /** Nobody died. */
  checkDone(result: number): void;
  /** The participant `slot` recovers whoever may be dead. */
  recover(core: HeapCore, isSecond: boolean): void;
  /** The slots of the one who recovers, and of the one who follows when that one dies. Undefined: there is nothing to recover. */
  readonly recoverers: readonly [number, number] | undefined;
  /** Without isDeep the one who recovers dies before one in so many of its changes only, of each death another one. Default 1. */
  readonly recovererStride?: number;
  /** All is as it should be after the recovery, or after the second one. May destroy the heap. */
  check(isDone: boolean, isSecond: boolean): void;
  /** Further things that must go well after the first death; each finds the heap as that has left it. */
  readonly others?: readonly (() => void)[];
  /** After the recoverer's death, before the second recovery: somebody else goes on. Does that recovery itself. */
  checkLatecomer?(): void;
}

export interface CrashRun {
  readonly tally: Tally;
  /** Recoverers die before reads, too; else only before what may change the memory. */
  readonly isDeep: boolean;
}

/** Where a death happened, for a message. */
const place = (sites: readonly number[], at: number): string =>
  at > sites.length
    ? "after its last access"
    : `before access ${at} of ${sites.length} (site ${sites[at - 1]})`;

/** Tells memories apart: true for one that is not as the last one was. */
function makeChangeDetector(world: World): () => boolean {
  let last = new Uint8Array(0);
  return () => {
    const now = new Uint8Array(world.memory.buffer);
    if (now.length === last.length && Buffer.compare(now, last) === 0) return false;
    last = now.slice();
    return true;
  };
}

interface Act {
  readonly isDone: boolean;
  readonly result: number;
  readonly sites: readonly number[];
}

/** Runs the operation; its participant dies before access number `at` (0: never). */
function act(scene: CrashScene, at: number): Act {
  scene.restore();
  const trigger = makeTrigger();
  let result = 0;
  const isDone = survives(() => (result = scene.run(trigger, () => trigger.arm(at, "kill")) >>> 0));
  return { isDone, result, sites: [...trigger.sites] };
}

/** A participant recovers; it dies itself before access number `at` (0: it does not). */
function recover(scene: CrashScene, isSecond: boolean, at: number): readonly number[] {
  const trigger = makeTrigger();
  const core = enter(scene.world, scene.recoverers![isSecond ? 1 : 0], trigger);
  catchUp(scene.world, core);
  trigger.arm(at, "kill");
  survives(() => scene.recover(core, isSecond));
  return [...trigger.sites];
}

function keep(world: World): () => void {
  const kept = new Uint8Array(world.memory.buffer).slice();
  return () => {
    const now = new Uint8Array(world.memory.buffer);
    now.set(kept);
    now.fill(0, kept.length);
  };
}

function inPlace<T>(where: string, what: () => T): T {
  try {
    return what();
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

/** The recoverer of what `died` puts back, death number `at`, dies at each of its accesses. */
function crashRecoverer(
  scene: CrashScene,
  died: () => void,
  at: number,
  isDone: boolean,
  run: CrashRun,
): void {
  const { tally, isDeep } = run;
  const stride = isDeep ? 1 : (scene.recovererStride ?? 1);
  let changes = at;
  died();
  const sites = recover(scene, false, 0);
  const isChanged = makeChangeDetector(scene.world);
  for (let second = 1; second <= sites.length; second++) {
    const site = sites[second - 1]!;
    if (!isDeep && !isWrite(site) && tally.sitesHit.has(site)) continue;
    if (changes++ % stride !== 0 && tally.sitesHit.has(site)) continue;
    died();
    recover(scene, false, second);
    tally.recovererCrashPoints++;
    tally.sitesHit.add(site);
    if (!isChanged()) continue;
    inPlace(`its recoverer died ${place(sites, second)}`, () => {
      const both = keep(scene.world);
      recover(scene, true, 0);
      scene.check(isDone, true);
      if (scene.checkLatecomer === undefined) return;
      both();
      scene.checkLatecomer();
    });
  }
}

/** Kills at every access there is. Throws what is wrong, with the place. */
export function crashEverywhere(scene: CrashScene, run: CrashRun): void {
  const { tally } = run;
  const whole = act(scene, 0);
  scene.checkDone(whole.result);
  tally.operations++;
  const isChanged = makeChangeDetector(scene.world);
  for (let at = 1; at <= whole.sites.length + 1; at++) {
    const { isDone } = act(scene, at);
    if (at <= whole.sites.length) {
      tally.crashPoints++;
      tally.sitesHit.add(whole.sites[at - 1]!);
    }
    if (!isChanged() && at <= whole.sites.length) continue;
    inPlace(`died ${place(whole.sites, at)}`, () => {
      if (scene.recoverers === undefined) {
        scene.check(isDone, false);
        return;
      }
      const died = keep(scene.world);
      for (const other of scene.others ?? []) {
        died();
        other();
      }
      died();
      recover(scene, false, 0);
      scene.check(isDone, false);
      crashRecoverer(scene, died, at, isDone, run);
    });
  }
}

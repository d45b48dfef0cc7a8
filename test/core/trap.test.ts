/**
 * A participant whose call is cut off before any of its changes of a slab or buddy heap, and that lives on: it mends what it
 * has left, and has what it had. (First fit: fit-trap.test.ts. That it may die there: test/proof/crash.test.ts.)
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import {
  attend as attendBuddy,
  checkRights,
  checkSettled as checkBuddy,
  holdingsOf,
  prepareBuddy,
} from "../helpers/buddy-check.ts";
import { readBuddy } from "../helpers/buddy-oracle.ts";
import { scenarios as buddyScenarios, STOPPED } from "../helpers/buddy-scenarios.ts";
import {
  catchUp,
  checkBlocks,
  checkDrain,
  checkRoom,
  checkSettled,
  verifyWorld,
} from "../helpers/core-check.ts";
import { ACTOR, SURVIVOR } from "../helpers/core-scenario.ts";
import type { Outcome } from "../helpers/core-scenario.ts";
import { batches, scenarios } from "../helpers/core-scenarios.ts";
import { prepare } from "../helpers/core-stage.ts";
import { enter, isWrite, makeTrigger, readSites, survives } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";
import { readHeap } from "../helpers/oracle.ts";
import type { HeapPicture } from "../helpers/oracle.ts";

/** What an engine throws when the stack is full: the participant lives. */
const trap = new RangeError("Maximum call stack size exceeded");

interface Trapped {
  readonly world: World;
  restore(): void;
  run(core: HeapCore): unknown;
  /** What must hold once it has mended. */
  check(core: HeapCore): void;
}

const names = readSites();

/**
 * Between getting a block to move another to and naming it as the intent there is nothing at which an engine could trap: two
 * plain stores. (By its deaths it can be cut off there, and recovery knows that block as its own.)
 */
const isNaming = (name: string, site: number): boolean =>
  /own realloc/.test(name) && /^(setIntentBlock|storeIntent)$/.test(names.get(site)!);

/** Not those that end the participant, or that recover another. */
const isLiving = ({ name }: { readonly name: string }): boolean => !/^(leaving|recover|taking)/.test(name);

/** Cuts the operation off before each change, mends, and cuts the mending off before each of its own. */
function trapEverywhere(name: string, { world, restore, run, check }: Trapped): number {
  const whole = makeTrigger();
  restore();
  const actor = enter(world, ACTOR, whole);
  whole.arm(0, "kill");
  assert.ok(survives(() => void run(actor)));
  const sites = [...whole.sites];
  let count = 0;
  for (let at = 1; at <= sites.length; at++) {
    if (!isWrite(sites[at - 1]!) || isNaming(name, sites[at - 1]!)) continue;
    for (const second of [0, 1, 3, 9, 27]) {
      restore();
      const trigger = makeTrigger();
      const core = enter(world, ACTOR, trigger);
      const cut = (): never => {
        throw trap;
      };
      trigger.arm(at, cut);
      assert.throws(() => run(core), trap);
      try {
        trigger.arm(second, cut);
        if (second > 0) survivesTrap(() => core.mend());
        trigger.arm(0, "kill");
        assert.equal(core.mend(), OK);
        check(core);
        count++;
      } catch (error) {
        const place = `cut off before access ${at} of ${sites.length}, and mending before ${second}`;
        throw new Error(`${name}: ${place}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
  return count;
}

function survivesTrap(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (error !== trap) throw error;
  }
}

/** What the blocks of before may have become: of those that were to change hands, either. */
function ownersOf(world: World, before: HeapPicture, { mayAdopt, mayShare }: Outcome): HeapPicture {
  const owners = new Map(before.owners);
  const now = readHeap(world.memory.buffer).owners;
  for (const handle of [mayAdopt, mayShare]) {
    if (handle === undefined) continue;
    const owner = now.get(handle);
    if (owner === undefined) owners.delete(handle);
    else owners.set(handle, owner);
  }
  return { ...before, owners };
}

test("slab: who is cut off and lives on mends what it has left", () => {
  let count = 0;
  for (const scenario of [...scenarios, ...batches].filter(isLiving)) {
    const stage = prepare(scenario, () => undefined);
    const { world, cast } = stage;
    count += trapEverywhere(scenario.name, {
      world,
      restore: stage.restore,
      run: (core) => scenario.run(core, cast, world),
      check(core) {
        const outcome = { ...scenario.outcome(cast), isOwned: false };
        const picture = checkBlocks(world, ownersOf(world, stage.before, outcome), outcome, []);
        checkSettled(world, picture, []);
        assert.deepEqual(verifyWorld(world, [ACTOR]), []);
        catchUp(world, core);
        checkRoom(world, core, ACTOR, scenario);
        checkDrain(world, core, ACTOR);
      },
    });
  }
  assert.ok(count > 1000, `${count} cuts`);
});

test("buddy: who is cut off and lives on mends what it has left", () => {
  let count = 0;
  for (const scenario of buddyScenarios.filter(isLiving)) {
    const stage = prepareBuddy(scenario, () => undefined);
    const { world, cast, restore } = stage;
    const leave = (): string => {
      assert.equal(attendBuddy(world, SURVIVOR).recoverSlot(ACTOR, 1), OK);
      return holdingsOf(readBuddy(world.memory.buffer));
    };
    const whole = (): void => void scenario.run(enter(world, ACTOR), cast, world);
    const allowed = [undefined, whole, ...(scenario.between ?? [])].map((end) => {
      restore();
      end?.(attendBuddy(world, ACTOR), cast);
      return leave();
    });
    count += trapEverywhere(scenario.name, {
      world,
      restore,
      run: (core) => scenario.run(core, cast, world),
      check() {
        checkBuddy(world, []);
        checkRights(world, [STOPPED]);
        const owned = [...stage.before.owners].filter(([, slot]) => slot === ACTOR);
        const now = readBuddy(world.memory.buffer);
        for (const [handle] of owned)
          assert.ok(
            scenario.name.match(/free|shar|realloc|mov/) !== null || now.owners.get(handle) === ACTOR,
          );
        assert.ok(allowed.includes(leave()), "it is as before, or as after");
      },
    });
  }
  assert.ok(count > 300, `${count} cuts`);
});

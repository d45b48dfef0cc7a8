/**
 * What another participant does in the middle of an operation (test/core/preempt.test.ts): one whole operation each.
 */
import assert from "node:assert/strict";
import { PAGE_BODY } from "../../src/layout/page.ts";
import { NEED_PAGES, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { allocOwn, K, OTHER, SURVIVOR, THIRD } from "./core-scenario.ts";
import { attend } from "./core-stage.ts";
import { enter, makeTrigger, passName, snapshot, survives } from "./core-world.ts";
import type { World } from "./core-world.ts";
import { readHeap } from "./oracle.ts";

/** What a turn has done, as far as its participant was told. */
export interface Done {
  readonly added?: number;
  readonly removed?: number;
  /** A slot whose participant has left, and its own blocks with it. */
  readonly left?: number;
  /** Whose a block is from now on: a slot, or undefined when it is shared. */
  readonly owner?: { readonly handle: number; readonly slot: number | undefined };
}

/** Another participant's operation. `setUp` leaves a handle, or undefined when the scenario's heap has no room for it. */
export interface Turn {
  readonly name: string;
  setUp(world: World, actor: HeapCore): number | undefined;
  /** Before each schedule: a participant with a past. */
  begin?(world: World): HeapCore;
  run(world: World, handle: number, core: HeapCore | undefined): Done;
}

function tryAlloc(core: HeapCore, sizeBytes: number): number | undefined {
  const handle = core.alloc(sizeBytes) >>> 0;
  return handle === 0 ? undefined : handle;
}

export function done(handle: number): Done {
  return handle === 0 ? {} : { added: handle >>> 0 };
}

function freed(code: number, handle: number): Done {
  assert.equal(code, OK, "a free by the block's only user is accepted");
  return { removed: handle };
}

/** Somebody comes, allocates, dies, and is recovered; its blocks stay. */
function liveAndDie(world: World, slot: number, sizeBytes: number): Done {
  const handle = attend(world, slot).alloc(sizeBytes);
  assert.equal(attend(world, SURVIVOR).recoverSlot(slot, 1), OK);
  return done(handle);
}

export const turns: readonly Turn[] = [
  {
    name: "allocates in the same class",
    setUp: () => 0,
    run: (world) => done(attend(world, OTHER).alloc(K)),
  },
  {
    name: "frees a block in the first's page",
    setUp: (_world, actor) => tryAlloc(actor, K),
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "frees the last block of a page of its own",
    setUp(world) {
      const other = attend(world, OTHER);
      const handle = tryAlloc(other, 2048);
      if (handle === undefined || tryAlloc(other, 65536) === undefined) return undefined;
      return handle;
    },
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "allocates two pages",
    setUp: () => 0,
    run: (world) => done(attend(world, OTHER).alloc(2 * 65536)),
  },
  {
    name: "frees two pages",
    setUp: (world) => tryAlloc(attend(world, OTHER), 2 * 65536),
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "extends a block by a page and takes the next",
    setUp: (world) => tryAlloc(attend(world, OTHER), 65536),
    run(world, handle) {
      const other = attend(world, OTHER);
      const moved = other.realloc(handle, 2 * 65536) >>> 0;
      return moved === 0 || moved === handle ? {} : { added: moved, removed: handle };
    },
  },
  {
    name: "takes a fresh page, dies and is recovered",
    setUp: () => 0,
    run: (world) => liveAndDie(world, THIRD, 2048),
  },
  {
    name: "takes a page of the same class, dies and is recovered",
    setUp: () => 0,
    run: (world) => liveAndDie(world, THIRD, K),
  },
  {
    // Its search begins behind the page that it had, which is free by now: in the middle of a run being claimed.
    name: "takes the second of the free pages, dies and is recovered",
    setUp: () => 0,
    begin(world) {
      const third = attend(world, THIRD);
      const page = third.alloc(65536) >>> 0;
      if (page !== 0) assert.equal(attend(world, OTHER).free(page), OK);
      return third;
    },
    run(world, _handle, core) {
      const handle = core!.alloc(2048);
      assert.equal(attend(world, SURVIVOR).recoverSlot(THIRD, 1), OK);
      return done(handle);
    },
  },
  {
    name: "recovers one that died with a half-claimed run",
    setUp: (world) => (dieClaiming(world) ? 0 : undefined),
    run(world) {
      assert.equal(attend(world, OTHER).recoverSlot(THIRD, 1), OK);
      return {};
    },
  },
  {
    name: "sets a root",
    setUp: (world) => tryAlloc(attend(world, OTHER), 48),
    run(world, handle) {
      const other = attend(world, OTHER);
      if (other.lockRoots() === OK) {
        assert.equal(other.rootSet(passName(world, OTHER, "theirs"), handle, 0), OK);
        other.unlockRoots();
        assert.equal(other.rootGet(passName(world, OTHER, "theirs")) >>> 0, handle);
      }
      return {};
    },
  },
  {
    name: "leaves",
    setUp: (world) => tryAlloc(attend(world, OTHER), K),
    run(world) {
      attend(world, OTHER).recoverSlot(OTHER, 0);
      return { left: OTHER };
    },
  },
  {
    name: "leaves, and a third finds no room in what it left,",
    setUp: () => 0,
    run(world) {
      attend(world, OTHER).recoverSlot(OTHER, 0);
      return { ...done(attend(world, SURVIVOR).alloc(K)), left: OTHER };
    },
  },
  {
    name: "adopts a block in the first's page",
    setUp: (_world, actor) => tryAlloc(actor, K),
    run: (world, handle) => adopted(attend(world, OTHER), handle),
  },
  {
    name: "allocates a block of its own",
    setUp: () => 0,
    run(world) {
      const handle = allocOwn(attend(world, OTHER), K);
      return handle === 0 ? {} : { added: handle, owner: { handle, slot: OTHER } };
    },
  },
  {
    name: "frees a block of its own in the first's page",
    setUp: tryAdopt(OTHER),
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "shares a block of its own in the first's page",
    setUp: tryAdopt(OTHER),
    run(world, handle) {
      assert.equal(attend(world, OTHER).share(handle), OK);
      return { owner: { handle, slot: undefined } };
    },
  },
  {
    name: "recovers one that died owning a block in the first's page",
    setUp: tryAdopt(THIRD),
    run(world, handle) {
      assert.equal(attend(world, OTHER).recoverSlot(THIRD, 1), OK);
      return { removed: handle };
    },
  },
  {
    name: "adopts pages",
    setUp: (world) => tryAlloc(attend(world, SURVIVOR), 65536),
    run: (world, handle) => adopted(attend(world, OTHER), handle),
  },
];

/** Adopts; there may be no room for the owners. */
export function adopted(core: HeapCore, handle: number): Done {
  const code = core.adopt(handle);
  if (code === NEED_PAGES) return {};
  assert.equal(code, OK, "a shared block that nobody else uses can be adopted");
  return { owner: { handle, slot: OTHER } };
}

/** A block in the actor's page that belongs to `slot`, if there is room for that. */
function tryAdopt(slot: number): Turn["setUp"] {
  return (world, actor) => {
    const handle = tryAlloc(actor, K);
    if (handle === undefined || attend(world, slot).adopt(handle) === OK) return handle;
    assert.equal(actor.free(handle), OK);
    return undefined;
  };
}

/** Kills a participant when it has two of three pages of a run. False when there are no three pages. */
function dieClaiming(world: World): boolean {
  enter(world, THIRD);
  const restore = snapshot(world);
  const countBodies = (): number =>
    readHeap(world.memory.buffer).pages.filter(({ kind }) => kind === PAGE_BODY).length;
  const bodies = countBodies();
  for (let at = 1; ; at++) {
    const trigger = makeTrigger();
    const third = enter(world, THIRD, trigger);
    trigger.arm(at, "kill");
    const isDone = survives(() => void third.alloc(3 * 65536));
    if (!isDone && countBodies() > bodies) return true;
    restore();
    if (isDone) return false;
  }
}

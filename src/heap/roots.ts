/**
 * Named roots: how participants that know nothing but the heap's name find each other's blocks.
 *
 * Reading takes no lock. Writing takes the roots lock, which is held for well below a microsecond; a holder that has
 * died is recovered by whoever waits for it, one that is stopped is waited for, up to a limit.
 */

import { shoalError } from "../errors.ts";
import { BAD_HANDLE, LOCKED, NOT_FOUND, OK, TABLE_FULL } from "../layout/result.ts";
import {
  R_NAME,
  R_NAME_LENGTH,
  R_WORD,
  ROOT_NAME_LIMIT_BYTES,
  ROOT_SET,
  ROOT_SIZE_BYTES,
  ROOT_STATE_MASK,
  ROOT_STATE_SHIFT,
} from "../layout/root.ts";
import { S_SCRATCH, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import type { HeapCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { guarded } from "../region/traps.ts";
import { handleError } from "./errors.ts";
import type { Handle } from "./handle.ts";
import { awaitLock, clear } from "./obstacles.ts";
import type { Refused } from "./obstacles.ts";

/** How often a writer tries before it looks whether the lock's holder lives. */
const SPINS = 200;

/** A heap's named roots. Names are 1 to 48 bytes of UTF-8; there are 128 of them. */
export interface Roots {
  /**
   * Stores `handle` under `name`, replacing what was there.
   *
   * @throws ERR_SHOAL_BAD_HANDLE (no allocated block), ERR_SHOAL_ROOTS_FULL, ERR_SHOAL_NAME, ERR_SHOAL_TIMEOUT (the
   *   participant that holds the roots lock is stopped), ERR_SHOAL_CORRUPT, ERR_SHOAL_READ_ONLY
   */
  set(name: string, handle: Handle): void;
  /**
   * Stores `handle` under `name` if there is no such name yet. Of several that do so at once, one wins.
   *
   * @returns the handle that is there now: the caller's, or the one that was faster. Errors as set.
   */
  setIfAbsent(name: string, handle: Handle): Handle;
  /**
   * As setIfAbsent, for a block of the caller's own: if it comes to be there it is shared, else it stays the caller's.
   */
  publish(name: string, handle: Handle): Handle;
  /** The handle under `name`, 0 when there is none. */
  get(name: string): Handle | 0;
  /** Removes `name`; the block stays. False when there is no such name. */
  delete(name: string): boolean;
  /** All names with their handles, in no order. What changes meanwhile is in it or not; no name is there twice. */
  list(): { name: string; handle: Handle }[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The roots of the heap in `region`. */
export function makeRoots(region: Region): Roots {
  const core = region.session.overlay.core as HeapCore;
  const { slotIndex, geometry } = region.session;

  /** Leaves the name where the core looks for it, in the own slot; returns its length in bytes. */
  const pass = (name: string): number => {
    const bytes = encodeName(name);
    const scratchOffset = geometry.slotsOffset + slotIndex * SLOT_SIZE_BYTES + S_SCRATCH;
    const scratch = new Uint8Array(region.buffer, scratchOffset, ROOT_NAME_LIMIT_BYTES);
    scratch.fill(0);
    scratch.set(bytes);
    return bytes.length;
  };

  const change = (call: string, handle: number, work: () => number): number =>
    guarded(call, core, () => {
      lock(region, call, handle);
      try {
        return work();
      } finally {
        core.unlockRoots();
      }
    });

  const store = (
    call: string,
    name: string,
    handle: Handle,
    mode: "replace" | "absent" | "publish",
  ): Handle => {
    checkWritable(region, call);
    // For the core a null handle means removal; here it is a mistake, as is what is no handle at all.
    if (handle === 0 || handle >>> 0 !== handle) throw handleError(core, BAD_HANDLE, call, handle);
    const length = pass(name);
    region.catchUp();
    let present = 0;
    const refused: Refused = { call, sizeBytes: 0, isTried: false, waitingSinceMs: 0 };
    const step = (): number =>
      change(call, handle, () => {
        if (mode !== "replace") present = core.rootGet(length) >>> 0;
        return present === 0 ? core.rootSet(length, handle, mode === "publish" ? 1 : 0) : OK;
      });
    // Only handing over can be refused for a reason that passes.
    let code = step();
    while (code !== OK && code !== TABLE_FULL && clear(region, core, code, refused)) code = step();
    if (code === OK) return (present === 0 ? handle : present) as Handle;
    if (code !== TABLE_FULL) throw handleError(core, code, call, handle);
    const { rootCount } = geometry;
    throw shoalError("ERR_SHOAL_ROOTS_FULL", `all ${rootCount} roots are in use; delete one`, { rootCount });
  };

  return {
    set(name, handle) {
      store("roots.set", name, handle, "replace");
    },
    setIfAbsent: (name, handle) => store("roots.setIfAbsent", name, handle, "absent"),
    publish: (name, handle) => store("roots.publish", name, handle, "publish"),
    get(name) {
      region.check();
      if (slotIndex >= 0) {
        const length = pass(name);
        return (guarded("roots.get", core, () => core.rootGet(length)) >>> 0) as Handle | 0;
      }
      // A read-only opener writes nothing, not even where it could: it would have its own copy of that page from then
      // on, and never again see what the others change there.
      const text = decoder.decode(encodeName(name));
      return readRoots(region).find((root) => root.name === text)?.handle ?? 0;
    },
    delete(name) {
      checkWritable(region, "roots.delete");
      const length = pass(name);
      return change("roots.delete", 0, () => core.rootSet(length, 0, 0)) !== NOT_FOUND;
    },
    list() {
      region.check();
      return readRoots(region);
    },
  };
}

/** A root's name in UTF-8. */
function encodeName(name: string): Uint8Array {
  const bytes = encoder.encode(typeof name === "string" ? name : "");
  if (bytes.length > 0 && bytes.length <= ROOT_NAME_LIMIT_BYTES) return bytes;
  throw shoalError(
    "ERR_SHOAL_NAME",
    `a root's name is 1 to ${ROOT_NAME_LIMIT_BYTES} bytes of UTF-8, not ${bytes.length}`,
    { name: String(name), lengthBytes: bytes.length, most: ROOT_NAME_LIMIT_BYTES },
  );
}

/** How often an entry that keeps changing is read again. */
const MAX_READS = 1000;

/** The entries in use, read without the core and without a lock. */
function readRoots(region: Region): { name: string; handle: Handle }[] {
  const { rootCount, rootsOffset } = region.session.geometry;
  const bytes = new Uint8Array(region.buffer, rootsOffset, rootCount * ROOT_SIZE_BYTES);
  const words = new BigInt64Array(region.buffer, rootsOffset, (rootCount * ROOT_SIZE_BYTES) / 8);
  // By name: a root that moves to another entry while this walk is between the two would be met twice.
  const found = new Map<string, Handle>();
  for (let entry = 0; entry < rootCount * ROOT_SIZE_BYTES; entry += ROOT_SIZE_BYTES) {
    const wordIndex = (entry + R_WORD) / 8;
    for (let reads = 0; reads < MAX_READS; reads++) {
      const word = Atomics.load(words, wordIndex);
      if (((word >> BigInt(ROOT_STATE_SHIFT)) & BigInt(ROOT_STATE_MASK)) !== BigInt(ROOT_SET)) break;
      const length = Math.min(bytes[entry + R_NAME_LENGTH]!, ROOT_NAME_LIMIT_BYTES);
      // Decoders refuse shared memory on some runtimes: a copy.
      const name = decoder.decode(bytes.slice(entry + R_NAME, entry + R_NAME + length));
      // SYNC with storeRootWord in the core: the same word again means that the name belonged to it.
      if (Atomics.load(words, wordIndex) !== word) continue;
      found.set(name, Number(word & 0xffff_ffffn) as Handle);
      break;
    }
  }
  return Array.from(found, ([name, handle]) => ({ name, handle }));
}

function checkWritable(region: Region, call: string): void {
  region.check();
  if (!region.readOnly) return;
  throw shoalError("ERR_SHOAL_READ_ONLY", `${call}: ${region.name} was opened read-only`, {
    name: region.name,
  });
}

/** Takes the roots lock for a call about `handle`, recovering its holder if that has died. */
function lock(region: Region, call: string, handle: number): void {
  const core = region.session.overlay.core as HeapCore;
  const refused = { call, sizeBytes: 0, isTried: false, waitingSinceMs: 0 };
  for (let tries = 0; ; tries++) {
    const code = core.lockRoots();
    if (code === OK) return;
    if (code !== LOCKED) throw handleError(core, code, call, handle);
    if (tries >= SPINS) awaitLock(region, core.errorDetail() >>> 0, refused);
  }
}

/**
 * Bells: how a participant is woken.
 *
 * Each participant sleeps on one word only, the bell in its slot, whatever it waits for: its thread, or the thread that waits
 * for all that its event loop awaits. Who changes an object rings those whom the object's set of waiters names (waiters.ts).
 *
 *     who waits                                who rings
 *     seen = bell                              changes the object
 *     armed = 1                                takes somebody out of the set
 *     puts itself into the object's set        rung |= the object's bit
 *     looks at the object again                if it was armed: armed = 0, bell += 1, and a system call
 *     sleeps while bell == seen
 *
 * Invariant: somebody who is in a set and has looked at the object after that will be rung after the object's next change,
 * or is awake. Either the ringer finds it in the set, or it has put itself there after the ringer looked, and then it finds
 * the change. It arms before it can be found in the set: who takes it out finds it armed, or somebody else has found that, and
 * adds 1 to the bell after it was seen. `armed` saves system calls for those who are awake, and only that.
 *
 * Deaths. Of a ringer, after its change: those whom it has not rung know nothing of the change. Whoever waits watches: at
 * least every 50 ms it looks whether somebody has died, and recovery rings everybody (ringEverybody), who all look at their
 * objects again; armed or not, since a ringer may have died between its two steps. Of somebody who was rung and has not come to
 * use it: the same. A recoverer that dies before it has rung has not freed the slot yet: somebody else does it again. What the
 * dead leave in sets is told in waiters.ts.
 *
 * The core cannot make the system call: ring() says whether it is due, and the caller (src/sync/bell.ts) makes it.
 */

import { RING_FACTOR, RING_SHIFT } from "../src/layout/sync";
import { SLOT_LIVE, SLOT_STATE_MASK } from "../src/layout/slot";
import { loadSlotState, loadSlotsUsed } from "./mem";
import {
  addBell,
  addDepartures,
  loadArmed,
  loadBell,
  loadDepartures,
  orRung,
  setAwaited,
  setBlocked,
  setWaitingSince,
  storeArmed,
  swapArmed,
  swapRung,
} from "./mem-sync";
import { mySlot, slotAt, slotCount } from "./state";

/** The bit of `rung` that stands for `object`. */
@inline
function bitOf(object: u32): u32 {
  return 1 << ((object * RING_FACTOR) >> RING_SHIFT);
}

/** Rings the participant in slot `index` on behalf of `object`. Whether it sleeps: then it is to be woken. */
export function ring(index: u32, object: u32): bool {
  const slot = slotAt(index);
  orRung(slot, bitOf(object));
  if (loadArmed(slot) == 0 || swapArmed(slot, 0) == 0) return false;
  addBell(slot);
  return true;
}

/**
 * Rings everybody for everything: somebody is gone. Those who sleep are to be woken: all of them, since nobody
 * keeps a list.
 */
export function ringEverybody(): void {
  addDepartures();
  const used = loadSlotsUsed();
  const end = used < slotCount ? used : slotCount;
  for (let index: u32 = 0; index < end; index++) {
    const slot = slotAt(index);
    if ((loadSlotState(slot) & SLOT_STATE_MASK) != SLOT_LIVE) continue;
    orRung(slot, ~0);
    storeArmed(slot, 0);
    addBell(slot);
  }
}

/** How many participants are gone by now: changes with each. */
export function departures(): u32 {
  return loadDepartures();
}

/** A slot's new user has not been rung. */
export function clearBell(slot: usize): void {
  storeArmed(slot, 0);
  swapRung(slot, 0);
  setBlocked(slot, 0);
  setAwaited(slot, 0);
}

/** From now on who rings this participant wakes it. Returns the bell to sleep on. What it waits for is to be looked at afterwards. */
export function arm(): u32 {
  const seen = loadBell(mySlot);
  storeArmed(mySlot, 1);
  return seen;
}

/** For which objects this participant was rung since it asked last. */
export function takeRung(): u32 {
  return swapRung(mySlot, 0);
}

/** For those who look: what this participant's thread (`asleep`) or event loop waits for; 0 = nothing. */
export function noteWait(object: u32, sinceMs: f64, asleep: bool): void {
  setWaitingSince(mySlot, sinceMs);
  if (asleep) setBlocked(mySlot, object);
  else setAwaited(mySlot, object);
}

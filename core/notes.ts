/** What objects say of themselves, for those who look (`shoal locks`): hints that nothing depends on. */

import { addWaits, setSince } from "./mem-sync";

/** The holder says since when it has the object (milliseconds since 1970). */
export function noteSince(object: u32, ms: f64): void {
  setSince(object, ms);
}

/** Somebody had to wait. */
export function noteWaiting(object: u32): void {
  addWaits(object);
}

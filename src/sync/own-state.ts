/** What a participant keeps of an object for itself, whichever of its openings of the object is used. */

import type { SyncContext } from "./context.ts";
import type { FoundObject } from "./objects.ts";

/** A place for what is kept of objects of one kind. */
export function ownState<State>(make: () => State): (context: SyncContext, found: FoundObject) => State {
  const all = new WeakMap<SyncContext, Map<number, State>>();
  return (context, { handle, created }) => {
    let states = all.get(context);
    if (states === undefined) all.set(context, (states = new Map()));
    // A new object has nothing to do with one that was there before.
    let state = created ? undefined : states.get(handle);
    if (state === undefined) states.set(handle, (state = make()));
    return state;
  };
}

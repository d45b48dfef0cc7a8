/**
 * Idents: names of participants that are not used again. The words of locks hold them.
 *
 * An ident is a slot's epoch and its index. The epoch changes before the slot is given back, by its owner or by whoever has
 * recovered it: from then on the participant is *gone*, for all who read the slot's state, and what it held may be taken.
 * Before that it is not, however dead it is: what it had begun is finished or undone first.
 *
 * Of the epoch 21 bits are kept. A lock that nobody has looked at while its slot had another two million users would seem
 * to be held by the last of them.
 */

import { SLOT_EPOCH_SHIFT } from "../src/layout/slot";
import { IDENT_EPOCH_MASK, IDENT_SLOT_BITS, IDENT_SLOT_MASK } from "../src/layout/sync";
import { loadSlotState } from "./mem";
import { become, me, slotAt, slotCount } from "./state";

/** This participant's. */
export let ident: u32 = 0;

/** This instance speaks for the participant in slot `index` (which must be in range), which has taken it. */
export function join(index: u32): void {
  become(index);
  ident = identAt(index);
}

/** The ident of whoever has slot `index`, or of its next user. */
export function identAt(index: u32): u32 {
  const epoch = (loadSlotState(slotAt(index)) >> SLOT_EPOCH_SHIFT) & IDENT_EPOCH_MASK;
  return (epoch << IDENT_SLOT_BITS) | (index + 1);
}

/** The slot of the participant that is called `name`; not in range when that is no ident. */
@inline
export function slotOf(name: u32): u32 {
  return (name & IDENT_SLOT_MASK) - 1;
}

/** Whether nobody is called `name` any more (or ever was). SYNC with the last stores of recoverSlot. */
export function isGone(name: u32): bool {
  const index = slotOf(name);
  return index >= slotCount || identAt(index) != name;
}

/** Of idents in words that only their owners write: whether `name` is this participant's. */
@inline
export function isMe(name: u32): bool {
  return name == ident && me != 0;
}

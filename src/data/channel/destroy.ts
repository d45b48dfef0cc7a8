/** The end of a channel: its name, the messages in it, its memory. */

import { shoalError } from "../../errors.ts";
import type { Driver } from "./driver.ts";
import type { Link } from "./link.ts";

/**
 * In an order in which a death at any point leaves nothing wrong, at worst a channel without a name: refuse senders, empty it,
 * remove the name, make it this participant's own, say that it is no more, free it.
 *
 * @throws ERR_SHOAL_HELD
 */
export function destroyChannel(link: Link, driver: Driver, discard: () => boolean): void {
  const { heap, core, object, handle, label } = link;
  core.endChannel(object);
  while (discard());
  const claimed = driver.claimed();
  if (claimed !== 0) {
    const message = `destroy: ${label} was ended, but somebody is still writing or reading ${claimed} of its messages`;
    throw shoalError("ERR_SHOAL_HELD", message, { object, claimed });
  }
  for (const { name, handle: named } of heap.roots.list()) if (named === handle) heap.roots.delete(name);
  heap.adopt(handle);
  core.closeChannel(object);
  link.ringAll();
  heap.free(handle);
}

/**
 * Putting back what of a segment never changes, by a participant that is alone with it: it knows from its own opening what the
 * header said then.
 *
 * Whoever opens a segment while the header is damaged believes it. One who was told of a longer span may have made the object
 * longer than it can be; with the header as it was nobody could open that any more, so what is behind the span goes.
 */

import * as layout from "../layout/header.ts";
import { FORMAT_STAMP } from "../layout/stamp.ts";
import { fstat } from "../os/index.ts";
import { backendOf } from "./backends.ts";
import type { Backing } from "./backing.ts";
import { CONSTANTS } from "./header.ts";
import type { Session } from "./session.ts";

type Word = readonly [offset: number, value: number];

/** The two words of a number that the header has as f64. */
function wordsOf(offset: number, value: number): Word[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [
    [offset, view.getUint32(0, true)],
    [offset + 4, view.getUint32(4, true)],
  ];
}

/** What the segment is, who it is and where: all that an opener looks at before it counts. */
function identityOf({ backing, uuid, fixedAddress, hasPrivateDirectory }: Session): Word[] {
  const digits = new DataView(uuid.buffer, uuid.byteOffset, uuid.byteLength);
  const lockInode = backing.backend === "sysv" ? fstat(backing.lockFd).inode : 0;
  return [
    [layout.H_MAGIC, layout.MAGIC_LOW],
    [layout.H_MAGIC + 4, layout.MAGIC_HIGH],
    [layout.H_FORMAT, FORMAT_STAMP],
    [layout.H_BYTE_ORDER, layout.BYTE_ORDER_MARK],
    ...[0, 4, 8, 12].map((at): Word => [layout.H_UUID + at, digits.getUint32(at, true)]),
    [layout.H_FLAGS, hasPrivateDirectory ? layout.FLAG_PRIVATE_DIRECTORY : 0],
    ...wordsOf(layout.H_FIXED_ADDRESS, fixedAddress),
    ...wordsOf(layout.H_LOCK_INODE, lockInode),
  ];
}

const FILE_BACKENDS: readonly number[] = [
  layout.BACKEND_POSIX,
  layout.BACKEND_FILE,
  layout.BACKEND_ANONYMOUS,
];

/** A file may have been made by another of the three ways to come by one than it was opened by. */
function isBackendOf({ backend }: Backing, code: number): boolean {
  return backend === "sysv" ? code === layout.BACKEND_SYSV : FILE_BACKENDS.includes(code);
}

/** Makes the header's constants what they were when this participant opened the segment. Offsets of those that were not. */
export function restoreHeader(session: Session): number[] {
  const { overlay, backing, geometry } = session;
  const view = new DataView(overlay.memory.buffer, 0, layout.HEADER_SIZE_BYTES);
  const words: Word[] = [
    ...identityOf(session),
    ...CONSTANTS.map(([offset, of]): Word => [offset, geometry[of]]),
  ];
  if (!isBackendOf(backing, view.getUint32(layout.H_BACKEND, true)))
    words.push([layout.H_BACKEND, backendOf(backing.backend).code]);
  // A segment that can be opened is ready; one that was retired stays so.
  if (view.getUint32(layout.H_STATE, true) !== layout.STATE_RETIRED)
    words.push([layout.H_STATE, layout.STATE_READY]);
  const stray = words.filter(([offset, value]) => view.getUint32(offset, true) !== value);
  for (const [offset, value] of stray) view.setUint32(offset, value, true);
  return stray.map(([offset]) => offset).sort((a, b) => a - b);
}

/** Cuts off what of the segment is behind its span. Whether there was anything. */
export function cutToSpan({ backing, geometry }: Session): boolean {
  const spanBytes = geometry.spanPages * layout.PAGE_SIZE_BYTES;
  if (backing.status().sizeBytes <= spanBytes) return false;
  backing.cut(spanBytes);
  return true;
}

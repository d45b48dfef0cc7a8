/**
 * A session: one participant's hold on one segment; everything that must be given back when it ends.
 *
 * Made by create.ts or open.ts, ended here. Region and Heap are faces on it. Ending twice is harmless.
 */

import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { native } from "../os/native.ts";
import type { Backing } from "./backing.ts";
import { shoalError } from "../errors.ts";
import { instantiateSurvey } from "./core.ts";
import { firstStrayConstant } from "./header.ts";
import type { Survey } from "./core.ts";
import type { Geometry } from "./geometry.ts";
import { extend, FLAG_CLOSED, FLAG_DAMAGED, peel } from "./overlay.ts";
import type { Overlay } from "./overlay.ts";
import { leaveSeat } from "./participants.ts";
import type { Seat } from "./participants.ts";
import { openPinned } from "./fixed-address.ts";

/** What a participant holds. */
export interface Session {
  readonly backing: Backing;
  readonly overlay: Overlay;
  readonly geometry: Geometry;
  readonly seat: Seat;
  /** -1: read-only, no slot. */
  readonly slotIndex: number;
  readonly uuid: Uint8Array;
  /** 0: none. */
  readonly fixedAddress: number;
  readonly isPinned: boolean;
  readonly hasPrivateDirectory: boolean;
  readonly isCreator: boolean;
  /** Called before the session ends, while the segment can still be reached. */
  readonly onEnd: Set<() => void>;
}

const surveys = new WeakMap<Session, Survey>();

/** The functions that only look at the session's segment; instantiated when they are first wanted. */
export function surveyOf(session: Session): Survey {
  let survey = surveys.get(session);
  if (survey === undefined) {
    // It reads the constants anew, and would look elsewhere than this participant works.
    const { overlay, geometry, backing } = session;
    const stray = isEnded(session) ? 0 : firstStrayConstant(overlay.memory.buffer, geometry);
    if (stray !== 0) {
      const message = `the header of ${backing.name} has changed at offset ${stray}, where it never does`;
      throw shoalError("ERR_SHOAL_CORRUPT", message, { offset: stray });
    }
    survey = instantiateSurvey(session.overlay.memory);
    surveys.set(session, survey);
  }
  return survey;
}

function isEnded(session: Session): boolean {
  return (Atomics.load(session.overlay.flags, 0) & FLAG_CLOSED) !== 0;
}

/** Makes this memory, and the mapping at the fixed address if there is one, as large as the segment is. */
function catchUp(
  overlay: Overlay,
  backing: Backing,
  spanPages: number,
  readOnly: boolean,
  pinnedAddress: number,
): void {
  const mapped = overlay.memory.buffer.byteLength / PAGE_SIZE_BYTES;
  // A damaged size must not lead beyond the span, where the engine would throw.
  const published = Math.min(overlay.core.sizePages() >>> 0, spanPages);
  if (published <= mapped) return;
  extend(overlay, backing, mapped, published, readOnly);
  if (pinnedAddress !== 0) openPinned(pinnedAddress, published * PAGE_SIZE_BYTES);
}

/** The participants' side of an open segment. */
export function seatOf(
  overlay: Overlay,
  backing: Backing,
  geometry: Pick<Geometry, "slotCount" | "slotsOffset" | "spanPages">,
  readOnly: boolean,
  pinnedAddress: number,
): Seat {
  return {
    core: overlay.core,
    lockFd: backing.lockFd,
    address: overlay.address,
    slotCount: geometry.slotCount,
    slotsOffset: geometry.slotsOffset,
    catchUp: () => catchUp(overlay, backing, geometry.spanPages, readOnly, pinnedAddress),
  };
}

/**
 * Gives everything back: the slot, the mappings, the descriptors. Never throws half-way: what follows a failed step is
 * done all the same, and the first failure is thrown at the end.
 */
export function endSession(session: Session): void {
  const { overlay, backing, seat, slotIndex } = session;
  if (isEnded(session)) return;
  const flags = Atomics.load(overlay.flags, 0);
  const failures: unknown[] = [];
  const attempt = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  };
  for (const step of session.onEnd) attempt(step);
  // A damaged segment has lost its tables: there is nothing to leave in order, and the lock says the rest.
  if (slotIndex >= 0 && (flags & FLAG_DAMAGED) === 0) {
    attempt(() => {
      seat.catchUp();
      leaveSeat(seat, slotIndex);
    });
  }
  attempt(() => peel(overlay));
  if (session.isPinned) attempt(() => native.pinRelease(session.fixedAddress));
  attempt(() => backing.close());
  if (failures.length > 0) throw failures[0];
}

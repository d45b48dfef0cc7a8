/**
 * What a segment's bytes are kept in: one interface over files of all kinds and System V segments.
 *
 * A backing is open for one participant. It maps, reserves and locks; it knows nothing of what the bytes mean.
 */

import type { Header } from "./header.ts";
import type { BackendName } from "./options.ts";

/** What the system knows of a segment. */
export interface BackingStatus {
  readonly sizeBytes: number;
  readonly ownerUid: number;
  /** Permission bits. */
  readonly mode: number;
}

/** A segment's storage, opened by one participant. */
export interface Backing {
  readonly backend: BackendName;
  /** What opens it again: a POSIX name, a path, a System V key or id, a path below /proc. */
  readonly name: string;
  /** Whose locks tell who is alive: this participant's own open file description of the segment's (or lock) file. */
  readonly lockFd: number;
  /** A descriptor that may be handed on to other processes; -1 where names do that. Holds no lock. */
  readonly sharedFd: number;
  status(): BackingStatus;
  /** Reads from the segment's start; how many bytes there were. */
  read(into: Uint8Array): number;
  /**
   * Lays the segment from `offset` on over [address, address + lengthBytes). No access yet, except System V's segments,
   * which are always mapped whole and accessible.
   */
  map(address: number, offset: number, lengthBytes: number, readOnly: boolean): void;
  /** Maps at exactly this address, once a process. 0 or more, or -errno. */
  pin(address: number, spanBytes: number): number;
  /**
   * Writes the signature, HEADER_SIZE_BYTES long, at the start of a new object. A file is either still empty afterwards
   * (its creator has died) or signed; a System V segment, which has its size from the beginning, gets its magic last.
   */
  sign(signature: Uint8Array): void;
  /** Makes sure of storage for ranges of bytes, lengthening the object if need be. */
  reserve(ranges: readonly { offset: number; lengthBytes: number }[]): void;
  /** Makes the object no longer than so many bytes. (A System V segment is never longer than it was made.) */
  cut(lengthBytes: number): void;
  /** Whether the name still leads to this object. */
  isNamed(): boolean;
  /** Whether the object has lost its name since it was created; cheaper than isNamed. */
  isRemoved(): boolean;
  /** Removes the name. ERR_SHOAL_NOT_FOUND when somebody else has. */
  unlink(): void;
  close(): void;
}

/** The ways to come by a backing, one object for each backend. */
export interface Backend {
  readonly name: BackendName;
  /** BACKEND_… in the header. */
  readonly code: number;
  /** A new object of size 0 (System V: of `sizeBytes`), exclusively. ERR_SHOAL_EXISTS when the name is taken. */
  create(name: string | undefined, sizeBytes: number, mode: number): Backing;
  /** An existing one. `fd` only for "anonymous". */
  open(name: string, readOnly: boolean, fd?: number): Backing;
  /** Called once the header is known; throws when the backing and the header do not belong together. */
  admit(backing: Backing, header: Header): void;
}

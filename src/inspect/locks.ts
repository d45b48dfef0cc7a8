/** What there is to see of one lock, one port, and of who waits for it. */

import { PORT_PARTNERS } from "../layout/port.ts";
import { Y_ENTERED, Y_HOLDER, Y_LIMIT, Y_VALUE, Y_WAITERS } from "../layout/sync.ts";
import { setBytes, sleepOf, withTrace } from "./look.ts";
import type { Look, ObjectKind, Party, Waiter } from "./look.ts";

interface LockFacts {
  readonly state: string;
  readonly holders: readonly Party[];
}

/**
 * Those who wait in a set. Bits of participants that have gone may stay in it, so that of one who has come to such a slot is
 * sometimes one too many.
 */
export function waitersIn(look: Look, object: number, set = object + Y_WAITERS, what?: string): Waiter[] {
  const waiters: Waiter[] = [];
  for (const { index } of look.participants) {
    const party = look.party(index);
    const sleep = sleepOf(look, index);
    const asleep = sleep.object === object;
    const isThere = look.core.isWaiting(set, index) !== 0;
    if (party === undefined || !isThere) continue;
    waiters.push({
      ...party,
      asleep,
      ...(what !== undefined && { what }),
      ...(asleep && sleep.since !== undefined && { since: sleep.since }),
    });
  }
  return waiters;
}

/** The party whose slot index + 1 the core has named. */
function named(look: Look, object: number, holder: number, what?: string): Party[] {
  const party = holder > 0 ? look.party(holder - 1) : undefined;
  return party === undefined
    ? []
    : [withTrace(look, object, { ...party, ...(what !== undefined && { what }) })];
}

function readersOf(look: Look, object: number): Party[] {
  const readers: Party[] = [];
  for (let next = look.core.nextReader(object, 0); next !== 0; next = look.core.nextReader(object, next)) {
    const party = look.party(next - 1);
    if (party !== undefined) readers.push({ ...party, what: "reads" });
  }
  return readers;
}

function rwlockFacts(look: Look, object: number): LockFacts {
  const { core, word } = look;
  const holder = core.holderOf(object);
  const isWriting = holder !== 0 && word(object + Y_ENTERED) === word(object + Y_HOLDER);
  const readers = readersOf(look, object);
  const dirty = core.isDirty(object) !== 0 ? ", a writer has died" : "";
  if (isWriting) return { state: `written${dirty}`, holders: named(look, object, holder, "writes") };
  const state = readers.length > 0 ? `read by ${readers.length}` : "free";
  return { state: `${state}${holder === 0 ? "" : ", a writer comes"}${dirty}`, holders: readers };
}

function semaphoreFacts(look: Look, object: number): LockFacts {
  const { core, participants } = look;
  const holders = participants.flatMap(({ index }) => {
    const count = core.heldBy(object, index);
    const party = look.party(index);
    return count === 0 || party === undefined
      ? []
      : [{ ...party, what: count === 1 ? "1 permit" : `${count} permits` }];
  });
  return { state: `${core.available(object)} of ${look.word(object + Y_LIMIT)} permits free`, holders };
}

function portFacts(look: Look, object: number): LockFacts {
  // Behind the port's own words and its door: two sides, each a mutex.
  const mutexBytes = Math.ceil((Y_WAITERS + setBytes(look)) / 64) * 64;
  const holders = [0, 1].flatMap((side) => {
    const at = object + (2 + side) * mutexBytes;
    return named(look, at, look.core.holderOf(at), `side ${side}`);
  });
  const isConnected = holders.length === 2 && look.word(object + PORT_PARTNERS) !== 0;
  return { state: isConnected ? "connected" : `${holders.length} of 2 sides taken`, holders };
}

/** Of each kind but channels. */
export function lockFacts(look: Look, object: number, kind: ObjectKind): LockFacts {
  const { core, word } = look;
  switch (kind) {
    case "mutex": {
      const holders = named(look, object, core.holderOf(object));
      return { state: holders.length > 0 ? "held" : "free", holders };
    }
    case "rwlock":
      return rwlockFacts(look, object);
    case "semaphore":
      return semaphoreFacts(look, object);
    case "event":
      return {
        state: `${core.isSet(object) !== 0 ? "set" : "not set"}, set ${core.eventGeneration(object)} times`,
        holders: [],
      };
    case "barrier": {
      const broken = core.isBroken(object) !== 0 ? ", broken" : "";
      const state = `${core.arrivals(object)} of ${word(object + Y_LIMIT)} have come, round ${core.barrierGeneration(object)}${broken}`;
      return { state, holders: [] };
    }
    case "once": {
      const holders = named(look, object, core.runnerOf(object), "runs");
      return {
        state: core.isDone(object) !== 0 ? "done" : holders.length > 0 ? "running" : "to be done",
        holders,
      };
    }
    case "counter":
      return { state: String(new BigInt64Array(look.region.buffer, object + Y_VALUE, 1)[0]!), holders: [] };
    case "port":
      return portFacts(look, object);
    default:
      return { state: "", holders: [] };
  }
}

/** What participants do with the locks of the commons, and what they find out about them. */

import type { Hold } from "../src/sync/index.ts";
import { disorderOf, enterInside, leaveInside, pairOf, PERMITS, putInOrder, setWord } from "./commons.ts";
import { LOCKS } from "./commons-table.ts";
import type { LockName } from "./commons-table.ts";
import { ask, dwell, LONG_MS, perform, SHORT_MS } from "./guest.ts";
import type { Guest } from "./guest.ts";
import { SEATS } from "./ledger.ts";
import type { Ledger } from "./ledger.ts";

const TIMEOUT = "ERR_SHOAL_TIMEOUT";
const BROKEN = "ERR_SHOAL_BROKEN";

/** One of the three ways to get a lock: undefined when it was not to be had, which of a long wait is an error. */
function obtain(
  guest: Guest,
  tryNow: () => Hold | undefined,
  sync: (options: { timeoutMs: number }) => Hold,
): Hold | undefined {
  const dice = guest.random(4);
  if (dice === 0) return ask(guest, tryNow);
  if (dice === 1) return ask(guest, () => sync({ timeoutMs: SHORT_MS }), TIMEOUT);
  return ask(guest, () => sync({ timeoutMs: LONG_MS }));
}

/** Changes what the lock guards; `hold` is one to write. */
function change(guest: Guest, lock: LockName, hold: Hold): void {
  const { commons, ledger } = guest;
  const fault = disorderOf(commons, lock, hold);
  if (fault !== undefined) throw new Error(fault);
  ledger.table.add("holds");
  if (hold.abandoned) {
    ledger.table.add(`told ${lock}`);
    putInOrder(commons, lock);
  }
  const inside = enterInside(commons, lock);
  if (inside !== 1) throw new Error(`${lock}: ${inside} are inside`);
  const [first] = pairOf(commons, lock);
  setWord(commons, lock, 0, first + 1);
  dwell(guest);
  const [now, second] = pairOf(commons, lock);
  if (now !== first + 1 || second !== first)
    throw new Error(
      `${lock}: its words became ${now} and ${second} while ${first + 1} and ${first} were held`,
    );
  setWord(commons, lock, 1, first + 1);
  leaveInside(commons, lock);
}

function useMutex(guest: Guest, lock: "plain" | "fair"): void {
  const mutex = guest.commons[lock];
  perform(guest, "lock", LOCKS.indexOf(lock), () => {
    const hold = obtain(guest, mutex.tryLock, mutex.lockSync);
    if (hold === undefined) return;
    change(guest, lock, hold);
    ask(guest, () => hold.release());
  });
}

function write(guest: Guest): void {
  const { rwlock } = guest.commons;
  perform(guest, "write", LOCKS.indexOf("rwlock"), () => {
    const hold = obtain(guest, rwlock.tryWrite, rwlock.writeSync);
    if (hold === undefined) return;
    change(guest, "rwlock", hold);
    ask(guest, () => hold.release());
  });
}

function read(guest: Guest): void {
  const { commons, ledger } = guest;
  perform(guest, "read", LOCKS.indexOf("rwlock"), () => {
    const hold = obtain(guest, commons.rwlock.tryRead, commons.rwlock.readSync);
    if (hold === undefined) return;
    ledger.table.add("holds");
    const before = pairOf(commons, "rwlock");
    const fault = disorderOf(commons, "rwlock", hold);
    if (fault !== undefined) throw new Error(fault);
    dwell(guest);
    const after = pairOf(commons, "rwlock");
    if (before[0] !== after[0] || before[1] !== after[1])
      throw new Error(
        `rwlock: its words became ${after.join(" and ")} while ${before.join(" and ")} were read`,
      );
    ask(guest, () => hold.release());
  });
}

/** Permits in use, by seat: undefined when somebody took or gave some back while they were counted. */
function permitsInUse(ledger: Ledger): number[] | undefined {
  const collect = (): number[] => Array.from({ length: SEATS }, (_none, seat) => ledger.permitsOf(seat));
  const [first, second] = [collect(), collect()];
  return first.every((value, seat) => value === second[seat]) ? first.map((value) => value % 4) : undefined;
}

/** Throws when those who live have more permits than there are. */
function checkPermits({ commons, ledger }: Guest): void {
  const counts = permitsInUse(ledger);
  const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);
  if (counts === undefined || sum(counts) <= PERMITS) return;
  // What the dead had stays in their seats, and others have it by now.
  const present = commons.heap.region.participants().filter(({ alive }) => alive);
  const ofTheLiving = counts.map((permits, seat) => {
    const isThere = present.some(
      ({ index, pid, threadId }) =>
        index === ledger.commonsSlotOf(seat) &&
        pid === ledger.pidOf(seat) &&
        threadId === ledger.threadOf(seat),
    );
    return isThere ? permits : 0;
  });
  if (sum(ofTheLiving) > PERMITS) throw new Error(`semaphore: permits by seat are ${ofTheLiving.join(" ")}`);
}

function acquire(guest: Guest): void {
  const { commons, ledger, seat, random } = guest;
  const { semaphore } = commons;
  const wanted = 1 + random(2);
  perform(guest, "acquire", 0, () => {
    const hold = obtain(
      guest,
      () => semaphore.tryAcquire(wanted),
      (options) => semaphore.acquireSync(wanted, options),
    );
    if (hold === undefined) return;
    ledger.table.add("holds");
    // The number above the permits tells this holding from the one before.
    const number = (ledger.permitsOf(seat) >>> 2) + 1;
    ledger.setPermits(seat, number * 4 + wanted);
    checkPermits(guest);
    dwell(guest);
    ledger.setPermits(seat, number * 4);
    ask(guest, () => hold.release());
  });
}

function useEvent(guest: Guest): void {
  const { commons, ledger, random } = guest;
  const { manual, auto } = commons;
  perform(guest, "event", 0, () => {
    const dice = random(8);
    if (dice === 0) ask(guest, () => manual.set());
    else if (dice === 1) ask(guest, () => manual.reset());
    else if (dice === 2) ask(guest, () => manual.waitSync({ timeoutMs: SHORT_MS }), TIMEOUT);
    else if (dice < 5) {
      // Before it is set: somebody may pass at once.
      ledger.table.add("sets");
      ask(guest, () => auto.set());
    } else if (dice < 7) {
      if (ask(guest, () => auto.tryWait()) === true) ledger.table.add("passes");
    } else {
      const pass = (): boolean => (auto.waitSync({ timeoutMs: SHORT_MS }), true);
      if (ask(guest, pass, TIMEOUT) === true) ledger.table.add("passes");
    }
  });
}

function useCondition(guest: Guest): void {
  const { commons, ledger, random } = guest;
  const { plain, condition } = commons;
  if (random(2) === 0)
    return perform(guest, "condition", LOCKS.indexOf("plain"), () => {
      ask(guest, () => (random(2) === 0 ? condition.notifyAll() : condition.notifyOne()));
    });
  perform(guest, "condition", LOCKS.indexOf("plain"), () => {
    const hold = obtain(guest, plain.tryLock, plain.lockSync);
    if (hold === undefined) return;
    change(guest, "plain", hold);
    ledger.setInCall(guest.seat, true);
    const next = waitFor(guest, hold);
    ledger.setInCall(guest.seat, false);
    change(guest, "plain", next);
    ask(guest, () => next.release());
  });
}

/** Waits for the condition for a while. The hold afterwards, also when that was in vain. */
function waitFor({ commons }: Guest, hold: Hold): Hold {
  const { plain, condition } = commons;
  try {
    return condition.waitSync(plain, hold, { timeoutMs: SHORT_MS });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === TIMEOUT && "hold" in error)
      return error.hold as Hold;
    throw error;
  }
}

function comeToBarrier(guest: Guest): void {
  const { commons, ledger } = guest;
  const { barrier } = commons;
  perform(guest, "barrier", 0, () => {
    const isLast = ask(guest, () => barrier.waitSync({ timeoutMs: SHORT_MS }), TIMEOUT, BROKEN);
    if (isLast !== undefined) ledger.table.add(isLast ? "last parties" : "first parties");
    else if (barrier.isBroken) ask(guest, () => barrier.reset());
  });
}

function doOnce(guest: Guest): void {
  const { commons, ledger, random } = guest;
  const { once } = commons;
  perform(guest, "once", 0, () => {
    const work = ({ abandoned }: { readonly abandoned: boolean }): void => {
      const before = pairOf(commons, "once");
      if (!abandoned && (before[0] !== 0 || before[1] !== 0))
        throw new Error(`once: nobody has begun before, and its words are ${before.join(" and ")}`);
      const value = 1 + random(2 ** 20);
      setWord(commons, "once", 0, value);
      dwell(guest);
      setWord(commons, "once", 1, value);
      ledger.table.add("once");
    };
    ask(guest, () => once.runSync(work, { timeoutMs: LONG_MS }));
    const [first, second] = pairOf(commons, "once");
    if (first !== second || first === 0)
      throw new Error(`once: it is said to be done, and its words are ${first} and ${second}`);
  });
}

function count(guest: Guest): void {
  const { commons, ledger } = guest;
  perform(guest, "count", 0, () => {
    ask(guest, () => commons.counter.add(1));
    ledger.table.add("added");
  });
}

/** Does something with one of the locks, or with what is like one. */
export function visitLocks(guest: Guest): void {
  const dice = guest.random(100);
  if (dice < 24) useMutex(guest, "plain");
  else if (dice < 42) useMutex(guest, "fair");
  else if (dice < 52) write(guest);
  else if (dice < 64) read(guest);
  else if (dice < 80) acquire(guest);
  else if (dice < 87) useEvent(guest);
  else if (dice < 89) useCondition(guest);
  else if (dice < 91) comeToBarrier(guest);
  else if (dice < 95) doOnce(guest);
  else count(guest);
}

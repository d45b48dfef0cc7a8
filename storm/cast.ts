/**
 * Who takes part in a round: hired, killed, stopped, woken, terminated, and made to rest by the leader.
 */

import { readFileSync } from "node:fs";
import type { Fate } from "./accounting.ts";
import type { Crews } from "./crews.ts";
import type { Helper } from "./helper.ts";
import { nap, SEATS } from "./ledger.ts";
import type { Kind, Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

/** A process of the storm. */
export interface Member {
  readonly pid: number;
  /** Its participants' seats: one, or one for each worker. */
  readonly seats: number[];
  /** A process with workers; undefined: one that the nursery has forked. */
  readonly crew: Helper | undefined;
}

/** What is counted over all rounds. */
export interface Tally {
  kills: number;
  stops: number;
  terminations: number;
  operations: number;
  /** Of the participants that were killed or terminated: how many were in the middle of a call. */
  deathsInCall: number;
  hangs: number;
  corruptions: number;
  leakedBytes: number;
  lostBlocks: number;
  /** What was received in the commons, and what was lost there. */
  messages: number;
  lostMessages: number;
  /** How often a lock, or permits of the semaphore, were had. */
  locks: number;
  readonly faults: string[];
}

/** The processes that outlive a round. */
export interface World {
  readonly ledger: Ledger;
  readonly nursery: Helper;
  readonly crews: Crews;
  readonly tally: Tally;
  readonly random: Random;
}

/** A round's participants, by seat. */
export interface Cast extends World {
  /** The heap's name. */
  readonly heapName: string;
  readonly anchors: readonly number[];
  /** Whether who takes a block over may have to wait for somebody who is stopped (buddy). */
  readonly mayAdoptionsWait: boolean;
  readonly members: Member[];
  readonly fates: Map<number, Fate>;
  readonly stopped: Set<Member>;
  /** Who was killed, and may still be on the way out. */
  readonly dying: Member[];
}

/** What a survivor's operation may take, on a machine that is busy with other things, before it counts as hung. */
const HANG_MS = 20_000;
/** Naps so short keep the leader from hearing anything; now and then it listens. */
const NAPS_BETWEEN_TURNS = 50;
/** How long somebody waits for a stopped one before that is woken; less than what the heap itself waits. */
const PATIENCE_MS = 200;

/** Waits until `isTrue`, up to the limit of a hang; whether it became true. */
export async function until(isTrue: () => boolean, mostMs = HANG_MS): Promise<boolean> {
  const since = performance.now();
  for (let naps = 1; !isTrue(); naps++) {
    if (performance.now() - since > mostMs) return false;
    nap(0.2);
    // oxlint-disable-next-line no-await-in-loop
    if (naps % NAPS_BETWEEN_TURNS === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return true;
}

function freeSeat({ ledger, fates }: Cast): number {
  for (let seat = 0; seat < SEATS; seat++)
    if (!fates.has(seat) && ledger.stateOf(seat) === "free") return seat;
  throw new Error("no seat is free");
}

/** The order for a new participant, whose seat is taken from now on. */
function nextOrder(cast: Cast): { seat: number; order: string } {
  const { ledger, fates, heapName, anchors, random } = cast;
  const seat = freeSeat(cast);
  ledger.hire(seat);
  fates.set(seat, "alive");
  const order = JSON.stringify({ heap: heapName, seat, seed: 1 + random(2 ** 31), anchors });
  return { seat, order };
}

/** Has the nursery fork a participant. */
export async function hire(cast: Cast): Promise<void> {
  const { seat, order } = nextOrder(cast);
  const pid = Number(await cast.nursery.ask(`fork ${order}`));
  cast.members.push({ pid, seats: [seat], crew: undefined });
}

/** Has a crew start a worker. */
export async function hireWorker(cast: Cast, member: Member): Promise<void> {
  const { seat, order } = nextOrder(cast);
  member.seats.push(seat);
  await member.crew!.ask(`start ${order}`);
}

/** The participant is dead: what it was at is the last that is known of it. */
function bury({ ledger, fates, tally }: Cast, seat: number): void {
  fates.set(seat, "dead");
  tally.operations += ledger.operationsOf(seat);
  if (ledger.kindOf(seat) !== "none" && ledger.isInCall(seat)) tally.deathsInCall++;
}

/** SIGKILL, all at once. They are dead for sure after awaitEnds(): until then they are on their way. */
export function kill(cast: Cast, victims: readonly Member[]): void {
  const { members, dying, fates, stopped } = cast;
  for (const { pid } of victims) process.kill(pid, "SIGKILL");
  for (const victim of victims) {
    members.splice(members.indexOf(victim), 1);
    stopped.delete(victim);
    dying.push(victim);
    for (const seat of victim.seats) fates.set(seat, "dead");
  }
}

const SIGKILL = "9";

/** Waits until all who were killed are gone. */
export async function awaitEnds(cast: Cast): Promise<void> {
  const { nursery, tally, ledger, dying } = cast;
  const victims = dying.splice(0);
  const forked = victims.filter(({ crew }) => crew === undefined);
  const ends =
    forked.length === 0
      ? []
      : (await nursery.ask(`wait ${forked.map(({ pid }) => pid).join(" ")}`)).split(" ");
  await Promise.all(victims.map(async ({ crew }) => crew?.kill()));
  for (const [index, end] of ends.entries()) {
    if (end === SIGKILL) continue;
    const { pid, seats } = forked[index]!;
    tally.corruptions++;
    tally.faults.push(
      `process ${pid} ended with ${end} before it was killed: ${ledger.messageOf(seats[0]!)}`,
    );
  }
  tally.kills += victims.length;
  for (const { seats } of victims) for (const seat of seats) bury(cast, seat);
}

/** worker.terminate() */
export async function terminate(cast: Cast, member: Member, seat: number): Promise<void> {
  await member.crew!.ask(`end ${seat}`);
  cast.tally.terminations++;
  member.seats.splice(member.seats.indexOf(seat), 1);
  bury(cast, seat);
}

function stateOfProcess(pid: number): string {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return text[text.lastIndexOf(")") + 2] ?? "?";
}

/** SIGSTOP; resolves when it has stopped. */
export async function stop(cast: Cast, member: Member): Promise<void> {
  process.kill(member.pid, "SIGSTOP");
  const hasStopped = (): boolean => stateOfProcess(member.pid) === "T" || hasEnded(member);
  if (!(await until(hasStopped))) throw new Error(`process ${member.pid} does not stop`);
  cast.tally.stops++;
  cast.stopped.add(member);
  for (const seat of member.seats) cast.fates.set(seat, "stopped");
}

/** SIGCONT. */
export function wake(cast: Cast, member: Member): void {
  process.kill(member.pid, "SIGCONT");
  cast.stopped.delete(member);
  for (const seat of member.seats) cast.fates.set(seat, "alive");
}

/** Whether it is gone by itself, which it should not be. */
function hasEnded({ pid, crew }: Member): boolean {
  return crew === undefined && stateOfProcess(pid) === "Z";
}

/** Who does such a thing needs what a stopped participant may hold. */
const LOCK_KINDS: readonly Kind[] = ["lock", "write", "read", "acquire", "condition", "once"];
/** Messages that have no room in a channel are blocks, which go from hand to hand. */
const CHANNEL_KINDS: readonly Kind[] = ["send", "receive", "borrow", "subscribe"];

/**
 * Whether a stopped participant keeps this one waiting, and may: with the lock of the roots, or because it was about to
 * allocate a block of its own where this one wants to adopt one (buddy); or with a lock of the commons.
 */
function mayWait({ ledger, stopped, mayAdoptionsWait }: Cast, seat: number): boolean {
  if (stopped.size === 0) return false;
  const kind = ledger.kindOf(seat);
  if (mayAdoptionsWait && CHANNEL_KINDS.includes(kind)) return true;
  return kind === "root" || kind === "adopt" || LOCK_KINDS.includes(kind);
}

/** The seats of those who live and are not stopped. */
function awakeOf({ fates }: Cast): number[] {
  return [...fates].filter(([, fate]) => fate === "alive").map(([seat]) => seat);
}

function tellHang(cast: Cast, seat: number, what: string): void {
  const { ledger, tally, members } = cast;
  const member = members.find(({ seats }) => seats.includes(seat));
  const state = member === undefined ? "?" : stateOfProcess(member.pid);
  const intent = JSON.stringify(ledger.intentOf(seat));
  tally.hangs++;
  tally.faults.push(
    `${what}: seat ${seat} (process ${member?.pid}, state ${state}) is ${ledger.stateOf(seat)} in ${intent} after ${ledger.operationsOf(seat)} operations`,
  );
}

/** Lets everybody who is awake go on until each has done something; false: somebody hangs, though nobody keeps it waiting. */
export async function letAllAdvance(cast: Cast): Promise<boolean> {
  const { ledger } = cast;
  const before = new Map(awakeOf(cast).map((seat) => [seat, ledger.operationsOf(seat)]));
  const hasAdvanced = (seat: number): boolean =>
    ledger.operationsOf(seat) !== before.get(seat) ||
    mayWait(cast, seat) ||
    ledger.stateOf(seat) === "failed";
  const waiting = (): number[] => awakeOf(cast).filter((seat) => before.has(seat) && !hasAdvanced(seat));
  if (await until(() => waiting().length === 0)) return true;
  for (const seat of waiting()) tellHang(cast, seat, `no progress beside a stopped one in ${HANG_MS} ms`);
  return false;
}

/** Makes everybody who is awake rest between two operations; false: somebody hangs. */
export async function pause(cast: Cast): Promise<boolean> {
  const { ledger, stopped } = cast;
  ledger.isPaused = true;
  const isBusy = (seat: number): boolean => ["opening", "working"].includes(ledger.stateOf(seat));
  const busy = (): number[] => awakeOf(cast).filter(isBusy);
  const isQuiet = (): boolean => busy().length === 0;
  if (stopped.size > 0 && !(await until(isQuiet, PATIENCE_MS))) {
    if (busy().some((seat) => mayWait(cast, seat))) for (const member of stopped) wake(cast, member);
  }
  if (await until(isQuiet)) return true;
  for (const seat of busy()) tellHang(cast, seat, `an operation takes more than ${HANG_MS} ms`);
  return false;
}

export function resume({ ledger }: Cast): void {
  ledger.isPaused = false;
}

/**
 * A round: one heap, and participants that are killed, stopped and terminated in it, with a count after each blow.
 */

import { rmSync } from "node:fs";
import { Heap } from "../src/heap/index.ts";
import type { AllocatorName, Handle, HeapCreateOptions } from "../src/heap/index.ts";
import { cleanUpLater } from "../bench/harness/cleanup.ts";
import { accountCommons, watchCommons } from "./commons-accounting.ts";
import type { CommonsFindings, Watch } from "./commons-accounting.ts";
import { commonsName, createCommons } from "./commons.ts";
import { account } from "./accounting.ts";
import type { Findings } from "./accounting.ts";
import {
  awaitEnds,
  hire,
  hireWorker,
  kill,
  letAllAdvance,
  pause,
  resume,
  stop,
  terminate,
  wake,
} from "./cast.ts";
import type { Cast, Member, World } from "./cast.ts";
import { CELLS, EMPTY_CELL, nap, rootName, ROOTS } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface RoundPlan {
  readonly allocator: AllocatorName;
  /** The heap's name. */
  readonly name: string;
  /** How many are to be killed, about. */
  readonly kills: number;
  readonly isOver: () => boolean;
  readonly show: () => void;
}

const ANCHORS = 8;
/** Forked processes at work, beside a crew. */
const FORKED = 4;
const WORKERS = 2;
/** How long they work until the next blow. */
const MOST_DELAY_MICROSECONDS = 6000;
/** And how long the survivors work on after it, before everything is counted. */
const MOST_GRACE_MICROSECONDS = 2000;
const MiB = 2 ** 20;

function optionsOf(allocator: AllocatorName, random: Random): HeapCreateOptions {
  const growStepBytes = random(2) === 0 ? {} : { growStepBytes: 65536 * (1 + random(4)) };
  const shape = { allocator, sizeBytes: 65536 * (1 + random(8)), ...growStepBytes };
  if (allocator !== "buddy") return { ...shape, spanBytes: 256 * MiB };
  const minBlockBytes = 16 << random(4);
  return { ...shape, minBlockBytes, maxBlockBytes: minBlockBytes * 32, spanBytes: 128 * MiB };
}

interface Round extends Cast {
  readonly heap: Heap;
  readonly plan: RoundPlan;
  readonly watch: Watch;
}

/** Notes what was found; whether all is well. */
function note({ tally }: Round, findings: Findings): boolean {
  tally.corruptions += findings.corruptions;
  tally.leakedBytes += findings.leakedBytes;
  tally.lostBlocks += findings.lostBlocks;
  tally.faults.push(...findings.faults);
  return tally.faults.length === 0;
}

function noteCommons(round: Round, findings: CommonsFindings): boolean {
  const { tally } = round;
  tally.messages += findings.messages;
  tally.lostMessages += findings.lostMessages;
  tally.locks += findings.locks;
  return note(round, findings);
}

/** Makes everybody rest, and counts; whether all is well. */
async function count(round: Round): Promise<boolean> {
  const { heap, ledger, fates, tally } = round;
  const anchors = round.anchors as Handle[];
  if (!(await pause(round))) return false;
  // The others rest: so the dying have the processors for themselves.
  await awaitEnds(round);
  for (const [seat, fate] of fates) {
    if (fate === "dead" || ledger.stateOf(seat) !== "failed") continue;
    tally.corruptions++;
    tally.faults.push(`seat ${seat}: ${ledger.messageOf(seat)}`);
  }
  try {
    // The commons first: what the dead were at is known as long as they have their seats.
    if (!noteCommons(round, accountCommons(round))) return false;
    if (!note(round, account({ heap, ledger, fates, anchors }))) return false;
  } catch (error) {
    tally.corruptions++;
    tally.faults.push(
      `the count: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return false;
  }
  for (const [seat, fate] of fates)
    if (fate === "dead" && ledger.stateOf(seat) === "free") fates.delete(seat);
  resume(round);
  return true;
}

function pick<Item>(random: Random, items: readonly Item[]): Item | undefined {
  return items[random(Math.max(items.length, 1))];
}

const forkedOf = ({ members }: Cast): Member[] => members.filter(({ crew }) => crew === undefined);
const crewOf = ({ members }: Cast): Member | undefined => members.find(({ crew }) => crew !== undefined);

/** One to four who are to die together; seldom the whole crew. */
function victimsOf(round: Round): Member[] {
  const { random } = round;
  const crew = crewOf(round);
  if (crew !== undefined && random(20) === 0) return [crew];
  const all = forkedOf(round);
  const many = [1, 1, 1, 2, 2, 2, 3, 4][random(8)]!;
  const first = random(Math.max(all.length, 1));
  return [...all.slice(first), ...all.slice(0, first)].slice(0, many);
}

/** Brings the number of participants to what it should be. */
async function fillUp(round: Round): Promise<void> {
  while (forkedOf(round).length < FORKED) {
    // One after the other: the nursery answers in order anyway.
    // oxlint-disable-next-line no-await-in-loop
    await hire(round);
  }
  let crew = crewOf(round);
  if (crew === undefined) {
    const helper = round.crews.take();
    if (helper === undefined) return;
    crew = { pid: helper.pid, seats: [], crew: helper };
    round.members.push(crew);
  }
  // oxlint-disable-next-line no-await-in-loop
  while (crew.seats.length < WORKERS) await hireWorker(round, crew);
}

/** Stops one; the others go on (of a first-fit heap they may wait for it), one of them may die; then it goes on, or dies. */
async function stopOne(round: Round): Promise<boolean> {
  const { random, plan, members } = round;
  const member = pick(random, members);
  if (member === undefined) return true;
  await stop(round, member);
  nap(random(4000) / 1000);
  const isLockFree = plan.allocator !== "first-fit";
  if (isLockFree && !(await letAllAdvance(round))) return false;
  const other = forkedOf(round).find((one) => one !== member);
  if (random(2) === 0 && other !== undefined) kill(round, [other]);
  if (isLockFree && !(await count(round))) return false;
  if (random(4) === 0) kill(round, [member]);
  else if (round.stopped.has(member)) wake(round, member);
  return true;
}

/** One blow; whether all is well. */
async function strike(round: Round): Promise<boolean> {
  const { random } = round;
  const dice = random(100);
  if (dice < 10) return stopOne(round);
  const crew = crewOf(round);
  const seat = crew === undefined ? undefined : pick(random, crew.seats);
  if (dice < 18 && crew !== undefined && seat !== undefined) await terminate(round, crew, seat);
  else kill(round, victimsOf(round));
  return true;
}

/** Everybody goes; then all that is left is what the ledger names, and without that there is nothing. */
async function finish(round: Round): Promise<void> {
  const { heap, ledger, tally, anchors } = round;
  const crew = crewOf(round);
  for (const seat of crew?.seats.slice() ?? []) {
    // oxlint-disable-next-line no-await-in-loop
    await terminate(round, crew!, seat);
  }
  kill(round, forkedOf(round));
  if (!(await count(round))) return;
  for (let cell = 0; cell < CELLS; cell++) {
    const { handle } = ledger.cell(cell);
    if (handle !== 0) heap.free(handle as Handle);
    ledger.setCell(cell, EMPTY_CELL);
  }
  for (let root = 0; root < ROOTS; root++) heap.roots.delete(rootName(root));
  for (const anchor of anchors) heap.free(anchor as Handle);
  heap.trim();
  const { blocks, usedBytes, participants } = heap.stats();
  const { problems } = heap.verify();
  tally.leakedBytes += usedBytes;
  if (blocks.used > 0) tally.faults.push(`${blocks.used} blocks with ${usedBytes} bytes are left in the end`);
  if (participants.length !== 1 || problems.length > 0) {
    tally.corruptions++;
    tally.faults.push(`in the end: ${participants.length} participants, ${JSON.stringify(problems)}`);
  }
}

/** Runs a round. */
export async function runRound(world: World, plan: RoundPlan): Promise<void> {
  const { ledger, tally, random, crews } = world;
  ledger.clear();
  const remove = cleanUpLater(() => {
    for (const name of [plan.name, commonsName(plan.name)]) rmSync(`/dev/shm${name}`, { force: true });
  });
  const heap = Heap.create(plan.name, optionsOf(plan.allocator, random));
  const anchors = Array.from({ length: ANCHORS }, () => heap.alloc(16));
  const watch = watchCommons(createCommons(commonsName(plan.name), plan.allocator));
  const round: Round = {
    ...world,
    heap,
    plan,
    watch,
    mayAdoptionsWait: plan.allocator === "buddy",
    anchors,
    heapName: plan.name,
    members: [],
    fates: new Map(),
    stopped: new Set(),
    dying: [],
  };
  const forgetMembers = cleanUpLater(() => endMembers(round));
  const mostKills = tally.kills + plan.kills;
  try {
    while (tally.faults.length === 0 && !plan.isOver()) {
      // The last ones die in the end.
      if (tally.kills + forkedOf(round).length >= mostKills) break;
      // One blow after the other.
      // oxlint-disable-next-line no-await-in-loop
      await strikeAndCount(round);
      plan.show();
    }
    if (tally.faults.length === 0) await finish(round);
  } finally {
    forgetMembers();
    const crew = crewOf(round)?.crew;
    if (crew !== undefined && tally.faults.length === 0) crews.giveBack(crew);
    else await crew?.kill();
    watch.commons.heap.close();
    heap.close();
    remove();
  }
}

/** Whoever the nursery has forked and is left, by its id, be it stopped or not. (Crews see to their own end.) */
function endMembers(round: Round): void {
  for (const { pid, crew } of [...round.members, ...round.dying]) {
    if (crew !== undefined) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // Without the nursery they end by themselves.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

async function strikeAndCount(round: Round): Promise<void> {
  const { random } = round;
  await fillUp(round);
  nap(random(MOST_DELAY_MICROSECONDS) / 1000);
  if (!(await strike(round))) return;
  // Sometimes the survivors certainly go on beside the dead, whom nobody has looked after yet; and sometimes the dead's
  // successors come then.
  if (random(2) === 0) await awaitEnds(round);
  if (random(2) === 0) await fillUp(round);
  nap(random(MOST_GRACE_MICROSECONDS) / 1000);
  await count(round);
}

/**
 * The count: what the heap holds against what the ledger says, while everybody who lives and is not stopped rests between two
 * operations.
 *
 * Certain is every cell but those of operations in doubt: a dead participant's last one, a stopped one's present one. For each
 * of those the heap may be as before or as after. A block that neither a cell nor an operation in doubt explains has leaked;
 * one that a cell names and that is not there is lost; one with other contents than were written is damaged.
 */

import type { BlockInfo, Handle, Heap } from "../src/heap/index.ts";
import { firstDifference, wordsOf } from "./contents.ts";
import type { Words } from "./contents.ts";
import { CELLS, EMPTY_CELL, rootName, ROOTS } from "./ledger.ts";
import type { Cell, Intent, Kind, Ledger } from "./ledger.ts";

/** A participant, as the leader knows it. */
export type Fate = "alive" | "stopped" | "dead";

export interface Scene {
  readonly heap: Heap;
  readonly ledger: Ledger;
  readonly fates: ReadonlyMap<number, Fate>;
  readonly anchors: readonly Handle[];
}

/** An operation that may have happened or not. */
export interface Doubt extends Intent {
  readonly seat: number;
  readonly isDead: boolean;
}

export interface Findings {
  /** In words; empty: all is as it must be. */
  readonly faults: string[];
  corruptions: number;
  leakedBytes: number;
  lostBlocks: number;
}

/** The heap's blocks that nothing has explained yet, and what is wrong so far. */
interface Count extends Scene {
  readonly words: Words;
  readonly unexplained: Map<number, BlockInfo>;
  readonly doubts: readonly Doubt[];
  readonly findings: Findings;
}

function damaged({ findings }: Count, fault: string): void {
  findings.corruptions++;
  findings.faults.push(fault);
}

function describeDoubt({ seat, isDead, kind, cell, before, sizeBytes, wanted, isOwned }: Doubt): string {
  const what = `${kind} of ${isOwned ? "its own " : ""}${before} (${sizeBytes} -> ${wanted} bytes, cell ${cell})`;
  return `seat ${seat}, ${isDead ? "dead" : "stopped"}, in ${what}`;
}

/** The operations in doubt. */
export function doubtsOf({ ledger, fates }: Pick<Scene, "ledger" | "fates">): Doubt[] {
  const doubts: Doubt[] = [];
  for (const [seat, fate] of fates) {
    const intent = ledger.intentOf(seat);
    if (fate !== "alive" && intent.kind !== "none") doubts.push({ ...intent, seat, isDead: fate === "dead" });
  }
  return doubts;
}

/** Recovers the dead, and counts. Afterwards, if nobody is stopped, what was in doubt is settled: those blocks are freed. */
export function account(scene: Scene): Findings {
  const { heap, ledger, fates } = scene;
  heap.recover();
  const findings: Findings = { faults: [], corruptions: 0, leakedBytes: 0, lostBlocks: 0 };
  const count: Count = {
    ...scene,
    words: wordsOf(heap),
    unexplained: new Map([...heap.blocks()].map((block) => [block.handle, block])),
    doubts: doubtsOf(scene),
    findings,
  };
  for (const { message } of heap.verify().problems) damaged(count, `verify: ${message}`);
  for (const fault of checkParticipants(heap, fates, (seat) => ledger.slotOf(seat))) damaged(count, fault);
  for (const anchor of scene.anchors)
    if (!count.unexplained.delete(anchor)) lose(count, `anchor ${anchor} is gone`);
  for (let cell = 0; cell < CELLS; cell++) checkCell(count, cell);
  checkDoubts(count);
  for (let root = 0; root < ROOTS; root++) checkRoot(count, root);
  if (findings.faults.length === 0 && ![...fates.values()].includes("stopped")) settle(count);
  if (findings.faults.length > 0) findings.faults.push(...excerpt(count));
  // What the dead held in the ledger itself is given up only when it was clear; until then they stay dead.
  if (findings.faults.length === 0 && ![...fates.values()].includes("stopped"))
    for (const [seat, fate] of fates) if (fate === "dead") ledger.setState(seat, "free");
  return findings;
}

function lose(count: Count, fault: string): void {
  count.findings.lostBlocks++;
  count.findings.faults.push(fault);
}

/**
 * What is wrong with who has slots in a heap. `slotOf`: the slot that a seat has said that it has, or -1.
 */
export function checkParticipants(
  heap: Heap,
  fates: ReadonlyMap<number, Fate>,
  slotOf: (seat: number) => number,
): string[] {
  const faults: string[] = [];
  const participants = heap.region.participants();
  const slots = new Set<number>();
  // One that was stopped while it opened the heap may have a slot already, and not have said so.
  let unsaid = 0;
  for (const [seat, fate] of fates) {
    if (fate === "dead") continue;
    if (slotOf(seat) >= 0) slots.add(slotOf(seat));
    else if (fate === "stopped") unsaid++;
  }
  for (const { index, pid, alive, self } of participants) {
    if (self || (alive && slots.has(index)) || (alive && unsaid-- > 0)) continue;
    faults.push(`slot ${index} of process ${pid} is still taken, and nobody who lives has it`);
  }
  for (const [seat, fate] of fates) {
    const slot = slotOf(seat);
    if (fate === "dead" || slot < 0) continue;
    const isThere = participants.some(({ index, alive }) => index === slot && alive);
    if (!isThere) faults.push(`seat ${seat} is ${fate} and has lost its slot ${slot}`);
  }
  return faults;
}

/** A cell that nobody's operation is in doubt about is right to the byte. */
function checkCell(count: Count, number: number): void {
  const { ledger, fates, doubts } = count;
  if (doubts.some(({ kind, cell }) => isOfCell(kind) && cell === number)) return;
  const cell = ledger.cell(number);
  if (cell.handle === 0) return;
  // Freed with its owner. If it is still there, nothing explains it.
  if (cell.owner >= 0 && (fates.get(cell.owner) ?? "dead") === "dead") {
    ledger.setCell(number, EMPTY_CELL);
    return;
  }
  checkBlock(count, cell, number);
}

const CELL_KINDS: readonly Kind[] = ["alloc", "free", "realloc", "share", "adopt"];

function isOfCell(kind: Kind): boolean {
  return CELL_KINDS.includes(kind);
}

function checkBlock(count: Count, { handle, sizeBytes, sign, owner }: Cell, number: number): void {
  const { ledger, words, unexplained } = count;
  const block = unexplained.get(handle);
  if (block === undefined)
    return lose(count, `block ${handle} of cell ${number} is gone, or is in two cells`);
  unexplained.delete(handle);
  if (block.sizeBytes < sizeBytes)
    damaged(count, `block ${handle} of cell ${number} has ${block.sizeBytes} bytes, not ${sizeBytes}`);
  const slot = owner < 0 ? -1 : ledger.slotOf(owner);
  if (block.ownerSlot !== slot)
    damaged(count, `block ${handle} of cell ${number} belongs to slot ${block.ownerSlot}, not ${slot}`);
  const wrong = firstDifference(words, handle, sizeBytes, sign);
  if (wrong >= 0) damaged(count, `word ${wrong} of block ${handle}, cell ${number}, is not what was written`);
}

/** How many blocks an operation in doubt may have left: at least, at most. */
function leftBy({ kind, isDead, isOwned, before }: Doubt): readonly [least: number, most: number] {
  if (!isOfCell(kind)) return [0, 0];
  // What was its own went with it. (Adopted: it may have become its own.)
  if (isDead && isOwned) return kind === "share" ? [0, 1] : [0, 0];
  if (kind === "share" || kind === "adopt") return isDead ? [0, 1] : [1, 1];
  // A move that was finished and not yet heard of frees both: nobody would know the new block.
  if (kind === "realloc") return isDead ? [0, 1] : [1, 2];
  return [0, before === 0 || kind === "free" ? 1 : 0];
}

function checkDoubts(count: Count): void {
  const { doubts, unexplained, findings } = count;
  const left = doubts.map(leftBy);
  const least = left.reduce((sum, [few]) => sum + few, 0);
  const most = left.reduce((sum, [, many]) => sum + many, 0);
  // Blocks with new handles can only come from those who were to get one.
  const before = new Set(doubts.map((doubt) => doubt.before));
  const fresh = [...unexplained.values()].filter(({ handle }) => !before.has(handle));
  const mostFresh = doubts.filter(
    (doubt, index) => (doubt.kind === "alloc" || doubt.kind === "realloc") && left[index]![1] > 0,
  ).length;
  const many = Math.max(unexplained.size - most, fresh.length - mostFresh);
  if (many > 0) leak(count, fresh.length - mostFresh === many ? fresh : [...unexplained.values()], many);
  for (let lost = unexplained.size; lost < least; lost++)
    lose(count, `of the operations in doubt ${least} blocks must be left, not ${unexplained.size}`);
  if (doubts.length === 1 && unexplained.size === 1 && findings.faults.length === 0)
    checkOnly(count, doubts[0]!, [...unexplained.values()][0]!);
}

function leak({ findings }: Count, among: readonly BlockInfo[], many: number): void {
  const smallest = among.toSorted((one, other) => one.sizeBytes - other.sizeBytes).slice(0, many);
  for (const { handle, sizeBytes, ownerSlot } of smallest) {
    findings.leakedBytes += sizeBytes;
    findings.faults.push(`block ${handle} (${sizeBytes} bytes, slot ${ownerSlot}) is in nobody's ledger`);
  }
}

/** One operation in doubt and one block that it has left: it is the one before or the one after. */
function checkOnly(count: Count, doubt: Doubt, { handle, sizeBytes, ownerSlot }: BlockInfo): void {
  const { kind, before, sign, wanted, isDead } = doubt;
  const what = `block ${handle} (${sizeBytes} bytes), of which is left ${describeDoubt(doubt)},`;
  if (isDead && ownerSlot >= 0) damaged(count, `${what} belongs to slot ${ownerSlot}`);
  const isOld = handle === before;
  const least = kind === "alloc" || (kind === "realloc" && !isOld) ? wanted : doubt.sizeBytes;
  const kept = kind === "realloc" ? Math.min(doubt.sizeBytes, wanted) : doubt.sizeBytes;
  if (sizeBytes < (kind === "realloc" && isOld ? kept : least)) damaged(count, `${what} is too small`);
  if (kind === "alloc") return;
  // After an answered call the contents may be half the new ones.
  if (!count.ledger.isInCall(doubt.seat)) return;
  const wrong = firstDifference(
    count.words,
    handle,
    doubt.sizeBytes,
    sign,
    kind === "realloc" ? wanted : undefined,
  );
  if (wrong >= 0) damaged(count, `word ${wrong} of ${what} is not what was written`);
}

function checkRoot(count: Count, root: number): void {
  const { heap, ledger, doubts } = count;
  const found: number = heap.roots.get(rootName(root));
  const recorded = ledger.root(root);
  const doubt = doubts.find(({ kind, cell }) => kind === "root" && cell === root);
  const right = doubt === undefined ? [recorded] : [doubt.before, doubt.wanted];
  if (!right.includes(found)) damaged(count, `root ${root} leads to ${found}, not to ${right.join(" or ")}`);
}

/** Nobody is stopped: what the operations in doubt have left is known, and is freed; the dead hold nothing any more. */
function settle(count: Count): void {
  const { heap, ledger, fates, doubts, unexplained } = count;
  const isDead = (seat: number): boolean => seat >= 0 && fates.get(seat) === "dead";
  for (const doubt of doubts) {
    if (doubt.kind === "root") ledger.setRoot(doubt.cell, heap.roots.get(rootName(doubt.cell)));
    else if (isOfCell(doubt.kind)) ledger.setCell(doubt.cell, EMPTY_CELL);
  }
  for (let cell = 0; cell < CELLS; cell++) if (isDead(ledger.holderOf(cell))) ledger.unlock(cell);
  for (let root = 0; root < ROOTS; root++) if (isDead(ledger.rootHolderOf(root))) ledger.unlockRoot(root);
  for (const handle of unexplained.keys()) heap.free(handle as Handle);
  const { problems } = heap.verify();
  for (const { message } of problems) damaged(count, `verify after what was in doubt was freed: ${message}`);
}

/** What is needed to understand a fault. */
function excerpt({ doubts, unexplained, ledger, fates }: Count): string[] {
  const lines = doubts.map((doubt) => `in doubt: ${describeDoubt(doubt)}`);
  for (const { handle, sizeBytes, ownerSlot } of unexplained.values())
    lines.push(`unexplained: block ${handle}, ${sizeBytes} bytes, slot ${ownerSlot}`);
  for (const [seat, fate] of fates) {
    const where = `slot ${ledger.slotOf(seat)}, ${ledger.operationsOf(seat)} operations`;
    lines.push(`seat ${seat}: ${fate}, ${ledger.stateOf(seat)}, ${where}`);
  }
  return lines;
}

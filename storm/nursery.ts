/**
 * The nursery: a process that forks participants, and knows when they are dead.
 *
 * Reads a line, does it, writes a line:
 *
 *     fork ORDER        the child's pid
 *     wait PID ...      waits for their ends, and says how: a signal's number, or 256 + the exit code
 *     (end of input)    kills all who are left, and ends
 *
 * It never has the heap open, and is started without threads (storm.ts): a child has no thread but the one that forked.
 * Children never come back from their work. They run what the nursery has compiled and warmed up, so they are at full speed
 * at once.
 */

import { closeSync, readSync, writeSync } from "node:fs";
import { Heap } from "../src/heap/index.ts";
import type { AllocatorName } from "../src/heap/index.ts";
import { commonsName, createCommons } from "./commons.ts";
import { loadFork } from "./fork.ts";
import { Ledger } from "./ledger.ts";
import { takePart } from "./work.ts";
import type { Order } from "./work.ts";

const [ledgerName = "", warmName = ""] = process.argv.slice(2);
const fork = loadFork();
const nurseryPid = process.pid;
const children = new Set<number>();
const ledger = Ledger.open(ledgerName);

const WARM_ROUNDS = 20_000;

/** Runs the work once with each allocator. */
function warmUp(): void {
  for (const allocator of ["slab", "buddy", "first-fit"] satisfies AllocatorName[]) {
    const heap = Heap.create(warmName, { allocator });
    const commons = createCommons(commonsName(warmName), allocator);
    const anchors = [heap.alloc(16)];
    takePart(
      ledger,
      { heap: warmName, seat: 0, seed: 1, anchors, mostRounds: WARM_ROUNDS },
      () => process.ppid === 0,
    );
    const isWell = ledger.stateOf(0) !== "failed";
    const message = ledger.messageOf(0);
    commons.heap.remove();
    heap.remove();
    ledger.clear();
    if (!isWell) throw new Error(`${allocator}: ${message}`);
  }
}

function startChild(order: Order): number {
  const pid = fork.fork();
  if (pid < 0) throw new Error(`fork: errno ${-pid}`);
  if (pid > 0) {
    children.add(pid);
    return pid;
  }
  // The nursery's lines are not the child's; and who waits for their end is not to wait for the child's.
  closeSync(0);
  closeSync(1);
  Object.defineProperty(process, "pid", { value: fork.pid() });
  takePart(ledger, order, () => process.ppid !== nurseryPid);
  return fork.exit(0);
}

function awaitEnds(pids: readonly number[]): number[] {
  return pids.map((pid) => {
    children.delete(pid);
    return fork.wait(pid);
  });
}

function answer(line: string): string {
  const [word = "", ...rest] = line.split(" ");
  if (word === "fork") return String(startChild(JSON.parse(rest.join(" ")) as Order));
  return awaitEnds(rest.map(Number)).join(" ");
}

warmUp();
writeSync(1, "ready\n");
const buffer = Buffer.alloc(65536);
let text = "";
for (;;) {
  const length = readSync(0, buffer);
  if (length === 0) break;
  text += buffer.toString("utf8", 0, length);
  const lines = text.split("\n");
  text = lines.pop()!;
  for (const line of lines) writeSync(1, `${answer(line)}\n`);
}
for (const pid of children) process.kill(pid, "SIGKILL");
awaitEnds([...children]);

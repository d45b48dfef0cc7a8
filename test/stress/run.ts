/**
 * The stress's leader: P processes of T threads put random strings into one heap and on one lock-free stack, take off what
 * others have put there, compare it, and free it. If wanted, others die among them meanwhile. In the end every string has
 * been compared and freed, nobody has seen anything but what was put in, and no block is left.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Heap } from "../../src/index.ts";
import type { AllocatorName } from "../../src/index.ts";
import { COMPARED, CONTROL_WORDS, DIFFERENCES, HEAD_WORDS, VICTIM_STEPS } from "./participant.ts";
import type { Order } from "./participant.ts";
import { makeRandom } from "./strings.ts";

export interface StressOptions {
  readonly name: string;
  readonly allocator: AllocatorName;
  readonly processes: number;
  readonly threads: number;
  readonly strings: number;
  /** The longest string. */
  readonly mostBytes: number;
  /** How many processes are killed meanwhile. */
  readonly kills: number;
  readonly seed: number;
}

export interface StressResult {
  readonly seconds: number;
  /** How often a string was taken off the stack and compared. */
  readonly compared: number;
  readonly kills: number;
  /** How many times victims have emptied their stacks. */
  readonly victimSteps: number;
  /** What was not as it must be; empty: all was. */
  readonly faults: readonly string[];
}

const VICTIMS_AT_ONCE = 2;

function startMember(order: Order): ChildProcess {
  const program = fileURLToPath(new URL("process.js", import.meta.url));
  return spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** How it ended: "" = well. */
async function endOf(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.signalCode ?? (child.exitCode === 0 ? "" : `exit code ${child.exitCode}`);
}

interface Killing {
  readonly heap: Heap;
  readonly control: Int32Array;
  readonly order: Order;
  readonly kills: number;
  readonly faults: string[];
}

/** Starts victims and kills them at random moments in the midst of their work, so many in all. */
async function killVictims({ heap, control, order, kills, faults }: Killing): Promise<void> {
  const random = makeRandom(order.seed);
  const victims: ChildProcess[] = [];
  const start = (): void =>
    void victims.push(startMember({ ...order, isVictim: true, number: 1000 + random(10_000) }));
  while (victims.length < VICTIMS_AT_ONCE && victims.length < kills) start();
  for (let killed = 0; killed < kills; killed++) {
    await untilMoved(control, victims[0]!);
    await new Promise((resolve) => setTimeout(resolve, random(12)));
    const victim = victims.shift()!;
    victim.kill("SIGKILL");
    const end = await endOf(victim);
    if (end !== "SIGKILL") faults.push(`a victim ended with ${end}`);
    if (killed + VICTIMS_AT_ONCE < kills) start();
    heap.recover();
    const { problems } = heap.verify();
    if (problems.length > 0) faults.push(`after death ${killed + 1}: ${problems[0]!.message}`);
    if (faults.length > 0) break;
  }
  for (const victim of victims) victim.kill("SIGKILL");
  await Promise.all(victims.map(endOf));
}

/** Until victims have done something since now, or the one that is next has ended. */
async function untilMoved(control: Int32Array, victim: ChildProcess): Promise<void> {
  const before = Atomics.load(control, VICTIM_STEPS);
  while (
    Atomics.load(control, VICTIM_STEPS) === before &&
    victim.exitCode === null &&
    victim.signalCode === null
  )
    await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Runs the stress on a heap of its own, which is removed afterwards. */
export async function stress(options: StressOptions): Promise<StressResult> {
  const { name, allocator, processes, threads, strings, mostBytes, kills, seed } = options;
  const heap = Heap.create(name, {
    allocator,
    ...(allocator === "buddy" && { minBlockBytes: 32, maxBlockBytes: 1024 }),
  });
  try {
    const head = heap.calloc(CONTROL_WORDS, 4);
    heap.roots.set("stress", head);
    const before = heap.stats();
    const control = new Int32Array(heap.region.buffer, head, CONTROL_WORDS);
    const order: Order = {
      name: heap.region.name,
      seed,
      mostBytes,
      strings,
      number: 0,
      threads,
      isVictim: false,
    };
    const faults: string[] = [];
    const startedAt = performance.now();
    const members = Array.from({ length: processes }, (_, number) =>
      startMember({ ...order, number: number * threads }),
    );
    const killing = killVictims({ heap, control, order, kills, faults });
    for (const end of await Promise.all(members.map(endOf)))
      if (end !== "") faults.push(`a process ended with ${end}`);
    await killing;
    const seconds = (performance.now() - startedAt) / 1000;
    faults.push(...faultsOf(heap, control, before));
    return {
      seconds,
      compared: control[COMPARED]!,
      kills,
      victimSteps: control[VICTIM_STEPS]!,
      faults,
    };
  } finally {
    heap.remove();
  }
}

/** What is not as it was before, or not as it must be. */
function faultsOf(heap: Heap, control: Int32Array, before: ReturnType<Heap["stats"]>): string[] {
  heap.recover();
  const after = heap.stats();
  const faults = heap.verify().problems.map(({ message }) => message);
  if (control[DIFFERENCES] !== 0) faults.push(`${control[DIFFERENCES]} strings were not what was put in`);
  if (control[HEAD_WORDS - 2] !== 0) faults.push("the stack is not empty");
  if (after.blocks.used !== before.blocks.used || after.usedBytes !== before.usedBytes) {
    const [blocks, bytes] = [after.blocks.used - before.blocks.used, after.usedBytes - before.usedBytes];
    faults.push(`${blocks} blocks with ${bytes} bytes are left`);
  }
  if (after.participants.length !== 1) faults.push(`${after.participants.length} participants are left`);
  return faults;
}

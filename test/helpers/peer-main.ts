/**
 * The other side of helpers/peer.ts: a process, or a worker thread, that runs the functions it is sent.
 *
 * A function arrives as its source and is called with `tools` and its arguments; what it returns or throws goes back.
 * It stands alone: it sees nothing of the module that it was written in.
 */
import { parentPort } from "node:worker_threads";
import { Heap } from "../../src/heap/index.ts";
import * as os from "../../src/os/index.ts";
import { native } from "../../src/os/native.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { Region } from "../../src/region/index.ts";
import { holdings } from "./holdings.ts";

/** What a function that runs here may use. */
export interface PeerTools {
  readonly Region: typeof Region;
  readonly Heap: typeof Heap;
  readonly os: typeof os;
  readonly native: typeof native;
  readonly useCheckpoint: typeof useCheckpoint;
  readonly holdings: typeof holdings;
  /** Imports a file of the tests' tree by its place, "src/data/heap.js", or a package by its name. */
  readonly load: (specifier: string) => Promise<unknown>;
  /** Regions that live from one call to the next, by a name that the test chooses. */
  readonly regions: Map<string, Region>;
  /** The region kept under this name (default "main"). */
  region(key?: string): Region;
}

/** A call on its way here. */
export interface PeerCall {
  readonly id: number;
  readonly source: string;
  readonly args: readonly unknown[];
}

/** What came of a call. */
export interface PeerAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: { readonly code: string; readonly message: string; readonly details: unknown };
}

const regions = new Map<string, Region>();

const tools: PeerTools = {
  Region,
  Heap,
  os,
  native,
  useCheckpoint,
  holdings,
  load: (specifier) => import(/\.js$/.test(specifier) ? new URL(`../../${specifier}`, import.meta.url).href : specifier),
  regions,
  region(key = "main") {
    const found = regions.get(key);
    if (found === undefined) throw new Error(`this peer keeps no region ${key}`);
    return found;
  },
};

function describeFailure(error: unknown): NonNullable<PeerAnswer["failure"]> {
  const { code, message, details } = error as { code?: unknown; message?: unknown; details?: unknown };
  return { code: String(code ?? "no code"), message: String(message ?? error), details: details ?? {} };
}

async function answer({ id, source, args }: PeerCall): Promise<PeerAnswer> {
  try {
    const work = new Function(`return (${source})`)() as (...all: unknown[]) => unknown;
    return { id, result: await work(tools, ...args) };
  } catch (error) {
    return { id, failure: describeFailure(error) };
  }
}

if (parentPort === null) {
  const reply = async (call: PeerCall): Promise<void> => void process.send?.(await answer(call));
  process.on("message", (call: PeerCall) => void reply(call));
  process.on("disconnect", () => process.exit(0));
} else {
  const port = parentPort;
  const reply = async (call: PeerCall): Promise<void> => port.postMessage(await answer(call), []);
  port.on("message", (call: PeerCall) => void reply(call));
}

/** What the functions that peers run may use (peer.ts): they see nothing of the module that they were written in. */
import { Heap as FullHeap } from "../../src/data/heap.ts";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import * as os from "../../src/os/index.ts";
import { native } from "../../src/os/native.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { Region } from "../../src/region/index.ts";
import { holdings } from "./holdings.ts";

/** What a function that runs in a peer is given first. */
export interface PeerTools {
  readonly Region: typeof Region;
  readonly Heap: typeof Heap;
  /** The heap of the package's main entry. */
  readonly FullHeap: typeof FullHeap;
  readonly os: typeof os;
  readonly native: typeof native;
  readonly useCheckpoint: typeof useCheckpoint;
  readonly holdings: typeof holdings;
  /** Regions that live from one call to the next, by a name that the test chooses. */
  readonly regions: Map<string, Region>;
  /** The region kept under this name (default "main"). */
  region(key?: string): Region;
  /** Keeps a value from one call to the next. */
  keep(key: string, value: unknown): void;
  /** What was kept. The caller says what it is. */
  kept<T>(key: string): T;
  /** The full heap that a crew's member has open (test/helpers/crew.ts). */
  readonly heap: FullHeap;
  /** A view of the first `count` words of one of its blocks. */
  words(block: Handle, count: number): Int32Array;
  /** Imports a file of the tests' tree by its place, "src/data/heap.js", or a package by its name. */
  load(specifier: string): Promise<unknown>;
}

function required<T>(map: ReadonlyMap<string, unknown>, what: string, key: string): T {
  const found = map.get(key);
  if (found === undefined) throw new Error(`this peer keeps no ${what} ${key}`);
  return found as T;
}

/** Tools of one peer. */
export function makeTools(): PeerTools {
  const regions = new Map<string, Region>();
  const values = new Map<string, unknown>();
  const tools: PeerTools = {
    Region,
    Heap,
    FullHeap,
    os,
    native,
    useCheckpoint,
    holdings,
    regions,
    region: (key = "main") => required(regions, "region", key),
    keep: (key, value) => void values.set(key, value),
    kept: (key) => required(values, "value", key),
    get heap(): FullHeap {
      return required(values, "value", "heap");
    },
    words: (block, count) => new Int32Array(tools.heap.region.buffer, block, count),
    load: (specifier) =>
      import(
        /^(src|test)\//.test(specifier) ? new URL(`../../${specifier}`, import.meta.url).href : specifier
      ),
  };
  return tools;
}

/** The storm: rounds over the allocators, until so many have been killed or the time is over. */

import { rmSync } from "node:fs";
import type { AllocatorName } from "../src/heap/index.ts";
import { cleanUpLater } from "../bench/harness/cleanup.ts";
import type { Tally, World } from "./cast.ts";
import { commonsName } from "./commons.ts";
import { makeCrews } from "./crews.ts";
import { startHelper } from "./helper.ts";
import type { Helper } from "./helper.ts";
import { Ledger } from "./ledger.ts";
import { makeRandom } from "./random.ts";
import { runRound } from "./round.ts";

export const ALLOCATORS: readonly AllocatorName[] = ["slab", "buddy", "first-fit"];

export interface StormOptions {
  readonly kills: number;
  readonly seconds: number;
  readonly seed: number;
  readonly allocators: readonly AllocatorName[];
  /** Told now and then how far it is. */
  readonly show?: (text: string) => void;
}

/** What came of it. */
export interface StormResult extends Tally {
  readonly seconds: number;
  readonly seed: number;
}

const MOST_KILLS_A_ROUND = 150;

/**
 * A forked child has no thread but its first: neither the engine nor Node may have others to hand work to. And WebAssembly is
 * to be compiled for good at once, since nobody would do so later.
 */
const NURSERY_ARGS = ["--single-threaded", "--v8-pool-size=0", "--no-liftoff"];

/** Runs a storm. Ends at the first fault. */
export async function storm({
  kills,
  seconds,
  seed,
  allocators,
  show = () => undefined,
}: StormOptions): Promise<StormResult> {
  const name = `/shoal-storm-${process.pid}`;
  const ledgerName = `${name}-ledger`;
  const warmName = `${name}-warm`;
  const tally: Tally = {
    kills: 0,
    stops: 0,
    terminations: 0,
    operations: 0,
    deathsInCall: 0,
    hangs: 0,
    corruptions: 0,
    leakedBytes: 0,
    lostBlocks: 0,
    messages: 0,
    lostMessages: 0,
    locks: 0,
    faults: [],
  };
  const startedMs = performance.now();
  const secondsSince = (): number => (performance.now() - startedMs) / 1000;
  const forgetNames = cleanUpLater(() => {
    for (const one of [ledgerName, warmName, commonsName(warmName)])
      rmSync(`/dev/shm${one}`, { force: true });
  });
  const ledger = Ledger.create(ledgerName);
  let nursery: Helper | undefined;
  const crews = makeCrews(ledgerName);
  try {
    nursery = await startHelper("nursery.js", NURSERY_ARGS, [ledgerName, warmName]);
    const world: World = { ledger, nursery, crews, tally, random: makeRandom(seed) };
    const each = Math.min(MOST_KILLS_A_ROUND, Math.ceil(kills / allocators.length));
    for (let number = 0; tally.kills < kills && tally.faults.length === 0; number++) {
      if (secondsSince() >= seconds) break;
      const allocator = allocators[number % allocators.length]!;
      // oxlint-disable-next-line no-await-in-loop
      await runRound(world, {
        allocator,
        name: `${name}-${number}`,
        kills: Math.min(each, kills - tally.kills),
        isOver: () => secondsSince() >= seconds,
        show: () => show(`${tally.kills} of ${kills} killed, ${allocator}`),
      });
      if (tally.faults.length > 0)
        tally.faults.push(`seed ${seed}, ${allocator}, round ${number}, kill ${tally.kills}`);
    }
    return { ...tally, seconds: secondsSince(), seed };
  } finally {
    await crews.end();
    await nursery?.end();
    ledger.close();
    forgetNames();
  }
}

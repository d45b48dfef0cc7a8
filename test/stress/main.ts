/**
 * The stress as a program, for as long and with as many as one likes:
 *
 *     node dist/test/stress/main.js --processes 4 --threads 2 --strings 1000000 --allocator buddy --kills 50 --rounds 10
 */
import { parseArgs } from "node:util";
import type { AllocatorName } from "../../src/index.ts";
import { stress } from "./run.ts";

const { values } = parseArgs({
  options: {
    processes: { type: "string", default: "4" },
    threads: { type: "string", default: "2" },
    strings: { type: "string", default: "200000" },
    "most-bytes": { type: "string", default: "1000" },
    allocator: { type: "string", default: "slab,buddy,first-fit" },
    kills: { type: "string", default: "0" },
    rounds: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});

for (let round = 0; round < Number(values.rounds); round++) {
  for (const allocator of values.allocator.split(",") as AllocatorName[]) {
    const seed = Number(values.seed) + round;
    const result = await stress({
      name: `/shoal-stress-${process.pid}`,
      allocator,
      processes: Number(values.processes),
      threads: Number(values.threads),
      strings: Number(values.strings),
      mostBytes: Number(values["most-bytes"]),
      kills: Number(values.kills),
      seed,
    });
    process.stdout.write(`${JSON.stringify({ allocator, seed, ...result })}\n`);
    if (result.faults.length > 0) process.exitCode = 1;
  }
}

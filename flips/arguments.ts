/** The command line of `npm run flips`. */

import { parseArgs } from "node:util";
import { KINDS } from "./kinds.ts";
import type { Kind } from "./kinds.ts";

export const usage = `Usage: npm run flips -- [options]

Damages heaps and makes every call on them: each must return, or throw a ShoalError, after a bounded number of accesses.

Options:
  --count N          how many heaps (default 10000)
  --allocator LIST   slab, buddy, first-fit: heaps with blocks; slab-objects, buddy-objects, first-fit-objects: with locks and
                     channels as well; default all six in turn
  --seed N           of the first heap; the next has the next (default 1, so that each run is the same)
  --processes N      how many processes share the heaps (default 2)
  --json             one JSON object on standard output: heaps, calls, crashes, hangs, codedErrors, and more
  --help             this text

What is found is printed with the damage, the call, and the command that shows it again.
Exit codes: 0 nothing was found, 1 something was, 2 wrong usage; 128 and the signal's number after Ctrl-C.
Examples:
  npm run flips -- --count 100000
  npm run flips --silent -- --count 1000 --allocator buddy --json
`;

export class UsageError extends Error {}

export interface Arguments {
  readonly count: number;
  readonly allocators: readonly Kind[];
  readonly seed: number;
  readonly processes: number;
  readonly isJson: boolean;
}

function whole(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new UsageError(`--${option} wants a whole number from ${least} on, not "${text}".`);
}

function kindsOf(list: string): Kind[] {
  return list.split(",").map((name) => {
    const found = KINDS.find((one) => one === name.trim());
    if (found === undefined) throw new UsageError(`there is no allocator "${name}": ${KINDS.join(", ")}.`);
    return found;
  });
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        count: { type: "string", default: "10000" },
        allocator: { type: "string", default: KINDS.join(",") },
        seed: { type: "string", default: "1" },
        processes: { type: "string", default: "2" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Undefined if help was asked for. */
export function parseArguments(args: readonly string[]): Arguments | undefined {
  const { values } = read(args);
  if (values.help) return undefined;
  return {
    count: whole("count", values.count, 1),
    allocators: kindsOf(values.allocator),
    seed: whole("seed", values.seed, 0),
    processes: Math.min(whole("processes", values.processes, 1), 64),
    isJson: values.json,
  };
}

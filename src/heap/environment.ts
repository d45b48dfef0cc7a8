/**
 * A heap named from outside: by environment variables, as `shoal/auto` takes it.
 */

import { shoalError } from "../errors.ts";
import { BACKEND_NAMES } from "../region/index.ts";
import type { BackendName } from "../region/index.ts";
import type { AllocatorName, HeapCreateOptions } from "./allocators.ts";

/** What the environment says about a heap: for `Heap.openOrCreate(name, options)`. */
export interface EnvironmentOptions {
  readonly name: string;
  readonly options: HeapCreateOptions;
}

const UNITS = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const;

/** Bytes of a size as the `shoal` command takes it too: "65536", "64k", "1.5G". NaN for what is none. */
function parseSize(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([kmg]?)$/.exec(text.toLowerCase()) ?? [];
  return Number(number) * UNITS[(unit ?? "") as keyof typeof UNITS];
}

/**
 * Reads SHOAL_HEAP (the name; a path when there is a slash in it after the first character), SHOAL_BACKEND ("posix",
 * "file", "sysv"), SHOAL_SIZE ("4M") and SHOAL_ALLOCATOR. Only the first must be there; an empty one counts as missing.
 *
 * @throws ERR_SHOAL_ARGUMENT, with the variable's name in the message
 */
export function environmentOptions(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): EnvironmentOptions {
  const { SHOAL_HEAP: name, SHOAL_SIZE: size, SHOAL_ALLOCATOR: allocator } = environment;
  if (!name) {
    throw refusal(
      "SHOAL_HEAP",
      "",
      "is not set; it names the heap to open or create: SHOAL_HEAP=orders, or SHOAL_HEAP=./orders for a file",
    );
  }
  const sizeBytes = size ? parseSize(size) : undefined;
  if (sizeBytes !== undefined && !Number.isSafeInteger(sizeBytes))
    throw refusal("SHOAL_SIZE", size!, "is no size: a number of bytes, or one with k, M or G: 64k, 4M");
  return {
    name,
    options: {
      backend: backendFor(name, environment["SHOAL_BACKEND"]),
      ...(sizeBytes !== undefined && { sizeBytes }),
      // Whether there is such an allocator is asked where all options are looked at.
      ...(allocator && { allocator: allocator as AllocatorName }),
    },
  };
}

function backendFor(name: string, said: string | undefined): BackendName {
  if (!said) return name.slice(1).includes("/") ? "file" : "posix";
  const named = BACKEND_NAMES.filter((backend) => backend !== "anonymous");
  const found = named.find((backend) => backend === said);
  if (found !== undefined) return found;
  throw refusal("SHOAL_BACKEND", said, `is none of ${named.join(", ")}`);
}

function refusal(variable: string, value: string, what: string): Error {
  const shown = value === "" ? variable : `${variable}=${value}`;
  return shoalError("ERR_SHOAL_ARGUMENT", `${shown} ${what}`, { variable, value });
}

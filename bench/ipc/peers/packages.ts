/**
 * The npm packages of the peers. They belong to no dependency list of the project: `--with-peers` installs them into a
 * folder of their own, and without it what is there is used and the rest done without.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { projectRoot } from "../../harness/runtimes.ts";

export const packagesFolder = join(projectRoot, ".cache", "peers");

/** With the versions whose interface the contenders are written for. */
export const packageVersions = { zeromq: "6", "ringbuf.js": "0.4" } as const;

export type PackageName = keyof typeof packageVersions;

export function hasPackage(name: PackageName, folder = packagesFolder): boolean {
  return existsSync(join(folder, "node_modules", name, "package.json"));
}

/** The module, as its author exports it to CommonJS. */
export function loadPackage(name: PackageName, folder = packagesFolder): unknown {
  return createRequire(join(folder, "package.json"))(name) as unknown;
}

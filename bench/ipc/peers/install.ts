/**
 * `--with-peers` for the ipc topic: installs the npm packages of its peers into .cache/peers, where no other part of the
 * project sees them. A Redis server is for the machine's owner to install: its package may start it for good.
 */

import { mkdirSync } from "node:fs";
import { reasonOf, runCommand } from "../../harness/command.ts";
import { hasPackage, packageVersions, packagesFolder } from "./packages.ts";
import type { PackageName } from "./packages.ts";

const npmFlags = ["--no-save", "--ignore-scripts", "--loglevel=error", "--fetch-retries=0"];

export interface InstallSurroundings {
  readonly folder: string;
  readonly tell: (sentence: string) => void;
}

function usualSurroundings(): InstallSurroundings {
  return { folder: packagesFolder, tell: (sentence) => process.stderr.write(`${sentence}\n`) };
}

/** Never rejects: what could not be installed is told, and stays missing. */
export async function installPackages({ folder, tell } = usualSurroundings()): Promise<void> {
  const names = Object.keys(packageVersions) as PackageName[];
  const missing = names.filter((name) => !hasPackage(name, folder));
  if (missing.length === 0) return;
  tell(`--with-peers: installing ${missing.join(" ")} with npm`);
  mkdirSync(folder, { recursive: true });
  // All of them at once, since npm removes what it is not told of. The working folder is the prefix too, so that it
  // does not take this project for the one to install into.
  const wanted = names.map((name) => `${name}@${packageVersions[name]}`);
  const outcome = await runCommand("npm", ["install", "--prefix", folder, ...npmFlags, ...wanted], {
    cwd: folder,
  });
  if (outcome.code !== 0) tell(`--with-peers: npm could not install them: ${reasonOf(outcome)}`);
}

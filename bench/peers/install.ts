/**
 * `--with-peers`: installs what the peers need and is missing, where that is possible: with apt-get, as root or with a
 * sudo that asks for no password. Where it is not, it says so and the benchmark goes on without.
 */

import { reasonOf, runCommand } from "../harness/command.ts";
import { findMissingPackages, usualSurroundings } from "./peers.ts";
import type { Surroundings } from "./peers.ts";

/** No server keeps a benchmark waiting: what cannot be fetched now is done without. */
const aptOptions = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20", "-y"];

/** The words before a command that make it run as root; undefined where nothing does. */
async function findWayToRoot(): Promise<readonly string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  const sudo = await runCommand("sudo", ["-n", "true"]);
  return sudo.code === 0 ? ["sudo", "-n"] : undefined;
}

function runApt(wayToRoot: readonly string[], ...args: readonly string[]) {
  const words = [...wayToRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...aptOptions, ...args];
  const [program = "", ...rest] = words;
  return runCommand(program, rest, { isLeftToFinish: true });
}

/** Never rejects for want of a network, of rights or of apt-get: that is told, and what is missing stays missing. */
export async function installMissing(surroundings: Surroundings = usualSurroundings()): Promise<void> {
  const { tell } = surroundings;
  const packages = await findMissingPackages(surroundings);
  if (packages.length === 0) return;
  const byHand = `; install by hand: ${packages.join(" ")}`;
  if ((await runCommand("apt-get", ["--version"])).code !== 0) {
    tell(`--with-peers: there is no apt-get here${byHand}`);
    return;
  }
  const wayToRoot = await findWayToRoot();
  if (wayToRoot === undefined) {
    tell(`--with-peers: neither root nor a sudo without password${byHand}`);
    return;
  }
  tell(`--with-peers: installing ${packages.join(" ")}`);
  // Its lists may be recent enough even if they cannot be fetched anew, so only the second command's outcome counts.
  await runApt(wayToRoot, "update");
  const outcome = await runApt(wayToRoot, "install", "--no-install-recommends", ...packages);
  if (outcome.code !== 0) tell(`--with-peers: apt-get could not install them: ${reasonOf(outcome)}`);
}

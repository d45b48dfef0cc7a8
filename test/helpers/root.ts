/**
 * What only root can do in tests: run a peer as another user, and mount a small file system that only the peer sees.
 */
import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { startProcess } from "./peer.ts";
import type { Peer } from "./peer.ts";

/** A user without rights: "nobody". */
export const STRANGER_UID = 65534;

/** Why tests that need a second user cannot run here; false when they can. Given to `skip`. */
export const noSecondUser = process.geteuid?.() === 0 ? false : "running as another user needs root";

/** Why tests that need a mount of their own cannot run here; false when they can. Given to `skip`. */
export const noMount = findMountObstacle();

function findMountObstacle(): string | false {
  const trial = ["-m", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"];
  const { status, error, stderr } = spawnSync("unshare", trial, { encoding: "utf8" });
  if (status === 0) return false;
  return `mounting in a namespace of its own is not possible: ${error?.message ?? stderr.trim()}`;
}

/** A process of another user. */
export function startStranger(t: TestContext): Peer {
  return startProcess(t, { uid: STRANGER_UID });
}

/** A process that sees a tmpfs of `sizeBytes` at `folder`, which everybody else sees as it was. */
export function startInSmallMount(t: TestContext, folder: string, sizeBytes: number): Peer {
  const script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"';
  const launcher = ["unshare", "-m", "sh", "-c", script, "sh", String(sizeBytes), folder];
  return startProcess(t, { launcher });
}

// One set-up at a time in one working tree: a second `npm test` waits for the first one's build instead of
// deleting node_modules under it.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./project.mjs";

const lockPath = join(root, "build", "setup.lock");
const pollMs = 100;

/** No set-up takes this long: an older lock's pid has been given to another process meanwhile. */
const oldestMs = 15 * 60_000;

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** The pid in the lock file; undefined when there is no file, NaN when it was just made and is empty. */
function readHolder() {
  try {
    return Number.parseInt(readFileSync(lockPath, "utf8"), 10);
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

function lockAgeMs() {
  const stats = statSync(lockPath, { throwIfNoEntry: false });
  return stats === undefined ? 0 : Date.now() - stats.mtimeMs;
}

function tryLock() {
  try {
    writeFileSync(lockPath, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** Runs `work` while no other process of this working tree does. A holder that died is passed over. */
export async function withSetupLock(work) {
  mkdirSync(join(root, "build"), { recursive: true });
  for (let waits = 0; !tryLock(); waits++) {
    const holder = readHolder();
    const isDead = Number.isInteger(holder)
      ? !isAlive(holder) || lockAgeMs() > oldestMs
      : waits > 20 && holder !== undefined;
    if (isDead) rmSync(lockPath, { force: true });
    else if (waits === 1) process.stderr.write(`waiting for the set-up that process ${holder} is doing\n`);
    await sleep(pollMs);
  }
  try {
    return await work();
  } finally {
    rmSync(lockPath, { force: true });
  }
}

// Finds what a test run left behind on the machine: processes that still run, shared memory under our
// names, System V segments. Other runs may be going on at the same time (another checkout, another
// person), so an object that a foreign living process uses is not held against this one.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const sharedFolder = "/dev/shm";
const ourNames = /^(shoal|psm_|sem\.shoal)/;

/** The environment variable that marks every process of one test run. */
export const runVariable = "SHOAL_TEST_RUN";

/** How long processes that are just ending may take. */
const graceMs = 2000;
const pollMs = 100;

/** A file's text, or nothing where it went away meanwhile or may not be read: processes come and go. */
function readIfPossible(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM", "ESRCH"].includes(error.code)) return "";
    throw error;
  }
}

function listNames() {
  try {
    return readdirSync(sharedFolder).filter((name) => ourNames.test(name));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** System V segments nobody is attached to, by id. One that is in use belongs to a living process. */
function listUnattached() {
  const [heading, ...lines] = readIfPossible("/proc/sysvipc/shm").trim().split("\n");
  const columns = heading.trim().split(/\s+/);
  const rows = lines.map((line) => line.trim().split(/\s+/));
  return rows
    .filter((row) => row[columns.indexOf("nattch")] === "0")
    .map((row) => row[columns.indexOf("shmid")]);
}

function listProcesses() {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
}

function isOfRun(pid, runId) {
  return readIfPossible(`/proc/${pid}/environ`).split("\0").includes(`${runVariable}=${runId}`);
}

/** A zombie has ended; it waits only for its parent to ask. */
function isZombie(pid) {
  return /^State:\s+Z/m.test(readIfPossible(`/proc/${pid}/status`));
}

/** What there is now; compare with it after the run. */
export function takeInventory() {
  return { names: new Set(listNames()), segments: new Set(listUnattached()) };
}

function describeOnce(before, runId) {
  const names = listNames().filter((name) => !before.names.has(name));
  const segments = listUnattached().filter((id) => !before.segments.has(id));
  const pids = listProcesses();
  const ours = pids.filter((pid) => isOfRun(pid, runId) && !isZombie(pid));
  const foreign = pids.filter((pid) => !ours.includes(pid));
  const isForeign = (name) =>
    foreign.some((pid) => readIfPossible(`/proc/${pid}/maps`).includes(`${sharedFolder}/${name}`));
  return [
    ...ours.map((pid) => {
      const command = readIfPossible(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
      return `process ${pid} still runs: ${command}`;
    }),
    ...names.filter((name) => !isForeign(name)).map((name) => `${sharedFolder}/${name} was left behind`),
    ...segments.map((id) => `System V segment ${id} was left behind (remove it with ipcrm -m ${id})`),
  ];
}

/** Sentences about what the run with this id left, none when it cleaned up after itself. */
export async function findLeftovers(before, runId) {
  for (const until = performance.now() + graceMs; ; await sleep(pollMs)) {
    const found = describeOnce(before, runId);
    if (found.length === 0 || performance.now() > until) return found;
  }
}

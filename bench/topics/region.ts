/**
 * `region`: what it costs to make, open, grow and close a segment, and to find that nothing has changed; and what
 * `import "shoal"` adds to the start of a program.
 *
 * Each step of a batch is timed by itself, because what must surround it (unlinking, closing) is not to count. Growth is
 * given as our own share: the same pages are reserved with a bare `fallocate` on a plain file of the same file system,
 * call by call in turn, and that is subtracted.
 */

import { spawnSync } from "node:child_process";
import { cleanUpLater } from "../harness/cleanup.ts";
import { consume } from "../harness/consume.ts";
import { collectGarbage } from "../harness/garbage.ts";
import { medianOf, medianOfRuns } from "../harness/measure.ts";
import { medianRow } from "../harness/plan.ts";
import type { Probe, Topic, TopicOptions, TopicPlan } from "../harness/plan.ts";
import { projectRoot } from "../harness/runtimes.ts";
import { segmentName } from "../harness/shm.ts";
import { warmUp } from "../harness/warm.ts";
import { close, shmOpen, shmUnlink } from "../../src/os/index.ts";
import { native } from "../../src/os/native.ts";
import { Region } from "../../src/region/index.ts";

const pageSizeBytes = 65536;

/** Large enough that no batch meets its end. */
const growSpanBytes = 64 * 1024 * 1024;

let nameCount = 0;

function makeName(): string {
  nameCount += 1;
  return segmentName(String(nameCount));
}

function microsecondsOf(work: () => void): number {
  const startedMs = performance.now();
  work();
  return (performance.now() - startedMs) * 1000;
}

function probeCreate(batch: number): Probe {
  return () => {
    collectGarbage();
    const created = medianOfRuns(batch, () => {
      const name = makeName();
      const startedMs = performance.now();
      const region = Region.create(name);
      const elapsedMs = performance.now() - startedMs;
      consume(region.sizeBytes);
      region.unlink();
      region.close();
      return elapsedMs * 1000;
    });
    return { "region.create.us": created };
  };
}

function probeOpen(name: string, batch: number): Probe {
  return () => {
    collectGarbage();
    const closed: number[] = [];
    const opened = medianOfRuns(batch, () => {
      const startedMs = performance.now();
      const region = Region.open(name);
      const elapsedMs = performance.now() - startedMs;
      consume(region.sizeBytes);
      closed.push(microsecondsOf(() => region.close()));
      return elapsedMs * 1000;
    });
    return { "region.open.us": opened, "region.close.us": medianOf(closed) };
  };
}

/** Grows page by page, the kernel's share and another participant's catching up measured between the steps. */
function probeGrow(batch: number): Probe {
  return () => {
    collectGarbage();
    const name = makeName();
    const plainName = makeName();
    const plainFd = shmOpen(plainName, { access: "read-write", create: true, exclusive: true });
    const region = Region.create(name, { spanBytes: growSpanBytes });
    const other = Region.open(name);
    const [grown, reserved, caughtUp]: [number[], number[], number[]] = [[], [], []];
    try {
      for (let index = 0; index < batch; index += 1) {
        const offset = index * pageSizeBytes;
        const sizeBytes = region.sizeBytes + pageSizeBytes;
        reserved.push(microsecondsOf(() => consume(native.fallocate(plainFd, 0, offset, pageSizeBytes))));
        grown.push(microsecondsOf(() => consume(region.grow(sizeBytes))));
        caughtUp.push(microsecondsOf(() => consume(other.catchUp() ? 1 : 0)));
      }
      if (other.sizeBytes !== region.sizeBytes) throw new Error("a participant did not catch up.");
    } finally {
      other.close();
      region.remove();
      close(plainFd);
      shmUnlink(plainName);
    }
    return { grow: medianOf(grown), fallocate: medianOf(reserved), "region.catchup.us": medianOf(caughtUp) };
  };
}

const callsPerLoop = 1000;

/** Short and called often, not one long loop: engines compile a loop that is entered once less well (OSR). */
function countChanges(region: Region): number {
  let changes = 0;
  for (let index = 0; index < callsPerLoop; index += 1) if (region.catchUp()) changes += 1;
  return changes;
}

function probeUnchanged(region: Region, loops: number, isQuick: boolean): Probe {
  warmUp(() => consume(countChanges(region)), isQuick);
  return () => {
    let changes = 0;
    const elapsedUs = microsecondsOf(() => {
      for (let index = 0; index < loops; index += 1) changes += countChanges(region);
    });
    if (changes !== 0) throw new Error("a region that nobody grew had grown.");
    return { "region.unchanged.ns": (elapsedUs * 1000) / (loops * callsPerLoop) };
  };
}

/** Milliseconds until a new process of this runtime has run the module `code` and ended. */
function runCode(flags: readonly string[], code: string): number {
  const startedMs = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [...flags, code], {
    cwd: projectRoot, // where "shoal" is the package itself
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  const elapsedMs = performance.now() - startedMs;
  if (status !== 0) throw new Error(`the child ended with code ${String(status)}: ${stderr}`);
  return elapsedMs;
}

function probeColdStart(name: string): Probe {
  const code = `import { Region } from "shoal"; Region.open(${JSON.stringify(name)}).close();`;
  const { bun, deno } = process.versions;
  const verb = deno === undefined ? "-e" : "eval";
  const flags = bun === undefined && deno === undefined ? ["--input-type=module"] : [];
  return () => ({
    bareStart: runCode([verb], ""),
    openStart: runCode([...flags, verb], code),
  });
}

function planRegion({ isQuick }: TopicOptions): TopicPlan {
  const name = makeName();
  const region = Region.create(name);
  const dispose = cleanUpLater(() => region.remove());
  const batch = isQuick ? 3 : 20;
  return {
    rounds: isQuick ? 1 : 25,
    probes: [
      probeCreate(batch),
      probeOpen(name, batch),
      probeGrow(isQuick ? 3 : 30),
      probeUnchanged(region, isQuick ? 1 : 1000, isQuick),
      probeColdStart(name),
    ],
    rows: [
      medianRow("region.create.us", "us", 100),
      medianRow("region.open.us", "us", 80),
      {
        name: "region.grow.us",
        unit: "us",
        target: 10,
        valueOf: (series) => series.median("grow") - series.median("fallocate"),
        peersOf: (series) => ({ fallocate: series.median("fallocate") }),
      },
      medianRow("region.catchup.us", "us", 30),
      medianRow("region.unchanged.ns", "ns", 5),
      medianRow("region.close.us", "us", null),
      {
        name: "region.coldstart.ms",
        unit: "ms",
        target: 25,
        valueOf: (series) => series.median("openStart") - series.median("bareStart"),
        peersOf: (series) => ({ "bare start": series.median("bareStart") }),
      },
    ],
    dispose,
  };
}

export const regionTopic: Topic = { name: "region", plan: planRegion };

/**
 * What the tests of src/os share: names that are always removed, counts of descriptors and mappings, child programs.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { ShoalError, close, fallocate, shmOpen, shmUnlink } from "../../src/os/index.ts";
import type { ShoalErrorCode } from "../../src/os/index.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** The compiled entry of src/os, for programs that are started from here. */
export const osUrl = new URL("../../src/os/index.js", import.meta.url).href;

/** The compiled loader, for tests below the typed calls. */
export const nativeUrl = new URL("../../src/os/native.js", import.meta.url).href;

/** The project's folder, found from that of the compiled tests. */
export function projectFolder(): string {
  let folder = here;
  while (!existsSync(join(folder, "native", "guard.c")) && folder !== dirname(folder))
    folder = dirname(folder);
  return folder;
}

let count = 0;

/** A POSIX name that nobody else has, removed after the test. */
export function freshName(t: TestContext): string {
  const name = `/shoal-test-${process.pid}-${++count}`;
  t.after(() => rmSync(`/dev/shm${name}`, { force: true }));
  return name;
}

/** A shared memory object of that size, its descriptor closed and its name removed after the test. */
export function freshObject(t: TestContext, sizeBytes: number): { name: string; fd: number } {
  const name = freshName(t);
  const fd = shmOpen(name, { create: true, exclusive: true });
  t.after(() => closeIfOpen(fd));
  if (sizeBytes > 0) fallocate(fd, 0, sizeBytes);
  return { name, fd };
}

export function closeIfOpen(fd: number): void {
  if (existsSync(`/proc/self/fd/${fd}`)) close(fd);
}

export function unlinkIfThere(name: string): void {
  if (existsSync(`/dev/shm${name}`)) shmUnlink(name);
}

/** A folder that is removed after the test. */
export function freshFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "shoal-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** How many descriptors of this process lead to a path that contains `part`. */
export function countDescriptors(part: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(part);
    } catch {
      return false; // the directory's own descriptor is closed by now
    }
  }).length;
}

/** How many descriptors this process has, of any kind. */
export function countAllDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** How many lines of this process's memory map contain `part`. */
export function countMaps(part: string): number {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(part)).length;
}

/** Asserts that the call throws a ShoalError of this code whose message matches; returns the error. */
export function throwsCode(call: () => unknown, code: ShoalErrorCode, message = /./): ShoalError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof ShoalError, `expected ${code}, got ${String(thrown)}`);
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, message);
  return thrown;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a module in a process of its own; `os` and `native` are imported for it. Killed after the test. */
export function startModule(t: TestContext, code: string, args: string[] = []): ChildProcess {
  const head = `import * as os from ${JSON.stringify(osUrl)}; import { native } from ${JSON.stringify(nativeUrl)};\n`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", head + code, "--", ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

/** Waits until a process has ended and collects what it printed. */
export async function ended(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

/** Runs a module to its end. */
export function runModule(t: TestContext, code: string, args: string[] = []): Promise<Ended> {
  return ended(startModule(t, code, args));
}

/** The first line that a process prints. The rest stays for `ended`. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text.split("\n")[0]!);
    });
    child.on("close", (code) =>
      reject(new Error(`the child ended (${code}) and had printed ${JSON.stringify(text)}`)),
    );
  });
}

/** Waits until `holds`, looking again every few milliseconds; fails after ten seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > end) assert.fail(`waited ten seconds in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

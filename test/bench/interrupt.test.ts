/** An interrupted benchmark leaves nothing: no process, no segment, no folder. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bench/main.js", import.meta.url));
const patienceMs = 20_000;

function segmentsOf(pid: number): string[] {
  return readdirSync("/dev/shm").filter((name) => name.startsWith(`shoal-bench-${pid}-`));
}

async function waitUntil(what: string, isSo: () => boolean): Promise<void> {
  for (const endMs = performance.now() + patienceMs; !isSo();) {
    assert.ok(performance.now() < endMs, `waited in vain for ${what}`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(10);
  }
}

for (const [signal, expectedCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`a benchmark that gets ${signal} removes its segments and its folder, and ends with code ${expectedCode}`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "shoal-interrupt-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const child = spawn(process.execPath, [program, "alloc", "--quick"], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(child, "exit");
    const pid = child.pid ?? assert.fail("not started");
    await waitUntil(
      "a segment and a folder",
      () => segmentsOf(pid).length > 0 && readdirSync(folder).length > 0,
    );
    child.kill(signal);
    assert.deepEqual(await ended, [expectedCode, null]);
    assert.deepEqual(segmentsOf(pid), []);
    await waitUntil("the compiler to be gone", () => readdirSync(folder).length === 0);
  });
}

test("the processes of a benchmark that is killed outright remove their segments themselves", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "shoal-interrupt-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const child = spawn(process.execPath, [program, "alloc", "--quick"], {
    env: { ...process.env, TMPDIR: folder, CXX: "false" }, // nobody would remove what a compiler had begun
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  const pid = child.pid ?? assert.fail("not started");
  await waitUntil("two segments", () => segmentsOf(pid).length > 1);
  child.kill("SIGKILL");
  await ended;
  await waitUntil("the segments to be gone", () => segmentsOf(pid).length === 0);
});

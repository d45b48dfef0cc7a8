// Runs the smoke test (test/runtimes/smoke.ts) on every runtime that Shoal supports; fetches those that are missing.
//
// A deep form of the tests: `npm test` runs on the Node at hand and downloads no other runtime.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

const runtimes = ["node22", "node24", "node26", "bun", "deno"];

await setupOrExit();
const program = join(root, "dist", "test", "runtimes", "smoke.js");
let failed = 0;

for (const name of ["node", ...runtimes]) {
  let binary = process.execPath;
  if (name !== "node") {
    const fetched = spawnSync(process.execPath, [join(root, "scripts", "runtimes.mjs"), name], {
      encoding: "utf8",
    });
    binary = fetched.stdout.trim();
  }
  const args = name === "deno" ? ["run", "-A", program] : [program];
  const run = spawnSync(binary, args, { encoding: "utf8", timeout: 120_000 });
  const isOk = run.status === 0;
  if (!isOk) failed++;
  process.stdout.write(
    isOk ? `${name.padEnd(7)} ${run.stdout}` : `${name.padEnd(7)} FAILED\n${run.stdout}${run.stderr}\n`,
  );
}

process.stdout.write(`${runtimes.length + 1 - failed} passed, ${failed} failed\n`);
process.exit(failed > 0 ? 1 : 0);

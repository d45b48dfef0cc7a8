// Makes of the core's modules what the proof runs on (proof/coroutine.ts, scripts/lib/instrument.mjs):
//
//   dist/core/NAME.coroutine.wasm    of the checked build: stops before every access to shared memory
//
// Needs Binaryen, and seconds: so not a part of `npm run build`, but of `npm run proof` and the tests of the proof.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withSetupLock } from "./lib/lock.mjs";
import { isMain, root } from "./lib/project.mjs";
import { fingerprint, isStale, markFresh, markStale } from "./lib/stale.mjs";

const folder = join(root, "dist", "core");
const modules = ["segment", "slab", "buddy", "first-fit", "sync", "channel"];
const tools = ["build-proof.mjs", "lib/instrument.mjs"].map((name) => join(root, "scripts", name));

const inCore = (name, kind) => join(folder, `${name}${kind}.wasm`);

function write(path, bytes) {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

async function buildOne(name) {
  const input = inCore(name, ".checked");
  const output = inCore(name, ".coroutine");
  const step = `proof-${name}`;
  const print = fingerprint([input, ...tools]);
  if (!isStale(step, print, [output])) return;
  markStale(step);
  const { makeCoroutine } = await import("./lib/instrument.mjs");
  write(output, makeCoroutine(readFileSync(input)));
  markFresh(step, print);
}

/** Builds what is missing or stale. The core's own modules must be there. */
export async function buildProof() {
  await withSetupLock(async () => {
    // One after the other: they share one instance of Binaryen.
    // oxlint-disable-next-line no-await-in-loop
    for (const name of modules) await buildOne(name);
  });
}

if (isMain(import.meta.url)) await buildProof();

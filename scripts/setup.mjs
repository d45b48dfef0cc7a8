// Brings a working tree to where it can run: installs what package-lock.json says and builds what is
// missing or stale. Does nothing, in well under a third of a second, when all is in place. Prints one
// line for each step that ran, on standard error only. `npm run build` is this script.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { withSetupLock } from "./lib/lock.mjs";
import { bundleOutputs } from "./build-bundle.mjs";
import { coreOutputs } from "./build-core.mjs";
import { compiledFolders, isMain, listFiles, root, runCommand, runNode } from "./lib/project.mjs";
import { fingerprint, isStale, markFresh, markStale } from "./lib/stale.mjs";

const inRoot = (...parts) => join(root, ...parts);
const inScripts = (...names) => names.map((name) => inRoot("scripts", name));
const isTypeScript = (path) => path.endsWith(".ts");

/** npm's record of what it put into node_modules. It is written last, so it vouches for the whole. */
const installedPath = inRoot("node_modules", ".package-lock.json");

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Whether node_modules holds what the lock file asks for; optional packages may be missing. */
function isInstalled() {
  if (!existsSync(installedPath)) return false;
  const installed = readJson(installedPath).packages;
  return Object.entries(readJson(inRoot("package-lock.json")).packages).every(([path, wanted]) => {
    if (path === "") return true;
    const found = installed[path];
    return found === undefined ? wanted.optional === true : found.version === wanted.version;
  });
}

async function install() {
  const { code, output, error } = await runCommand("npm", ["ci", "--include=dev", "--loglevel=error"]);
  if (error?.code === "ENOENT") throw new Error("npm was not found on the PATH: install it beside Node.");
  if (code !== 0) throw new Error(`npm ci failed:\n${output.trimEnd()}`);
}

/** Compiled files whose source is gone; a deleted test would otherwise go on running. */
function removeOrphans() {
  for (const folder of compiledFolders) {
    for (const path of listFiles(inRoot("dist", folder))) {
      const source = path.replace(/(\.js|\.d\.ts|\.js\.map)$/, ".ts").replace(inRoot("dist"), root);
      if (!existsSync(source)) rmSync(path);
    }
  }
}

async function compileTypeScript() {
  removeOrphans();
  const compiler = inRoot("node_modules", "typescript", "bin", "tsc");
  const { code, output } = await runNode([compiler, "-p", "tsconfig.json", "--pretty", "false"]);
  if (code !== 0) throw new Error(`TypeScript found errors:\n${output.trimEnd()}`);
}

async function compileNative() {
  const { buildNative, nativeOutput } = await import("./build-native.mjs");
  await buildNative();
  // The loader prefers a prebuilt addon. Where one was made in this tree, it must not fall behind.
  if (existsSync(nativeOutput({ prebuild: true }))) await buildNative({ prebuild: true });
}

async function compileFork() {
  const { buildFork } = await import("./build-native.mjs");
  await buildFork();
}

async function compileCore() {
  const { buildCore } = await import("./build-core.mjs");
  return buildCore();
}

async function compileBundle() {
  const { buildBundle } = await import("./build-bundle.mjs");
  return buildBundle();
}

/** The build steps: inputs, what must exist afterwards, and the work. None depends on another. */
function listSteps() {
  const sources = (...folders) => folders.flatMap((folder) => listFiles(inRoot(folder), isTypeScript));
  return [
    {
      name: "native",
      sources: listFiles(inRoot("native"), (path) => /\.[ch]$/.test(path)),
      tools: inScripts("build-native.mjs"),
      outputs: [inRoot("build", "shoal.node")],
      work: compileNative,
    },
    {
      name: "fork",
      sources: [inRoot("storm", "fork.c")],
      tools: inScripts("build-native.mjs"),
      outputs: [inRoot("build", "storm-fork.node")],
      work: compileFork,
    },
    {
      name: "core",
      sources: sources("core", "src/layout"),
      tools: inScripts("build-core.mjs"),
      outputs: coreOutputs,
      work: compileCore,
    },
    {
      name: "types",
      sources: sources("types", ...compiledFolders),
      tools: [inRoot("tsconfig.json"), inRoot("package.json")],
      outputs: [inRoot("dist", ".tsbuildinfo")],
      work: compileTypeScript,
    },
    {
      name: "bundle",
      sources: sources("src"),
      tools: inScripts("build-bundle.mjs"),
      outputs: bundleOutputs,
      work: compileBundle,
    },
  ];
}

function report(name, startedAt, detail) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stderr.write(`${name.padEnd(8)}${seconds} s${detail ? `  ${detail}` : ""}\n`);
}

async function runStep({ name, sources, tools, outputs, work }) {
  if (sources.length === 0) return undefined;
  const print = fingerprint([...sources, ...tools, installedPath]);
  if (!isStale(name, print, outputs)) return undefined;
  markStale(name);
  const startedAt = performance.now();
  try {
    report(name, startedAt, await work());
    markFresh(name, print);
    return undefined;
  } catch (error) {
    return { name, message: error.message };
  }
}

/**
 * Installs and builds. Returns the steps that failed, `{ name, message }` each. After a type error the
 * compiled files are there all the same, so the tests can still run.
 */
export async function setup() {
  return withSetupLock(async () => {
    if (!isInstalled()) {
      const startedAt = performance.now();
      try {
        await install();
      } catch (error) {
        return [{ name: "install", message: error.message }];
      }
      report("install", startedAt);
    }
    const outcomes = await Promise.all(listSteps().map(runStep));
    return outcomes.filter((outcome) => outcome !== undefined);
  });
}

/** Sets up, or explains on standard error why it could not and ends the process with code 1. */
export async function setupOrExit() {
  const failures = await setup();
  for (const { name, message } of failures) process.stderr.write(`${name} failed: ${message}\n`);
  if (failures.length > 0) process.exit(1);
}

if (isMain(import.meta.url)) await setupOrExit();

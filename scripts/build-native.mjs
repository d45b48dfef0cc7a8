// Compiles native/*.c to one Node-API addon with a single call of the C compiler.
//
//   node scripts/build-native.mjs                 -> build/shoal.node
//   node scripts/build-native.mjs --prebuild      -> prebuilds/linux-ARCH/shoal.node (goes into the package)
//   node scripts/build-native.mjs --sanitize      -> build/shoal-asan.node (AddressSanitizer and UBSan)
//
// CC chooses another compiler; with --prebuild, --arch NAME names the architecture that CC compiles for.
import { mkdirSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { isMain, listFiles, relativePath, root, runCommand } from "./lib/project.mjs";

const warnings = ["-Wall", "-Wextra", "-Werror"];
const shape = ["-D_GNU_SOURCE", "-std=gnu11", "-fPIC", "-shared", "-fvisibility=hidden"];
const sanitizers = [
  "-g",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=undefined",
  "-fno-omit-frame-pointer",
];

const noCompiler = (compiler) =>
  `no C compiler: "${compiler}" was not found. Install one (Debian, Ubuntu: ` +
  "apt-get install gcc libc6-dev), or name one with the environment variable CC.";

/** Where each variant of the addon is written. */
export function nativeOutput({ prebuild = false, sanitize = false, arch = process.arch } = {}) {
  if (prebuild) return join(root, "prebuilds", `linux-${arch}`, "shoal.node");
  return join(root, "build", sanitize ? "shoal-asan.node" : "shoal.node");
}

/** Builds one variant; returns its path. Throws an error whose message is the compiler's output. */
export async function buildNative(variant = {}) {
  const sources = listFiles(join(root, "native"), (path) => path.endsWith(".c"));
  if (sources.length === 0) throw new Error("native/ has no .c file: nothing to compile.");
  return compileAddon(sources, nativeOutput(variant), variant);
}

/** What the kill storm's nursery needs beside it (storm/fork.c). No part of the package. */
const forkSource = join(root, "storm", "fork.c");
const forkOutput = join(root, "build", "storm-fork.node");

export async function buildFork() {
  await compileAddon([forkSource], forkOutput);
}

async function compileAddon(sources, output, variant = {}) {
  const headers = createRequire(import.meta.url)("node-api-headers").include_dir;
  // A program that has the old file loaded keeps it: the new one is renamed into its place.
  const unfinished = `${output}.${process.pid}`;
  const optimisation = variant.sanitize ? ["-O1", ...sanitizers] : ["-O2"];
  const args = [...optimisation, ...shape, ...warnings, `-I${headers}`, "-o", unfinished, ...sources];
  const compiler = process.env["CC"] || "cc";
  mkdirSync(dirname(output), { recursive: true });
  const { code, output: printed, error } = await runCommand(compiler, args);
  if (error?.code === "ENOENT") throw new Error(noCompiler(compiler));
  if (code !== 0)
    throw new Error(
      `${compiler} could not compile ${relativePath(root, dirname(sources[0]))}/:\n${printed.trimEnd()}`,
    );
  renameSync(unfinished, output);
  return output;
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { prebuild: { type: "boolean" }, sanitize: { type: "boolean" }, arch: { type: "string" } },
  });
  try {
    process.stderr.write(`${relativePath(root, await buildNative(values))}\n`);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

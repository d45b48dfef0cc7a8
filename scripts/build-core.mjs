// Compiles core/ (AssemblyScript) to the WebAssembly modules that run on the shared memory, one for whoever only opens a
// segment, one for each allocator, one for looking; each twice:
//
//   dist/core/NAME.wasm           the shipped build: no assertions, no checkpoints
//   dist/core/NAME.checked.wasm   the verification build: calls env.checkpoint before every shared access
//
// Each is refused when it has a data segment (instantiating in a second process would overwrite the heap)
// or imports anything but the memory and, in the checked build, the checkpoint.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMain, root } from "./lib/project.mjs";

const folder = join(root, "dist", "core");

const commonFlags = [
  "--runtime stub",
  "--importMemory",
  "--noExportMemory",
  "--sharedMemory",
  "--enable threads",
  "--enable simd",
  "--initialMemory 1",
  "--maximumMemory 65536",
  "--use abort=",
  "--optimizeLevel 3",
  "--converge",
].flatMap((flag) => flag.split(" "));

const shipped = { flags: ["--noAssert", "--use", "CHECKED=0"], imports: ["env.memory"] };
const checked = { flags: ["--use", "CHECKED=1"], imports: ["env.memory", "env.checkpoint"] };

// `only`: the allocator whose heaps the module is for, by its number in the header (src/layout/header.ts); 255 = any.
const modules = [
  { module: "segment", entry: "core/segment.ts", only: 0 },
  { module: "slab", entry: "core/heap-slab.ts", only: 1 },
  { module: "buddy", entry: "core/heap-buddy.ts", only: 2 },
  { module: "first-fit", entry: "core/heap-first-fit.ts", only: 3 },
  { module: "survey", entry: "core/survey.ts", only: 255 },
  { module: "repair", entry: "core/repair.ts", only: 255 },
  { module: "sync", entry: "core/sync.ts", only: 255 },
  { module: "channel", entry: "core/channel.ts", only: 255 },
];

const builds = modules.flatMap(({ module, entry, only }) => {
  const variant = (name, { flags, imports }) => ({
    name,
    entry,
    flags: [...flags, "--use", `ONLY_ALLOCATOR=${only}`],
    imports,
  });
  return [variant(`${module}.wasm`, shipped), variant(`${module}.checked.wasm`, checked)];
});

/** The files that `buildCore` writes. */
export const coreOutputs = builds.map((build) => join(folder, build.name));

/** Reads an unsigned LEB128 number at `at`: [value, where it ends]. */
function readVarUint(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

/** The ids of a WebAssembly module's sections, in order. */
export function sectionIds(bytes) {
  const ids = [];
  let at = 8; // after the magic and the version
  while (at < bytes.length) {
    ids.push(bytes[at]);
    const [size, body] = readVarUint(bytes, at + 1);
    at = body + size;
  }
  return ids;
}

const dataSection = 11;

/** What forbids this module to be a core: a list of sentences, empty when nothing does. */
export function findFaults(bytes, allowedImports) {
  const faults = [];
  if (sectionIds(bytes).includes(dataSection)) {
    faults.push("it has a data segment: remove the string, static array or StaticArray that made it.");
  }
  for (const { module, name } of WebAssembly.Module.imports(new WebAssembly.Module(bytes))) {
    const full = `${module}.${name}`;
    if (!allowedImports.includes(full))
      faults.push(`it imports ${full}; allowed: ${allowedImports.join(", ")}.`);
  }
  return faults;
}

async function buildOne(asc, { name, entry, flags, imports }) {
  const args = [entry, "--baseDir", root, "--outFile", name, ...commonFlags, ...flags];
  const stdout = asc.createMemoryStream();
  const stderr = asc.createMemoryStream();
  let bytes;
  const writeFile = (_name, contents) => (bytes = contents);
  const { error } = await asc.main(args, { stdout, stderr, writeFile });
  if (error) throw new Error(`core/ does not compile to ${name}:\n${stderr.toString() || error.message}`);
  const faults = findFaults(bytes, imports);
  if (faults.length > 0)
    throw new Error(faults.map((fault) => `${name} cannot be used: ${fault}`).join("\n"));
  const output = join(folder, name);
  writeFileSync(`${output}.new`, bytes);
  renameSync(`${output}.new`, output);
  return `${name} ${bytes.length} bytes`;
}

/** Builds the modules; returns one line with their sizes. */
export async function buildCore() {
  const asc = await import("assemblyscript/asc");
  mkdirSync(folder, { recursive: true });
  const sizes = [];
  for (const build of builds) sizes.push(await buildOne(asc, build));
  return sizes.join(", ");
}

if (isMain(import.meta.url)) {
  try {
    process.stderr.write(`${await buildCore()}\n`);
  } catch (error) {
    process.stderr.write(`${error.message.trimEnd()}\n`);
    process.exitCode = 1;
  }
}

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

interface CoreBuild {
  findFaults(bytes: Uint8Array, allowedImports: string[]): string[];
}

const root = join(import.meta.dirname, "..", "..", "..");
const script = pathToFileURL(join(root, "scripts", "build-core.mjs")).href;
const { findFaults } = (await import(script)) as CoreBuild;

const magicAndVersion = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** A vector of bytes with its length before it; short enough for a length of one byte. */
const sized = (bytes: number[]): number[] => [bytes.length, ...bytes];
const text = (value: string): number[] => sized([...Buffer.from(value)]);

/** An import section (id 2) with one memory (kind 2) of one page. */
const memoryImport = (module: string, name: string): number[] => [
  2,
  ...sized([1, ...text(module), ...text(name), 2, 0, 1]),
];

/** A data section (id 11) with one active segment: one byte at address 0. */
const dataSection = [11, ...sized([1, 0, 0x41, 0, 0x0b, ...sized([7])])];

const build = (...sections: number[][]): Uint8Array =>
  new Uint8Array([...magicAndVersion, ...sections.flat()]);

test("a core that imports only its memory and has no data is accepted", () => {
  assert.deepEqual(findFaults(build(memoryImport("env", "memory")), ["env.memory"]), []);
});

test("a core with a data segment is refused: instantiating it again would overwrite the heap", () => {
  const faults = findFaults(build(memoryImport("env", "memory"), dataSection), ["env.memory"]);
  assert.match(faults.join("\n"), /data segment/);
});

test("a core with another import is refused by the import's name", () => {
  const faults = findFaults(build(memoryImport("other", "thing")), ["env.memory"]);
  assert.match(faults.join("\n"), /imports other\.thing; allowed: env\.memory/);
});

/** `node --import shoal/auto`: the heap that the environment names, there before the program starts. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Heap } from "../../src/index.ts";
import { freshFolder, freshPosixName } from "../helpers/segments.ts";
import { linesOf, makeProgram, runAuto } from "./programs.ts";

const showing = `
  import { heap } from "shoal/auto";
  const { name, backend, uuid, created, sizeBytes } = heap.region;
  console.log(JSON.stringify({ name, backend, uuid, created, sizeBytes, allocator: heap.allocator }));`;

test("the heap is made as the variables say, and opened from then on", async (t) => {
  const name = freshPosixName(t);
  const program = makeProgram(t, showing);
  const variables = { SHOAL_HEAP: name, SHOAL_SIZE: "5M", SHOAL_ALLOCATOR: "slab" };
  const [first] = (await linesOf(program, variables)) as Record<string, unknown>[];
  const [again] = (await linesOf(program, { SHOAL_HEAP: name })) as Record<string, unknown>[];
  assert.deepEqual([first!["created"], again!["created"]], [true, false]);
  assert.equal(again!["uuid"], first!["uuid"]);
  assert.equal(first!["allocator"], "slab");
  assert.ok(Number(first!["sizeBytes"]) >= 5 * 2 ** 20);
  using heap = Heap.open(name);
  assert.equal(heap.region.uuid, first!["uuid"], "it outlives the programs");
});

test("a path names a file", async (t) => {
  const path = join(freshFolder(t), "heap");
  const [facts] = (await linesOf(makeProgram(t, showing), { SHOAL_HEAP: path })) as Record<string, unknown>[];
  assert.deepEqual([facts!["name"], facts!["backend"]], [path, "file"]);
  assert.ok(existsSync(path));
});

test("without SHOAL_HEAP the program does not start, and is told what to set", async (t) => {
  const { code, stdout, stderr } = await runAuto(makeProgram(t, "console.log(1);"), {});
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /SHOAL_HEAP is not set; it names the heap[^\n]*SHOAL_HEAP=orders/);
  assert.match(stderr, /ERR_SHOAL_ARGUMENT/);
});

const workers = `
  import { Worker, isMainThread, threadId } from "node:worker_threads";
  import { heap } from "shoal/auto";
  heap.alloc(64);
  if (isMainThread) for (let index = 0; index < 2; index++) new Worker(new URL(import.meta.url));`;

test("SHOAL_DEBUG_FILE gets the heap as it is when the process ends; threads write only to files of their own", async (t) => {
  const name = freshPosixName(t);
  const folder = freshFolder(t);
  const program = makeProgram(t, workers);
  await linesOf(program, { SHOAL_HEAP: name, SHOAL_DEBUG_FILE: join(folder, "of-%p") });
  const [file, ...others] = readdirSync(folder);
  assert.deepEqual(others, []);
  assert.match(file!, /^of-\d+$/);
  const text = readFileSync(join(folder, file!), "utf8");
  assert.ok(text.includes(`seen by process ${file!.slice(3)}, thread 0, slot 0,`));
  assert.match(text, /^ {2}blocks +\{"used":3,/m);
  assert.match(text, /slab heap, pages 0 to 15/);
  await linesOf(program, { SHOAL_HEAP: name, SHOAL_DEBUG_FILE: join(folder, "thread-%t") });
  const names = readdirSync(folder).filter((one) => one.startsWith("thread"));
  assert.deepEqual(names.sort(), ["thread-0", "thread-1", "thread-2"]);
});

test("a debug file that cannot be written is complained of and changes nothing else", async (t) => {
  const variables = { SHOAL_HEAP: freshPosixName(t), SHOAL_DEBUG_FILE: "/proc/none/file" };
  const { code, stderr } = await runAuto(makeProgram(t, showing), variables);
  assert.equal(code, 0);
  assert.match(stderr, /^shoal: no debug file \/proc\/none\/file: .*ENOENT/m);
});

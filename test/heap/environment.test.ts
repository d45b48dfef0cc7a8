/** A heap named by environment variables: what they mean, and what is wrong with them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentOptions, Heap } from "../../src/heap/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { freshPosixName } from "../helpers/segments.ts";

test("a name is a POSIX segment's, a path a file's, unless the backend is said", () => {
  const backendOf = (name: string, said?: string): unknown =>
    environmentOptions({ SHOAL_HEAP: name, ...(said !== undefined && { SHOAL_BACKEND: said }) }).options
      .backend;
  for (const name of ["orders", "/orders"]) assert.equal(backendOf(name), "posix");
  for (const name of ["./orders", "../orders", "/tmp/orders", "data/orders"])
    assert.equal(backendOf(name), "file");
  assert.equal(backendOf("orders", "file"), "file");
  assert.equal(backendOf("0x5348", "sysv"), "sysv");
  assert.equal(backendOf("orders", ""), "posix");
});

test("sizes are numbers with or without a unit, and what is not said is left to the defaults", () => {
  const sizeOf = (size: string): unknown =>
    environmentOptions({ SHOAL_HEAP: "a", SHOAL_SIZE: size }).options.sizeBytes;
  assert.deepEqual(["4096", "64k", "1.5M", "2G"].map(sizeOf), [4096, 65_536, 1_572_864, 2 ** 31]);
  assert.deepEqual(environmentOptions({ SHOAL_HEAP: "a", SHOAL_SIZE: "", SHOAL_ALLOCATOR: "" }), {
    name: "a",
    options: { backend: "posix" },
  });
});

test("a wrong variable is refused by its name", () => {
  throwsCode(
    () => environmentOptions({}),
    "ERR_SHOAL_ARGUMENT",
    /^SHOAL_HEAP is not set; .*SHOAL_HEAP=orders/,
  );
  throwsCode(() => environmentOptions({ SHOAL_HEAP: "" }), "ERR_SHOAL_ARGUMENT", /^SHOAL_HEAP is not set/);
  const wrong = { SHOAL_SIZE: ["many", "1.3", "-1", "k"], SHOAL_BACKEND: ["anonymous", "disk"] };
  for (const [variable, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = throwsCode(
        () => environmentOptions({ SHOAL_HEAP: "a", [variable]: value }),
        "ERR_SHOAL_ARGUMENT",
        new RegExp(`^${variable}=${value} `),
      );
      assert.deepEqual(error.details, { variable, value });
    }
  }
});

test("what it gives is what openOrCreate takes; an allocator that there is not is refused there", (t) => {
  const heapName = freshPosixName(t);
  const { name, options } = environmentOptions({
    SHOAL_HEAP: heapName,
    SHOAL_SIZE: "3M",
    SHOAL_ALLOCATOR: "slab",
  });
  using heap = Heap.openOrCreate(name, options);
  assert.deepEqual([heap.region.created, heap.allocator], [true, "slab"]);
  assert.ok(heap.region.sizeBytes >= 3 * 2 ** 20);
  const other = environmentOptions({ SHOAL_HEAP: heapName, SHOAL_ALLOCATOR: "best-fit" });
  throwsCode(
    () => Heap.openOrCreate(other.name, other.options),
    "ERR_SHOAL_ARGUMENT",
    /slab, buddy, first-fit/,
  );
  heap.remove();
});

test("without an argument the process's own environment is read", () => {
  const before = process.env["SHOAL_HEAP"];
  process.env["SHOAL_HEAP"] = "orders";
  try {
    assert.equal(environmentOptions().name, "orders");
  } finally {
    if (before === undefined) delete process.env["SHOAL_HEAP"];
    else process.env["SHOAL_HEAP"] = before;
  }
});

/** Shoal's part of killed.ts, as killed.cpp is Boost's: killed-shoal create|work|probe NAME ALLOCATOR. */
import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName, Handle } from "../../src/heap/index.ts";

const LIVE_BLOCKS = 64;

function churn(heap: Heap, rounds: number): void {
  const blocks: (Handle | 0)[] = Array.from({ length: LIVE_BLOCKS }, () => 0);
  let state = 2463534242;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let round = 0; round < rounds; round++) {
    const place = next() % LIVE_BLOCKS;
    const block = blocks[place]!;
    if (block !== 0) heap.free(block);
    blocks[place] = heap.alloc(16 + (next() % 1000));
  }
  for (const block of blocks) if (block !== 0) heap.free(block);
}

const [what, name, allocator] = process.argv.slice(2);
if (what === "create") {
  const options = { allocator: allocator as AllocatorName, sizeBytes: 2 ** 22 };
  const heap = Heap.create(name, options);
  heap.close();
} else {
  const heap = Heap.open(name!);
  if (what === "work") {
    process.stdout.write("working\n");
    churn(heap, Infinity);
  }
  churn(heap, 1000);
  if (!heap.verify().ok) process.exitCode = 1;
  heap.close();
}

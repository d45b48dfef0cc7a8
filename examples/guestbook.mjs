// Run it as often as you like, in as many terminals as you like: they all write into the same book.
import { Heap } from "shoal";

const heap = Heap.openOrCreate("guestbook");
const mine = heap.calloc(1, 64);
const book = heap.roots.setIfAbsent("visits", mine); // whoever comes first wins
if (book !== mine) heap.free(mine);

const visits = new Int32Array(heap.region.buffer, book, 1);
const number = Atomics.add(visits, 0, 1) + 1;
const present = heap.region.participants().length;
console.log(`visit ${number} by process ${process.pid}, ${present} here now`);

heap.close(); // the book stays; `npx shoal rm guestbook` removes it

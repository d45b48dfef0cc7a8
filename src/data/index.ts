/** What is kept in a heap: channels so far; and the heap with all of it. */

export { Heap } from "./heap.ts";
export { openPort, openQueue, openRing } from "./channel/index.ts";
export type {
  Channel,
  ChannelOptions,
  ChannelStats,
  Codec,
  CodecName,
  Loan,
  Message,
  Overflow,
  Port,
  PortEvent,
  PortOptions,
  Queue,
  ReadableOptions,
  Ring,
  SyncOptions,
  TransferList,
  WritableOptions,
} from "./channel/index.ts";

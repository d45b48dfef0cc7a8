/** What is kept in a heap: channels so far; and the heap with all of it. */

export { Heap } from "./heap.ts";
export { openPort, openQueue, openRing, openTopic } from "./channel/index.ts";
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
  SubscribeOptions,
  SubscriberPolicy,
  SubscriberStats,
  Subscription,
  SyncOptions,
  Topic,
  TopicOptions,
  TopicStats,
  TransferList,
  WritableOptions,
} from "./channel/index.ts";

/** Channels: bounded queues and rings of messages in a heap. */

export type { Channel, ChannelStats } from "./channel.ts";
export type { Codec, CodecName } from "./codec.ts";
export type { Loan, Message } from "./loan.ts";
export type { ChannelOptions, Overflow } from "./options.ts";
export { openPort } from "./port.ts";
export type { Port, TransferList } from "./port.ts";
export type { EventListenerLike, ListenerOptions, PortEvent, ValueListener } from "./port-events.ts";
export type { PortOptions } from "./port-place.ts";
export { openQueue } from "./queue.ts";
export type { Queue } from "./queue.ts";
export { openRing } from "./ring.ts";
export type { Ring } from "./ring.ts";
export type { ReadableOptions, WritableOptions } from "./streams.ts";
export { openTopic } from "./topic.ts";
export type { Topic, TopicOptions, TopicStats } from "./topic.ts";
export type { SubscribeOptions, SubscriberPolicy, SubscriberStats, Subscription } from "./subscription.ts";
export type { SyncOptions } from "./waits.ts";

/**
 * The core's module of channels, seen from TypeScript. Names and meanings are those of core/channel.ts: `object` is a channel's
 * handle, `cell` the address of one of its cells. What cells, codes and bits are is in src/layout/channel.ts.
 */

import { instantiateModule } from "../../region/core.ts";

/** What core/channel.ts exports: queues and rings. What cells, codes and bits are is in src/layout/channel.ts. */
export interface ChannelCore {
  attach(): number;
  /** From now on this instance speaks for the participant in that slot, which it has taken. */
  join(slotIndex: number): void;
  lastError(): number;
  errorDetail(): number;
  /** The count at that place in the records of all participants. */
  countOf(object: number, at: number): number;
  endChannel(object: number): void;
  isEnded(object: number): number;
  closeChannel(object: number): void;
  forgetChannel(): void;
  noteChannelWait(object: number, isSender: number): void;
  noteDropped(object: number): void;

  claimSend(object: number): number;
  putBlock(object: number, cell: number, block: number): number;
  commitSend(object: number, cell: number, lengthBytes: number): number;
  cancelSend(object: number, cell: number): number;
  claimReceive(object: number, isLent: number): number;
  spinReceive(object: number, isLent: number, looks: number): number;
  takeBlock(object: number, cell: number): number;
  endReceive(object: number, cell: number): number;
  giveBack(object: number, cell: number): number;
  queueDepth(object: number): number;
  queueClaimed(object: number): number;
  sweepQueue(object: number): number;
  dropNext(object: number): number;

  resign(object: number, isProducer: number): void;
  ringRoom(object: number): number;
  ringPutBlock(object: number, block: number): number;
  ringTakeBack(object: number): number;
  ringSend(object: number, cell: number, lengthBytes: number, isOut: number): number;
  ringNextMessage(object: number, isLent: number): number;
  ringSpin(object: number, isLent: number, looks: number): number;
  ringTakeBlock(object: number): number;
  ringReceived(object: number): number;
  ringGiveBack(object: number): void;
  ringDepth(object: number): number;

  claimPublish(object: number): number;
  takeOldBlock(object: number, cell: number): number;
  putMessageBlock(object: number, cell: number, block: number): number;
  commitPublish(object: number, cell: number, lengthBytes: number): number;
  cancelPublish(object: number, cell: number): number;
  sweepTopic(object: number): number;
  countWriting(object: number): number;
  drainTopic(object: number): number;
  messageLength(object: number, cell: number): number;
  nextMessage(object: number, index: number): number;
  isThere(object: number, index: number): number;
  passMessage(object: number, index: number): number;
  subscribe(object: number, policy: number, fromHistory: number): number;
  unsubscribe(object: number, index: number): number;
  subscriberPhase(object: number, index: number): number;
  subscriberSlot(object: number, index: number): number;
  subscriberLag(object: number, index: number): number;
  subscriberCount(object: number, index: number, at: number): number;
  subscriberDropped(object: number, index: number): number;
}

/** The channels' functions on `memory`, for the participant in slot `slotIndex`. @throws ERR_SHOAL_CORRUPT */
export function instantiateChannels(memory: WebAssembly.Memory, slotIndex: number): ChannelCore {
  const core = instantiateModule<ChannelCore>(memory, "channel");
  core.join(slotIndex);
  return core;
}

/**
 * The module of channels: instantiated by participants that use one, beside the heap's own. It is of no allocator in particular,
 * and changes nothing of the heap's but who owns a block (hand-over.ts).
 *
 * Channels are named by their offsets, cells by their addresses. No call waits; waiting is src/sync/wait.ts.
 */

export { attach, errorDetail, lastError } from "./state";
export { join } from "./ident";
export { countOf, endChannel, isEnded, noteChannelWait, noteDropped } from "./channel-stats";
export { closeChannel, forgetChannel } from "./channel-map";
export {
  cancelSend,
  claimReceive,
  claimSend,
  commitSend,
  endReceive,
  giveBack,
  putBlock,
  queueClaimed,
  queueDepth,
  spinReceive,
  takeBlock,
} from "./queue";
export {
  cancelPublish,
  claimPublish,
  commitPublish,
  countWriting,
  drainTopic,
  messageLength,
  putMessageBlock,
  sweepTopic,
  takeOldBlock,
} from "./topic";
export { isThere, nextMessage, passMessage } from "./topic-receive";
export {
  subscribe,
  subscriberCount,
  subscriberDropped,
  subscriberLag,
  subscriberPhase,
  subscriberSlot,
  unsubscribe,
} from "./topic-subscribers";
export { dropNext, sweepQueue } from "./queue-sweep";
export {
  resign,
  ringDepth,
  ringGiveBack,
  ringNextMessage,
  ringPutBlock,
  ringReceived,
  ringRoom,
  ringSend,
  ringSpin,
  ringTakeBack,
  ringTakeBlock,
} from "./ring-channel";

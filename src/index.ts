/**
 * Shoal: a shared-memory heap for Node.js. Unrelated processes and their workers map one segment, allocate and free in
 * it, and hand each other handles or pointers. Every public name of the package's main entry stands here.
 */
export { ERROR_CODES, ShoalError } from "./errors.ts";
export type { ErrorDetails, ShoalErrorCode } from "./errors.ts";
export { Heap } from "./data/heap.ts";
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
} from "./data/channel/index.ts";
export { asHandle, environmentOptions } from "./heap/index.ts";
export type {
  AllocatorName,
  AllocOptions,
  Block,
  BlockInfo,
  ClassStats,
  EnvironmentOptions,
  Handle,
  HeapCreateOptions,
  HeapPlan,
  HeapStats,
  PageStats,
  ParticipantStats,
  Pointer,
  Pointers,
  Problem,
  Roots,
  VerifyReport,
} from "./heap/index.ts";
export { Region } from "./region/index.ts";
export type {
  AddressSearch,
  BackendName,
  CreateOptions,
  ListOptions,
  OpenOptions,
  ParticipantInfo,
  RawOptions,
  RawRegion,
  RegionSummary,
  SharedMemory,
} from "./region/index.ts";
export type {
  AwaitOptions,
  Barrier,
  BarrierOptions,
  BlockOptions,
  Condition,
  Counter,
  EventOptions,
  Hold,
  Holder,
  Mutex,
  MutexOptions,
  Once,
  OnceState,
  Place,
  RwLock,
  Semaphore,
  SemaphoreOptions,
  SharedEvent,
} from "./sync/index.ts";

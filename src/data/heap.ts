/**
 * The heap as the package's main entry has it: blocks (src/heap), and on them the objects of the rooms above. Objects are
 * found by name, made where there is none, or placed; see Place in src/sync/objects.ts.
 */

import { Heap as Blocks } from "../heap/index.ts";
import type { HeapCreateOptions } from "../heap/index.ts";
import type { OpenOptions } from "../region/index.ts";
import { openPort, openQueue, openRing, openTopic } from "./channel/index.ts";
import type { ChannelOptions, Port, PortOptions, Queue, Ring, Topic, TopicOptions } from "./channel/index.ts";
import {
  openBarrier,
  openCondition,
  openCounter,
  openEvent,
  openMutex,
  openOnce,
  openRwLock,
  openSemaphore,
} from "../sync/index.ts";
import type {
  Barrier,
  BarrierOptions,
  Condition,
  Counter,
  EventOptions,
  Mutex,
  MutexOptions,
  Once,
  Place,
  RwLock,
  Semaphore,
  SemaphoreOptions,
  SharedEvent,
} from "../sync/index.ts";

/** A shared heap with all that can be in it. Made by create, open or openOrCreate. */
export class Heap extends Blocks {
  /** As in shoal/heap. */
  static override create(name?: string, options?: HeapCreateOptions): Heap {
    return super.create(name, options) as Heap;
  }

  static override open(name: string, options?: OpenOptions): Heap {
    return super.open(name, options) as Heap;
  }

  static override openOrCreate(name: string, options?: HeapCreateOptions & OpenOptions): Heap {
    return super.openOrCreate(name, options) as Heap;
  }

  /** A lock for one. Errors of these: ERR_SHOAL_KIND, ERR_SHOAL_NAME, ERR_SHOAL_READ_ONLY, and as alloc. */
  mutex(place?: Place, options?: MutexOptions): Mutex {
    return openMutex(this, place, options);
  }

  /** A lock for many readers or one writer. */
  rwlock(place?: Place): RwLock {
    return openRwLock(this, place);
  }

  semaphore(place?: Place, options?: SemaphoreOptions): Semaphore {
    return openSemaphore(this, place, options);
  }

  event(place?: Place, options?: EventOptions): SharedEvent {
    return openEvent(this, place, options);
  }

  condition(place?: Place): Condition {
    return openCondition(this, place);
  }

  barrier(place?: Place, options?: BarrierOptions): Barrier {
    return openBarrier(this, place, options);
  }

  once(place?: Place): Once {
    return openOnce(this, place);
  }

  counter(place?: Place): Counter {
    return openCounter(this, place);
  }

  /** A bounded queue of messages: many senders, many receivers. */
  queue<T = unknown>(place?: Place, options?: ChannelOptions<T>): Queue<T> {
    return openQueue(this, place, options);
  }

  /** Publish and subscribe: every subscriber gets every message. */
  topic<T = unknown>(place?: Place, options?: TopicOptions<T>): Topic<T> {
    return openTopic(this, place, options);
  }

  /** A bounded queue with one sender and one receiver: the fastest. */
  ring<T = unknown>(place?: Place, options?: ChannelOptions<T>): Ring<T> {
    return openRing(this, place, options);
  }

  /**
   * One side of the port of that name: MessagePort's interface between two participants.
   *
   * @throws ERR_SHOAL_TAKEN (both sides have somebody), and as alloc
   */
  port(name: string, options?: PortOptions): Port {
    return openPort(this, name, options);
  }
}

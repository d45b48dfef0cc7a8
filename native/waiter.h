/* The waiter's two halves: the thread (waiter_thread.c) and what JavaScript sees of it (waiter.c). */
#ifndef SHOAL_WAITER_H
#define SHOAL_WAITER_H

#include "common.h"

#include <stdatomic.h>

/* Why a waiter is notified; bits. */
#define WAITER_RANG 1
#define WAITER_DIED 2
#define WAITER_TICKED 4

/* One participant that can wait: an environment and a segment that it has open. */
struct waiter {
  struct waiter *next; /* of the process: under the thread's mutex */
  uint32_t last_seen;  /* of the bell, when it was last notified: under the mutex */

  _Atomic bool is_active;
  _Atomic bool is_ticking;
  _Atomic bool is_dormant; /* the thread does not have its bell in view */
  _Atomic uint32_t reasons; /* not yet delivered; not 0: exactly one call is on its way */
  _Atomic uint32_t refs;    /* one is the environment's, until it closes; one is the call's that is on its way */

  /* Constant from open to close. */
  uint32_t *bell;
  const uint32_t *slots;
  const uint32_t *used;
  uint32_t slot_count;
  uint32_t own_index;
  int lock_fd;
  int64_t lock_offset;
  int64_t id;
  napi_threadsafe_function deliver;

  /* The environment's own. */
  struct shoal_env *mine;
  struct waiter *next_mine;
  bool has_closed;
};

/* Starts the thread if it does not run yet: 0, or -errno. */
int waiter_thread_start(void);
/* Makes the thread look at all waiters anew. */
void waiter_thread_poke(void);
/* From now on the thread may watch it; its is_dormant is set. */
void waiter_thread_add(struct waiter *waiter);
/* When it returns, the thread will not touch the waiter, its memory or its descriptor any more. */
void waiter_thread_remove(struct waiter *waiter);
/* Polls although the kernel could do better; for tests. */
void waiter_thread_poll(bool polls);

#endif

/*
 * The waiter's thread: one for each process, which waits for the bells of all participants in it at once, so that no
 * event loop ever blocks.
 *
 * A bell is a u32 in shared memory, one for each participant. Who rings adds 1 and wakes the word as a futex. The
 * thread sleeps in futex_waitv on all bells in view and on a control word of its own. Each time it wakes it looks at
 * all waiters, under the mutex, and notes for which there is news: the bell differs from what was last seen there;
 * on a beat (each 50 ms), a participant of the segment has died, or the waiter asked for ticks. It sleeps without
 * the mutex.
 *
 * No ring is lost. `last_seen` changes when a waiter is opened (to what the bell is then), when the thread rings the
 * bell itself (ring_alone), and when the thread, having seen another value, notifies. The kernel sleeps only while
 * the bell is `last_seen`. So a ring at any time (also while the waiter was inactive) is either before the last
 * notification was made, and JavaScript's look at the state of things, which comes after that, sees what the ringer
 * did before it rang; or it leads to another notification as soon as the thread has the bell in view. (SYNC: the
 * ringer's add of 1, after it changed what it rings for; here, the load in `look`.) 2^32 rings between two looks
 * would be none.
 *
 * In view or dormant. Deactivation only stores `is_active` = false: the thread takes the bell out of view when it
 * next wakes, at a beat at the latest. Activation stores true, and pokes the control word only if the waiter is
 * dormant:
 *     activation:  is_active = true;   if (is_dormant) poke
 *     thread:      is_dormant = true;  if (is_active) is_dormant = false, keep it in view      (all seq_cst)
 * One of the two stores comes first. If the thread's does, activation reads true and pokes; if activation's does,
 * the thread reads true and keeps it. So whoever reads false has the bell in view of the thread's next sleep. A poke
 * is never lost: the thread reads the control word before its look, and sleeps only while it is the same; a poke
 * that the sleep does not notice came before that reading, and so `is_active` was stored before the look.
 *
 * A look reads only what is open: waiter_thread_remove takes the mutex, and after it nothing of the waiter is
 * touched. The sleep may still have the address of its bell, which the kernel alone reads: if nothing is there any
 * more, it says so (EFAULT), and if something else is, the worst is one wake too many.
 *
 * A call into JavaScript is on its way exactly while `reasons` is not 0: who makes it not 0 sends one, and the
 * callback sets it to 0 before it calls JavaScript. However often a bell rings, one call of each waiter is queued.
 *
 * Where the kernel has no futex_waitv (before 5.16, or forbidden by a filter): with several bells in view the thread
 * looks every 2 ms; with one it sleeps on that bell alone, the mutex guarding which it is, so that whoever pokes
 * rings that bell too. Poke and thread order `polls` and `control` as activation does its two words: a poke that
 * reads `polls` as false, after it has changed the control, comes before the thread's reading of the control in its
 * first look of this kind. With more than 127 bells in view the thread sleeps on the first 127, and looks at the
 * others every 2 ms.
 */
#include "waiter.h"
#include "futex.h"
#include "locks.h"
#include "threads.h"

#include <limits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BEAT_NS 50000000
#define POLL_MS 2
#define MOST_BELLS 127 /* the kernel takes 128 words */

/* As in src/layout/slot.ts. */
#define SLOT_SIZE_BYTES 512
#define SLOT_STATE_MASK 3
#define SLOT_FREE 0

/* Of linux/futex.h since 5.16; the headers here may be older. */
#define NR_FUTEX_WAITV 449
#define WORD_OF_32_BITS 2

struct watched_word {
  uint64_t expected;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

/* What the thread sleeps on: word 0 is the control. */
struct view {
  struct watched_word words[1 + MOST_BELLS];
  uint32_t bell_count; /* may be more than there is room for */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *waiters; /* under mutex */
static bool is_running;        /* under mutex */
static struct waiter *alone;   /* under mutex: the thread sleeps on its bell, or is about to, and not on the control */
static _Atomic bool was_started;
static _Atomic bool polls;
static _Atomic uint32_t control;

static uint32_t load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

static void watch(struct view *view, const void *word, uint32_t expected) {
  uint32_t index = view->bell_count + 1;
  if (index <= MOST_BELLS) {
    view->words[index] = (struct watched_word){ expected, (uintptr_t)word, WORD_OF_32_BITS, 0 };
  }
  view->bell_count++;
}

/*
 * A slot that is taken, and whose lock nobody holds. The state is read again after the lock: who leaves frees the slot, then
 * unlocks it. State words never come back (they count), so the same one twice was there in between.
 */
static bool is_dead(const struct waiter *waiter, uint32_t index) {
  const uint32_t *state = waiter->slots + (size_t)index * (SLOT_SIZE_BYTES / sizeof *state);
  uint32_t before = load(state);
  if ((before & SLOT_STATE_MASK) == SLOT_FREE) return false;
  int64_t offset = waiter->lock_offset + (int64_t)index * SLOT_SIZE_BYTES;
  return shoal_lock_get(waiter->lock_fd, offset, 1) == 0 && load(state) == before;
}

static bool has_dead(const struct waiter *waiter) {
  uint32_t count = load(waiter->used);
  if (count > waiter->slot_count) count = waiter->slot_count;
  for (uint32_t i = 0; i < count; i++) {
    if (i != waiter->own_index && is_dead(waiter, i)) return true;
  }
  return false;
}

static void notify(struct waiter *waiter, uint32_t reasons) {
  if (atomic_fetch_or(&waiter->reasons, reasons) != 0) return;
  atomic_fetch_add(&waiter->refs, 1);
  if (napi_call_threadsafe_function(waiter->deliver, waiter, napi_tsfn_nonblocking) == napi_ok) return;
  /* Its environment is ending. Never the last reference: the waiter is not removed yet. */
  atomic_fetch_sub(&waiter->refs, 1);
}

static void look(struct waiter *waiter, bool is_beat, struct view *view) {
  if (!atomic_load(&waiter->is_active)) {
    atomic_store(&waiter->is_dormant, true);
    if (!atomic_load(&waiter->is_active)) return;
  }
  atomic_store(&waiter->is_dormant, false);
  uint32_t reasons = 0;
  uint32_t rings = load(waiter->bell);
  if (rings != waiter->last_seen) reasons |= WAITER_RANG;
  if (is_beat && atomic_load(&waiter->is_ticking)) reasons |= WAITER_TICKED;
  if (is_beat && has_dead(waiter)) reasons |= WAITER_DIED;
  waiter->last_seen = rings;
  if (reasons != 0) notify(waiter, reasons);
  watch(view, waiter->bell, rings);
  alone = atomic_load(&polls) && view->bell_count == 1 ? waiter : NULL;
}

/* What it was woken for, as the kernel says: an index, or -errno. */
static long sleep_on_all(const struct view *view, int64_t until) {
  struct { int64_t seconds, nanoseconds; } limit = { until / 1000000000, until % 1000000000 };
  uint32_t count = view->bell_count > MOST_BELLS ? MOST_BELLS : view->bell_count;
  long result = syscall(NR_FUTEX_WAITV, view->words, count + 1, 0, &limit, CLOCK_MONOTONIC);
  return result == -1 ? -errno : result;
}

static long sleep_until(const struct view *view, bool is_alone, int64_t until) {
  int64_t left_ms = (until - shoal_now_ns()) / 1000000 + 1;
  int64_t limit_ms = left_ms < POLL_MS ? left_ms : POLL_MS;
  if (!is_alone && !atomic_load(&polls)) {
    return sleep_on_all(view, view->bell_count > MOST_BELLS ? shoal_now_ns() + limit_ms * 1000000 : until);
  }
  const struct watched_word *word = &view->words[is_alone ? 1 : 0];
  if (left_ms < 1) return 0;
  return shoal_futex_wait((int32_t *)(uintptr_t)word->address, (int32_t)word->expected, is_alone ? left_ms : limit_ms);
}

static bool is_expected(long result) {
  return result >= 0 || result == -EAGAIN || result == -ETIMEDOUT || result == -EINTR;
}

static void sleep_over(const struct view *view, bool is_alone, int64_t until) {
  int32_t seen = (int32_t)view->words[0].expected;
  if (view->bell_count == 0) {
    shoal_futex_wait((int32_t *)&control, seen, -1);
    return;
  }
  long result = sleep_until(view, is_alone, until);
  if (result == -ENOSYS || result == -EPERM) {
    atomic_store(&polls, true);
  } else if (!is_expected(result)) {
    /* A bell is gone, closed meanwhile or truncated (the next look's load has the guard put a page there): no busy loop. */
    shoal_futex_wait((int32_t *)&control, seen, POLL_MS);
  }
}

static void *watch_in_thread(void *data) {
  int64_t next_beat = 0;
  struct view view;
  (void)data;
  prctl(PR_SET_NAME, "shoal-waiter");
  for (;;) {
    int64_t now = shoal_now_ns();
    bool is_beat = now >= next_beat;
    if (is_beat) next_beat = now + BEAT_NS;
    view.bell_count = 0;
    view.words[0] = (struct watched_word){ atomic_load(&control), (uintptr_t)&control, WORD_OF_32_BITS, 0 };
    pthread_mutex_lock(&mutex);
    alone = NULL;
    for (struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) look(waiter, is_beat, &view);
    bool is_alone = alone != NULL;
    pthread_mutex_unlock(&mutex);
    sleep_over(&view, is_alone, next_beat);
  }
  return NULL;
}

int waiter_thread_start(void) {
  int error = 0;
  if (atomic_load(&was_started)) return 0;
  pthread_mutex_lock(&mutex);
  if (!is_running) {
    error = shoal_start_thread(watch_in_thread, NULL);
    is_running = error == 0;
    atomic_store(&was_started, is_running);
  }
  pthread_mutex_unlock(&mutex);
  return error;
}

/* Under the mutex. The ring is for the thread itself: it is not told, unless somebody else has rung as well. */
static void ring_alone(void) {
  if (alone == NULL) return;
  uint32_t before = __atomic_fetch_add(alone->bell, 1, __ATOMIC_SEQ_CST);
  if (before == alone->last_seen) alone->last_seen++;
  shoal_futex_wake((int32_t *)alone->bell, INT_MAX);
}

void waiter_thread_poke(void) {
  atomic_fetch_add(&control, 1);
  shoal_futex_wake((int32_t *)&control, 1);
  if (!atomic_load(&polls)) return;
  pthread_mutex_lock(&mutex);
  ring_alone();
  pthread_mutex_unlock(&mutex);
}

void waiter_thread_add(struct waiter *waiter) {
  pthread_mutex_lock(&mutex);
  waiter->last_seen = load(waiter->bell);
  waiter->next = waiters;
  waiters = waiter;
  pthread_mutex_unlock(&mutex);
}

void waiter_thread_remove(struct waiter *waiter) {
  pthread_mutex_lock(&mutex);
  if (alone == waiter) {
    ring_alone(); /* while its bell is there: nobody could wake the thread from that sleep afterwards */
    alone = NULL;
  }
  for (struct waiter **link = &waiters; *link != NULL; link = &(*link)->next) {
    if (*link != waiter) continue;
    *link = waiter->next;
    break;
  }
  pthread_mutex_unlock(&mutex);
}

void waiter_thread_poll(bool value) {
  atomic_store(&polls, value);
  waiter_thread_poke();
  pthread_mutex_lock(&mutex);
  ring_alone();
  pthread_mutex_unlock(&mutex);
}

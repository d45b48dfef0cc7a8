/*
 * Waiting on a futex without blocking the event loop: a thread of its own waits, and calls back into JavaScript.
 *
 * Not libuv's pool: it has four threads, which file reads and name look-ups need, and Node waits for a running pool
 * task before it lets an environment go, so that a wait without limit would make process.exit() and terminate() hang.
 *
 * A wait is shared by the thread and the environment, each of which holds one of its two references. Its state says
 * who may touch the thread-safe function, which dies with the environment:
 *
 *     WAITING --thread: cas--> CALLING --> CALLED or REFUSED   the thread delivers the result; the others wait out CALLING
 *     WAITING --end hook: cas--> ABANDONED                     the environment is ending: the thread only frees
 *
 * The environment's reference is dropped by the end hook, or by `deliver` once a result is on its way: engines differ in
 * whether they still call it after the hooks (Bun does, with a live env; Node with none), but each calls it once.
 *
 * Hooks run in reverse order of registration, so this one runs before the thread-safe function's own. The end hook
 * wakes the word once, so that the thread notices; other waiters see a spurious wake, for which every futex user is
 * made. A thread that was not yet asleep then sleeps on until the word is next woken; it holds 64 bytes and a stack.
 */
#include "common.h"
#include "futex.h"
#include "threads.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { WAITING, CALLING, CALLED, REFUSED, ABANDONED };

struct wait {
  _Atomic uint32_t state;
  _Atomic uint32_t refs;
  int32_t *word;
  int32_t expected;
  int64_t timeout_ms;
  int result;
  bool has_ended; /* the environment; its own thread's */
  napi_threadsafe_function deliver;
};

static void drop(struct wait *wait) {
  if (atomic_fetch_sub(&wait->refs, 1) == 1) free(wait);
}

static int64_t now_ms(void) { return shoal_now_ns() / 1000000; }

static void *wait_in_thread(void *data) {
  struct wait *wait = data;
  int64_t end = now_ms() + wait->timeout_ms;
  do {
    int64_t left = wait->timeout_ms < 0 ? -1 : end - now_ms();
    if (wait->timeout_ms >= 0 && left < 0) left = 0;
    wait->result = shoal_futex_wait(wait->word, wait->expected, left);
  } while (wait->result == -EINTR && atomic_load(&wait->state) == WAITING);
  uint32_t expected = WAITING;
  if (atomic_compare_exchange_strong(&wait->state, &expected, CALLING)) {
    napi_status status = napi_call_threadsafe_function(wait->deliver, wait, napi_tsfn_nonblocking);
    atomic_store(&wait->state, status == napi_ok ? CALLED : REFUSED);
  }
  drop(wait);
  return NULL;
}

static uint32_t state_after_calling(struct wait *wait) {
  uint32_t state;
  while ((state = atomic_load(&wait->state)) == CALLING) sched_yield();
  return state;
}

static void on_environment_end(void *data) {
  struct wait *wait = data;
  uint32_t expected = WAITING;
  wait->has_ended = true;
  if (atomic_compare_exchange_strong(&wait->state, &expected, ABANDONED)) {
    shoal_futex_wake(wait->word, INT_MAX);
    napi_release_threadsafe_function(wait->deliver, napi_tsfn_abort);
    drop(wait);
  } else if (state_after_calling(wait) == REFUSED) {
    drop(wait);
  }
}

/* On the environment's thread. `env` is NULL, or the end hook has run, when the environment is ending. */
static void deliver(napi_env env, napi_value callback, void *context, void *data) {
  struct wait *wait = data;
  napi_value undefined, result;
  int outcome = wait->result;
  bool is_alive = env != NULL && !wait->has_ended;
  (void)context;
  if (is_alive) {
    (void)state_after_calling(wait); /* the thread is done with the function before it may go */
    napi_remove_env_cleanup_hook(env, on_environment_end, wait);
    napi_release_threadsafe_function(wait->deliver, napi_tsfn_release);
  }
  drop(wait);
  if (!is_alive) return;
  if (napi_get_undefined(env, &undefined) != napi_ok || napi_create_int32(env, outcome, &result) != napi_ok) return;
  napi_call_function(env, undefined, callback, 1, &result, NULL);
}

static int start(napi_env env, struct wait *wait, napi_value callback) {
  napi_value name;
  if (napi_create_string_utf8(env, "shoal.futexWaitAsync", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, NULL, deliver, &wait->deliver) != napi_ok) {
    return -EINVAL;
  }
  napi_add_env_cleanup_hook(env, on_environment_end, wait);
  int error = shoal_start_thread(wait_in_thread, wait);
  if (error != 0) {
    napi_remove_env_cleanup_hook(env, on_environment_end, wait);
    napi_release_threadsafe_function(wait->deliver, napi_tsfn_abort);
  }
  return error;
}

/* futexWaitAsync(address, expected, timeoutMs or -1, callback(result)) -> 0; result as futexWait's, never -EINTR */
static napi_value call_futex_wait_async(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  napi_valuetype type;
  int64_t address, expected, timeout_ms;
  if (!shoal_args(env, info, 4, argv) || !shoal_int64(env, argv[0], &address) ||
      !shoal_int64(env, argv[1], &expected) || !shoal_int64(env, argv[2], &timeout_ms) ||
      napi_typeof(env, argv[3], &type) != napi_ok || type != napi_function) {
    return shoal_result(env, -EINVAL);
  }
  struct wait *wait = calloc(1, sizeof *wait);
  if (wait == NULL) return shoal_result(env, -ENOMEM);
  atomic_store(&wait->refs, 2);
  wait->word = (int32_t *)(uintptr_t)address;
  wait->expected = (int32_t)expected;
  wait->timeout_ms = timeout_ms;
  int error = start(env, wait, argv[3]);
  if (error != 0) free(wait);
  return shoal_result(env, error);
}

void shoal_futex_async_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = { { "futexWaitAsync", call_futex_wait_async } };
  SHOAL_DEFINE(env, exports, functions);
}

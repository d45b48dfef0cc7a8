/*
 * What JavaScript sees of the waiter: opening and closing one, and the calls back. The thread is in waiter_thread.c.
 *
 * A waiter is freed with its last reference. The environment holds one until it closes the waiter or ends; a call
 * that is on its way holds another, since engines differ in whether they still make it when the environment is
 * ending (see futex_async.c). The hook runs before the thread-safe function's own, and before the memory and the
 * descriptors that JavaScript had when it opened the waiter are given back: hooks run in reverse order of
 * registration.
 */
#include "waiter.h"

#include <stdlib.h>

static _Atomic int64_t last_id;

static void drop(struct waiter *waiter) {
  if (atomic_fetch_sub(&waiter->refs, 1) == 1) free(waiter);
}

/* On the environment's thread. `env` is NULL when it is ending. */
static void deliver(napi_env env, napi_value callback, void *context, void *data) {
  struct waiter *waiter = data;
  napi_value undefined, reasons;
  uint32_t taken = atomic_exchange(&waiter->reasons, 0); /* from here on there may be another call */
  bool is_open = env != NULL && !waiter->has_closed;
  (void)context;
  drop(waiter);
  if (!is_open) return;
  if (napi_get_undefined(env, &undefined) != napi_ok || napi_create_uint32(env, taken, &reasons) != napi_ok) return;
  napi_call_function(env, undefined, callback, 1, &reasons, NULL);
}

/* Takes the waiter from the thread and the environment; the caller still has the environment's reference. */
static void withdraw(struct waiter *waiter) {
  waiter->has_closed = true;
  waiter_thread_remove(waiter);
  for (struct waiter **link = &waiter->mine->waiters; *link != NULL; link = &(*link)->next_mine) {
    if (*link != waiter) continue;
    *link = waiter->next_mine;
    break;
  }
}

static void on_environment_end(void *data) {
  struct waiter *waiter = data;
  withdraw(waiter);
  napi_release_threadsafe_function(waiter->deliver, napi_tsfn_abort);
  drop(waiter);
}

static int start(napi_env env, struct waiter *waiter, napi_value callback) {
  napi_value name;
  napi_status status = napi_create_string_utf8(env, "shoal.waiter", NAPI_AUTO_LENGTH, &name);
  if (status != napi_ok) return -EINVAL;
  status =
    napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, NULL, deliver, &waiter->deliver);
  if (status != napi_ok) return -EINVAL;
  napi_unref_threadsafe_function(env, waiter->deliver);
  napi_add_env_cleanup_hook(env, on_environment_end, waiter);
  waiter->mine = shoal_env_of(env);
  waiter->next_mine = waiter->mine->waiters;
  waiter->mine->waiters = waiter;
  waiter_thread_add(waiter);
  return 0;
}

static bool is_word(int64_t address) { return address > 0 && address % 4 == 0; }

/* waiterOpen(bell, slots, used, slotCount, ownIndex, lockFd, lockOffset, callback(reasons)) -> id; inactive, and unref'd */
static napi_value call_waiter_open(napi_env env, napi_callback_info info) {
  napi_value argv[8];
  napi_valuetype type;
  int64_t a[7];
  if (!shoal_args(env, info, 8, argv)) return shoal_result(env, -EINVAL);
  for (size_t i = 0; i < 7; i++) {
    if (!shoal_int64(env, argv[i], &a[i])) return shoal_result(env, -EINVAL);
  }
  bool is_sound = is_word(a[0]) && is_word(a[1]) && is_word(a[2]) && a[4] >= 0 && a[4] < a[3] && a[3] <= UINT16_MAX &&
                  a[5] >= 0 && a[5] <= INT32_MAX && a[6] >= 0;
  if (!is_sound || napi_typeof(env, argv[7], &type) != napi_ok || type != napi_function) {
    return shoal_result(env, -EINVAL);
  }
  struct waiter *waiter = calloc(1, sizeof *waiter);
  if (waiter == NULL) return shoal_result(env, -ENOMEM);
  atomic_store(&waiter->is_dormant, true);
  atomic_store(&waiter->refs, 1);
  waiter->bell = (uint32_t *)(uintptr_t)a[0];
  waiter->slots = (const uint32_t *)(uintptr_t)a[1];
  waiter->used = (const uint32_t *)(uintptr_t)a[2];
  waiter->slot_count = (uint32_t)a[3];
  waiter->own_index = (uint32_t)a[4];
  waiter->lock_fd = (int)a[5];
  waiter->lock_offset = a[6];
  waiter->id = atomic_fetch_add(&last_id, 1) + 1;
  int error = start(env, waiter, argv[7]);
  int64_t id = waiter->id;
  if (error != 0) free(waiter);
  return shoal_result(env, error != 0 ? error : id);
}

/* The waiter of this environment that the first argument names, or NULL; the second argument, if wanted. */
static struct waiter *waiter_of(napi_env env, napi_callback_info info, int64_t *out) {
  int64_t a[2];
  if (!shoal_int64s(env, info, out == NULL ? 1 : 2, a)) return NULL;
  if (out != NULL) *out = a[1];
  struct waiter *waiter = shoal_env_of(env)->waiters;
  while (waiter != NULL && waiter->id != a[0]) waiter = waiter->next_mine;
  return waiter;
}

/* waiterActive(id, 0 or 1) -> 0. Both sides of is_active and is_dormant: see waiter_thread.c. */
static napi_value call_waiter_active(napi_env env, napi_callback_info info) {
  int64_t is_active;
  struct waiter *waiter = waiter_of(env, info, &is_active);
  if (waiter == NULL) return shoal_result(env, -EINVAL);
  int error = is_active != 0 ? waiter_thread_start() : 0;
  if (error != 0) return shoal_result(env, error);
  atomic_store(&waiter->is_active, is_active != 0);
  if (is_active != 0 && atomic_load(&waiter->is_dormant)) waiter_thread_poke();
  return shoal_result(env, 0);
}

/* waiterTicking(id, 0 or 1) -> 0; seen at the next beat */
static napi_value call_waiter_ticking(napi_env env, napi_callback_info info) {
  int64_t is_ticking;
  struct waiter *waiter = waiter_of(env, info, &is_ticking);
  if (waiter == NULL) return shoal_result(env, -EINVAL);
  atomic_store(&waiter->is_ticking, is_ticking != 0);
  return shoal_result(env, 0);
}

/* waiterRef(id, 0 or 1) -> 0; whether it keeps the event loop alive */
static napi_value call_waiter_ref(napi_env env, napi_callback_info info) {
  int64_t is_ref;
  struct waiter *waiter = waiter_of(env, info, &is_ref);
  if (waiter == NULL) return shoal_result(env, -EINVAL);
  napi_status status = is_ref != 0 ? napi_ref_threadsafe_function(env, waiter->deliver)
                                   : napi_unref_threadsafe_function(env, waiter->deliver);
  return shoal_result(env, status == napi_ok ? 0 : -EINVAL);
}

/* waiterClose(id) -> 0; then the memory may be unmapped and the descriptor closed, and no call comes any more */
static napi_value call_waiter_close(napi_env env, napi_callback_info info) {
  struct waiter *waiter = waiter_of(env, info, NULL);
  if (waiter == NULL) return shoal_result(env, -EINVAL);
  withdraw(waiter);
  napi_remove_env_cleanup_hook(env, on_environment_end, waiter);
  napi_release_threadsafe_function(waiter->deliver, napi_tsfn_release);
  drop(waiter);
  return shoal_result(env, 0);
}

/* waiterPoll(0 or 1) -> 0; for tests: as on a kernel without futex_waitv. Of the whole process. */
static napi_value call_waiter_poll(napi_env env, napi_callback_info info) {
  int64_t polls;
  if (!shoal_int64s(env, info, 1, &polls)) return shoal_result(env, -EINVAL);
  waiter_thread_poll(polls != 0);
  return shoal_result(env, 0);
}

void shoal_waiter_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "waiterOpen", call_waiter_open },   { "waiterActive", call_waiter_active },
    { "waiterTicking", call_waiter_ticking }, { "waiterRef", call_waiter_ref },
    { "waiterClose", call_waiter_close }, { "waiterPoll", call_waiter_poll },
  };
  SHOAL_DEFINE(env, exports, functions);
}

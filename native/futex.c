/*
 * Futexes, shared between processes (never FUTEX_PRIVATE_FLAG): a wait is keyed by file and offset, so that processes
 * which mapped the segment at different addresses meet on the same word.
 */
#include "common.h"
#include "futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int shoal_futex_wait(int32_t *word, int32_t expected, int64_t timeout_ms) {
  struct timespec limit = { .tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1000000 };
  long result = syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ms < 0 ? NULL : &limit, NULL, 0);
  return result == -1 ? -errno : 0;
}

int shoal_futex_wake(int32_t *word, int32_t count) {
  long result = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
  return result == -1 ? -errno : (int)result;
}

/* futexWait(address, expected, timeoutMs or -1) -> 0 woken, -EAGAIN another value, -ETIMEDOUT, -EINTR */
static napi_value call_futex_wait(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_result(env, shoal_futex_wait((int32_t *)(uintptr_t)a[0], (int32_t)a[1], a[2]));
}

/* futexWake(address, count) -> how many were woken */
static napi_value call_futex_wake(napi_env env, napi_callback_info info) {
  int64_t a[2];
  if (!shoal_int64s(env, info, 2, a)) return shoal_result(env, -EINVAL);
  return shoal_result(env, shoal_futex_wake((int32_t *)(uintptr_t)a[0], (int32_t)a[1]));
}

void shoal_futex_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "futexWait", call_futex_wait },
    { "futexWake", call_futex_wake },
  };
  SHOAL_DEFINE(env, exports, functions);
}

/*
 * What the files of this addon share.
 *
 * Rules that hold in all of them:
 *  - One exported function per system call. Arguments are JavaScript numbers; addresses, lengths and file offsets are
 *    doubles holding integers below 2^53. The result is a non-negative number, or -errno. Nothing is decided here:
 *    retries, names, messages and defaults are TypeScript's (src/os).
 *  - The addon is loaded by any number of threads (one napi_env each). What belongs to one of them is in
 *    `struct shoal_env`; what belongs to the process (guard.c, pins.c, waiter_thread.c) is static, and says how it is
 *    synchronised.
 *  - Nothing newer than glibc 2.28, which is what Node 20's own binaries ask for: hence OLD_GLIBC below.
 */
#ifndef SHOAL_COMMON_H
#define SHOAL_COMMON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * glibc 2.34 gave some functions a second, newer version when it merged libpthread and libdl into libc; a binary that
 * is built there would refuse to load on older systems. This asks for the first version, which both have.
 */
#if defined(__GLIBC__) && defined(__x86_64__)
#define OLD_GLIBC(function) __asm__(".symver " #function "," #function "@GLIBC_2.2.5")
#elif defined(__GLIBC__) && defined(__aarch64__)
#define OLD_GLIBC(function) __asm__(".symver " #function "," #function "@GLIBC_2.17")
#else
#define OLD_GLIBC(function) struct shoal_no_symver_##function
#endif

/* One open descriptor of this thread; which file it was, so that clean-up never closes a stranger's descriptor. */
struct tracked_fd {
  uint64_t dev;
  uint64_t ino;
  bool open;
};

/* One pinned address that this thread holds, and how often. */
struct held_pin {
  uintptr_t address;
  uint32_t refs;
};

/* What one environment (the main thread, or a worker) owns. Touched by its own thread only: no lock. */
struct shoal_env {
  struct tracked_fd *fds; /* indexed by descriptor */
  size_t fd_capacity;
  struct held_pin *pins;
  size_t pin_count;
  size_t pin_capacity;
  struct waiter *waiters; /* linked by their next_mine */
};

struct shoal_function {
  const char *name;
  napi_callback call;
};

/* values.c */
struct shoal_env *shoal_env_of(napi_env env);
bool shoal_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv);
bool shoal_int64(napi_env env, napi_value value, int64_t *out);
bool shoal_int64s(napi_env env, napi_callback_info info, size_t count, int64_t *out);
int shoal_string(napi_env env, napi_value value, char *out, size_t capacity);
double *shoal_doubles(napi_env env, napi_value value, size_t at_least);
napi_value shoal_result(napi_env env, int64_t result);
napi_value shoal_errno_or(napi_env env, int64_t result);
void shoal_define(napi_env env, napi_value exports, const struct shoal_function *functions, size_t count);

#define SHOAL_DEFINE(env, exports, table) shoal_define(env, exports, table, sizeof(table) / sizeof((table)[0]))

/* One per file: adds the file's functions to the exports object. */
void shoal_files_init(napi_env env, napi_value exports);
void shoal_maps_init(napi_env env, napi_value exports);
void shoal_buffers_init(napi_env env, napi_value exports);
void shoal_sysv_init(napi_env env, napi_value exports);
void shoal_futex_init(napi_env env, napi_value exports);
void shoal_futex_async_init(napi_env env, napi_value exports);
void shoal_waiter_init(napi_env env, napi_value exports);
void shoal_locks_init(napi_env env, napi_value exports);
void shoal_guard_init(napi_env env, napi_value exports);
void shoal_pins_init(napi_env env, napi_value exports);
void shoal_constants_init(napi_env env, napi_value exports);

/* What the thread's end gives back. */
void shoal_files_cleanup(struct shoal_env *mine);
void shoal_guard_cleanup(struct shoal_env *mine);
void shoal_pins_cleanup(struct shoal_env *mine);

#endif

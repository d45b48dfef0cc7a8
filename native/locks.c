/*
 * Open-file-description locks: byte ranges of a file, owned by the open file (not by the process), dropped by the
 * kernel when its last descriptor goes, however the owner dies. Never waited for here. And the caller's thread id.
 */
#include "common.h"
#include "locks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct flock range(short type, int64_t offset, int64_t length) {
  struct flock lock;
  memset(&lock, 0, sizeof lock); /* l_pid must be 0 for the OFD commands */
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = length;
  return lock;
}

int shoal_lock_get(int fd, int64_t offset, int64_t length) {
  struct flock lock = range(F_WRLCK, offset, length);
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -errno;
  return lock.l_type == F_UNLCK ? 0 : lock.l_type == F_RDLCK ? 1 : 2;
}

/* lockSet(fd, offset, length, kind) -> 0, or -EAGAIN when another holds it; kind 0 unlock, 1 shared, 2 exclusive */
static napi_value call_lock_set(napi_env env, napi_callback_info info) {
  int64_t a[4];
  if (!shoal_int64s(env, info, 4, a) || a[3] < 0 || a[3] > 2) return shoal_result(env, -EINVAL);
  struct flock lock = range(a[3] == 0 ? F_UNLCK : a[3] == 1 ? F_RDLCK : F_WRLCK, a[1], a[2]);
  return shoal_errno_or(env, fcntl((int)a[0], F_OFD_SETLK, &lock));
}

/* lockGet(fd, offset, length) -> 0 free (or only ours), 1 another holds it shared, 2 another holds it exclusively */
static napi_value call_lock_get(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_result(env, shoal_lock_get((int)a[0], a[1], a[2]));
}

/* gettid() -> the kernel's id of the calling thread */
static napi_value call_gettid(napi_env env, napi_callback_info info) {
  (void)info;
  return shoal_result(env, syscall(SYS_gettid));
}

void shoal_locks_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "lockSet", call_lock_set },
    { "lockGet", call_lock_get },
    { "gettid", call_gettid },
  };
  SHOAL_DEFINE(env, exports, functions);
}

/*
 * Descriptors: opening, closing, sizing, reading.
 *
 * Every descriptor made here is close-on-exec (a spawned program must not keep a lock alive) and remembered in the
 * environment's table, indexed by descriptor, so that a terminated worker's descriptors close with it. The table also
 * holds which file each one was: whoever closes a descriptor behind our back (fs.closeSync) and opens another file
 * under the same number keeps that one.
 *
 * shm_open is spelled out as glibc and musl do it, an open in /dev/shm, because its symbol moved between libraries.
 */
#include "common.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* statx and not fstat: fstat's symbol is glibc 2.33's. */
static int stat_fd(int fd, struct statx *out) {
  return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, out);
}

static uint64_t device_of(const struct statx *st) { return makedev(st->stx_dev_major, st->stx_dev_minor); }

/* Remembers the descriptor; on failure closes it. Returns it, or -errno. */
static int track(struct shoal_env *mine, int fd) {
  struct statx st;
  if (fd < 0) return -errno;
  if ((size_t)fd >= mine->fd_capacity) {
    size_t capacity = ((size_t)fd + 64) * 2;
    struct tracked_fd *fds = realloc(mine->fds, capacity * sizeof *fds);
    if (fds == NULL) {
      close(fd);
      return -ENOMEM;
    }
    memset(fds + mine->fd_capacity, 0, (capacity - mine->fd_capacity) * sizeof *fds);
    mine->fds = fds;
    mine->fd_capacity = capacity;
  }
  if (stat_fd(fd, &st) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  mine->fds[fd] = (struct tracked_fd){ .dev = device_of(&st), .ino = st.stx_ino, .open = true };
  return fd;
}

void shoal_files_cleanup(struct shoal_env *mine) {
  for (size_t fd = 0; fd < mine->fd_capacity; fd++) {
    struct statx st;
    if (mine->fds[fd].open && stat_fd((int)fd, &st) == 0 && device_of(&st) == mine->fds[fd].dev &&
        st.stx_ino == mine->fds[fd].ino) {
      close((int)fd);
    }
  }
  free(mine->fds);
  mine->fds = NULL;
  mine->fd_capacity = 0;
}

/* open(path, flags, mode) -> descriptor */
static napi_value call_open(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  char path[PATH_MAX];
  int64_t flags, mode;
  if (!shoal_args(env, info, 3, argv) || !shoal_int64(env, argv[1], &flags) || !shoal_int64(env, argv[2], &mode)) {
    return shoal_result(env, -EINVAL);
  }
  int bad = shoal_string(env, argv[0], path, sizeof path);
  if (bad != 0) return shoal_result(env, bad);
  return shoal_result(env, track(shoal_env_of(env), open(path, (int)flags | O_CLOEXEC, (mode_t)mode)));
}

/* "/name" -> "/dev/shm/name"; 0 or -errno, by the C libraries' rules. */
static int shm_path(napi_env env, napi_value value, char *out, size_t capacity) {
  char name[NAME_MAX + 2];
  int bad = shoal_string(env, value, name, sizeof name);
  if (bad != 0) return bad;
  const char *rest = name;
  while (*rest == '/') rest++;
  if (*rest == '\0' || strchr(rest, '/') != NULL || strcmp(rest, ".") == 0 || strcmp(rest, "..") == 0) return -EINVAL;
  if (strlen(rest) > NAME_MAX) return -ENAMETOOLONG;
  int length = snprintf(out, capacity, "/dev/shm/%s", rest);
  return length > 0 && (size_t)length < capacity ? 0 : -ENAMETOOLONG;
}

/* shmOpen(name, flags, mode) -> descriptor */
static napi_value call_shm_open(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  char path[NAME_MAX + 16];
  int64_t flags, mode;
  if (!shoal_args(env, info, 3, argv) || !shoal_int64(env, argv[1], &flags) || !shoal_int64(env, argv[2], &mode)) {
    return shoal_result(env, -EINVAL);
  }
  int bad = shm_path(env, argv[0], path, sizeof path);
  if (bad != 0) return shoal_result(env, bad);
  int fd = open(path, (int)flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, (mode_t)mode);
  return shoal_result(env, track(shoal_env_of(env), fd));
}

/* shmUnlink(name) -> 0 */
static napi_value call_shm_unlink(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  char path[NAME_MAX + 16];
  if (!shoal_args(env, info, 1, argv)) return shoal_result(env, -EINVAL);
  int bad = shm_path(env, argv[0], path, sizeof path);
  if (bad != 0) return shoal_result(env, bad);
  return shoal_errno_or(env, unlink(path));
}

/* memfdCreate(name, flags) -> descriptor */
static napi_value call_memfd_create(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  char name[NAME_MAX + 1];
  int64_t flags;
  if (!shoal_args(env, info, 2, argv) || !shoal_int64(env, argv[1], &flags)) return shoal_result(env, -EINVAL);
  int bad = shoal_string(env, argv[0], name, sizeof name);
  if (bad != 0) return shoal_result(env, bad);
  return shoal_result(env, track(shoal_env_of(env), memfd_create(name, (unsigned)flags | MFD_CLOEXEC)));
}

/* close(fd) -> 0. Forgotten first: Linux frees the number even when close reports an error. */
static napi_value call_close(napi_env env, napi_callback_info info) {
  int64_t fd;
  if (!shoal_int64s(env, info, 1, &fd) || fd < 0 || fd > INT_MAX) return shoal_result(env, -EBADF);
  struct shoal_env *mine = shoal_env_of(env);
  if ((size_t)fd < mine->fd_capacity) mine->fds[fd].open = false;
  return shoal_errno_or(env, close((int)fd));
}

/* ftruncate(fd, length) -> 0 */
static napi_value call_ftruncate(napi_env env, napi_callback_info info) {
  int64_t a[2];
  if (!shoal_int64s(env, info, 2, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, ftruncate((int)a[0], a[1]));
}

/* fallocate(fd, mode, offset, length) -> 0 */
static napi_value call_fallocate(napi_env env, napi_callback_info info) {
  int64_t a[4];
  if (!shoal_int64s(env, info, 4, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, fallocate((int)a[0], (int)a[1], a[2], a[3]));
}

/* fstat(fd, Float64Array(8)) -> 0; size, mode, uid, gid, dev, ino, nlink, bytes really occupied */
static napi_value call_fstat(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int64_t fd;
  struct statx st;
  if (!shoal_args(env, info, 2, argv) || !shoal_int64(env, argv[0], &fd)) return shoal_result(env, -EINVAL);
  double *out = shoal_doubles(env, argv[1], 8);
  if (out == NULL) return shoal_result(env, -EINVAL);
  if (stat_fd((int)fd, &st) != 0) return shoal_result(env, -errno);
  out[0] = (double)st.stx_size;
  out[1] = st.stx_mode;
  out[2] = st.stx_uid;
  out[3] = st.stx_gid;
  out[4] = (double)device_of(&st);
  out[5] = (double)st.stx_ino;
  out[6] = st.stx_nlink;
  out[7] = (double)st.stx_blocks * 512;
  return shoal_result(env, 0);
}

/* The arguments of pread and pwrite: (fd, Uint8Array, offset). */
struct transfer {
  int64_t fd;
  void *data;
  size_t length;
  int64_t offset;
};

static bool transfer_args(napi_env env, napi_callback_info info, struct transfer *out) {
  napi_value argv[3];
  napi_typedarray_type type;
  return shoal_args(env, info, 3, argv) && shoal_int64(env, argv[0], &out->fd) &&
         shoal_int64(env, argv[2], &out->offset) &&
         napi_get_typedarray_info(env, argv[1], &type, &out->length, &out->data, NULL, NULL) == napi_ok &&
         type == napi_uint8_array;
}

/* pread(fd, Uint8Array, offset) -> bytes read */
static napi_value call_pread(napi_env env, napi_callback_info info) {
  struct transfer t;
  if (!transfer_args(env, info, &t)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, pread((int)t.fd, t.data, t.length, t.offset));
}

/* pwrite(fd, Uint8Array, offset) -> bytes written */
static napi_value call_pwrite(napi_env env, napi_callback_info info) {
  struct transfer t;
  if (!transfer_args(env, info, &t)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, pwrite((int)t.fd, t.data, t.length, t.offset));
}

/* fchmod(fd, mode) -> 0 */
static napi_value call_fchmod(napi_env env, napi_callback_info info) {
  int64_t a[2];
  if (!shoal_int64s(env, info, 2, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, fchmod((int)a[0], (mode_t)a[1]));
}

/* getrandom(Uint8Array) -> bytes filled; at most 256, which is never a partial read */
static napi_value call_getrandom(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  if (!shoal_args(env, info, 1, argv) ||
      napi_get_typedarray_info(env, argv[0], &type, &length, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || length > 256) {
    return shoal_result(env, -EINVAL);
  }
  return shoal_errno_or(env, getrandom(data, length, 0));
}

void shoal_files_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "open", call_open },
    { "shmOpen", call_shm_open },
    { "shmUnlink", call_shm_unlink },
    { "memfdCreate", call_memfd_create },
    { "close", call_close },
    { "ftruncate", call_ftruncate },
    { "fallocate", call_fallocate },
    { "fstat", call_fstat },
    { "pread", call_pread },
    { "pwrite", call_pwrite },
    { "fchmod", call_fchmod },
    { "getrandom", call_getrandom },
  };
  SHOAL_DEFINE(env, exports, functions);
}

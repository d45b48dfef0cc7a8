/*
 * Address space: mapping, unmapping, protecting, advising, writing back. Thin on purpose. Two things are added:
 *  - MAP_FIXED_NOREPLACE means what it says on kernels before 4.17 too, which take it for a mere hint.
 *  - mapOwn ties a mapping to the calling thread's environment, so that a worker's terminate() does not leave it (and
 *    the memory behind it) to the process. Not all mappings are the thread's to unmap: those laid over a
 *    WebAssembly.Memory go with the memory. Each has its own clean-up hook, which is a constant-time table by itself.
 */
#include "common.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* mmap(address, length, protection, flags, fd, offset) -> address */
static napi_value call_mmap(napi_env env, napi_callback_info info) {
  int64_t a[6];
  if (!shoal_int64s(env, info, 6, a)) return shoal_result(env, -EINVAL);
  void *wanted = (void *)(uintptr_t)a[0];
  void *got = mmap(wanted, (size_t)a[1], (int)a[2], (int)a[3], (int)a[4], a[5]);
  if (got == MAP_FAILED) return shoal_result(env, -errno);
  if ((a[3] & MAP_FIXED_NOREPLACE) != 0 && got != wanted) {
    munmap(got, (size_t)a[1]);
    return shoal_result(env, -EEXIST);
  }
  return shoal_result(env, (int64_t)(uintptr_t)got);
}

/* munmap(address, length) -> 0 */
static napi_value call_munmap(napi_env env, napi_callback_info info) {
  int64_t a[2];
  if (!shoal_int64s(env, info, 2, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, munmap((void *)(uintptr_t)a[0], (size_t)a[1]));
}

/* mprotect(address, length, protection) -> 0 */
static napi_value call_mprotect(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, mprotect((void *)(uintptr_t)a[0], (size_t)a[1], (int)a[2]));
}

/* madvise(address, length, advice) -> 0 */
static napi_value call_madvise(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, madvise((void *)(uintptr_t)a[0], (size_t)a[1], (int)a[2]));
}

/* msync(address, length, flags) -> 0 */
static napi_value call_msync(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, msync((void *)(uintptr_t)a[0], (size_t)a[1], (int)a[2]));
}

struct owned_map {
  void *address;
  size_t length; /* 0: a System V attachment, which knows its length itself */
};

static void unmap_owned(void *data) {
  struct owned_map *map = data;
  if (map->length == 0) {
    shmdt(map->address);
  } else {
    munmap(map->address, map->length);
  }
  free(map);
}

/* mapOwn(address, length, or 0 for System V) -> a token for mapDisown */
static napi_value call_map_own(napi_env env, napi_callback_info info) {
  int64_t a[2];
  if (!shoal_int64s(env, info, 2, a)) return shoal_result(env, -EINVAL);
  struct owned_map *map = malloc(sizeof *map);
  if (map == NULL) return shoal_result(env, -ENOMEM);
  *map = (struct owned_map){ .address = (void *)(uintptr_t)a[0], .length = (size_t)a[1] };
  if (napi_add_env_cleanup_hook(env, unmap_owned, map) != napi_ok) {
    free(map);
    return shoal_result(env, -ENOMEM);
  }
  return shoal_result(env, (int64_t)(uintptr_t)map);
}

/* mapDisown(token) -> 0; the token is spent, the mapping stays */
static napi_value call_map_disown(napi_env env, napi_callback_info info) {
  int64_t token;
  if (!shoal_int64s(env, info, 1, &token) || token == 0) return shoal_result(env, -EINVAL);
  struct owned_map *map = (struct owned_map *)(uintptr_t)token;
  napi_remove_env_cleanup_hook(env, unmap_owned, map);
  free(map);
  return shoal_result(env, 0);
}

void shoal_maps_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "mmap", call_mmap },
    { "munmap", call_munmap },
    { "mprotect", call_mprotect },
    { "madvise", call_madvise },
    { "msync", call_msync },
    { "mapOwn", call_map_own },
    { "mapDisown", call_map_disown },
  };
  SHOAL_DEFINE(env, exports, functions);
}

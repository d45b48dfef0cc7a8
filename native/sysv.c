/*
 * System V shared memory: get, attach, detach, look, remove, and the kernel's limits.
 */
#include "common.h"

#include <sys/ipc.h>
#include <sys/shm.h>

/* shmget(key, size, flags) -> id */
static napi_value call_shmget(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, shmget((key_t)a[0], (size_t)a[1], (int)a[2]));
}

/* shmat(id, address or 0, flags) -> address */
static napi_value call_shmat(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, (int64_t)(intptr_t)shmat((int)a[0], (void *)(uintptr_t)a[1], (int)a[2]));
}

/* shmdt(address) -> 0 */
static napi_value call_shmdt(napi_env env, napi_callback_info info) {
  int64_t address;
  if (!shoal_int64s(env, info, 1, &address)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, shmdt((void *)(uintptr_t)address));
}

/* shmctlStat(id, Float64Array(8)) -> 0; size, mode, uid, gid, creator's pid, last pid, attaches, key */
static napi_value call_shmctl_stat(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int64_t id;
  struct shmid_ds ds;
  if (!shoal_args(env, info, 2, argv) || !shoal_int64(env, argv[0], &id)) return shoal_result(env, -EINVAL);
  double *out = shoal_doubles(env, argv[1], 8);
  if (out == NULL) return shoal_result(env, -EINVAL);
  if (shmctl((int)id, IPC_STAT, &ds) != 0) return shoal_result(env, -errno);
  out[0] = (double)ds.shm_segsz;
  out[1] = ds.shm_perm.mode;
  out[2] = ds.shm_perm.uid;
  out[3] = ds.shm_perm.gid;
  out[4] = ds.shm_cpid;
  out[5] = ds.shm_lpid;
  out[6] = (double)ds.shm_nattch;
  out[7] = ds.shm_perm.__key;
  return shoal_result(env, 0);
}

/* shmctlRemove(id) -> 0 */
static napi_value call_shmctl_remove(napi_env env, napi_callback_info info) {
  int64_t id;
  if (!shoal_int64s(env, info, 1, &id)) return shoal_result(env, -EINVAL);
  return shoal_errno_or(env, shmctl((int)id, IPC_RMID, NULL));
}

/* shmLimits(Float64Array(5)) -> 0; largest segment, smallest, most segments, most pages in all, segments now */
static napi_value call_shm_limits(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  struct shminfo limits;
  struct shm_info used;
  if (!shoal_args(env, info, 1, argv)) return shoal_result(env, -EINVAL);
  double *out = shoal_doubles(env, argv[0], 5);
  if (out == NULL) return shoal_result(env, -EINVAL);
  if (shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&limits) < 0) return shoal_result(env, -errno);
  if (shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&used) < 0) return shoal_result(env, -errno);
  out[0] = (double)limits.shmmax;
  out[1] = (double)limits.shmmin;
  out[2] = (double)limits.shmmni;
  out[3] = (double)limits.shmall;
  out[4] = used.used_ids;
  return shoal_result(env, 0);
}

void shoal_sysv_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "shmget", call_shmget },
    { "shmat", call_shmat },
    { "shmdt", call_shmdt },
    { "shmctlStat", call_shmctl_stat },
    { "shmctlRemove", call_shmctl_remove },
    { "shmLimits", call_shm_limits },
  };
  SHOAL_DEFINE(env, exports, functions);
}

/*
 * The guard's two exported functions. The flags word lies in a SharedArrayBuffer, which never moves; a strong reference
 * to the view over it keeps it alive for as long as the handler may write there.
 */
#include "common.h"
#include "guard.h"

/* The environment itself drops its references when it ends. */
void shoal_guard_cleanup(struct shoal_env *mine) { guard_remove_all(mine); }

/* guardAdd(address, length, Int32Array) -> id; the handler sets bit 1 (value 2) of the array's first word */
static napi_value call_guard_add(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  int64_t address, length;
  napi_typedarray_type type;
  size_t words = 0;
  void *flags = NULL;
  napi_ref reference = NULL;
  if (!shoal_args(env, info, 3, argv) || !shoal_int64(env, argv[0], &address) || !shoal_int64(env, argv[1], &length) ||
      napi_get_typedarray_info(env, argv[2], &type, &words, &flags, NULL, NULL) != napi_ok ||
      type != napi_int32_array || words < 1 || length < 0) {
    return shoal_result(env, -EINVAL);
  }
  if (napi_create_reference(env, argv[2], 1, &reference) != napi_ok) return shoal_result(env, -ENOMEM);
  struct guard_keep keep = { .owner = shoal_env_of(env), .reference = reference };
  int64_t id = guard_add((uintptr_t)address, (size_t)length, flags, keep);
  if (id < 0) napi_delete_reference(env, reference);
  return shoal_result(env, id);
}

/* guardRemove(id) -> 0; -ENOENT when this thread has no such guard. To be called after zero pages lie over the span. */
static napi_value call_guard_remove(napi_env env, napi_callback_info info) {
  int64_t id;
  struct guard_keep kept = { 0 };
  if (!shoal_int64s(env, info, 1, &id)) return shoal_result(env, -EINVAL);
  int64_t result = guard_remove(id, shoal_env_of(env), &kept);
  if (result == 0) napi_delete_reference(env, (napi_ref)kept.reference);
  return shoal_result(env, result);
}

void shoal_guard_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "guardAdd", call_guard_add },
    { "guardRemove", call_guard_remove },
  };
  SHOAL_DEFINE(env, exports, functions);
}

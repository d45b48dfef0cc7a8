/*
 * Between addresses and JavaScript's buffers. An external ArrayBuffer made here does not own its memory: TypeScript
 * decides when the memory goes, and detaches the buffer first, so that a stale view has length 0 and cannot crash.
 */
#include "common.h"

/* addressOf(view or ArrayBuffer) -> the address of its first byte. Views on a SharedArrayBuffer are the main use. */
static napi_value call_address_of(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data = NULL;
  size_t length = 0;
  bool is = false;
  if (!shoal_args(env, info, 1, argv)) return shoal_result(env, -EINVAL);
  if (napi_is_typedarray(env, argv[0], &is) == napi_ok && is) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, argv[0], &type, &length, &data, NULL, NULL) != napi_ok) data = NULL;
  } else if (napi_is_arraybuffer(env, argv[0], &is) == napi_ok && is) {
    if (napi_get_arraybuffer_info(env, argv[0], &data, &length) != napi_ok) data = NULL;
  } else if (napi_is_dataview(env, argv[0], &is) == napi_ok && is) {
    if (napi_get_dataview_info(env, argv[0], &length, &data, NULL, NULL) != napi_ok) data = NULL;
  }
  return shoal_result(env, data == NULL ? -EINVAL : (int64_t)(uintptr_t)data);
}

static void owns_nothing(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  (void)hint;
}

/* externalBuffer(address, length) -> ArrayBuffer; -ENOTSUP where the engine forbids memory it did not allocate */
static napi_value call_external_buffer(napi_env env, napi_callback_info info) {
  int64_t a[2];
  napi_value buffer = NULL;
  if (!shoal_int64s(env, info, 2, a) || a[1] < 0) return shoal_result(env, -EINVAL);
  void *memory = (void *)(uintptr_t)a[0];
  if (napi_create_external_arraybuffer(env, memory, (size_t)a[1], owns_nothing, NULL, &buffer) == napi_ok) return buffer;
  /* Too long for the engine: some report it by an exception. */
  bool is_pending = false;
  napi_value exception;
  if (napi_is_exception_pending(env, &is_pending) == napi_ok && is_pending) {
    napi_get_and_clear_last_exception(env, &exception);
  }
  return shoal_result(env, -ENOTSUP);
}

/* detach(ArrayBuffer) -> 0 */
static napi_value call_detach(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  if (!shoal_args(env, info, 1, argv)) return shoal_result(env, -EINVAL);
  return shoal_result(env, napi_detach_arraybuffer(env, argv[0]) == napi_ok ? 0 : -EINVAL);
}

void shoal_buffers_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "addressOf", call_address_of },
    { "externalBuffer", call_external_buffer },
    { "detach", call_detach },
  };
  SHOAL_DEFINE(env, exports, functions);
}

/*
 * Carrying values between JavaScript and C: the only place that knows how an argument is read and a result is made.
 * A wrong argument is -EINVAL like the kernel's own; TypeScript checks arguments before it calls and says which.
 */
#include "common.h"

#include <string.h>

struct shoal_env *shoal_env_of(napi_env env) {
  void *mine = NULL;
  napi_get_instance_data(env, &mine);
  return mine;
}

/* Exactly `count` values into argv; missing ones are undefined, and the readers below refuse those. */
bool shoal_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, argv, NULL, NULL) == napi_ok;
}

bool shoal_int64(napi_env env, napi_value value, int64_t *out) {
  return napi_get_value_int64(env, value, out) == napi_ok;
}

/* The common case: every argument is a number. At most 8 of them. */
bool shoal_int64s(napi_env env, napi_callback_info info, size_t count, int64_t *out) {
  napi_value argv[8];
  if (count > 8 || !shoal_args(env, info, count, argv)) return false;
  for (size_t i = 0; i < count; i++) {
    if (!shoal_int64(env, argv[i], &out[i])) return false;
  }
  return true;
}

/* 0, or -errno. A NUL inside would silently name another file: refused. */
int shoal_string(napi_env env, napi_value value, char *out, size_t capacity) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return -EINVAL;
  if (length >= capacity) return -ENAMETOOLONG;
  if (napi_get_value_string_utf8(env, value, out, capacity, &length) != napi_ok) return -EINVAL;
  return strlen(out) == length ? 0 : -EINVAL;
}

/* The data of a Float64Array with room for `at_least` numbers, or NULL. */
double *shoal_doubles(napi_env env, napi_value value, size_t at_least) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  bool is_typed_array = false;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return NULL;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) != napi_ok) return NULL;
  return type == napi_float64_array && length >= at_least ? data : NULL;
}

napi_value shoal_result(napi_env env, int64_t result) {
  napi_value value = NULL;
  napi_create_int64(env, result, &value);
  return value;
}

/* For the C library's convention: -1 means "look at errno". */
napi_value shoal_errno_or(napi_env env, int64_t result) {
  return shoal_result(env, result == -1 ? -(int64_t)errno : result);
}

void shoal_define(napi_env env, napi_value exports, const struct shoal_function *functions, size_t count) {
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function) == napi_ok) {
      napi_set_named_property(env, exports, functions[i].name, function);
    }
  }
}

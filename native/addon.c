/*
 * The addon's entry: gives each environment its own state, fills the exports, and on the environment's end hands back
 * what it still holds. That end may be a worker's terminate(), where no JavaScript runs any more, so this hook is the
 * only thing between a killed worker and leaked descriptors (which would keep its locks, and so its slot, alive).
 */
#include "common.h"

#include <dlfcn.h>
#include <stdlib.h>

OLD_GLIBC(dladdr);
OLD_GLIBC(dlopen);

/*
 * Node unloads an addon when the last environment that loaded it has ended. A SIGBUS handler or a waiting thread whose
 * code is unmapped is a crash, so the library is made to stay; loading it anew is then free.
 */
static void stay_loaded(void) {
  Dl_info where;
  if (dladdr((void *)(uintptr_t)&stay_loaded, &where) != 0 && where.dli_fname != NULL) {
    (void)dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  }
}

static void on_environment_end(void *data) {
  struct shoal_env *mine = data;
  shoal_guard_cleanup(mine);
  shoal_pins_cleanup(mine);
  shoal_files_cleanup(mine);
  free(mine);
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  struct shoal_env *mine = calloc(1, sizeof *mine);
  if (mine == NULL || napi_set_instance_data(env, mine, NULL, NULL) != napi_ok ||
      napi_add_env_cleanup_hook(env, on_environment_end, mine) != napi_ok) {
    free(mine);
    napi_throw_error(env, NULL, "shoal: the addon could not be initialised");
    return NULL;
  }
  stay_loaded();
  shoal_files_init(env, exports);
  shoal_maps_init(env, exports);
  shoal_buffers_init(env, exports);
  shoal_sysv_init(env, exports);
  shoal_futex_init(env, exports);
  shoal_futex_async_init(env, exports);
  shoal_waiter_init(env, exports);
  shoal_locks_init(env, exports);
  shoal_guard_init(env, exports);
  shoal_pins_init(env, exports);
  shoal_constants_init(env, exports);
  return exports;
}

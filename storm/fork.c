/*
 * What the kill storm's nursery needs of the system and Node does not offer: fork() without exec. A started Node takes
 * some 70 ms of a processor; a forked one takes one or two, so that ten thousand of them can be killed while one waits.
 *
 * For tests only: nothing of the package loads this. A forked Node has no thread but the one that forked. So the nursery runs
 * with --single-threaded, and the children never return to the event loop (storm/nursery.ts).
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static napi_value number(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

static int32_t argument(napi_env env, napi_callback_info info) {
  napi_value value;
  size_t count = 1;
  int32_t result = -1;
  napi_get_cb_info(env, info, &count, &value, NULL, NULL);
  if (count == 1) napi_get_value_int32(env, value, &result);
  return result;
}

/*
 * The engine asks the kernel to leave its heap out of forks (MADV_DONTFORK), because what Node forks executes another program
 * at once. Here the child goes on, so all of it is wanted.
 */
static void keep_all_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return;
  char line[512];
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    /* Refused for the kernel's own mappings, which are inherited anyway. */
    if (sscanf(line, "%lx-%lx", &start, &end) == 2) madvise((void *)start, end - start, MADV_DOFORK);
  }
  fclose(maps);
}

/* The child's pid; 0 in the child; or -errno. */
static napi_value call_fork(napi_env env, napi_callback_info info) {
  (void)info;
  keep_all_mappings();
  pid_t pid = fork();
  return number(env, pid < 0 ? -errno : pid);
}

/* Waits for the end of a child: the signal that ended it, 256 + its exit code, or -errno. */
static napi_value call_wait(napi_env env, napi_callback_info info) {
  pid_t pid = argument(env, info);
  int status = 0;
  pid_t waited;
  do waited = waitpid(pid, &status, 0);
  while (waited < 0 && errno == EINTR);
  if (waited < 0) return number(env, -errno);
  return number(env, WIFSIGNALED(status) ? WTERMSIG(status) : 256 + WEXITSTATUS(status));
}

/* Ends this process at once: no handlers, no flushing, nothing that another thread would have to do. */
static napi_value call_exit(napi_env env, napi_callback_info info) { _exit(argument(env, info)); }

static napi_value call_pid(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, getpid());
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor all[] = {
      {"fork", NULL, call_fork, NULL, NULL, NULL, napi_enumerable, NULL},
      {"wait", NULL, call_wait, NULL, NULL, NULL, napi_enumerable, NULL},
      {"exit", NULL, call_exit, NULL, NULL, NULL, napi_enumerable, NULL},
      {"pid", NULL, call_pid, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof all / sizeof all[0], all);
  return exports;
}

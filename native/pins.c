/*
 * Pins: the one mapping per process at an address that is the same in every process.
 *
 * All threads of a process share its address space, so the second thread that wants segment S at address A must find
 * the first one's mapping and count itself in; mapping again over it would be harmless only by luck. The table of pins
 * is per process: a linked list under a mutex (a handful of entries; taken when a region opens or closes, never on a
 * hot path). What each environment holds is counted in its own list too, for a worker that ends without releasing.
 *
 * A pin is made without replacing anything. Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint, so the address
 * that came back decides.
 */
#include "common.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Which segment: a file by device and inode; a System V segment by its id, with SYSV as the device. */
#define SYSV INT64_MIN

struct pin {
  struct pin *next;
  uintptr_t address;
  size_t length;
  int64_t dev;
  int64_t ino;
  uint32_t refs; /* over all environments */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pin *pins; /* under mutex */

static struct held_pin *held_at(struct shoal_env *mine, uintptr_t address) {
  for (size_t i = 0; i < mine->pin_count; i++) {
    if (mine->pins[i].address == address) return &mine->pins[i];
  }
  return NULL;
}

/* Makes sure that noting one more address cannot fail once the mapping is made. */
static bool reserve_note(struct shoal_env *mine) {
  if (mine->pin_count < mine->pin_capacity) return true;
  size_t capacity = mine->pin_capacity * 2 + 8;
  struct held_pin *grown = realloc(mine->pins, capacity * sizeof *grown);
  if (grown == NULL) return false;
  mine->pins = grown;
  mine->pin_capacity = capacity;
  return true;
}

static void note(struct shoal_env *mine, uintptr_t address) {
  struct held_pin *held = held_at(mine, address);
  if (held != NULL) {
    held->refs++;
  } else {
    mine->pins[mine->pin_count++] = (struct held_pin){ .address = address, .refs = 1 };
  }
}

static struct pin *pin_at(uintptr_t address) {
  struct pin *pin = pins;
  while (pin != NULL && pin->address != address) pin = pin->next;
  return pin;
}

static int map_file(uintptr_t address, size_t length, int fd) {
  void *wanted = (void *)address;
  void *got = mmap(wanted, length, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
  if (got == MAP_FAILED) return -errno;
  if (got == wanted) return 0;
  munmap(got, length);
  return -EEXIST;
}

/* shmat without SHM_REMAP says EINVAL for a taken address as for a bad id or alignment: told apart here. */
static int attach_sysv(uintptr_t address, size_t length, int id) {
  struct shmid_ds ds;
  if (shmctl(id, IPC_STAT, &ds) != 0) return -errno;
  if (address % (uintptr_t)sysconf(_SC_PAGESIZE) != 0 || ds.shm_segsz > length) return -EINVAL;
  if (shmat(id, (void *)address, 0) != (void *)-1) return 0;
  return errno == EINVAL ? -EEXIST : -errno;
}

/* The references after it, or -errno. */
static int64_t acquire(struct shoal_env *mine, uintptr_t address, size_t length, int64_t dev, int64_t ino, int handle) {
  int64_t result;
  if (address == 0 || length == 0) return -EINVAL;
  if (!reserve_note(mine)) return -ENOMEM;
  pthread_mutex_lock(&mutex);
  struct pin *pin = pin_at(address);
  if (pin != NULL) {
    bool same = pin->length == length && pin->dev == dev && pin->ino == ino;
    result = same ? (int64_t)++pin->refs : -EEXIST;
  } else if ((pin = malloc(sizeof *pin)) == NULL) {
    result = -ENOMEM;
  } else {
    result = dev == SYSV ? attach_sysv(address, length, handle) : map_file(address, length, handle);
    if (result != 0) {
      free(pin);
    } else {
      *pin = (struct pin){ .next = pins, .address = address, .length = length, .dev = dev, .ino = ino, .refs = 1 };
      pins = pin;
      result = 1;
    }
  }
  pthread_mutex_unlock(&mutex);
  if (result > 0) note(mine, address);
  return result;
}

/* Takes `refs` references off a pin that the caller holds; unmaps it at 0. */
static int64_t release(uintptr_t address, uint32_t refs) {
  int64_t left = 0;
  pthread_mutex_lock(&mutex);
  for (struct pin **link = &pins; *link != NULL; link = &(*link)->next) {
    struct pin *pin = *link;
    if (pin->address != address) continue;
    pin->refs -= refs;
    left = pin->refs;
    if (left == 0) {
      /* Unmapped before the entry is gone from the mutex's view, so that the next acquire finds the address free. */
      if (pin->dev == SYSV) {
        shmdt((void *)address);
      } else {
        munmap((void *)address, pin->length);
      }
      *link = pin->next;
      free(pin);
    }
    break;
  }
  pthread_mutex_unlock(&mutex);
  return left;
}

void shoal_pins_cleanup(struct shoal_env *mine) {
  for (size_t i = 0; i < mine->pin_count; i++) release(mine->pins[i].address, mine->pins[i].refs);
  free(mine->pins);
  mine->pins = NULL;
  mine->pin_count = mine->pin_capacity = 0;
}

/* pinAcquire(address, length, fd, dev, ino) -> references; -EEXIST when something else is there */
static napi_value call_pin_acquire(napi_env env, napi_callback_info info) {
  int64_t a[5];
  if (!shoal_int64s(env, info, 5, a)) return shoal_result(env, -EINVAL);
  return shoal_result(env, acquire(shoal_env_of(env), (uintptr_t)a[0], (size_t)a[1], a[3], a[4], (int)a[2]));
}

/* pinAcquireSysv(address, length, shmid) -> references; the segment is attached readable and writable */
static napi_value call_pin_acquire_sysv(napi_env env, napi_callback_info info) {
  int64_t a[3];
  if (!shoal_int64s(env, info, 3, a)) return shoal_result(env, -EINVAL);
  return shoal_result(env, acquire(shoal_env_of(env), (uintptr_t)a[0], (size_t)a[1], SYSV, a[2], (int)a[2]));
}

/* pinRelease(address) -> references left in the process; -ENOENT when this thread holds none */
static napi_value call_pin_release(napi_env env, napi_callback_info info) {
  int64_t address;
  if (!shoal_int64s(env, info, 1, &address)) return shoal_result(env, -EINVAL);
  struct shoal_env *mine = shoal_env_of(env);
  struct held_pin *held = held_at(mine, (uintptr_t)address);
  if (held == NULL) return shoal_result(env, -ENOENT);
  if (--held->refs == 0) *held = mine->pins[--mine->pin_count];
  return shoal_result(env, release((uintptr_t)address, 1));
}

void shoal_pins_init(napi_env env, napi_value exports) {
  static const struct shoal_function functions[] = {
    { "pinAcquire", call_pin_acquire },
    { "pinAcquireSysv", call_pin_acquire_sysv },
    { "pinRelease", call_pin_release },
  };
  SHOAL_DEFINE(env, exports, functions);
}

/*
 * The SIGBUS guard: a process whose segment is truncated underneath it lives on.
 *
 * Touching a mapped page that lies beyond the file's end raises SIGBUS. For spans registered here the handler lays a
 * private zero page over the lost one, sets bit 1 (DAMAGED) in the span's flags word, and returns; the access is
 * retried and reads zeros. Everything else is passed on to whoever handled SIGBUS before, exactly as the kernel would.
 *
 * The table is static and of fixed size, because the handler may neither lock nor allocate. A slot's life:
 *
 *     FREE --add: cas--> CLAIMED --fields written, release--> ACTIVE --remove: cas--> CLAIMED --> FREE
 *
 * `readers` counts handlers that are looking into the slot. Remover and handler meet like this (all seq_cst):
 *     handler: readers += 1; if state is ACTIVE, use the fields;     readers -= 1
 *     remover: state = CLAIMED;                                  wait until readers is 0
 * Whichever comes first, either the handler sees that the slot is no longer active, or the remover waits for it: after
 * guard_remove returned, no handler writes to the flags word or maps a page in the span. The wait is a few microseconds,
 * the length of a handler, and a handler waits for nobody.
 *
 * A fault may be taken just before another thread lays zero pages over the span and removes it, and its handler run just
 * after. So a fault in no guarded span is retried when the address can be read by now. Each removal allows RETRIES of
 * these: a fault that persists on readable memory (a write to a file's hole on a full disk) must not be retried for ever.
 */
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 4096
#define RETRIES 64
#define DAMAGED 2

enum { FREE, CLAIMED, ACTIVE };

struct slot {
  _Atomic uint32_t state;
  _Atomic uint32_t readers;
  _Atomic uint32_t generation; /* of the slot's uses: an id from an earlier use is refused */
  _Atomic uintptr_t start;
  _Atomic uintptr_t end;
  int32_t *_Atomic damaged;
  const void *_Atomic owner; /* these two the handler never looks at */
  void *reference;           /* only the owner does */
};

static struct slot slots[SLOTS];
static _Atomic uint32_t slots_used;   /* no slot at or beyond this index was ever claimed */
static _Atomic uint32_t retries_left; /* for faults in spans that are no longer guarded */

static pthread_mutex_t install_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool installed;
static struct sigaction previous; /* written before the handler is installed, then only read */
static _Atomic bool previous_spent; /* it asked for SA_RESETHAND and was called once */
static uintptr_t page_bytes;

static bool replace_page(uintptr_t address) {
  void *page = (void *)(address & ~(page_bytes - 1));
  return mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page;
}

/* Async-signal-safe: atomics and one mmap. */
static bool treat(uintptr_t address) {
  uint32_t used = atomic_load(&slots_used);
  for (uint32_t i = 0; i < used; i++) {
    struct slot *slot = &slots[i];
    bool treated = false;
    if (address < atomic_load(&slot->start) || address >= atomic_load(&slot->end)) continue;
    atomic_fetch_add(&slot->readers, 1);
    /* The span is read again: the slot may have changed hands since. */
    if (atomic_load(&slot->state) == ACTIVE && address >= atomic_load(&slot->start) &&
        address < atomic_load(&slot->end) && replace_page(address)) {
      __atomic_fetch_or(atomic_load(&slot->damaged), DAMAGED, __ATOMIC_SEQ_CST);
      treated = true;
    }
    atomic_fetch_sub(&slot->readers, 1);
    if (treated) return true;
  }
  return false;
}

/* The kernel reads the set before it looks at `how`, which is none: EINVAL says that the 8 bytes could be read. */
static bool is_readable(uintptr_t address) {
  return syscall(SYS_rt_sigprocmask, -1, address & ~(uintptr_t)7, NULL, 8) == -1 && errno == EINVAL;
}

static bool was_replaced(uintptr_t address) {
  uint32_t left = atomic_load(&retries_left);
  if (left == 0 || !is_readable(address)) return false;
  while (left > 0) {
    if (atomic_compare_exchange_weak(&retries_left, &left, left - 1)) return true;
  }
  return false;
}

static void die_by_default(int signal_number, bool is_fault) {
  struct sigaction action = { .sa_handler = SIG_DFL };
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, NULL);
  /* A fault comes again by itself when we return, with its own registers in the core; a signal that was sent does not. */
  if (!is_fault) raise(signal_number);
}

static void pass_on(int signal_number, siginfo_t *info, void *context) {
  bool is_fault = info->si_code > 0 && info->si_code != SI_KERNEL;
  bool takes_info = (previous.sa_flags & SA_SIGINFO) != 0;
  bool is_default = !takes_info && previous.sa_handler == SIG_DFL;
  bool is_ignore = !takes_info && previous.sa_handler == SIG_IGN;
  if (is_ignore && !is_fault) return;
  if ((previous.sa_flags & SA_RESETHAND) != 0 && atomic_exchange(&previous_spent, true)) is_default = true;
  if (is_default || is_ignore) { /* the kernel lets nobody ignore a fault */
    die_by_default(signal_number, is_fault);
    return;
  }
  sigset_t before, only_this;
  sigprocmask(SIG_BLOCK, &previous.sa_mask, &before);
  if ((previous.sa_flags & SA_NODEFER) != 0) {
    sigemptyset(&only_this);
    sigaddset(&only_this, signal_number);
    sigprocmask(SIG_UNBLOCK, &only_this, NULL);
  }
  if (takes_info) {
    previous.sa_sigaction(signal_number, info, context);
  } else {
    previous.sa_handler(signal_number);
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
  int saved_errno = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  bool retry = info->si_code == BUS_ADRERR && (treat(address) || was_replaced(address));
  errno = saved_errno;
  if (!retry) pass_on(signal_number, info, context);
}

static int install(void) {
  int result = 0;
  if (atomic_load(&installed)) return 0;
  pthread_mutex_lock(&install_mutex);
  if (!atomic_load(&installed)) {
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* Read first: the handler may run the moment it is installed, and needs to know whom to pass on to. */
    if (sigaction(SIGBUS, NULL, &previous) != 0) {
      result = -errno;
    } else {
      struct sigaction action = { .sa_sigaction = on_bus_error };
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & SA_RESTART);
      sigemptyset(&action.sa_mask);
      result = sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
      atomic_store(&installed, result == 0);
    }
  }
  pthread_mutex_unlock(&install_mutex);
  return result;
}

static int64_t id_of(uint32_t index, uint32_t generation) { return (int64_t)generation * SLOTS + index; }

/* An id, or -errno: -EINVAL for an empty span or no flags, -ENOSPC when the table is full. */
int64_t guard_add(uintptr_t start, size_t length, int32_t *damaged, struct guard_keep keep) {
  if (start == 0 || length == 0 || start + length < start || damaged == NULL) return -EINVAL;
  int failed = install();
  if (failed != 0) return failed;
  for (uint32_t i = 0; i < SLOTS; i++) {
    struct slot *slot = &slots[i];
    uint32_t expected = FREE;
    if (!atomic_compare_exchange_strong(&slot->state, &expected, CLAIMED)) continue;
    uint32_t used = atomic_load(&slots_used);
    while (used < i + 1 && !atomic_compare_exchange_weak(&slots_used, &used, i + 1)) continue;
    uint32_t generation = atomic_fetch_add(&slot->generation, 1) + 1;
    atomic_store(&slot->start, start);
    atomic_store(&slot->end, start + length);
    atomic_store(&slot->damaged, damaged);
    atomic_store(&slot->owner, keep.owner);
    slot->reference = keep.reference;
    atomic_store(&slot->state, ACTIVE);
    return id_of(i, generation);
  }
  return -ENOSPC;
}

/* The caller has made sure that the slot is its own. */
static bool retire(struct slot *slot, struct guard_keep *kept) {
  uint32_t expected = ACTIVE;
  struct guard_keep keep = { .owner = atomic_load(&slot->owner), .reference = slot->reference };
  atomic_store(&retries_left, RETRIES); /* before a handler can find the slot inactive */
  if (!atomic_compare_exchange_strong(&slot->state, &expected, CLAIMED)) return false;
  while (atomic_load(&slot->readers) != 0) sched_yield();
  if (kept != NULL) *kept = keep;
  atomic_store(&slot->owner, NULL);
  atomic_store(&slot->state, FREE);
  return true;
}

/* 0, or -ENOENT when there is no such guard of this owner (any more). */
int64_t guard_remove(int64_t id, const void *owner, struct guard_keep *kept) {
  if (id < 0) return -ENOENT;
  struct slot *slot = &slots[id % SLOTS];
  bool is_mine = atomic_load(&slot->state) == ACTIVE && atomic_load(&slot->owner) == owner;
  if (!is_mine || id_of((uint32_t)(id % SLOTS), atomic_load(&slot->generation)) != id) return -ENOENT;
  return retire(slot, kept) ? 0 : -ENOENT;
}

void guard_remove_all(const void *owner) {
  uint32_t used = atomic_load(&slots_used);
  for (uint32_t i = 0; i < used; i++) {
    if (atomic_load(&slots[i].state) == ACTIVE && atomic_load(&slots[i].owner) == owner) retire(&slots[i], NULL);
  }
}

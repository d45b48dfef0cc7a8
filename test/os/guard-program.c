/*
 * What cannot be tried from JavaScript: native/guard.c among other handlers of SIGBUS. One scenario a run, named by the
 * first argument; exit code 0 when all went as it should. Compiled and run by guard.test.ts.
 */
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition); \
      exit(1);                                                             \
    }                                                                      \
  } while (0)

static const struct guard_keep mine = { .owner = "me", .reference = NULL };
static size_t page;

/* `pages` pages of a file that has lost them all. */
static volatile char *lost_pages(int pages) {
  int fd = memfd_create("shoal-test", 0);
  CHECK(fd >= 0 && ftruncate(fd, (off_t)(page * (size_t)pages)) == 0);
  char *memory = mmap(NULL, page * (size_t)pages, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(memory != MAP_FAILED);
  memset(memory, 7, page * (size_t)pages);
  CHECK(ftruncate(fd, 0) == 0);
  close(fd);
  return memory;
}

static int64_t guard(volatile char *memory, int pages, int32_t *damaged) {
  return guard_add((uintptr_t)memory, page * (size_t)pages, damaged, mine);
}

/* Installs the guard's handler without guarding anything that the scenario touches. */
static void install_guard(void) {
  static int32_t unused;
  static char elsewhere[1];
  CHECK(guard_add((uintptr_t)elsewhere, 1, &unused, mine) >= 0);
}

static _Atomic int calls;
static void *volatile fault_address;

static void mend(void *address) {
  void *start = (void *)((uintptr_t)address & ~(page - 1));
  mmap(start, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void foreign_siginfo(int number, siginfo_t *info, void *context) {
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  if (number != SIGBUS || context == NULL || !sigismember(&blocked, SIGUSR1)) _exit(2);
  fault_address = info->si_addr;
  calls++;
  mend(info->si_addr);
}

static volatile char *to_mend;

static void foreign_plain(int number) {
  if (number != SIGBUS) _exit(2);
  calls++;
  mend((void *)to_mend);
}

static void before_guard(struct sigaction action) {
  sigaddset(&action.sa_mask, SIGUSR1);
  CHECK(sigaction(SIGBUS, &action, NULL) == 0);
  install_guard();
}

static void guarded(void) {
  int32_t damaged[2] = { 1, 0 };
  volatile char *memory = lost_pages(3);
  int64_t id = guard(memory, 2, damaged);
  CHECK(id >= 0);
  errno = 99;
  CHECK(memory[page + 5] == 0);
  CHECK(errno == 99);
  CHECK(damaged[0] == 3 && damaged[1] == 0);
  memory[page + 5] = 1;
  CHECK(memory[page + 5] == 1);
  damaged[0] = 0;
  memory[0] = 2; /* the other page is lost by itself, and a write is retried too */
  CHECK(memory[0] == 2 && damaged[0] == 2);
  CHECK(guard_remove(id, "other", NULL) == -ENOENT);
  CHECK(guard_remove(id, mine.owner, NULL) == 0);
  CHECK(guard_remove(id, mine.owner, NULL) == -ENOENT);
}

static void unguarded(void) {
  install_guard();
  (void)lost_pages(1)[0];
}

/* The page after the guarded ones is nobody's. */
static void beyond(void) {
  int32_t damaged = 0;
  volatile char *memory = lost_pages(2);
  CHECK(guard(memory, 1, &damaged) >= 0);
  (void)memory[page];
}

static void removed(void) {
  int32_t damaged = 0;
  volatile char *memory = lost_pages(1);
  int64_t id = guard(memory, 1, &damaged);
  CHECK(guard_remove(id, mine.owner, NULL) == 0);
  (void)memory[0];
}

static void siginfo(void) {
  before_guard((struct sigaction){ .sa_sigaction = foreign_siginfo, .sa_flags = SA_SIGINFO });
  volatile char *memory = lost_pages(1);
  CHECK(memory[9] == 0 && calls == 1 && fault_address == (void *)(memory + 9));
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  CHECK(!sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGBUS));
  int32_t damaged = 0;
  volatile char *ours = lost_pages(1);
  CHECK(guard(ours, 1, &damaged) >= 0);
  CHECK(ours[0] == 0 && damaged == 2 && calls == 1);
}

static void plain(void) {
  before_guard((struct sigaction){ .sa_handler = foreign_plain });
  to_mend = lost_pages(1);
  CHECK(to_mend[0] == 0 && calls == 1);
}

static void reset_hand(void) {
  before_guard((struct sigaction){ .sa_handler = foreign_plain, .sa_flags = (int)SA_RESETHAND });
  to_mend = lost_pages(1);
  CHECK(to_mend[0] == 0 && calls == 1);
  to_mend = lost_pages(1);
  (void)to_mend[0];
}

static void ignored_sent(void) {
  before_guard((struct sigaction){ .sa_handler = SIG_IGN });
  kill(getpid(), SIGBUS);
}

static void ignored_fault(void) {
  before_guard((struct sigaction){ .sa_handler = SIG_IGN });
  (void)lost_pages(1)[0];
}

static void sent(void) {
  install_guard();
  kill(getpid(), SIGBUS);
  sleep(5);
}

static void full_table(void) {
  static int32_t damaged;
  int64_t id = 0;
  int count = 0;
  volatile char *memory = lost_pages(1);
  while ((id = guard(memory, 1, &damaged)) >= 0) count++;
  CHECK(id == -ENOSPC && count >= 4096);
  guard_remove_all("other");
  CHECK(guard(memory, 1, &damaged) == -ENOSPC);
  guard_remove_all(mine.owner);
  CHECK(guard(memory, 1, &damaged) >= 0);
  CHECK(memory[0] == 0 && damaged == 2);
}

#define ROUNDS 3000
static volatile char *_Atomic current;
static _Atomic bool stop;
static int32_t words[ROUNDS];

static void *touch_current(void *unused) {
  long sum = 0;
  while (!stop) {
    volatile char *memory = current;
    if (memory != NULL) sum += memory[0] + memory[page];
  }
  (void)sum;
  return unused;
}

static void *churn(void *unused) {
  static int32_t damaged;
  static char span[64];
  const struct guard_keep other = { .owner = "churn" };
  while (!stop) {
    int64_t ids[20];
    for (int i = 0; i < 20; i++) ids[i] = guard_add((uintptr_t)span, sizeof span, &damaged, other);
    for (int i = 0; i < 20; i++) CHECK(guard_remove(ids[i], other.owner, NULL) == 0);
  }
  return unused;
}

/* Threads touch spans that another thread truncates, lays zeros over and takes out of the guard. */
static void race(void) {
  pthread_t threads[4];
  int32_t first = 0;
  current = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, i < 3 ? touch_current : churn, NULL) == 0);
  for (int i = 0; i < ROUNDS; i++) {
    int fd = memfd_create("shoal-test", 0);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)(2 * page)) == 0);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED);
    int64_t id = guard(memory, 2, &words[i]);
    CHECK(id >= 0);
    current = memory;
    if (i % 3 == 0) usleep(50);
    CHECK(ftruncate(fd, 0) == 0);
    if (i % 2 == 0) usleep(20);
    void *over = mmap(memory, 2 * page, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(over == memory);
    CHECK(guard_remove(id, mine.owner, NULL) == 0);
    if (words[i] == 2) first++;
    words[i] = -77; /* nobody may write here any more: in the addon the memory is freed now */
    close(fd);
  }
  stop = true;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < ROUNDS; i++) CHECK(words[i] == -77);
  CHECK(first > 0); /* the race did happen */
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } scenarios[] = {
    { "guarded", guarded },       { "unguarded", unguarded },       { "beyond", beyond },
    { "removed", removed },       { "siginfo", siginfo },           { "plain", plain },
    { "reset-hand", reset_hand }, { "ignored-sent", ignored_sent }, { "ignored-fault", ignored_fault },
    { "sent", sent },             { "full-table", full_table },     { "race", race },
  };
  page = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof scenarios[0]; i++) {
    if (strcmp(argv[1], scenarios[i].name) == 0) {
      scenarios[i].run();
      return 0;
    }
  }
  return 3;
}

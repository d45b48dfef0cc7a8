/* The addon's own threads, and their clock. */
#include "threads.h"
#include "common.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

OLD_GLIBC(pthread_create);

/* Deaf to every signal but faults: those sent to the process are the main thread's. */
int shoal_start_thread(void *(*run)(void *data), void *data) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigprocmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, &attributes, run, data);
  sigprocmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return -error;
}

int64_t shoal_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

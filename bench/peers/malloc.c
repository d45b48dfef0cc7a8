/*
 * The patterns of bench/topics/alloc.ts on the C library's malloc, private to one process: what a program pays that
 * shares nothing. Run as `malloc REPEATS PATTERN SIZE [PATTERN SIZE ...]`; prints one figure a line, ns per pair.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIVE_COUNT 10000

/* Every pointer passes through here, so that the compiler cannot drop a pair of malloc and free. */
static inline void *opaque(void *pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double lifo(size_t size, long repeats) {
  double started = now_ns();
  for (long i = 0; i < repeats; i++) free(opaque(malloc(size)));
  return (now_ns() - started) / (double)repeats;
}

static double churn(size_t size, long repeats) {
  static void *live[LIVE_COUNT];
  uint32_t random = 0x2545f491;
  for (int i = 0; i < LIVE_COUNT; i++) live[i] = opaque(malloc(size));
  double started = now_ns();
  for (long i = 0; i < repeats; i++) {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    uint32_t index = (uint32_t)(((uint64_t)random * LIVE_COUNT) >> 32);
    free(live[index]);
    live[index] = opaque(malloc(size));
  }
  double result = (now_ns() - started) / (double)repeats;
  for (int i = 0; i < LIVE_COUNT; i++) free(live[i]);
  return result;
}

int main(int argc, char **argv) {
  long repeats = argc > 1 ? atol(argv[1]) : 0;
  if (repeats <= 0 || argc % 2 != 0) return 2;
  for (int i = 2; i < argc; i += 2) {
    size_t size = (size_t)atol(argv[i + 1]);
    lifo(size, 1000); /* warm-up: the first pair fetches memory from the kernel */
    printf("%.3f\n", strcmp(argv[i], "churn10k") == 0 ? churn(size, repeats) : lifo(size, repeats));
  }
  return 0;
}

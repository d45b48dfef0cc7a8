/*
 * The patterns of bench/alloc/loops.ts on other allocators: the peers of the alloc rows. peers.ts compiles it once for
 * each package that it needs, with one of
 *
 *   -DWITH_GLIBC     glibc: the C library's malloc, private to one process
 *   -DWITH_MIMALLOC  mimalloc: likewise private
 *   -DWITH_BOOST     boost, boost-simple: a managed_shared_memory with rbtree_best_fit or simple_seq_fit
 *
 * and runs it as
 *
 *   driver PEER NAME PATTERN SIZE MILLISECONDS [PATTERN SIZE MILLISECONDS ...]
 *
 * which prints one figure a line: nanoseconds for an allocation and a free, or a percentage. NAME is what segments are
 * called in /dev/shm; there is one at a time, and it is removed however the driver ends, SIGKILL excepted.
 *
 * Times are measured until they are over, not for a number of pairs: simple_seq_fit can take a thousand times as long as
 * the others.
 */
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#ifdef WITH_MIMALLOC
#include <mimalloc.h>
#endif
#ifdef WITH_BOOST
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/mem_algo/simple_seq_fit.hpp>
#endif

/* As in bench/alloc/loops.ts. */
static const size_t small_heap_bytes = 4 << 20;
static const size_t large_heap_bytes = 16 << 20;
static const size_t churn_count = 10000;
static const size_t fragmented_count = 1000;
static const uint32_t seed = 0x2545f491;

/* A look at the clock takes as long as one pair, so it is taken after so many. */
static const long pairs_per_batch = 250;

static std::string segment_path;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  if (!segment_path.empty()) unlink(segment_path.c_str());
  _exit(2);
}

extern "C" void remove_and_end(int signal_number) {
  unlink(segment_path.c_str());
  _exit(128 + signal_number);
}

static double now_ns() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* xorshift32, so that every contestant meets the same sizes and the same order. */
struct Random {
  uint32_t state = seed;
  uint32_t below(uint32_t limit) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)(((uint64_t)state * limit) >> 32);
  }
};

/* ---- the contestants: made with a name and a size, allocate (null when full), release */

/* Every pointer passes through here, so that the compiler cannot drop a pair of malloc and free. */
static inline void *opaque(void *pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

#ifdef WITH_GLIBC
struct GlibcHeap {
  static const bool is_shared = false;
  GlibcHeap(const char *, size_t) {}
  void *allocate(size_t size) { return opaque(malloc(size)); }
  void release(void *block) { free(block); }
};
#endif

#ifdef WITH_MIMALLOC
struct MimallocHeap {
  static const bool is_shared = false;
  MimallocHeap(const char *, size_t) {}
  void *allocate(size_t size) { return opaque(mi_malloc(size)); }
  void release(void *block) { mi_free(block); }
};
#endif

#ifdef WITH_BOOST
namespace interprocess = boost::interprocess;

template <class Algorithm> class BoostHeap {
  std::string name;
  interprocess::basic_managed_shared_memory<char, Algorithm, interprocess::iset_index> segment;

public:
  static const bool is_shared = true;
  BoostHeap(const char *name, size_t bytes)
      : name(name), segment(interprocess::create_only, name, bytes, nullptr, interprocess::permissions(0600)) {}
  ~BoostHeap() { interprocess::shared_memory_object::remove(name.c_str()); }
  void *allocate(size_t size) { return segment.allocate(size, std::nothrow); }
  void release(void *block) { segment.deallocate(block); }
};

using BestFitHeap = BoostHeap<interprocess::rbtree_best_fit<interprocess::mutex_family>>;
using SimpleHeap = BoostHeap<interprocess::simple_seq_fit<interprocess::mutex_family>>;
#endif

/* ---- the patterns */

/* Runs batches until the time is over; nanoseconds a pair. A tenth of the time goes before, uncounted, as warm-up. */
template <class Batch> static double time_batches(double milliseconds, Batch batch) {
  double started = now_ns();
  do batch();
  while (now_ns() < started + milliseconds * 1e5);
  long pairs = 0;
  double now = started = now_ns();
  do {
    batch();
    pairs += pairs_per_batch;
    now = now_ns();
  } while (now < started + milliseconds * 1e6);
  return (now - started) / (double)pairs;
}

template <class Heap> static void *allocate_or_fail(Heap &heap, size_t size) {
  void *block = heap.allocate(size);
  if (block == nullptr) fail("out of memory before the pattern was under way");
  return block;
}

template <class Heap> static double run_lifo(Heap &heap, size_t size, double milliseconds) {
  return time_batches(milliseconds, [&] {
    for (long pair = 0; pair < pairs_per_batch; pair++) heap.release(heap.allocate(size));
  });
}

/* Replaces random ones of the live blocks. */
template <class Heap>
static double run_replacement(Heap &heap, std::vector<void *> &live, size_t size, double milliseconds) {
  Random random;
  uint32_t count = (uint32_t)live.size();
  if (count == 0) fail("no room for a single block");
  return time_batches(milliseconds, [&] {
    for (long pair = 0; pair < pairs_per_batch; pair++) {
      uint32_t index = random.below(count);
      heap.release(live[index]);
      live[index] = heap.allocate(size);
    }
  });
}

template <class Heap> static double run_churn(Heap &heap, size_t size, double milliseconds) {
  std::vector<void *> live;
  for (size_t index = 0; index < churn_count; index++) live.push_back(allocate_or_fail(heap, size));
  double figure = run_replacement(heap, live, size, milliseconds);
  for (void *block : live) heap.release(block);
  return figure;
}

/* Mixed sizes until the heap is full. A private heap never is: it gets as many bytes as a shared one has. */
template <class Heap> static std::vector<void *> fill_mixed(Heap &heap, Random &random, size_t &requested) {
  std::vector<void *> blocks;
  for (requested = 0;;) {
    size_t size = 16 + random.below(985);
    if (requested + size > large_heap_bytes) return blocks;
    void *block = heap.allocate(size);
    if (block == nullptr) return blocks;
    requested += size;
    blocks.push_back(block);
  }
}

template <class Heap> static double run_fragmented(Heap &heap, size_t size, double milliseconds) {
  Random random;
  size_t requested;
  std::vector<void *> kept, live;
  std::vector<void *> blocks = fill_mixed(heap, random, requested);
  /* From the last to the first: simple_seq_fit looks for a freed block's place from the front of its list. */
  for (size_t index = blocks.size(); index-- > 0;) {
    if (random.below(2) == 0) heap.release(blocks[index]);
    else kept.push_back(blocks[index]);
  }
  while (live.size() < fragmented_count) {
    void *block = heap.allocate(size);
    if (block == nullptr) break;
    live.push_back(block);
  }
  double figure = run_replacement(heap, live, size, milliseconds);
  if (Heap::is_shared) return figure; /* its segment goes as a whole */
  for (void *block : live) heap.release(block);
  for (void *block : kept) heap.release(block);
  return figure;
}

static void die_with_parent(int signal_number) { prctl(PR_SET_PDEATHSIG, signal_number); }

struct Meeting {
  std::atomic<int> arrived;
  double figures[2];
};

template <class Heap>
[[noreturn]] static void run_one_of_two(Heap &heap, size_t size, double milliseconds, Meeting *meeting, int index) {
  die_with_parent(SIGKILL);
  run_lifo(heap, size, milliseconds / 10);
  meeting->arrived++;
  while (meeting->arrived < 2) sched_yield();
  meeting->figures[index] = run_lifo(heap, size, milliseconds);
  _exit(0);
}

/* Two processes at once, on one segment if it is a shared one; the mean of their figures. */
template <class Heap> static double run_two(Heap &heap, size_t size, double milliseconds) {
  void *shared = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail("mmap failed");
  Meeting *meeting = new (shared) Meeting{};
  pid_t pids[2];
  for (int index = 0; index < 2; index++) {
    pids[index] = fork();
    if (pids[index] < 0) fail("fork failed");
    if (pids[index] == 0) run_one_of_two(heap, size, milliseconds, meeting, index);
  }
  for (int ended = 0; ended < 2; ended++) {
    int status;
    if (wait(&status) > 0 && status == 0) continue;
    for (pid_t pid : pids) kill(pid, SIGKILL); /* the other would wait for it for ever */
    fail("one of the two processes died");
  }
  double figure = (meeting->figures[0] + meeting->figures[1]) / 2;
  munmap(shared, sizeof(Meeting));
  return figure;
}

/* What a segment of 4 MiB takes beyond the bytes asked for, in percent of these. */
template <class Heap> static double count_overhead(Heap &heap, size_t size) {
  size_t count = 0;
  while (heap.allocate(size) != nullptr) count++;
  return 100 * ((double)small_heap_bytes / (double)(size * count) - 1);
}

/* The part of a segment of 16 MiB that mixed sizes can have, in percent. */
template <class Heap> static double count_usable(Heap &heap) {
  Random random;
  size_t requested;
  fill_mixed(heap, random, requested);
  return 100 * (double)requested / (double)large_heap_bytes;
}

template <class Heap>
static double measure(const char *name, const std::string &pattern, size_t size, double milliseconds) {
  bool is_large = pattern == "fragmented16M" || pattern == "usable";
  Heap heap(name, is_large ? large_heap_bytes : small_heap_bytes);
  if (pattern == "lifo") return run_lifo(heap, size, milliseconds);
  if (pattern == "churn10k") return run_churn(heap, size, milliseconds);
  if (pattern == "fragmented16M") return run_fragmented(heap, size, milliseconds);
  if (pattern == "two") return run_two(heap, size, milliseconds);
  /* A private heap has no end to run into. */
  if (Heap::is_shared && pattern == "overhead") return count_overhead(heap, size);
  if (Heap::is_shared && pattern == "usable") return count_usable(heap);
  fail("no such pattern for this peer");
  return NAN;
}

typedef double (*Measure)(const char *, const std::string &, size_t, double);

static Measure find_peer(const std::string &peer) {
#ifdef WITH_GLIBC
  if (peer == "glibc") return measure<GlibcHeap>;
#endif
#ifdef WITH_MIMALLOC
  if (peer == "mimalloc") return measure<MimallocHeap>;
#endif
#ifdef WITH_BOOST
  if (peer == "boost") return measure<BestFitHeap>;
  if (peer == "boost-simple") return measure<SimpleHeap>;
#endif
  fail("no such peer in this driver");
  return nullptr;
}

int main(int argc, char **argv) {
  if (argc < 6 || argc % 3 != 0) fail("usage: driver PEER NAME PATTERN SIZE MILLISECONDS ...");
  die_with_parent(SIGTERM);
  Measure measure_peer = find_peer(argv[1]);
  const char *name = argv[2];
  segment_path = std::string("/dev/shm/") + name;
  for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, remove_and_end);
  for (int index = 3; index < argc; index += 3) {
    double figure = measure_peer(name, argv[index], (size_t)atol(argv[index + 1]), atof(argv[index + 2]));
    printf("%.4f\n", figure);
  }
  return 0;
}

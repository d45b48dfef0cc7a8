// A process that allocates and frees in a Boost segment until it is killed; or that tries to afterwards.
//
//   killed create NAME      makes the segment
//   killed work NAME        allocates and frees, for ever; prints a line when it has begun
//   killed probe NAME       allocates and frees a thousand times; exit code 0, or 1 when that cannot be done
//   killed remove NAME
//
// -DSIMPLE: simple_seq_fit, else rbtree_best_fit.
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/mem_algo/simple_seq_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>

namespace interprocess = boost::interprocess;

#ifdef SIMPLE
using Algorithm = interprocess::simple_seq_fit<interprocess::mutex_family>;
#else
using Algorithm = interprocess::rbtree_best_fit<interprocess::mutex_family>;
#endif
using Segment = interprocess::basic_managed_shared_memory<char, Algorithm, interprocess::iset_index>;

namespace {

constexpr int liveBlocks = 64;
constexpr std::size_t segmentBytes = 4 << 20;

std::uint32_t next(std::uint32_t &state) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

void churn(Segment &segment, long rounds) {
  void *blocks[liveBlocks] = {};
  std::uint32_t state = 2463534242u;
  for (long round = 0; rounds < 0 || round < rounds; round++) {
    void *&block = blocks[next(state) % liveBlocks];
    if (block != nullptr) segment.deallocate(block);
    block = segment.allocate(16 + next(state) % 1000);
  }
  for (void *block : blocks)
    if (block != nullptr) segment.deallocate(block);
}

int run(const char *what, const char *name) {
  if (std::strcmp(what, "create") == 0) {
    Segment segment(interprocess::create_only, name, segmentBytes);
    return 0;
  }
  if (std::strcmp(what, "remove") == 0) return interprocess::shared_memory_object::remove(name) ? 0 : 1;
  Segment segment(interprocess::open_only, name);
  if (std::strcmp(what, "work") == 0) {
    std::puts("working");
    std::fflush(stdout);
    churn(segment, -1);
  }
  churn(segment, 1000);
  return 0;
}

} // namespace

int main(int count, char **words) {
  if (count != 3) return 2;
  try {
    return run(words[1], words[2]);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

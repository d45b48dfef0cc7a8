/*
 * shoal.h: what a C program needs to read and write the blocks of a Shoal segment that has a fixed address.
 *
 * The program maps the segment where every other process has it, and follows the pointers that were stored there. It is
 * no participant: it may touch blocks that it was told of, and must leave allocating, freeing and the header to Shoal.
 * Offsets are in bytes from the segment's start; the tests compare each constant with src/layout. See docs/interop.md.
 */
#ifndef SHOAL_H
#define SHOAL_H

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOAL_PAGE_SIZE 65536u
#define SHOAL_HEADER_SIZE 4096u
#define SHOAL_MAGIC_LOW 0x414f4853u
#define SHOAL_MAGIC_HIGH 0x4745534cu
#define SHOAL_STATE_READY 2u

#define SHOAL_H_MAGIC 0
#define SHOAL_H_STATE 32
#define SHOAL_H_DATA_OFFSET 88
#define SHOAL_H_FIXED_ADDRESS 96
#define SHOAL_H_SIZE_PAGES 128

/* Linux 4.17; older systems' headers lack it. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct shoal_map {
  char *address;        /* of the segment's first byte, the same in every process */
  uint64_t size;        /* bytes mapped */
  uint32_t data_offset; /* where blocks may be */
};

static inline uint32_t shoal_word(const char *header, int offset) {
  uint32_t word;
  memcpy(&word, header + offset, sizeof word);
  return word;
}

/*
 * Maps the segment behind `fd`, as large as it is now. 0, or: 1 not readable, 2 no Shoal segment, 3 not ready, 4 created
 * without a fixed address, 5 something else is mapped there.
 */
static inline int shoal_map(int fd, struct shoal_map *map) {
  char header[SHOAL_HEADER_SIZE];
  double address;
  if (pread(fd, header, sizeof header, 0) != (ssize_t)sizeof header) return 1;
  if (shoal_word(header, SHOAL_H_MAGIC) != SHOAL_MAGIC_LOW) return 2;
  if (shoal_word(header, SHOAL_H_MAGIC + 4) != SHOAL_MAGIC_HIGH) return 2;
  if (shoal_word(header, SHOAL_H_STATE) != SHOAL_STATE_READY) return 3;
  memcpy(&address, header + SHOAL_H_FIXED_ADDRESS, sizeof address);
  if (address == 0) return 4;
  map->size = (uint64_t)shoal_word(header, SHOAL_H_SIZE_PAGES) * SHOAL_PAGE_SIZE;
  map->data_offset = shoal_word(header, SHOAL_H_DATA_OFFSET);
  void *wish = (void *)(uintptr_t)address;
  void *got = mmap(wish, map->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
  if (got != wish) return 5;
  map->address = got;
  return 0;
}

/* Whether `size` bytes at `pointer` are blocks' bytes: check what you read before you follow it. */
static inline int shoal_is_inside(const struct shoal_map *map, uint64_t pointer, uint64_t size) {
  uint64_t first = (uint64_t)(uintptr_t)map->address + map->data_offset;
  uint64_t end = (uint64_t)(uintptr_t)map->address + map->size;
  return pointer >= first && pointer <= end && size <= end - pointer;
}

#endif

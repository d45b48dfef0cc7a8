/*
 * A C peer: follows a linked list that TypeScript has built in a Shoal heap, sums its values and doubles each.
 *
 *   list PATH POINTER      prints the sum; exits with 10 + shoal_map's code when the segment cannot be mapped
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../include/shoal.h"

struct node {
  uint64_t next; /* address of the next node; 0 = the end */
  uint32_t value;
  uint32_t count_by_c;
};

int main(int argc, char **argv) {
  struct shoal_map map;
  if (argc != 3) return 2;
  int fd = open(argv[1], O_RDWR | O_CLOEXEC);
  if (fd < 0) return 3;
  int bad = shoal_map(fd, &map);
  if (bad != 0) return 10 + bad;
  uint64_t sum = 0;
  uint64_t pointer = strtoull(argv[2], NULL, 10);
  for (int steps = 0; pointer != 0 && steps < 100000; steps++) {
    if (!shoal_is_inside(&map, pointer, sizeof(struct node))) return 4;
    struct node *node = (struct node *)(uintptr_t)pointer;
    sum += node->value;
    node->value *= 2;
    node->count_by_c++;
    pointer = node->next;
  }
  printf("%" PRIu64 " %p\n", sum, (void *)map.address);
  return 0;
}

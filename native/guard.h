/* The SIGBUS guard without Node: guard.c is plain C so that a test program can link it alone. */
#ifndef SHOAL_GUARD_H
#define SHOAL_GUARD_H

#include <stddef.h>
#include <stdint.h>

/* What guard_add's caller keeps beside an entry; `owner` says whose it is. Handed back by guard_remove. */
struct guard_keep {
  const void *owner;
  void *reference;
};

int64_t guard_add(uintptr_t start, size_t length, int32_t *damaged, struct guard_keep keep);
int64_t guard_remove(int64_t id, const void *owner, struct guard_keep *kept);
void guard_remove_all(const void *owner);

#endif

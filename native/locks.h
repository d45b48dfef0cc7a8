#ifndef SHOAL_LOCKS_H
#define SHOAL_LOCKS_H

#include <stdint.h>

/* 0 free (or only ours), 1 another opening holds it shared, 2 exclusively; or -errno. Needs no environment. */
int shoal_lock_get(int fd, int64_t offset, int64_t length);

#endif

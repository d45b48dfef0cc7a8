/* The two futex calls, for futex.c's exports and the waiting threads of futex_async.c. 0 or more, or -errno. */
#ifndef SHOAL_FUTEX_H
#define SHOAL_FUTEX_H

#include <stdint.h>

int shoal_futex_wait(int32_t *word, int32_t expected, int64_t timeout_ms);
int shoal_futex_wake(int32_t *word, int32_t count);

#endif

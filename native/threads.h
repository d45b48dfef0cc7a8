#ifndef SHOAL_THREADS_H
#define SHOAL_THREADS_H

#include <stdint.h>

/* Starts a detached thread that no signal disturbs; 0, or -errno. */
int shoal_start_thread(void *(*run)(void *data), void *data);

/* Of the monotonic clock. */
int64_t shoal_now_ns(void);

#endif

/* An fsync that costs a fixed time, for files on a tmpfs. Loaded before libc (LD_PRELOAD); counts its calls. */
#include <stdlib.h>
#include <time.h>

static long calls, cost_us = -1;

long fixed_fsync_calls(void) { return __atomic_load_n(&calls, __ATOMIC_RELAXED); }

int fsync(int file) {
    (void)file;
    if (cost_us < 0) { const char *text = getenv("FIXED_FSYNC_US"); cost_us = text ? atol(text) : 0; }
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    struct timespec cost = {cost_us / 1000000, cost_us % 1000000 * 1000};
    if (cost_us > 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &cost, 0);
    return 0;
}

int fdatasync(int file) { return fsync(file); }

/* SPDX-License-Identifier: MIT */
/*
 * A histogram of nanoseconds with 64 steps in each power of two: within 1.6 % of what was recorded,
 * from 0 to 2^40. The largest value is kept as it is.
 */
#ifndef BENCH_NATS_HIST_H
#define BENCH_NATS_HIST_H

#include <stdint.h>

enum { HIST_STEPS = 64, HIST_POWERS = 36, HIST_SIZE = HIST_STEPS * HIST_POWERS };

struct hist {
    uint64_t count, max;
    uint64_t at[HIST_SIZE];
};

static inline void hist_add(struct hist *h, int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    uint64_t i = v;
    if (v >= HIST_STEPS) {
        int power = 63 - __builtin_clzll(v) - 6; /* v >> power is in 64 .. 127 */
        i = (uint64_t)(power + 1) * HIST_STEPS + (v >> power) - HIST_STEPS;
    }
    h->at[i < HIST_SIZE ? i : HIST_SIZE - 1]++;
    h->count++;
    if (v > h->max)
        h->max = v;
}

/* The upper end of the step that holds the value with this share of all others below it. */
static inline double hist_us(const struct hist *h, double share)
{
    uint64_t want = (uint64_t)((double)h->count * share), seen = 0;
    for (uint64_t i = 0; i < HIST_SIZE; i++) {
        seen += h->at[i];
        if (seen > want || seen == h->count) {
            uint64_t power = i < HIST_STEPS ? 0 : i / HIST_STEPS - 1;
            uint64_t top = i < HIST_STEPS ? i : (i % HIST_STEPS + HIST_STEPS + 1) << power;
            return (double)(top < h->max ? top : h->max) / 1000;
        }
    }
    return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A histogram of values from 0 to 2^43 (nanoseconds: two hours) with 128 steps in each power of
 * two, so within 0.8 % of what was recorded; larger values count as the largest step. Count, sum,
 * smallest and largest are exact. Plain memory without pointers: zeroed it is empty.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include "base/cc.h"

#define HISTOGRAM_BITS 7
#define HISTOGRAM_POWERS 37 /* the first holds 0 .. 127 */
#define HISTOGRAM_STEPS ((size_t)HISTOGRAM_POWERS << HISTOGRAM_BITS)

struct histogram {
    uint64_t count, smallest, largest;
    double sum;
    uint64_t steps[HISTOGRAM_STEPS];
};

/* Records the value `times` times; a negative value counts as 0. */
void histogram_add(struct histogram *h, int64_t value, uint64_t times);

/* All of `from`, too. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The value that this share (0 .. 1) of all is not above, within a step; 0 when empty. */
uint64_t histogram_at(const struct histogram *h, double share);

double histogram_mean(const struct histogram *h); /* 0 when empty */

#endif

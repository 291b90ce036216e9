/* SPDX-License-Identifier: MIT */
/* A step is found from the position of the highest bit and the seven bits below it. */
#include "base/histogram.h"

#define STEPS_EACH ((uint64_t)1 << HISTOGRAM_BITS)

static size_t step_of(uint64_t value)
{
    if (value < STEPS_EACH)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    size_t step = (size_t)((shift + 1) * STEPS_EACH + ((value >> shift) - STEPS_EACH));
    return MIN(step, HISTOGRAM_STEPS - 1);
}

/* The largest value of a step. */
static uint64_t top_of(size_t step)
{
    if (step < STEPS_EACH)
        return step;
    uint64_t shift = step / STEPS_EACH - 1;
    return ((step % STEPS_EACH + STEPS_EACH + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t value, uint64_t times)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    if (times == 0)
        return;
    if (h->count == 0 || v < h->smallest)
        h->smallest = v;
    if (v > h->largest)
        h->largest = v;
    h->steps[step_of(v)] += times;
    h->count += times;
    h->sum += (double)v * (double)times;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    if (from->count == 0)
        return;
    if (h->count == 0 || from->smallest < h->smallest)
        h->smallest = from->smallest;
    if (from->largest > h->largest)
        h->largest = from->largest;
    for (size_t i = 0; i < HISTOGRAM_STEPS; i++)
        h->steps[i] += from->steps[i];
    h->count += from->count;
    h->sum += from->sum;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    double exact = (double)h->count * share * (1 - 1e-14); /* of a rounded share, too */
    uint64_t wanted = (uint64_t)exact, seen = 0;
    if ((double)wanted < exact || wanted == 0)
        wanted++; /* the rank, counted from 1 */
    for (size_t i = 0; i < HISTOGRAM_STEPS; i++) {
        seen += h->steps[i];
        if (seen >= wanted || (seen == h->count && seen > 0))
            return i == HISTOGRAM_STEPS - 1 ? h->largest : MIN(top_of(i), h->largest);
    }
    return 0;
}

double histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : h->sum / (double)h->count;
}

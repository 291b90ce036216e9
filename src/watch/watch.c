/* SPDX-License-Identifier: MIT */
/* Per-thread blocks of counters, their sums, and percentiles of durations. */
#include "watch/watch.h"

#include <pthread.h>
#include <stdlib.h>

#define STEPS 8 /* for each doubling */

_Thread_local struct watch_block *watch_own;
_Atomic int64_t watch_gauges[WATCH_COUNT];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct watch_block spare; /* shared when memory is out: counts may then be lost */
static struct watch_block *blocks = &spare;

static const struct row {
    const char *name, *help;
    enum metric_kind kind;
} rows[WATCH_COUNT] = {
#define METRIC(n, k, t, h) [WATCH_##n] = {.name = t, .help = h, .kind = METRIC_##k},
#include "watch/metric.def"
#undef METRIC
};

const int64_t watch_bounds_ns[12] = {100000,    250000,    500000,     1000000,
                                     2500000,   5000000,   10000000,   25000000,
                                     100000000, 500000000, 1000000000, INT64_MAX};

struct watch_block *watch_register(void)
{
    struct watch_block *b = aligned_alloc(CACHE_LINE, sizeof *b);
    if (b == NULL)
        return &spare;
    *b = (struct watch_block){0};
    pthread_mutex_lock(&lock);
    b->next = blocks; /* kept for ever: a thread's counts outlive it */
    blocks = b;
    pthread_mutex_unlock(&lock);
    watch_own = b;
    return b;
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
    unsigned step = (unsigned)(ns >> (octave - 3)) & (STEPS - 1);
    unsigned b = (octave - 2) * STEPS + step;
    return MIN(b, WATCH_BUCKETS - 1);
}

/* The largest value of a bucket. */
static int64_t bucket_end(unsigned b)
{
    if (b < STEPS)
        return b;
    unsigned octave = b / STEPS + 2, step = b % STEPS;
    return (int64_t)(((uint64_t)(STEPS + step + 1) << (octave - 3)) - 1);
}

void watch_observe(enum histogram which, int64_t ns)
{
    struct watch_block *b = watch_block();
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
    watch_add(&b->buckets[which][bucket_of(value)], 1);
    watch_add(&b->sum_ns[which], value);
}

uint64_t watch_value(enum metric m)
{
    if (rows[m].kind == METRIC_GAUGE)
        return (uint64_t)MAX(atomic_load(&watch_gauges[m]), 0);
    uint64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (const struct watch_block *b = blocks; b != NULL; b = b->next)
        sum += atomic_load_explicit(&b->counters[m], memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return sum;
}

const char *watch_name(enum metric m)
{
    return rows[m].name;
}

const char *watch_help(enum metric m)
{
    return rows[m].help;
}

enum metric_kind watch_kind(enum metric m)
{
    return rows[m].kind;
}

static int64_t percentile(const uint64_t *sums, uint64_t total, uint64_t per_mille)
{
    uint64_t wanted = (total * per_mille + 999) / 1000, seen = 0;
    for (unsigned i = 0; i < WATCH_BUCKETS; i++) {
        seen += sums[i];
        if (seen >= wanted && seen > 0)
            return bucket_end(i);
    }
    return 0;
}

void watch_distribution(enum histogram which, struct watch_distribution *d)
{
    uint64_t sums[WATCH_BUCKETS] = {0};
    *d = (struct watch_distribution){0};
    pthread_mutex_lock(&lock);
    for (const struct watch_block *b = blocks; b != NULL; b = b->next) {
        d->sum_ns += (int64_t)atomic_load_explicit(&b->sum_ns[which], memory_order_relaxed);
        for (unsigned i = 0; i < WATCH_BUCKETS; i++)
            sums[i] += atomic_load_explicit(&b->buckets[which][i], memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < WATCH_BUCKETS; i++) {
        d->count += sums[i];
        for (unsigned j = 0; j < COUNT_OF(d->below); j++)
            d->below[j] += bucket_end(i) <= watch_bounds_ns[j] ? sums[i] : 0;
    }
    d->p50_ns = percentile(sums, d->count, 500);
    d->p95_ns = percentile(sums, d->count, 950);
    d->p99_ns = percentile(sums, d->count, 990);
    d->max_ns = percentile(sums, d->count, 1000);
}

/* SPDX-License-Identifier: MIT */
/*
 * Metrics and the operator's log. count() and observe() are plain adds in the calling thread's own
 * block; readers sum all blocks, so they may see a value that is a moment old. Any thread.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "base/cc.h"

#include <stdatomic.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

enum metric {
#define METRIC(name, kind, text, help) WATCH_##name,
#include "watch/metric.def"
#undef METRIC
    WATCH_COUNT
};

/* Histograms of durations: eight steps for each doubling, exact to 6 % or so. */
enum histogram { WATCH_request_latency, WATCH_HISTOGRAMS };
#define WATCH_BUCKETS 320

struct watch_block {
    _Atomic uint64_t counters[WATCH_COUNT];
    _Atomic uint64_t buckets[WATCH_HISTOGRAMS][WATCH_BUCKETS];
    _Atomic uint64_t sum_ns[WATCH_HISTOGRAMS];
    struct watch_block *next;
} CACHE_ALIGNED;

extern _Thread_local struct watch_block *watch_own;
extern _Atomic int64_t watch_gauges[WATCH_COUNT];

/* The thread's block; a shared spare one when there is no memory. */
COLD struct watch_block *watch_register(void);

static inline void watch_add(_Atomic uint64_t *value, uint64_t n)
{
    /* Only this thread writes: no locked instruction is needed. */
    uint64_t before = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, before + n, memory_order_relaxed);
}

static inline struct watch_block *watch_block(void)
{
    return likely(watch_own != NULL) ? watch_own : watch_register();
}

#define count(name, n) watch_add(&watch_block()->counters[WATCH_##name], (n))
#define gauge_add(name, n) atomic_fetch_add(&watch_gauges[WATCH_##name], (n))
#define gauge_set(name, v) atomic_store(&watch_gauges[WATCH_##name], (v))
#define observe(name, ns) watch_observe(WATCH_##name, (ns))

void watch_observe(enum histogram which, int64_t ns);

/* ---- reading ---- */

uint64_t watch_value(enum metric m);  /* counters: the sum of all threads */
const char *watch_name(enum metric m); /* the Prometheus name */
const char *watch_help(enum metric m);
enum metric_kind watch_kind(enum metric m);

struct watch_distribution {
    uint64_t count;
    int64_t sum_ns, p50_ns, p95_ns, p99_ns, max_ns;
    uint64_t below[12]; /* cumulative, by watch_bounds_ns */
};
extern const int64_t watch_bounds_ns[12];
void watch_distribution(enum histogram which, struct watch_distribution *d);

/* ---- the log ---- */

enum watch_level { WATCH_TRACE, WATCH_DEBUG, WATCH_INFO, WATCH_WARN, WATCH_ERROR };

void watch_level_set(enum watch_level least);
/* One line on stderr: time, level, room, text. The sixth and further lines of a kind (a format) in
 * ten seconds are held back and counted. Not for hot paths. */
COLD void watch_log(enum watch_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For what peers do, and could do a thousand times: one line of a kind in ten seconds. */
COLD void watch_peer(enum watch_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

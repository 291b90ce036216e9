/* SPDX-License-Identifier: MIT */
/* Counters of many threads, gauges, and percentiles against sorted samples. */
#include "watch/watch.h"

#include "tap.h"

#include <pthread.h>

enum { THREADS = 8, ROUNDS = 20000, SAMPLES = 5000 };

static void *work(void *context)
{
    for (int i = 0; i < ROUNDS; i++) {
        count(requests, 1);
        count(bytes_sent, (uint64_t)i);
        gauge_add(connections_active, 1);
        gauge_add(connections_active, i % 2 == 0 ? -1 : 0);
        observe(request_latency, 1000);
    }
    return context;
}

void test_counts_of_threads_outlive_them(void)
{
    pthread_t threads[THREADS];
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < THREADS; i++)
            expect(pthread_create(&threads[i], NULL, work, NULL) == 0);
        for (int i = 0; i < THREADS; i++)
            expect(pthread_join(threads[i], NULL) == 0);
        uint64_t all = (uint64_t)THREADS * ROUNDS * (uint64_t)round;
        struct watch_distribution d;
        watch_distribution(WATCH_request_latency, &d);
        expect_eq(watch_value(WATCH_requests), all);
        expect_eq(watch_value(WATCH_bytes_sent), all / 2 * (ROUNDS - 1));
        expect_eq(watch_value(WATCH_connections_active), all / 2);
        expect_eq(d.count, all);
        expect_eq(d.sum_ns, all * 1000);
    }
    expect_eq(watch_value(WATCH_flushes), 0);
}

void test_gauges(void)
{
    gauge_set(connections_active, 5);
    gauge_add(connections_active, -2);
    expect_eq(watch_value(WATCH_connections_active), 3);
    gauge_add(connections_active, -7);
    expect_eq(watch_value(WATCH_connections_active), 0); /* never shown as 2^64 - 4 */
}

/* A reader may see a value that is a moment old, but none goes back. */
void test_sums_never_go_back(void)
{
    pthread_t writer;
    uint64_t last = 0;
    expect(pthread_create(&writer, NULL, work, NULL) == 0);
    while (last < ROUNDS) {
        uint64_t now = watch_value(WATCH_requests);
        expect(now >= last);
        last = now;
    }
    expect(pthread_join(writer, NULL) == 0);
    expect_eq(last, ROUNDS);
}

static int order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A percentile is not below the sample of its rank, and at most an eighth above it. */
static void expect_near(int64_t got, int64_t sample)
{
    expect(got >= sample);
    expect(got <= sample + sample / 8 + 1);
}

void test_percentiles(void)
{
    static int64_t samples[SAMPLES];
    uint64_t random = 88172645463325252u;
    struct watch_distribution d;
    int64_t sum = 0;
    for (int i = 0; i < SAMPLES; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        samples[i] = (int64_t)(random >> (28 + random % 30)); /* over nine decades */
        sum += samples[i];
        observe(request_latency, samples[i]);
    }
    qsort(samples, SAMPLES, sizeof samples[0], order);
    watch_distribution(WATCH_request_latency, &d);
    expect_eq(d.count, SAMPLES);
    expect_eq(d.sum_ns, sum);
    expect_near(d.p50_ns, samples[SAMPLES / 2 - 1]);
    expect_near(d.p95_ns, samples[SAMPLES * 95 / 100 - 1]);
    expect_near(d.p99_ns, samples[SAMPLES * 99 / 100 - 1]);
    expect_near(d.max_ns, samples[SAMPLES - 1]);
    for (size_t i = 0; i < COUNT_OF(d.below); i++) {
        uint64_t exact = 0, least = 0;
        for (int j = 0; j < SAMPLES; j++) {
            exact += samples[j] <= watch_bounds_ns[i];
            least += samples[j] <= watch_bounds_ns[i] - watch_bounds_ns[i] / 8;
        }
        expect(d.below[i] <= exact && d.below[i] >= least);
        expect(i == 0 || d.below[i] >= d.below[i - 1]);
    }
    expect_eq(d.below[COUNT_OF(d.below) - 1], SAMPLES);
}

void test_extreme_durations(void)
{
    struct watch_distribution d;
    watch_distribution(WATCH_request_latency, &d);
    expect_eq(d.count, 0);
    expect_eq(d.p99_ns, 0);
    observe(request_latency, -5); /* a clock that steps back is no duration */
    watch_distribution(WATCH_request_latency, &d);
    expect_eq(d.count, 1);
    expect_eq(d.max_ns, 0);
    observe(request_latency, INT64_MAX / 2);
    watch_distribution(WATCH_request_latency, &d);
    expect_eq(d.count, 2);
    expect_eq(d.below[11], 2);
    expect_eq(d.below[10], 1);
    expect(d.max_ns > 3600ll * 1000000000);
}

void test_every_row_has_a_name_of_its_kind(void)
{
    for (int i = 0; i < WATCH_COUNT; i++) {
        const char *name = watch_name((enum metric)i);
        bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
        expect(strncmp(name, "fluxmq_", 7) == 0);
        expect_eq(total, watch_kind((enum metric)i) == METRIC_COUNTER);
        expect(watch_help((enum metric)i)[0] != '\0');
        for (int j = 0; j < i; j++)
            expect(strcmp(name, watch_name((enum metric)j)) != 0);
    }
}

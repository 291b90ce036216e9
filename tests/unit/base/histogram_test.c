/* SPDX-License-Identifier: MIT */
/* Histograms against sorted lists: every share within a step, whatever the values. */
#include "base/histogram.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static struct histogram h, other;

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void test_an_empty_one_is_all_zero(void)
{
    expect(histogram_at(&h, 0.5) == 0 && histogram_at(&h, 1) == 0);
    expect(histogram_mean(&h) == 0);
    histogram_add(&h, 7, 0);
    expect(h.count == 0 && h.largest == 0);
}

void test_small_values_are_exact(void)
{
    for (int64_t v = 1; v <= 100; v++)
        histogram_add(&h, v, 1);
    expect(histogram_at(&h, 0) == 1);
    expect(histogram_at(&h, 0.01) == 1);
    expect(histogram_at(&h, 0.5) == 50);
    expect(histogram_at(&h, 0.99) == 99);
    expect(histogram_at(&h, 0.991) == 100);
    expect(histogram_at(&h, 1) == 100);
    expect(histogram_mean(&h) == 50.5);
    expect(h.smallest == 1 && h.largest == 100);
}

void test_every_share_is_within_a_step_of_the_sorted_list(void)
{
    enum { COUNT = 20000 };
    static uint64_t list[COUNT];
    uint64_t random = 42;
    for (int i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        list[i] = random >> (22 + random % 40);
        histogram_add(&h, (int64_t)list[i], 1);
    }
    qsort(list, COUNT, sizeof list[0], by_value);
    for (int i = 1; i <= COUNT; i++) {
        uint64_t want = list[i - 1], got = histogram_at(&h, (double)i / COUNT);
        expect(got >= want);
        expect((double)got <= (double)want * 1.008 + 1);
    }
    expect(h.smallest == list[0] && h.largest == list[COUNT - 1]);
}

void test_powers_of_two_and_their_neighbours_keep_their_order(void)
{
    uint64_t before = 0;
    for (unsigned bit = 2; bit < 43; bit++) {
        for (int64_t d = -1; d <= 1; d++) {
            int64_t value = ((int64_t)1 << bit) + d;
            memset(&h, 0, sizeof h);
            histogram_add(&h, value, 1);
            histogram_add(&h, INT64_MAX, 1); /* so that a step's end is not cut to the largest */
            uint64_t got = histogram_at(&h, 0.5);
            expect(got >= (uint64_t)value && got >= before);
            expect((double)got <= (double)value * 1.008 + 1);
            before = got;
        }
    }
}

void test_values_beyond_the_ends_are_kept_apart(void)
{
    histogram_add(&h, -5, 3);
    histogram_add(&h, INT64_MAX, 1);
    expect(h.count == 4 && h.smallest == 0);
    expect(histogram_at(&h, 0.75) == 0);
    expect(histogram_at(&h, 1) == INT64_MAX);
}

void test_merged_is_as_if_all_had_been_added_to_one(void)
{
    static struct histogram one, whole;
    for (int64_t v = 0; v < 5000; v++) {
        histogram_add(v % 3 == 0 ? &one : &other, v * v, 2);
        histogram_add(&whole, v * v, 2);
    }
    histogram_merge(&h, &one);
    histogram_merge(&h, &other);
    expect(h.count == whole.count && h.largest == whole.largest && h.smallest == whole.smallest);
    expect(memcmp(h.steps, whole.steps, sizeof h.steps) == 0);
    memset(&other, 0, sizeof other);
    histogram_merge(&h, &other);
    expect(h.count == whole.count && h.smallest == 0);
}

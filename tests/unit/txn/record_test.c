/* SPDX-License-Identifier: MIT */
/* The records' bytes, and what a reload makes of them. */
#include "bench.h"

static struct bench b;

static void expect_bytes(struct bytes got, const void *want, size_t size)
{
    expect_eq(got.size, size);
    for (size_t i = 0; i < size; i++)
        expect_eq(got.at[i], ((const uint8_t *)want)[i]);
}

void test_records_are_kafkas(void)
{
    static const uint8_t key[] = {0, 0, 0, 2, 'i', 'd'};
    static const uint8_t empty[] = {
        0, 1,                                       /* version */
        0, 0, 0, 0, 0, 0, 0, 100, 0, 0,             /* producer id, epoch */
        0, 0, 0xea, 0x60, 0,                        /* timeout, Empty */
        0,                                          /* null partitions */
        0, 0, 0, 0, 0, 0x0f, 0x42, 0x40,            /* updated */
        255, 255, 255, 255, 255, 255, 255, 255, 0}; /* started, no tags */
    static const uint8_t ongoing[] = {
        0, 1, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0xea, 0x60, 1,
        2, 6, 't', 'o', 'p', 'i', 'c', 2, 0, 0, 0, 7, 0, /* one topic, one partition */
        0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40,
        1, 2, 2, 0, 2}; /* tag 2: client version 2 */
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    bench_add(&b, "id", 100, 0, 2, 7);
    expect_bytes(b.records[0].key, key, sizeof key);
    expect_bytes(b.records[0].value, empty, sizeof empty);
    expect_bytes(b.records[1].value, ongoing, sizeof ongoing);
    bench_close(&b);
}

void test_what_was_prepared_goes_on_after_a_reload(void)
{
    for (int version = 0; version <= 2; version += 2) {
        for (int commit = 0; commit <= 1; commit++) {
            bench_open(&b);
            bench_init(&b, "id", -1, -1);
            bench_add(&b, "id", 100, 0, version, 1);
            bench_add(&b, "id", 100, 0, version, 2);
            int epoch = bench_end(&b, "id", 100, 0, version, commit != 0)->epoch;
            bench_reload(&b);
            expect_eq(b.marker_count, 1);
            expect_eq(b.markers[0].commit, commit);
            expect_eq(b.markers[0].epoch, epoch);
            expect_eq(b.markers[0].place_count, 2);
            bench_marked(&b, true);
            expect_str(bench_describe(&b, "id")->state,
                       commit ? "CompleteCommit" : "CompleteAbort");
            bench_reload(&b);
            expect_eq(b.marker_count, 0);
            expect_eq(bench_end(&b, "id", 100, 0, version, commit != 0)->outcome, OUT_OK);
            bench_close(&b);
        }
    }
}

void test_an_open_transaction_times_out_after_a_reload(void)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    bench_add(&b, "id", 100, 0, 0, 1);
    bench_pass(&b, 20000);
    bench_reload(&b);
    bench_pass(&b, 39999);
    expect_eq(b.marker_count, 0);
    bench_pass(&b, 1);
    expect_eq(b.marker_count, 1);
    bench_close(&b);
}

void test_what_cannot_be_read_is_left_alone(void)
{
    static const uint8_t junk[] = {0, 9, 1, 2, 3}, key[] = {0, 0, 0, 2, 'i', 'd'};
    bench_open(&b);
    for (size_t size = 0; size <= sizeof junk; size++) {
        struct txn_event e = {.kind = TXN_LOAD, .key = bytes_view(junk, size),
                              .value = bytes_view(junk, size)};
        (void)bench_step(&b, &e);
        e.key = bytes_view(key, sizeof key);
        (void)bench_step(&b, &e);
    }
    expect_eq(bench_describe(&b, "id")->outcome, OUT_TXN_ID_NOT_FOUND);
    bench_close(&b);
}

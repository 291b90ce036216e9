/* SPDX-License-Identifier: MIT */
/* Adding, verifying, ending, timing out; versions 0 and 2 of the protocol. */
#include "bench.h"

static struct bench b;

static void begin(int version)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    expect_eq(bench_add(&b, "id", 100, 0, version, 1)->outcome, OUT_OK);
}

void test_partitions_begin_a_transaction_and_are_recorded_once(void)
{
    begin(0);
    expect_eq(b.record_count, 2);
    struct answer *a = bench_add(&b, "id", 100, 0, 0, 1);
    expect_eq(a->outcome, OUT_OK);
    expect_eq(b.record_count, 2);
    bench_add(&b, "id", 100, 0, 0, 0);
    a = bench_describe(&b, "id");
    expect_str(a->state, "Ongoing");
    expect_eq(a->place_count, 2);
    expect_eq(a->places[0].partition, 0);
    expect_eq(a->start_ms, 1000000);
    expect_eq(bench_add(&b, "id", 100, 1, 0, 1)->outcome, OUT_PRODUCER_FENCED);
    expect_eq(bench_add(&b, "id", 99, 0, 0, 1)->outcome, OUT_INVALID_PRODUCER_ID_MAPPING);
    expect_eq(bench_add(&b, "nobody", 100, 0, 0, 1)->outcome, OUT_INVALID_PRODUCER_ID_MAPPING);
    bench_close(&b);
}

void test_verifying_adds_nothing(void)
{
    struct txn_place p[2] = {{bytes_of("topic"), 1}, {bytes_of("topic"), 2}};
    struct txn_event e = {.kind = TXN_VERIFY, .id = bytes_of("id"), .producer_id = 100,
                          .places = p, .place_count = 2};
    begin(0);
    struct answer *a = &b.answers[bench_step(&b, &e)];
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->each[0], OUT_OK);
    expect_eq(a->each[1], OUT_TXN_ABORTABLE);
    expect_eq(b.step_records, 0);
    bench_end(&b, "id", 100, 0, 0, true);
    expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_CONCURRENT_TRANSACTIONS);
    bench_marked(&b, true);
    a = &b.answers[bench_step(&b, &e)];
    expect_eq(a->each[0], OUT_TXN_ABORTABLE);
    bench_close(&b);
}

void test_version_0_commits_under_the_same_epoch(void)
{
    begin(0);
    struct answer *a = bench_end(&b, "id", 100, 0, 0, true);
    expect_eq(a->outcome, OUT_OK);
    expect(a->after_records);
    expect_eq(b.marker_count, 1);
    expect(b.markers[0].commit && b.markers[0].epoch == 0 && b.markers[0].place_count == 1);
    expect_eq(bench_end(&b, "id", 100, 0, 0, true)->outcome, OUT_CONCURRENT_TRANSACTIONS);
    expect_eq(bench_end(&b, "id", 100, 0, 0, false)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_add(&b, "id", 100, 0, 0, 1)->outcome, OUT_CONCURRENT_TRANSACTIONS);
    bench_marked(&b, true);
    expect_str(bench_describe(&b, "id")->state, "CompleteCommit");
    expect_eq(bench_end(&b, "id", 100, 0, 0, true)->outcome, OUT_OK);
    expect_eq(bench_end(&b, "id", 100, 0, 0, false)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_add(&b, "id", 100, 0, 0, 1)->outcome, OUT_OK);
    bench_close(&b);
}

void test_version_0_with_nothing_begun_is_an_error(void)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    expect_eq(bench_end(&b, "id", 100, 0, 0, true)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_end(&b, "id", 100, 0, 0, false)->outcome, OUT_INVALID_TXN_STATE);
    bench_close(&b);
}

void test_version_2_raises_the_epoch_with_each_end(void)
{
    begin(2);
    struct answer *a = bench_end(&b, "id", 100, 0, 2, true);
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->epoch, 1);
    expect_eq(b.markers[0].epoch, 1);
    expect_eq(bench_end(&b, "id", 100, 0, 2, true)->outcome, OUT_CONCURRENT_TRANSACTIONS);
    expect_eq(bench_end(&b, "id", 100, 0, 2, false)->outcome, OUT_INVALID_TXN_STATE);
    bench_marked(&b, true);
    a = bench_end(&b, "id", 100, 0, 2, true); /* a repetition */
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->epoch, 1);
    expect_eq(bench_end(&b, "id", 100, 0, 2, false)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_end(&b, "id", 100, 1, 2, true)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_add(&b, "id", 100, 0, 2, 1)->outcome, OUT_PRODUCER_FENCED);
    expect_eq(bench_add(&b, "id", 100, 1, 2, 1)->outcome, OUT_OK);
    bench_close(&b);
}

void test_version_2_aborts_nothing_by_raising_the_epoch(void)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    expect_eq(bench_end(&b, "id", 100, 0, 2, true)->outcome, OUT_INVALID_TXN_STATE);
    expect_eq(bench_end(&b, "id", 100, 0, 2, false)->epoch, 1);
    expect_eq(b.markers[0].place_count, 0);
    bench_marked(&b, true);
    expect_eq(bench_end(&b, "id", 100, 0, 2, false)->epoch, 1);
    expect_eq(bench_end(&b, "id", 100, 1, 2, false)->epoch, 2);
    bench_close(&b);
}

void test_version_2_takes_a_new_producer_id_when_epochs_are_used_up(void)
{
    bench_open(&b);
    int64_t id = bench_init(&b, "id", -1, -1)->producer_id;
    for (int epoch = 0; epoch < 32766; epoch++) {
        expect_eq(bench_end(&b, "id", id, epoch, 2, false)->epoch, epoch + 1);
        bench_marked(&b, true);
    }
    expect_eq(bench_add(&b, "id", id, 32766, 2, 1)->outcome, OUT_OK);
    struct answer *a = bench_end(&b, "id", id, 32766, 2, true);
    int64_t fresh = a->producer_id;
    expect(fresh != id);
    expect_eq(a->epoch, 0);
    expect_eq(b.markers[0].producer_id, id);
    expect_eq(b.markers[0].epoch, 32767);
    bench_reload(&b); /* the new id is in the record */
    bench_marked(&b, true);
    a = bench_end(&b, "id", id, 32766, 2, true);
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->producer_id, fresh);
    expect_eq(bench_add(&b, "id", fresh, 0, 2, 1)->outcome, OUT_OK);
    bench_close(&b);
}

void test_a_transaction_that_takes_too_long_is_aborted(void)
{
    for (int version = 0; version <= 2; version += 2) {
        begin(version);
        bench_pass(&b, 59999);
        expect_eq(b.marker_count, 0);
        bench_pass(&b, 1);
        expect_eq(b.marker_count, 1);
        expect(!b.markers[0].commit && b.markers[0].epoch == 1);
        bench_marked(&b, true);
        expect_str(bench_describe(&b, "id")->state, "CompleteAbort");
        expect(bench_end(&b, "id", 100, 0, 0, true)->outcome == OUT_PRODUCER_FENCED);
        expect_eq(bench_add(&b, "id", 100, 0, version, 1)->outcome, OUT_PRODUCER_FENCED);
        bench_close(&b);
    }
}

void test_markers_are_tried_again(void)
{
    begin(0);
    bench_end(&b, "id", 100, 0, 0, true);
    bench_marked(&b, false);
    expect_eq(b.marker_count, 0);
    bench_pass(&b, b.options.retry_ms);
    expect_eq(b.marker_count, 1);
    bench_marked(&b, true);
    expect_str(bench_describe(&b, "id")->state, "CompleteCommit");
    bench_close(&b);
}

void test_the_patient_wait_for_the_transaction_before(void)
{
    struct txn_place p = {bytes_of("topic"), 1};
    struct txn_event e = {.kind = TXN_ADD, .id = bytes_of("id"), .producer_id = 100, .epoch = 1,
                          .version = 2, .places = &p, .place_count = 1, .patience_ms = 100};
    begin(2);
    bench_end(&b, "id", 100, 0, 2, true);
    int first = bench_step(&b, &e);
    expect_eq(b.answers[first].count, 0);
    bench_pass(&b, 99);
    expect_eq(b.answers[first].count, 0);
    bench_pass(&b, 1);
    expect_eq(b.answers[first].outcome, OUT_CONCURRENT_TRANSACTIONS);
    int second = bench_step(&b, &e);
    bench_marked(&b, true);
    expect_eq(b.answers[second].outcome, OUT_AGAIN);
    expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_OK);
    expect_eq(b.answers[first].count, 1);
    bench_end(&b, "id", 100, 1, 2, true);
    e.epoch = 2;
    int last = bench_step(&b, &e);
    bench_close(&b); /* STOP answers it */
    (void)last;
}

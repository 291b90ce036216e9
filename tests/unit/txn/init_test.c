/* SPDX-License-Identifier: MIT */
/* InitProducerId: new ids, fencing, KIP-360, epochs that are used up. */
#include "bench.h"

static struct bench b;

void test_a_new_id_gets_a_producer_id_and_epoch_zero(void)
{
    bench_open(&b);
    struct answer *a = bench_init(&b, "id", -1, -1);
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->producer_id, 100);
    expect_eq(a->epoch, 0);
    expect(a->after_records);
    expect_eq(b.record_count, 1);
    a = bench_init(&b, "id", -1, -1);
    expect_eq(a->producer_id, 100);
    expect_eq(a->epoch, 1);
    bench_close(&b);
}

void test_without_a_fresh_id_a_new_one_is_asked_for(void)
{
    struct txn_event e = {.kind = TXN_INIT, .id = bytes_of("id"), .producer_id = -1, .epoch = -1,
                          .fresh_id = -1, .timeout_ms = 1000};
    bench_open(&b);
    expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_NO_PRODUCER_ID);
    expect_eq(b.record_count, 0);
    bench_init(&b, "id", -1, -1);
    expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_OK);
    bench_close(&b);
}

void test_timeouts_have_bounds(void)
{
    static const int32_t wrong[] = {0, -1, 900001};
    struct txn_event e = {.kind = TXN_INIT, .id = bytes_of("id"), .producer_id = -1, .epoch = -1,
                          .fresh_id = 1};
    bench_open(&b);
    for (size_t i = 0; i < 3; i++) {
        e.timeout_ms = wrong[i];
        expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_INVALID_TXN_TIMEOUT);
    }
    e.timeout_ms = 900000;
    expect_eq(b.answers[bench_step(&b, &e)].outcome, OUT_OK);
    bench_close(&b);
}

void test_an_open_transaction_is_aborted_first(void)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    bench_add(&b, "id", 100, 0, 0, 3);
    expect_eq(bench_init(&b, "id", -1, -1)->outcome, OUT_CONCURRENT_TRANSACTIONS);
    expect_eq(b.marker_count, 1);
    expect(!b.markers[0].commit);
    expect_eq(b.markers[0].epoch, 1); /* above the zombie's */
    expect_eq(bench_init(&b, "id", -1, -1)->outcome, OUT_CONCURRENT_TRANSACTIONS);
    expect_eq(bench_end(&b, "id", 100, 0, 0, true)->outcome, OUT_PRODUCER_FENCED);
    bench_marked(&b, true);
    struct answer *a = bench_init(&b, "id", -1, -1);
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->epoch, 2);
    expect_eq(bench_add(&b, "id", 100, 0, 0, 3)->outcome, OUT_PRODUCER_FENCED);
    expect_eq(bench_add(&b, "id", 100, 2, 0, 3)->outcome, OUT_OK);
    bench_close(&b);
}

void test_a_producer_that_goes_on_raises_its_epoch_once(void)
{
    bench_open(&b);
    bench_init(&b, "id", -1, -1);
    expect_eq(bench_init(&b, "id", 100, 0)->epoch, 1);
    expect_eq(bench_init(&b, "id", 100, 0)->epoch, 1); /* a repetition */
    expect_eq(bench_init(&b, "id", 100, 1)->epoch, 2);
    expect_eq(bench_init(&b, "id", 100, 0)->outcome, OUT_PRODUCER_FENCED);
    expect_eq(bench_init(&b, "id", 77, 2)->outcome, OUT_PRODUCER_FENCED);
    expect_eq(bench_init(&b, "id", -1, -1)->epoch, 3); /* another producer */
    expect_eq(bench_init(&b, "id", 100, 2)->outcome, OUT_PRODUCER_FENCED);
    bench_close(&b);
}

static int64_t use_up(bool expecting)
{
    int64_t id = bench_init(&b, "id", -1, -1)->producer_id;
    for (int epoch = 0; epoch < INT16_MAX - 1; epoch++)
        expect_eq(bench_init(&b, "id", expecting ? id : -1, expecting ? epoch : -1)->epoch,
                  epoch + 1);
    return id;
}

void test_used_up_epochs_give_a_new_producer_id(void)
{
    bench_open(&b);
    int64_t id = use_up(false);
    struct answer *a = bench_init(&b, "id", -1, -1);
    expect(a->producer_id != id);
    expect_eq(a->epoch, 0);
    expect_eq(bench_add(&b, "id", id, 32766, 0, 1)->outcome, OUT_INVALID_PRODUCER_ID_MAPPING);
    bench_close(&b);
}

void test_used_up_epochs_and_a_repetition(void)
{
    bench_open(&b);
    int64_t id = use_up(true);
    struct answer *a = bench_init(&b, "id", id, 32766);
    int64_t fresh = a->producer_id;
    expect(fresh != id);
    a = bench_init(&b, "id", id, 32766);
    expect_eq(a->producer_id, fresh);
    expect_eq(a->epoch, 0);
    bench_close(&b);
}

void test_unused_ids_expire(void)
{
    struct txn_event sweep = {.kind = TXN_EXPIRE};
    bench_open(&b);
    bench_init(&b, "idle", -1, -1);
    bench_init(&b, "open", -1, -1);
    bench_add(&b, "open", 101, 0, 0, 1);
    b.wall += b.options.expiration_ms - 1;
    (void)bench_step(&b, &sweep);
    expect_eq(b.step_records, 0);
    b.wall++;
    (void)bench_step(&b, &sweep);
    expect_eq(b.step_records, 1);
    expect(b.records[b.record_count - 1].value.at == NULL);
    expect_eq(bench_describe(&b, "idle")->outcome, OUT_TXN_ID_NOT_FOUND);
    expect_eq(bench_describe(&b, "open")->outcome, OUT_OK);
    bench_reload(&b);
    expect_eq(bench_describe(&b, "idle")->outcome, OUT_TXN_ID_NOT_FOUND);
    bench_close(&b);
}

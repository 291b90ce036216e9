/* SPDX-License-Identifier: MIT */
/* The generator's batches, as the log reads them: header, checksum, every record and its stamp. */
#include "bench/private.h"
#include "log/log.h"
#include "tap.h"

#include <stdlib.h>

static const struct bench_pace no_pace = {.begin_ns = 5, .each_ns = 0};

static struct bench_options options_of(int64_t size, int64_t bytes, int64_t records)
{
    return (struct bench_options){.size = size, .batch_bytes = bytes, .batch_records = records};
}

/* Makes a batch and reads all of it. */
static void make_and_read(const struct bench_maker *m, struct bench_batch *b, int32_t count,
                          const struct bench_pace *pace)
{
    struct bench_records r = {.lane = 3, .stride = 8, .first = 1000, .count = count, .due_ns = 77,
                              .pace = pace, .wall_ms = 1700000000000};
    struct log_batch batch;
    struct log_records walk;
    struct log_record record;
    uint32_t crc;
    expect(bench_make(m, b, &r, &crc) == OUT_OK);
    expect(b->size == bench_batch_size(m, count));
    struct bytes rest = bytes_view(b->at, b->size);
    expect(log_batch_next(&rest, &batch) == OUT_OK && rest.size == 0);
    expect(log_batch_crc_good(&batch) && batch.crc == crc);
    expect(batch.count == count && batch.last_offset == count - 1 && batch.producer_id == -1);
    expect(batch.base_timestamp == r.wall_ms && batch.max_timestamp == r.wall_ms);
    expect(log_records_begin(&walk, &batch, MiB(1)) == OUT_OK);
    for (int32_t i = 0; i < count; i++) {
        struct bench_stamp s;
        expect(log_records_next(&walk, &record) == OUT_OK);
        expect(record.offset == i && record.key.at == NULL && record.header_count == 0);
        expect(record.value.at != NULL && (int64_t)record.value.size == m->value_size);
        expect(bench_stamp_read(record.value, &s) == (m->value_size >= BENCH_STAMP));
        if (m->value_size < BENCH_STAMP)
            continue;
        expect(s.lane == 3 && s.sequence == 1000 + (uint32_t)i);
        expect(s.due_ns ==
               (pace->each_ns > 0 ? bench_due(pace, (1000 + (uint64_t)i) * 8 + 3) : 77));
    }
    expect(log_records_next(&walk, &record) == OUT_END);
    log_records_fini(&walk);
}

void test_batches_of_any_count_and_size_are_good(void)
{
    static const int64_t sizes[] = {0, 1, 15, 16, 50, 57, 58, 121, 122, 1000, 8200};
    static const int32_t counts[] = {1, 2, 64, 65, 3, 66};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct bench_options o = options_of(sizes[s], (int64_t)MiB(1), 66);
        struct bench_batch b = {0};
        struct bench_maker m;
        bench_maker_init(&m, &o);
        expect(m.most == 66);
        for (size_t c = 0; c < COUNT_OF(counts); c++)
            make_and_read(&m, &b, counts[c], &no_pace);
        free(b.at);
    }
}

void test_indexes_of_two_and_three_bytes(void)
{
    struct bench_options o = options_of(20, (int64_t)MiB(16), 20000);
    struct bench_batch b = {0};
    struct bench_maker m;
    bench_maker_init(&m, &o);
    expect(m.most == 20000);
    make_and_read(&m, &b, 8193, &no_pace);
    make_and_read(&m, &b, 20000, &no_pace);
    make_and_read(&m, &b, 64, &no_pace);
    free(b.at);
}

void test_a_pace_stamps_each_record_with_its_own_time(void)
{
    struct bench_pace pace = {.begin_ns = 1000000, .each_ns = 333.25};
    struct bench_options o = options_of(16, 65536, 0);
    struct bench_batch b = {0};
    struct bench_maker m;
    bench_maker_init(&m, &o);
    make_and_read(&m, &b, 100, &pace);
    free(b.at);
}

void test_the_largest_batch_is_the_largest_that_fits(void)
{
    for (int64_t bytes = 1; bytes < 40000; bytes = bytes * 5 / 4 + 1) {
        struct bench_options o = options_of(33, bytes, 0);
        struct bench_maker m;
        bench_maker_init(&m, &o);
        expect(m.most == 1 || bench_batch_size(&m, m.most) <= (size_t)bytes);
        expect(bench_batch_size(&m, m.most + 1) > (size_t)bytes);
        expect(m.room == bench_batch_size(&m, m.most));
    }
}

/* SPDX-License-Identifier: MIT */
/* A stream by hand: memory, views, bounds, trims, time, copies, epochs, transactions. */
#include "helper.h"

void test_an_idle_stream_has_no_slab_and_gives_all_back(void)
{
    struct stream *s = stream_open(NULL);
    size_t idle = stream_memory(s);
    struct store_view v;
    struct store_read r = {.offset = 0, .limit_offset = INT64_MAX, .max_bytes = 100};
    int64_t start;
    expect(idle < 700);
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect(v.size == 0 && v.hold == NULL && v.fd == -1);
    r.offset = 1;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OFFSET_OUT_OF_RANGE);
    expect_eq(stream_add(s, 1, 3, 10), 0);
    expect(stream_memory(s) >= KiB(64));
    expect_eq(stream_stat(s).segment_count, 1);
    expect_eq(store_trim(stream_store(s), 3, &start), OUT_OK);
    expect_eq(start, 3);
    expect_eq(stream_memory(s), idle);
    struct store_stat st = stream_stat(s);
    expect(st.segment_count == 0 && st.size_bytes == 0 && st.start_offset == 3);
    expect(st.end_offset == 3 && st.flushed_offset == 3 && st.high_watermark == 3);
    expect_eq(stream_add(s, 2, 1, 10), 3);
    stream_free(s);
}

void test_views_stay_whatever_goes(void)
{
    struct stream *s = stream_open(NULL);
    struct log_batch b, again;
    int64_t start;
    stream_add(s, 1, 3, 100);
    struct store_view v = stream_view(s, 2, &b);
    uint8_t *copy = malloc(v.size);
    memcpy(copy, v.at, v.size);
    expect_eq(store_trim(stream_store(s), 3, &start), OUT_OK);
    struct store_read r = {.offset = 0, .limit_offset = INT64_MAX};
    struct store_view none;
    expect_eq(store_read(stream_store(s), &r, &none), OUT_OFFSET_OUT_OF_RANGE);
    for (uint32_t i = 0; i < 100; i++)
        stream_add(s, i, 10, 1000);
    stream_retire(s);
    expect_eq(store_read(stream_store(s), &r, &none), OUT_OFFLINE);
    stream_free(s);
    expect(memcmp(copy, v.at, v.size) == 0);
    struct bytes rest = {v.at, v.size};
    expect_eq(log_batch_next(&rest, &again), OUT_OK);
    expect(log_batch_crc_good(&again));
    store_hold_drop(v.hold);
    free(copy);
}

void test_reads_are_bounded_by_bytes_and_limit(void)
{
    struct stream *s = stream_open(NULL);
    struct store_view v;
    for (uint32_t i = 0; i < 10; i++)
        stream_add(s, i, 2, 100);
    struct log_batch b;
    v = stream_view(s, 4, &b);
    size_t one = v.size;
    store_hold_drop(v.hold);
    struct store_read r = {.offset = 5, .limit_offset = INT64_MAX, .max_bytes = SIZE_MAX};
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect_eq(v.size, one * 8); /* from the batch that holds offset 5, whole */
    expect(!v.segment_done);
    store_hold_drop(v.hold);
    r.limit_offset = 8;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect_eq(v.size, one * 2);
    store_hold_drop(v.hold);
    r.max_bytes = one + 7;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect_eq(v.size, one + 7);
    store_hold_drop(v.hold);
    r.max_bytes = 7;
    r.least = STORE_CUT;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect(v.size == 7 && v.first_size == one);
    store_hold_drop(v.hold);
    r.max_bytes = 0;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect(v.size == 0 && v.hold == NULL);
    r.least = STORE_WHOLE_BATCH;
    r.limit_offset = 5; /* the limit is in the first batch: nothing of it is below */
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect(v.size == 0 && v.hold == NULL);
    stream_free(s);
}

void test_a_view_ends_with_its_slab_and_says_so(void)
{
    struct stream *s = stream_open(NULL);
    int64_t at = 0;
    int slabs = 0;
    for (uint32_t i = 0; i < 300; i++)
        stream_add(s, i, 1, 2000);
    stream_add(s, 300, 15, 60000); /* more than a slab: one of its own */
    expect(stream_stat(s).segment_count > 5);
    for (int64_t end = stream_stat(s).end_offset; at < end; slabs++) {
        struct store_view v;
        struct log_batch b;
        struct store_read r = {.offset = at, .limit_offset = end, .max_bytes = SIZE_MAX};
        expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
        struct bytes rest = {v.at, v.size};
        while (log_batch_next(&rest, &b) == OUT_OK) {
            expect(b.base_offset == at && log_batch_crc_good(&b));
            at = b.last_offset + 1;
        }
        expect(rest.size == 0);
        expect_eq(v.segment_done, at < end);
        store_hold_drop(v.hold);
    }
    expect_eq(slabs, stream_stat(s).segment_count);
    stream_free(s);
}

void test_much_is_kept_in_large_slabs(void)
{
    struct stream_options o = stream_defaults();
    struct log_batch b;
    o.batches.retention_bytes = 80000000;
    struct stream *s = stream_open(&o);
    for (uint32_t i = 0; i < 200; i++)
        stream_add(s, i, 15, 60000);
    struct store_stat st = stream_stat(s);
    expect(st.size_bytes <= 80000000 && st.size_bytes > 79000000);
    expect(st.segment_count < 60);
    expect(stream_memory(s) < 80000000 / 5 * 6 + 2 * MiB(6)); /* what no batch fits in any more */
    for (int64_t at = st.start_offset; at < st.end_offset; at = b.last_offset + 1)
        store_hold_drop(stream_view(s, at, &b).hold);
    stream_free(s);
}

void test_bytes_bound_what_is_kept_but_for_the_newest(void)
{
    struct stream_options o = stream_defaults();
    struct log_batch b;
    o.batches.retention_bytes = 100000;
    struct stream *s = stream_open(&o);
    for (uint32_t i = 0; i < 1000; i++) {
        stream_add(s, i, 2, 500);
        struct store_stat st = stream_stat(s);
        expect(st.size_bytes <= 100000);
        expect(i < 100 || st.size_bytes > 97000);
        expect(stream_memory(s) < 100000 + 2 * KiB(64) + 4096);
    }
    int64_t start = stream_stat(s).start_offset;
    expect(start > 1700 && start % 2 == 0);
    store_hold_drop(stream_view(s, start, &b).hold);
    expect_eq(b.base_offset, start);
    stream_add(s, 5000, 4, 60000);
    expect_eq(stream_stat(s).start_offset, 2000);
    expect_eq(stream_stat(s).end_offset, 2004);
    stream_free(s);
}

void test_records_bound_to_the_record(void)
{
    struct stream_options o = stream_defaults();
    struct log_batch b;
    o.retention_records = 10;
    struct stream *s = stream_open(&o);
    for (uint32_t i = 0; i < 50; i++) {
        stream_add(s, i, 4, 100);
        struct store_stat st = stream_stat(s);
        expect_eq(st.start_offset, MAX(0, st.end_offset - 10));
    }
    store_hold_drop(stream_view(s, 190, &b).hold); /* in mid-batch: the batch is there */
    expect_eq(b.base_offset, 188);
    stream_add(s, 50, 30, 100);
    expect_eq(stream_stat(s).start_offset, 220);
    o.retention_records = 0; /* no records at all makes no sense: one */
    expect_eq(stream_configure(s, &o), OUT_OK);
    expect(stream_retain(s, NOW));
    expect(!stream_retain(s, NOW));
    expect_eq(stream_stat(s).start_offset, 229);
    stream_free(s);
}

void test_age_takes_the_newest_too(void)
{
    struct stream_options o = stream_defaults();
    o.batches.retention_ms = 1000;
    struct stream *s = stream_open(&o);
    size_t idle = stream_memory(s);
    for (uint32_t i = 0; i < 3000; i += 100)
        stream_add(s, i, 1, 10); /* at the time it was made: the older go */
    expect_eq(stream_stat(s).start_offset, 19);
    expect(stream_retain(s, NOW + 3500));
    expect_eq(stream_stat(s).start_offset, 25);
    expect(stream_retain(s, NOW + 100000));
    expect_eq(stream_stat(s).start_offset, 30);
    expect_eq(stream_memory(s), idle);
    expect_eq(stream_add(s, 200000, 1, 10), 30);
    stream_free(s);
}

void test_trims(void)
{
    struct stream *s = stream_open(NULL);
    struct log_batch b;
    int64_t start;
    for (uint32_t i = 0; i < 10; i++)
        stream_add(s, i, 10, 100);
    expect_eq(store_trim(stream_store(s), -1, &start), OUT_OFFSET_OUT_OF_RANGE);
    expect_eq(store_trim(stream_store(s), 101, &start), OUT_OFFSET_OUT_OF_RANGE);
    expect_eq(start, 0);
    expect_eq(store_trim(stream_store(s), 35, &start), OUT_OK);
    expect_eq(start, 35);
    expect_eq(store_trim(stream_store(s), 20, &start), OUT_OK);
    expect_eq(start, 35);
    store_hold_drop(stream_view(s, 35, &b).hold);
    expect_eq(b.base_offset, 30);
    struct store_stat st = stream_stat(s);
    expect(st.start_offset == 35 && st.end_offset == 100);
    expect_eq(st.size_bytes, 7 * (int64_t)b.size);
    stream_free(s);
}

static struct store_place seek(struct stream *s, int64_t timestamp)
{
    struct store_place p;
    expect_eq(store_seek(stream_store(s), timestamp, &p), OUT_OK);
    return p;
}

void test_seeking_by_time(void)
{
    struct stream_options o = stream_defaults();
    int64_t start;
    o.batches.compression = LOG_ZSTD; /* records are found in compressed batches too */
    struct stream *s = stream_open(&o);
    expect_eq(seek(s, NOW).offset, -1);
    expect_eq(seek(s, STORE_MAX_TIMESTAMP).offset, -1);
    expect_eq(seek(s, STORE_LATEST).offset, 0);
    expect_eq(stream_epoch_begin(s, 3), OUT_OK);
    for (uint32_t i = 0; i < 2000; i++)
        stream_add(s, (i ^ 1) * 10, 1, 500); /* pairs in the wrong order */
    expect(stream_stat(s).segment_count > 1);
    expect_eq(seek(s, 0).offset, 0);
    expect_eq(seek(s, NOW).offset, 0);
    struct store_place p = seek(s, NOW + 1005);
    expect(p.offset == 100 && p.timestamp == NOW + 1010 && p.leader_epoch == 0);
    expect_eq(seek(s, NOW + 19990).offset, 1998);
    expect_eq(seek(s, NOW + 19991).offset, -1);
    expect_eq(seek(s, STORE_MAX_TIMESTAMP).offset, 1998);
    expect_eq(seek(s, STORE_LATEST).offset, 2000);
    expect_eq(store_trim(stream_store(s), 1999, &start), OUT_OK);
    expect_eq(seek(s, STORE_EARLIEST).offset, 1999);
    p = seek(s, STORE_MAX_TIMESTAMP); /* of what is left */
    expect(p.offset == 1999 && p.timestamp == NOW + 19980);
    expect_eq(seek(s, 0).offset, 1999);
    stream_free(s);
}

static size_t produced(struct log_builder *b, int64_t producer, int16_t epoch, int32_t sequence,
                       int count, int16_t attributes, uint8_t **at)
{
    size_t size;
    log_builder_reset(b);
    for (int i = 0; i < count; i++)
        log_builder_add(b, NOW, bytes_of("k"), bytes_of("value"), NULL, 0);
    struct log_builder_end end = log_builder_plain();
    end.producer_id = producer;
    end.producer_epoch = epoch;
    end.base_sequence = sequence;
    end.attributes = attributes;
    expect_eq(log_builder_finish(b, &end, at, &size), OUT_OK);
    return size;
}

void test_idempotent_producers(void)
{
    struct stream *s = stream_open(NULL);
    struct log_builder b;
    struct store_appended done;
    uint8_t *at;
    log_builder_init(&b, MiB(1));
    size_t size = produced(&b, 7, 0, 0, 3, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OK);
    size = produced(&b, 7, 0, 3, 2, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OK);
    expect_eq(done.base_offset, 3);
    size = produced(&b, 7, 0, 0, 3, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OK);
    expect(done.duplicate && done.base_offset == 0 && done.last_offset == 2);
    size = produced(&b, 7, 0, 9, 1, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OUT_OF_ORDER_SEQUENCE);
    size = produced(&b, 7, 1, 0, 1, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OK);
    size = produced(&b, 7, 0, 5, 1, 0, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_INVALID_PRODUCER_EPOCH);
    expect_eq(stream_stat(s).end_offset, 6);
    log_builder_fini(&b);
    stream_free(s);
}

void test_transactions_hold_the_stable_offset_back(void)
{
    struct stream *s = stream_open(NULL);
    struct log_builder b;
    struct store_appended done;
    struct arena arena;
    struct log_aborted *list;
    size_t count, size;
    uint8_t *at;
    log_builder_init(&b, MiB(1));
    arena_init(&arena, MiB(1));
    stream_add(s, 0, 2, 10);
    size = produced(&b, 9, 0, 0, 3, LOG_ATTR_TXN, &at);
    expect_eq(stream_put(s, at, size, NOW, &done), OUT_OK);
    stream_add(s, 1, 1, 10);
    expect_eq(stream_stat(s).stable_offset, 2);
    log_builder_reset(&b);
    log_builder_marker(&b, NOW, LOG_MARKER_ABORT, 1);
    struct log_builder_end end = {.producer_id = 9, .base_sequence = -1,
                                  .attributes = LOG_ATTR_TXN | LOG_ATTR_CONTROL};
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    struct store_append a = {.at = at, .size = size, .origin = STORE_COORDINATOR, .now_ms = NOW};
    expect_eq(store_append(stream_store(s), &a, &done), OUT_OK);
    expect_eq(stream_stat(s).stable_offset, 7);
    expect_eq(stream_aborted(s, 0, 7, &arena, &list, &count), OUT_OK);
    expect(count == 1 && list[0].producer_id == 9);
    expect(list[0].first_offset == 2 && list[0].last_offset == 6);
    int64_t start;
    expect_eq(store_trim(stream_store(s), 7, &start), OUT_OK);
    expect_eq(stream_aborted(s, 0, 8, &arena, &list, &count), OUT_OK);
    expect_eq(count, 0);
    arena_fini(&arena);
    log_builder_fini(&b);
    stream_free(s);
}

void test_a_leaders_batches_keep_their_offsets(void)
{
    struct stream *s = stream_open(NULL);
    struct log_builder b;
    struct store_appended done;
    struct log_batch found;
    uint8_t *at, *both;
    log_builder_init(&b, MiB(1));
    size_t size = build(&b, 1, 2, 100, &at);
    both = malloc(2 * size);
    put_be64(at, 10);
    put_be32(at + 12, 4); /* leader epoch, outside the checksum */
    memcpy(both, at, size);
    put_be64(at, INT64_C(20000000000)); /* a gap no slab's index can span */
    memcpy(both + size, at, size);
    struct store_append a = {.at = both, .size = 2 * size, .origin = STORE_REPLICA};
    expect_eq(store_append(stream_store(s), &a, &done), OUT_OK);
    expect(done.base_offset == 10 && done.last_offset == INT64_C(20000000001));
    expect_eq(store_append(stream_store(s), &a, &done), OUT_INVALID_RECORD);
    struct store_view v;
    struct store_read r = {.offset = 5, .limit_offset = INT64_MAX, .max_bytes = SIZE_MAX};
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    struct bytes rest = {v.at, v.size};
    expect_eq(log_batch_next(&rest, &found), OUT_OK);
    expect(found.base_offset == 10 && v.size == 2 * size);
    store_hold_drop(v.hold);
    r.offset = 12;
    expect_eq(store_read(stream_store(s), &r, &v), OUT_OK);
    expect_eq(v.size, size);
    store_hold_drop(v.hold);
    int32_t epoch;
    int64_t end;
    stream_epoch_end(s, 4, &epoch, &end);
    expect(epoch == 4 && end == INT64_C(20000000002));
    expect_eq(stream_epoch_begin(s, 6), OUT_OK);
    expect_eq(stream_add(s, 9, 1, 10), INT64_C(20000000002));
    stream_epoch_end(s, 5, &epoch, &end);
    expect(epoch == 4 && end == INT64_C(20000000002));
    expect_eq(seek(s, STORE_LATEST).leader_epoch, 6);
    both[size + 30] ^= 1;
    put_be64(both, INT64_C(30000000000));
    put_be64(both + size, INT64_C(30000000010));
    expect_eq(store_append(stream_store(s), &a, &done), OUT_CORRUPT_MESSAGE);
    expect_eq(stream_stat(s).end_offset, INT64_C(20000000003));
    free(both);
    log_builder_fini(&b);
    stream_free(s);
}

/* SPDX-License-Identifier: MIT */
/*
 * What a client's batch is refused for and how, as a real broker answers (the produce and
 * idempotence probes), and what is changed in an accepted one.
 */
#include "base/crc32c.h"
#include "helper.h"

enum { LEADER_EPOCH = 12, MAGIC = 16, CRC = 17, ATTRIBUTES = 21, LAST_DELTA = 23,
      BASE_TIMESTAMP = 27,
       MAX_TIMESTAMP = 35, COUNT = 57 };

struct fixture {
    struct scratch s;
    struct log_builder b;
    struct arena arena;
    uint8_t *at;
    size_t size;
    struct store_append a;
    struct store_appended done;
};

static void start(struct fixture *f)
{
    scratch_init(&f->s);
    log_builder_init(&f->b, MiB(64));
    arena_init(&f->arena, MiB(1));
    f->a = (struct store_append){
        .origin = STORE_CLIENT, .now_ms = NOW, .arena = &f->arena, .leader_epoch = 3};
}

static void open_log(struct fixture *f)
{
    scratch_open(&f->s);
}

/* A fresh batch of three records. */
static void fresh(struct fixture *f)
{
    f->size = build(&f->b, 0, 3, 50, &f->at);
}

static void redo_crc(struct fixture *f)
{
    put_be32(f->at + CRC, crc32c(0, f->at + ATTRIBUTES, f->size - ATTRIBUTES));
}

static enum outcome send_sized(struct fixture *f, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, f->at, size);
    f->a.at = copy;
    f->a.size = size;
    enum outcome o = store_append(log_store(f->s.log), &f->a, &f->done);
    free(copy);
    return o;
}

static enum outcome send(struct fixture *f)
{
    return send_sized(f, f->size);
}

/* The stored batch at an offset, malloc'ed. */
static uint8_t *stored(struct fixture *f, int64_t offset, struct log_batch *b)
{
    struct store_view v;
    struct store_read r = {.offset = offset, .limit_offset = INT64_MAX, .max_bytes = 0};
    expect_eq(store_read(log_store(f->s.log), &r, &v), OUT_OK);
    uint8_t *bytes = view_bytes(&v);
    struct bytes rest = {bytes, v.size};
    expect_eq(log_batch_next(&rest, b), OUT_OK);
    expect(log_batch_crc_good(b));
    store_hold_drop(v.hold);
    return bytes;
}

static void finish(struct fixture *f)
{
    scratch_close(&f->s, LOG_CLEAN);
    log_builder_fini(&f->b);
    arena_fini(&f->arena);
}

void test_headers_that_lie_are_refused(void)
{
    struct fixture f;
    start(&f);
    open_log(&f);
    fresh(&f);
    expect_eq(send_sized(&f, 0), OUT_INVALID_RECORD);
    expect_eq(f.done.log_start_offset, -1);
    expect_eq(send_sized(&f, 5), OUT_INVALID_RECORD);
    expect_eq(send_sized(&f, f.size - 1), OUT_INVALID_RECORD);
    f.at[MAGIC] = 1;
    expect_eq(send(&f), OUT_INVALID_RECORD);
    expect_eq(f.done.log_start_offset, -1);
    f.at[MAGIC] = 3;
    expect_eq(send(&f), OUT_CORRUPT_MESSAGE);
    expect(f.done.error_text != NULL);
    fresh(&f);
    f.at[CRC] ^= 1;
    expect_eq(send(&f), OUT_CORRUPT_MESSAGE);
    expect_eq(f.done.log_start_offset, -1);
    fresh(&f);
    f.at[7] = 77;
    expect_eq(send(&f), OUT_INVALID_RECORD);
    expect_eq(f.done.log_start_offset, 0);
    static const struct { int at; uint32_t value; } lies[] = {
        {COUNT, 4}, {COUNT, 2}, {COUNT, 0}, {COUNT, (uint32_t)-1}, {LAST_DELTA, 3}, {LAST_DELTA,
                                                                                     (uint32_t)-1}};
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        fresh(&f);
        put_be32(f.at + lies[i].at, lies[i].value);
        redo_crc(&f);
        expect_eq(send(&f), OUT_INVALID_RECORD);
        expect_eq(f.done.log_start_offset, 0);
    }
    fresh(&f); /* count and delta agree, the records do not */
    put_be32(f.at + COUNT, 4);
    put_be32(f.at + LAST_DELTA, 3);
    redo_crc(&f);
    expect_eq(send(&f), OUT_INVALID_RECORD);
    put_be32(f.at + COUNT, 2);
    put_be32(f.at + LAST_DELTA, 1);
    redo_crc(&f);
    expect_eq(send(&f), OUT_INVALID_RECORD);
    fresh(&f);
    f.at[ATTRIBUTES + 1] = LOG_ATTR_CONTROL;
    redo_crc(&f);
    expect_eq(send(&f), OUT_INVALID_RECORD);
    fresh(&f);
    f.at[ATTRIBUTES + 1] = 5;
    redo_crc(&f);
    expect_eq(send(&f), OUT_BAD_COMPRESSION);
    expect_eq(stat_of(f.s.log).end_offset, 0);
    finish(&f);
}

void test_what_follows_the_batch(void)
{
    struct fixture f;
    start(&f);
    open_log(&f);
    fresh(&f);
    uint8_t two[2048] = {0};
    memcpy(two, f.at, f.size);
    memcpy(two + f.size, f.at, f.size);
    f.at = two;
    expect_eq(send_sized(&f, 2 * f.size), OUT_INVALID_RECORD); /* two whole batches */
    expect_eq(send_sized(&f, 2 * f.size - 1), OUT_OK);         /* an incomplete tail is ignored */
    expect_eq(f.done.base_offset, 0);
    expect_eq(f.done.last_offset, 2);
    memset(two + f.size, 0, 20);
    expect_eq(send_sized(&f, f.size + 20), OUT_CORRUPT_MESSAGE);
    expect_eq(send_sized(&f, f.size + 3), OUT_OK);
    expect_eq(f.done.base_offset, 3);
    finish(&f);
}

void test_an_accepted_batch_is_patched_and_nothing_else(void)
{
    struct fixture f;
    struct log_batch b;
    start(&f);
    open_log(&f);
    fresh(&f);
    expect_eq(send(&f), OUT_OK);
    expect_eq(f.done.log_append_time_ms, -1);
    expect_eq(f.done.log_start_offset, 0);
    fresh(&f);
    put_be32(f.at + LEADER_EPOCH, 5);
    f.at[ATTRIBUTES + 1] = LOG_ATTR_APPEND_TIME | LOG_ATTR_DELETE_HORIZON | 128;
    put_be64(f.at + MAX_TIMESTAMP, (uint64_t)NOW + 999);
    redo_crc(&f);
    expect_eq(send(&f), OUT_OK);
    uint8_t *bytes = stored(&f, 3, &b);
    expect_eq(b.base_offset, 3);
    expect_eq(b.leader_epoch, 3);
    expect_eq(b.attributes, LOG_ATTR_DELETE_HORIZON); /* 128 means nothing */
    expect_eq(b.max_timestamp, NOW);
    fresh(&f);
    expect_eq(b.size, f.size);
    expect(memcmp(b.at + LOG_BATCH_HEADER, f.at + LOG_BATCH_HEADER,
                  f.size - LOG_BATCH_HEADER) == 0);
    free(bytes);
    finish(&f);
}

void test_append_time_is_stamped(void)
{
    struct fixture f;
    struct log_batch b;
    start(&f);
    f.s.open.options.timestamp_type = LOG_APPEND_TIME;
    f.s.open.options.timestamp_after_max_ms = 0; /* does not matter then */
    open_log(&f);
    fresh(&f);
    f.a.now_ms = NOW - 5;
    expect_eq(send(&f), OUT_OK);
    expect_eq(f.done.log_append_time_ms, NOW - 5);
    uint8_t *bytes = stored(&f, 0, &b);
    expect_eq(b.attributes, LOG_ATTR_APPEND_TIME);
    expect_eq(b.max_timestamp, NOW - 5);
    expect_eq(b.base_timestamp, NOW);
    free(bytes);
    struct store_place p;
    expect_eq(store_seek(log_store(f.s.log), NOW - 5, &p), OUT_OK);
    expect_eq(p.offset, 0);
    finish(&f);
}

/* The attribute is the broker's; who sets it does not know what it means. */
void test_a_given_append_time_is_refused(void)
{
    struct fixture f;
    start(&f);
    f.s.open.options.timestamp_type = LOG_APPEND_TIME;
    open_log(&f);
    for (int codec = LOG_NONE; codec <= LOG_GZIP; codec++) {
        fresh(&f);
        f.at[ATTRIBUTES + 1] = (uint8_t)(LOG_ATTR_APPEND_TIME | codec); /* nobody looks inside */
        redo_crc(&f);
        expect_eq(send(&f), OUT_INVALID_TIMESTAMP);
        expect_eq(f.done.error_count, codec == LOG_NONE ? 3 : 1);
    }
    finish(&f);
}

/* A batch of records with given timestamps. */
static void with_timestamps(struct fixture *f, const int64_t *t, int count)
{
    struct log_builder_end end = log_builder_plain();
    log_builder_reset(&f->b);
    for (int i = 0; i < count; i++)
        log_builder_add(&f->b, t[i], bytes_of("k"), bytes_of("v"), NULL, 0);
    expect_eq(log_builder_finish(&f->b, &end, &f->at, &f->size), OUT_OK);
}

void test_timestamps_out_of_bounds_are_listed(void)
{
    struct fixture f;
    start(&f);
    f.s.open.options.timestamp_before_max_ms = 1000;
    open_log(&f);
    int64_t times[] = {NOW, NOW - 1001, NOW - 1000, NOW + 3600001, NOW + 3600000, -1};
    with_timestamps(&f, times, 6);
    expect_eq(send(&f), OUT_INVALID_TIMESTAMP);
    expect_eq(f.done.error_count, 2);
    expect_eq(f.done.errors[0].index, 1);
    expect_eq(f.done.errors[1].index, 3);
    expect(f.done.errors[1].message != NULL && f.done.error_text != NULL);
    expect_eq(f.done.log_start_offset, 0);
    f.a.arena = NULL;
    expect_eq(send(&f), OUT_INVALID_TIMESTAMP);
    expect_eq(f.done.error_count, 0);
    struct log_options o = f.s.open.options;
    log_options_default(&o);
    expect_eq(log_configure(f.s.log, &o), OUT_OK);
    int64_t odd[] = {-1, -2, 0, INT64_MIN / 2};
    with_timestamps(&f, odd, 4);
    expect_eq(send(&f), OUT_OK);
    finish(&f);
}

void test_compacted_topics_want_keys(void)
{
    struct fixture f;
    struct log_builder_end end = log_builder_plain();
    start(&f);
    f.s.open.options.cleanup_compact = true;
    open_log(&f);
    for (int packed = 0; packed < 2; packed++) {
        log_builder_reset(&f.b);
        for (int i = 0; i < 4; i++)
            log_builder_add(&f.b, NOW, i % 2 ? bytes_view(NULL, 0) : bytes_of("k"), bytes_of("v"),
                            NULL, 0);
        expect_eq(log_builder_finish(&f.b, &end, &f.at, &f.size), OUT_OK);
        expect_eq(send(&f), OUT_INVALID_RECORD);
        expect_eq(f.done.error_count, 2);
        expect_eq(f.done.errors[0].index, 1);
        expect_eq(f.done.errors[1].index, 3);
    }
    log_builder_reset(&f.b);
    log_builder_add(&f.b, NOW, bytes_of("k"), bytes_view(NULL, 0), NULL, 0);
    expect_eq(log_builder_finish(&f.b, &end, &f.at, &f.size), OUT_OK);
    expect_eq(send(&f), OUT_OK); /* a tombstone */
    finish(&f);
}

void test_sizes_are_bounded(void)
{
    struct fixture f;
    start(&f);
    fresh(&f);
    f.s.open.options.max_message_bytes = (int32_t)f.size;
    open_log(&f);
    expect_eq(send(&f), OUT_OK);
    struct log_options o = f.s.open.options;
    o.max_message_bytes = (int32_t)f.size - 1;
    expect_eq(log_configure(f.s.log, &o), OUT_OK);
    fresh(&f);
    expect_eq(send(&f), OUT_MESSAGE_TOO_LARGE);
    expect_eq(f.done.log_start_offset, -1);
    o.max_message_bytes = (int32_t)f.size;
    o.segment_bytes = (int64_t)f.size - 1;
    expect_eq(log_configure(f.s.log, &o), OUT_OK);
    fresh(&f);
    expect_eq(send(&f), OUT_RECORD_LIST_TOO_LARGE);
    finish(&f);
}

/* Turns the plain batch in f->at into a compressed one, in f->b's memory no more. */
static void pack(struct fixture *f, enum log_codec codec, uint8_t *to)
{
    uint8_t *packed;
    size_t size;
    struct bytes records = {f->at + LOG_BATCH_HEADER, f->size - LOG_BATCH_HEADER};
    expect_eq(log_compress(codec, INT32_MIN, records, &packed, &size), OUT_OK);
    memcpy(to, f->at, LOG_BATCH_HEADER);
    memcpy(to + LOG_BATCH_HEADER, packed, size);
    free(packed);
    f->at = to;
    f->size = LOG_BATCH_HEADER + size;
    put_be32(to + 8, (uint32_t)f->size - LOG_BATCH_OVERHEAD);
    to[ATTRIBUTES + 1] = (uint8_t)codec;
    redo_crc(f);
}

void test_compressed_batches_are_looked_into_on_demand(void)
{
    struct fixture f;
    uint8_t room[2048];
    struct log_batch b;
    start(&f);
    open_log(&f);
    struct log_options o = f.s.open.options;
    for (int codec = LOG_GZIP; codec <= LOG_ZSTD; codec++) {
        fresh(&f);
        pack(&f, (enum log_codec)codec, room);
        o.validation = LOG_VALIDATE_FULL;
        expect_eq(log_configure(f.s.log, &o), OUT_OK);
        expect_eq(send(&f), OUT_OK);
        uint8_t *bytes = stored(&f, f.done.base_offset, &b);
        expect_eq(b.attributes, codec);
        expect_eq(b.size, f.size);
        free(bytes);
        put_be32(room + COUNT, 4);
        put_be32(room + LAST_DELTA, 3);
        redo_crc(&f);
        expect_eq(send(&f), OUT_INVALID_RECORD);
        fresh(&f);
        pack(&f, (enum log_codec)codec, room);
        memset(room + LOG_BATCH_HEADER, 'x', f.size - LOG_BATCH_HEADER);
        redo_crc(&f);
        expect_eq(send(&f), OUT_BAD_COMPRESSION);
        expect_eq(f.done.log_start_offset, 0);
        o.validation = LOG_VALIDATE_PLAIN;
        expect_eq(log_configure(f.s.log, &o), OUT_OK);
        expect_eq(send(&f), OUT_OK); /* taken on trust */
    }
    f.a.zstd_refused = true;
    expect_eq(send(&f), OUT_UNSUPPORTED_COMPRESSION);
    finish(&f);
}

void test_a_topics_own_compression_is_applied(void)
{
    struct fixture f;
    uint8_t room[2048];
    struct log_batch b;
    struct log_records walk;
    struct log_record r;
    start(&f);
    open_log(&f);
    struct log_options o = f.s.open.options;
    for (int want = LOG_NONE; want <= LOG_ZSTD; want++) {
        for (int codec = LOG_NONE; codec <= LOG_ZSTD; codec++) {
            o.compression = (enum log_codec)want;
            expect_eq(log_configure(f.s.log, &o), OUT_OK);
            fresh(&f);
            if (codec != LOG_NONE)
                pack(&f, (enum log_codec)codec, room);
            expect_eq(send(&f), OUT_OK);
            uint8_t *bytes = stored(&f, f.done.base_offset, &b);
            expect_eq(b.attributes, want);
            expect_eq(b.base_offset, f.done.base_offset);
            expect_eq(log_records_begin(&walk, &b, MiB(1)), OUT_OK);
            for (int i = 0; i < 3; i++) {
                expect_eq(log_records_next(&walk, &r), OUT_OK);
                expect_eq(r.offset, f.done.base_offset + i);
                expect_eq(r.value.size, 50);
            }
            expect_eq(log_records_next(&walk, &r), OUT_END);
            log_records_fini(&walk);
            free(bytes);
        }
    }
    finish(&f);
}

static enum outcome produce(struct fixture *f, int64_t id, int epoch, int64_t sequence, int count)
{
    struct log_builder_end end = {.producer_id = id,
                                  .producer_epoch = (int16_t)epoch,
                                  .base_sequence = (int32_t)sequence};
    log_builder_reset(&f->b);
    for (int i = 0; i < count; i++)
        log_builder_add(&f->b, NOW + sequence % 1000, bytes_of("k"), bytes_of("v"), NULL, 0);
    expect_eq(log_builder_finish(&f->b, &end, &f->at, &f->size), OUT_OK);
    return send(f);
}

/* The steps of the idempotence probe, with the answers of a real broker. */
void test_idempotence_answers_as_a_real_broker(void)
{
    struct fixture f;
    start(&f);
    open_log(&f);
    expect_eq(produce(&f, 1, 0, 0, 2), OUT_OK);
    expect_eq(produce(&f, 1, 0, 2, 1), OUT_OK);
    expect_eq(f.done.base_offset, 2);
    expect_eq(produce(&f, 1, 0, 2, 1), OUT_OK);
    expect(f.done.duplicate && f.done.base_offset == 2 && f.done.log_append_time_ms == NOW + 2);
    expect_eq(produce(&f, 1, 0, 0, 2), OUT_OK);
    expect(f.done.duplicate && f.done.base_offset == 0 && f.done.last_offset == 1);
    expect_eq(produce(&f, 1, 0, 0, 3), OUT_OUT_OF_ORDER_SEQUENCE);
    expect_eq(f.done.log_start_offset, 0);
    expect_eq(produce(&f, 1, 0, 5, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    expect_eq(produce(&f, 1, 0, 1, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    for (int i = 3; i < 9; i++)
        expect_eq(produce(&f, 1, 0, i, 1), OUT_OK);
    expect_eq(produce(&f, 1, 0, 4, 1), OUT_OK);
    expect(f.done.duplicate && f.done.base_offset == 4);
    expect_eq(produce(&f, 1, 0, 3, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    expect_eq(produce(&f, 1, 1, 4, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    expect_eq(produce(&f, 1, 1, 0, 1), OUT_OK);
    expect(!f.done.duplicate);
    expect_eq(produce(&f, 1, 0, 1, 1), OUT_INVALID_PRODUCER_EPOCH);
    expect_eq(produce(&f, 1, -1, 1, 1), OUT_INVALID_PRODUCER_EPOCH);
    expect_eq(produce(&f, 2, 0, 5, 1), OUT_OK); /* unknown: any sequence */
    expect_eq(produce(&f, -2, 0, 9, 1), OUT_OK);
    expect_eq(produce(&f, 1, 1, -1, 1), OUT_INVALID_RECORD);
    expect_eq(produce(&f, 1, 1, INT32_MAX, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    expect_eq(produce(&f, 3, 0, INT32_MAX - 1, 3), OUT_OK); /* wraps inside */
    expect_eq(produce(&f, 3, 0, 1, 1), OUT_OK);
    expect_eq(produce(&f, 3, 0, INT32_MAX - 1, 3), OUT_OK);
    expect(f.done.duplicate);
    expect_eq(produce(&f, 4, 0, INT32_MAX, 1), OUT_OK);
    expect_eq(produce(&f, 4, 0, 0, 1), OUT_OK);
    finish(&f);
}

void test_producers_survive_stop_crash_and_expire(void)
{
    struct fixture f;
    start(&f);
    f.s.open.options.segment_bytes = 1000;
    open_log(&f);
    for (int i = 0; i < 40; i++)
        expect_eq(produce(&f, 7 + i % 3, 0, i / 3, 1), OUT_OK);
    expect(stat_of(f.s.log).segment_count > 2);
    for (int round = 0; round < 4; round++) {
        enum log_shutdown how = round % 2 ? LOG_CLEAN : LOG_UNCLEAN;
        if (round == 3) /* a torn snapshot is as good as none */
            shell(f.s.dir, "for s in *.snapshot; do truncate -s 12 $s; done");
        scratch_close(&f.s, how);
        scratch_open(&f.s);
        expect_eq(produce(&f, 7, 0, 13, 1), OUT_OK);
        expect(f.done.duplicate);
        expect_eq(f.done.base_offset, 39);
        expect_eq(produce(&f, 8, 0, 14, 1), OUT_OUT_OF_ORDER_SEQUENCE);
    }
    expect_eq(produce(&f, 7, 0, 14, 1), OUT_OK);
    expect_eq(f.done.base_offset, 40);
    struct log_producer list[4];
    int32_t deleted;
    expect_eq(log_producers(f.s.log, list, 4), 3);
    expect_eq(log_retain(f.s.log, NOW + 86400000 + 13, &deleted), OUT_OK);
    expect_eq(log_producers(f.s.log, list, 4), 1);
    expect(list[0].producer_id == 7 && list[0].last_sequence == 14);
    expect_eq(produce(&f, 8, 0, 99, 1), OUT_OK); /* forgotten: any sequence */
    finish(&f);
}

static int64_t append_txn(struct fixture *f, int64_t id, int sequence)
{
    struct log_builder_end end =
        {.producer_id = id, .base_sequence = sequence, .attributes = LOG_ATTR_TXN};
    log_builder_reset(&f->b);
    log_builder_add(&f->b, NOW, bytes_of("k"), bytes_of("v"), NULL, 0);
    expect_eq(log_builder_finish(&f->b, &end, &f->at, &f->size), OUT_OK);
    expect_eq(send(f), OUT_OK);
    return f->done.base_offset;
}

static enum outcome append_marker(struct fixture *f, int64_t id, int epoch, enum log_marker type,
                                  int coordinator)
{
    struct log_builder_end end =
        {.producer_id = id, .producer_epoch = (int16_t)epoch, .base_sequence = -1};
    log_builder_reset(&f->b);
    log_builder_marker(&f->b, NOW, type, coordinator);
    expect_eq(log_builder_finish(&f->b, &end, &f->at, &f->size), OUT_OK);
    f->a.origin = STORE_COORDINATOR;
    enum outcome o = send(f);
    f->a.origin = STORE_CLIENT;
    return o;
}

void test_transactions_move_the_stable_offset_and_are_indexed_when_aborted(void)
{
    struct fixture f;
    struct log_aborted *list;
    size_t count;
    start(&f);
    open_log(&f);
    expect_eq(append_txn(&f, 1, 0), 0);
    expect_eq(append_txn(&f, 2, 0), 1);
    expect_eq(append_txn(&f, 1, 1), 2);
    expect_eq(stat_of(f.s.log).stable_offset, 0);
    expect_eq(produce(&f, 1, 0, 2, 1), OUT_INVALID_TXN_STATE);
    expect_eq(append_marker(&f, 1, 0, LOG_MARKER_ABORT, 4), OUT_OK); /* offset 3 */
    expect_eq(stat_of(f.s.log).stable_offset, 1);
    expect_eq(append_marker(&f, 1, 0, LOG_MARKER_ABORT, 3), OUT_TXN_COORDINATOR_FENCED);
    expect_eq(append_marker(&f, 2, 1, LOG_MARKER_COMMIT, 4), OUT_OK); /* offset 4 */
    expect_eq(stat_of(f.s.log).stable_offset, 5);
    expect_eq(append_txn(&f, 3, 0), 5);
    expect_eq(append_marker(&f, 3, 1, LOG_MARKER_ABORT, 4), OUT_OK);
    expect_eq(append_txn(&f, 4, 0), 7);
    for (int round = 0; round < 4; round++) {
        expect_eq(stat_of(f.s.log).stable_offset, 7);
        expect_eq(log_aborted(f.s.log, 0, 100, &f.arena, &list, &count), OUT_OK);
        expect_eq(count, 2);
        expect(list[0].producer_id == 1 && list[0].first_offset == 0 && list[0].last_offset == 3 &&
               list[0].stable_offset == 1);
        expect(list[1].producer_id == 3 && list[1].first_offset == 5 && list[1].last_offset == 6 &&
               list[1].stable_offset == 7);
        expect_eq(log_aborted(f.s.log, 4, 5, &f.arena, &list, &count), OUT_OK);
        expect_eq(count, 0);
        shell(f.s.dir, "test $(stat -c %s 00000000000000000000.txnindex) -eq 68");
        scratch_close(&f.s, round % 2 ? LOG_CLEAN : LOG_UNCLEAN);
        scratch_open(&f.s);
    }
    finish(&f);
}

void test_other_origins_keep_what_they_must(void)
{
    struct fixture f;
    struct log_batch b;
    start(&f);
    open_log(&f);
    fresh(&f);
    f.a.origin = STORE_RAFT;
    put_be32(f.at + LEADER_EPOCH, 9);
    expect_eq(send(&f), OUT_OK);
    free(stored(&f, 0, &b));
    expect_eq(b.leader_epoch, 9);
    fresh(&f);
    f.a.origin = STORE_REPLICA;
    put_be32(f.at + LEADER_EPOCH, 11);
    put_be64(f.at, 10); /* a gap */
    expect_eq(send(&f), OUT_OK);
    expect(f.done.base_offset == 10 && f.done.last_offset == 12);
    expect_eq(stat_of(f.s.log).end_offset, 13);
    expect_eq(log_epoch_at(f.s.log, 12), 11);
    put_be64(f.at, 12); /* below the end */
    expect_eq(send(&f), OUT_INVALID_RECORD);
    put_be64(f.at, 13);
    f.at[100] ^= 1;
    expect_eq(send(&f), OUT_CORRUPT_MESSAGE);
    finish(&f);
}

/* SPDX-License-Identifier: MIT */
/*
 * A stream answers as the log on disk does: batches good and bad, damaged at random, from every
 * origin, with every codec, under several settings, go to both; outcome, offsets, times and record
 * errors must be the same, and so must what can be read afterwards.
 */
#include "base/crc32c.h"
#include "helper.h"

enum { CRC = 17, ATTRIBUTES = 21 };

struct pair {
    struct scratch disk;
    struct stream *memory;
    struct arena arenas[2];
    struct log_builder b;
    int accepted, refused, duplicates;
};

static void start(struct pair *p, const struct log_options *o)
{
    memset(p, 0, sizeof *p);
    scratch_init(&p->disk);
    p->disk.open.options = *o;
    scratch_open(&p->disk);
    struct stream_options options = {.batches = *o, .retention_records = -1};
    p->memory = stream_open(&options);
    arena_init(&p->arenas[0], MiB(4));
    arena_init(&p->arenas[1], MiB(4));
    log_builder_init(&p->b, MiB(4));
}

static void finish(struct pair *p)
{
    scratch_close(&p->disk, LOG_CLEAN);
    stream_free(p->memory);
    arena_fini(&p->arenas[0]);
    arena_fini(&p->arenas[1]);
    log_builder_fini(&p->b);
}

static void send(struct pair *p, const uint8_t *at, size_t size, enum store_origin origin)
{
    struct store *stores[2] = {log_store(p->disk.log), stream_store(p->memory)};
    struct store_appended done[2];
    enum outcome o[2];
    for (int i = 0; i < 2; i++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, at, size);
        struct store_append a = {.at = copy, .size = size, .origin = origin, .now_ms = NOW,
                                 .leader_epoch = 3, .arena = &p->arenas[i],
                                 .zstd_refused = size % 3 == 0};
        o[i] = store_append(stores[i], &a, &done[i]);
        free(copy);
    }
    expect_eq(o[0], o[1]);
    expect_eq(done[0].base_offset, done[1].base_offset);
    expect_eq(done[0].last_offset, done[1].last_offset);
    expect_eq(done[0].log_append_time_ms, done[1].log_append_time_ms);
    expect_eq(done[0].log_start_offset, done[1].log_start_offset);
    expect_eq(done[0].duplicate, done[1].duplicate);
    expect_eq(done[0].error_count, done[1].error_count);
    expect(done[0].error_text == done[1].error_text);
    for (size_t i = 0; i < done[0].error_count; i++) {
        expect_eq(done[0].errors[i].index, done[1].errors[i].index);
        expect(done[0].errors[i].message == done[1].errors[i].message);
    }
    p->accepted += o[0] == OUT_OK;
    p->duplicates += done[0].duplicate;
    p->refused += o[0] != OUT_OK;
    arena_reset(&p->arenas[0]);
    arena_reset(&p->arenas[1]);
}

static size_t random_batch(struct pair *p, uint8_t **at)
{
    size_t size;
    log_builder_reset(&p->b);
    int count = 1 + (int)random_below(6);
    for (int i = 0; i < count; i++) {
        int64_t timestamp = NOW + (int64_t)random_below(10) - 5;
        if (random_below(40) == 0)
            timestamp = random_below(2) ? -1 : (int64_t)random_below(UINT64_MAX / 2);
        struct bytes key = random_below(10) == 0 ? (struct bytes){NULL, 0} : bytes_of("key");
        log_builder_add(&p->b, timestamp, key, bytes_of("some value and some more"), NULL, 0);
    }
    struct log_builder_end end = log_builder_plain();
    if (random_below(2)) {
        end.producer_id = (int64_t)random_below(3);
        end.producer_epoch = (int16_t)random_below(2);
        end.base_sequence = (int32_t)random_below(12);
        end.attributes = random_below(8) == 0 ? LOG_ATTR_TXN : 0;
    }
    expect_eq(log_builder_finish(&p->b, &end, at, &size), OUT_OK);
    return size;
}

/* The batch in another codec; malloc'ed. */
static uint8_t *packed(const uint8_t *at, size_t *size, enum log_codec codec)
{
    uint8_t *to, *whole;
    size_t used;
    struct bytes records = {at + LOG_BATCH_HEADER, *size - LOG_BATCH_HEADER};
    expect_eq(log_compress(codec, INT32_MIN, records, &to, &used), OUT_OK);
    whole = malloc(LOG_BATCH_HEADER + used + 1);
    memcpy(whole, at, LOG_BATCH_HEADER);
    memcpy(whole + LOG_BATCH_HEADER, to, used);
    free(to);
    *size = LOG_BATCH_HEADER + used;
    put_be32(whole + 8, (uint32_t)(*size - LOG_BATCH_OVERHEAD));
    whole[ATTRIBUTES + 1] = (uint8_t)((whole[ATTRIBUTES + 1] & ~LOG_ATTR_CODEC) | (int)codec);
    return whole;
}

static void redo_crc(uint8_t *at, size_t size)
{
    if (size > ATTRIBUTES)
        put_be32(at + CRC, crc32c(0, at + ATTRIBUTES, size - ATTRIBUTES));
}

static void damage(uint8_t *at, size_t *size)
{
    for (uint64_t n = random_below(3); n-- > 0;)
        at[random_below(random_below(2) ? *size : MIN(*size, 61))] = (uint8_t)random_below(256);
    if (random_below(4) == 0)
        *size = random_below(*size + 1);
    if (random_below(3))
        redo_crc(at, *size);
}

/* Everything that is in them, byte by byte. */
static void compare(struct pair *p)
{
    struct store *stores[2] = {log_store(p->disk.log), stream_store(p->memory)};
    struct store_stat stat[2];
    for (int i = 0; i < 2; i++)
        store_stat(stores[i], &stat[i]);
    expect_eq(stat[0].end_offset, stat[1].end_offset);
    expect_eq(stat[0].stable_offset, stat[1].stable_offset);
    expect_eq(stat[0].size_bytes, stat[1].size_bytes);
    for (int64_t at = 0; at < stat[0].end_offset;) {
        struct store_view v[2];
        struct log_batch b;
        struct store_read r = {.offset = at, .limit_offset = INT64_MAX, .max_bytes = 0};
        for (int i = 0; i < 2; i++)
            expect_eq(store_read(stores[i], &r, &v[i]), OUT_OK);
        expect_eq(v[0].size, v[1].size);
        uint8_t *bytes = view_bytes(&v[0]);
        expect(memcmp(bytes, v[1].at, v[1].size) == 0);
        struct bytes rest = {v[1].at, v[1].size};
        expect_eq(log_batch_next(&rest, &b), OUT_OK);
        at = b.last_offset + 1;
        free(bytes);
        store_hold_drop(v[0].hold);
        store_hold_drop(v[1].hold);
    }
    for (int64_t t = NOW - 7; t < NOW + 7; t++) {
        struct store_place place[2];
        for (int i = 0; i < 2; i++)
            expect_eq(store_seek(stores[i], t, &place[i]), OUT_OK);
        expect_eq(place[0].offset, place[1].offset);
        expect_eq(place[0].timestamp, place[1].timestamp);
        expect_eq(place[0].leader_epoch, place[1].leader_epoch);
    }
}

static void run(const struct log_options *o, int rounds)
{
    static struct pair p;
    start(&p, o);
    for (int i = 0; i < rounds; i++) {
        uint8_t *at;
        size_t size = random_batch(&p, &at);
        enum log_codec codec = (enum log_codec)random_below(LOG_ZSTD + 1);
        uint8_t *own = packed(at, &size, codec);
        redo_crc(own, size);
        if (random_below(2))
            damage(own, &size);
        enum store_origin origin = STORE_CLIENT;
        if (random_below(8) == 0 && size > 61) {
            origin = STORE_REPLICA;
            put_be64(own, (uint64_t)stat_of(p.disk.log).end_offset + random_below(3) - 1);
        }
        send(&p, own, size, origin);
        if (i % 3 == 0) /* once more: duplicates, and sequences behind */
            send(&p, own, size, STORE_CLIENT);
        free(own);
    }
    compare(&p);
    printf("# %d accepted, %d of them duplicates; %d refused\n", p.accepted, p.duplicates,
           p.refused);
    expect(p.accepted > rounds / 20 && p.refused > rounds / 20);
    finish(&p);
}

static struct log_options plain(void)
{
    struct log_options o;
    log_options_default(&o);
    o.retention_ms = -1;
    return o;
}

void test_as_the_disk_log_with_the_standard_settings(void)
{
    struct log_options o = plain();
    run(&o, 6000);
}

void test_as_the_disk_log_when_records_are_looked_into(void)
{
    struct log_options o = plain();
    o.validation = LOG_VALIDATE_FULL;
    o.timestamp_before_max_ms = 4;
    run(&o, 4000);
    o.cleanup_compact = true;
    o.compression = LOG_LZ4;
    run(&o, 4000);
}

void test_as_the_disk_log_with_append_time_and_small_messages(void)
{
    struct log_options o = plain();
    o.timestamp_type = LOG_APPEND_TIME;
    o.max_message_bytes = 200;
    run(&o, 4000);
}

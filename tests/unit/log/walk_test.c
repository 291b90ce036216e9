/* SPDX-License-Identifier: MIT */
/*
 * The walk over a producer's records beside the slow and obvious one: batches of every shape, whole
 * and with bytes changed, are accepted by both or by neither, with the same largest timestamp.
 */
#include "helper.h"

#include "base/bytes.h"
#include "log/batch.h"

#define BATCHES 60000

static size_t any_size(void)
{
    static const size_t sizes[] = {0, 1, 5, 62, 63, 64, 65, 130, 8190, 8191, 8192, 8200, 20000};
    return random_below(4) == 0 ? sizes[random_below(COUNT_OF(sizes))] : random_below(90);
}

static int64_t any_time(void)
{
    static const int64_t after[] = {-1, -70, 64, 8191, 8192, -8000, -8001, 1048576, 3600000,
                                    3600001};
    if (random_below(40) == 0)
        return random_below(2) == 0 ? -1 : INT64_C(1) << random_below(62);
    return NOW + (random_below(3) == 0 ? after[random_below(COUNT_OF(after))]
                                       : (int64_t)random_below(50));
}

static size_t any_batch(struct log_builder *b, uint8_t **at)
{
    static uint8_t text[KiB(32)];
    struct log_builder_end end = log_builder_plain();
    size_t size, count = 1 + (random_below(8) == 0 ? random_below(300) : random_below(4));
    struct log_header header = {bytes_of("h"), bytes_of("v")};
    log_builder_reset(b);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = random_below(3) == 0 ? (struct bytes){NULL, 0}
                                                : bytes_view(text, any_size()),
                     value = random_below(9) == 0 ? (struct bytes){NULL, 0}
                                                  : bytes_view(text, any_size());
        log_builder_add(b, any_time(), key, value, &header, random_below(9) == 0);
    }
    expect_eq(log_builder_finish(b, &end, at, &size), OUT_OK);
    return size;
}

/* A byte or two of the records, mostly of their first lengths, are others. */
static void spoil(uint8_t *at, size_t size)
{
    size_t section = size - LOG_BATCH_HEADER;
    for (uint64_t n = 1 + random_below(2); n > 0; n--) {
        size_t place = random_below(random_below(2) == 0 ? MIN(section, 24) : section);
        static const uint8_t bytes[] = {0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xfe, 0xff};
        at[LOG_BATCH_HEADER + place] = random_below(2) == 0 ? bytes[random_below(COUNT_OF(bytes))]
                                                            : (uint8_t)random_below(256);
    }
    put_be32(at + BATCH_CRC, batch_crc(at, size));
}

/* What stands in the comment of walk_records(), said again. */
static enum outcome obvious(uint8_t *at, size_t size, bool keyed, int64_t *max)
{
    struct log_records walk;
    struct log_record r;
    struct log_batch b;
    struct bytes rest = {at, size};
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    expect_eq(log_records_begin(&walk, &b, MiB(1)), OUT_OK);
    enum outcome o, refused = OUT_OK;
    *max = -1;
    for (int64_t i = 0; (o = log_records_next(&walk, &r)) == OUT_OK; i++) {
        if (r.offset != b.base_offset + i)
            return OUT_INVALID_RECORD;
        *max = MAX(*max, r.timestamp);
        if (keyed && r.key.at == NULL)
            refused = refused == OUT_OK ? OUT_INVALID_RECORD : refused;
        else if (r.timestamp != -1 && (r.timestamp > NOW + 3600000 || r.timestamp < NOW - 8000))
            refused = OUT_INVALID_TIMESTAMP;
    }
    log_records_fini(&walk);
    return o == OUT_END ? refused : OUT_INVALID_RECORD;
}

static void compare(bool keyed)
{
    struct scratch s;
    struct log_builder b;
    struct store_appended done;
    uint64_t taken = 0, refused = 0;
    scratch_init(&s);
    s.open.options.timestamp_before_max_ms = 8000;
    s.open.options.cleanup_compact = keyed;
    s.open.options.segment_bytes = MiB(4);
    scratch_open(&s);
    log_builder_init(&b, MiB(16));
    for (int i = 0; i < BATCHES; i++) {
        uint8_t *at;
        int64_t max;
        size_t size = any_batch(&b, &at);
        if (random_below(3) == 0)
            spoil(at, size);
        if (size > 1048588)
            continue;
        enum outcome wanted = obvious(at, size, keyed, &max), o = put(s.log, at, size, &done);
        if (o != wanted)
            printf("# batch %d: %s, not %s\n", i, outcome_name(o), outcome_name(wanted));
        expect_eq(o, wanted);
        *(o == OUT_OK ? &taken : &refused) += 1;
        if (o == OUT_OK && (int64_t)get_be64(at + BATCH_MAX_TIMESTAMP) != max)
            printf("# batch %d: its largest timestamp is wrong\n", i);
        if (o == OUT_OK)
            expect_eq((int64_t)get_be64(at + BATCH_MAX_TIMESTAMP), max);
    }
    printf("# %llu taken, %llu refused\n", (unsigned long long)taken, (unsigned long long)refused);
    expect(taken > BATCHES / 10 && refused > BATCHES / 10);
    log_builder_fini(&b);
    scratch_close(&s, LOG_CLEAN);
}

void test_records_are_judged_as_by_the_obvious_walk(void)
{
    compare(false);
}

void test_records_that_need_keys_are_judged_as_by_the_obvious_walk(void)
{
    compare(true);
}

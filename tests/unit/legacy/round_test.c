/* SPDX-License-Identifier: MIT */
/*
 * There and back: random batches become message sets, and those batches again, with equal records
 * (but for what the old formats can't say). And random damage: whatever comes out is consistent.
 */
#include "helper.h"

#define ROUNDS 400
#define RECORDS 60

static uint64_t state = 88172645463325252u;

static uint64_t below(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

/* A batch of random records, compressed by random choice; malloc'ed. */
static uint8_t *random_batch(size_t *size, enum log_codec *codec)
{
    static uint8_t noise[600];
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    uint8_t *at, *packed;
    size_t packed_size;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(below(3) ? 'a' : below(256));
    log_builder_init(&b, MiB(1));
    for (uint64_t i = 0, count = 1 + below(RECORDS); i < count; i++) {
        struct log_header h = {bytes_of("h"), {noise, below(9)}};
        struct bytes key = {below(4) ? noise + below(90) : NULL, 0};
        struct bytes value = {below(6) ? noise + below(90) : NULL, 0};
        key.size = key.at == NULL ? 0 : below(40);
        value.size = value.at == NULL ? 0 : below(500);
        log_builder_add(&b, below(9) ? (int64_t)below(1u << 30) : -1, key, value, &h,
                        (int32_t)below(2));
    }
    end.base_offset = (int64_t)below(1u << 20);
    expect_eq(log_builder_finish(&b, &end, &at, size), OUT_OK);
    *codec = (enum log_codec)below(4);
    expect_eq(log_compress(*codec, INT32_MIN,
                           bytes_view(at + LOG_BATCH_HEADER, *size - LOG_BATCH_HEADER), &packed,
                           &packed_size), OUT_OK);
    uint8_t *made = malloc(LOG_BATCH_HEADER + packed_size);
    memcpy(made, at, LOG_BATCH_HEADER);
    memcpy(made + LOG_BATCH_HEADER, packed, packed_size);
    *size = LOG_BATCH_HEADER + packed_size;
    put_be32(made + 8, (uint32_t)(*size - LOG_BATCH_OVERHEAD));
    made[22] = (uint8_t)*codec;
    free(packed);
    log_builder_fini(&b);
    return made;
}

static void expect_same_records(const struct log_batch *was, const struct log_batch *is, int magic)
{
    struct log_records a, b;
    struct log_record r, q;
    expect_eq(log_records_begin(&a, was, MiB(4)), OUT_OK);
    expect_eq(log_records_begin(&b, is, MiB(4)), OUT_OK);
    while (log_records_next(&a, &r) == OUT_OK) {
        expect_eq(log_records_next(&b, &q), OUT_OK);
        expect_eq(q.offset, r.offset - was->base_offset);
        expect_eq(q.timestamp, magic == 0 ? -1 : r.timestamp);
        expect(bytes_equal(q.key, r.key) && bytes_equal(q.value, r.value));
        expect_eq(q.header_count, 0);
    }
    expect_eq(log_records_next(&b, &q), OUT_END);
    log_records_fini(&a);
    log_records_fini(&b);
}

void test_batches_come_back_with_the_same_records(void)
{
    int wrapped = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int magic = round % 2;
        enum log_codec codec;
        struct log_batch was, is;
        struct legacy_set set;
        size_t size, back_size;
        uint8_t *at = random_batch(&size, &codec), *back;
        struct bytes rest = {at, size};
        expect_eq(log_batch_next(&rest, &was), OUT_OK);
        legacy_set_init(&set, magic);
        expect_eq(legacy_set_add(&set, &was, 0), OUT_OK);
        expect_eq(legacy_magic((struct bytes){set.at, set.size}), magic);
        expect_eq(legacy_up((struct bytes){set.at, set.size}, MiB(4), &back, &back_size), OUT_OK);
        rest = (struct bytes){back, back_size};
        expect_eq(log_batch_next(&rest, &is), OUT_OK);
        expect(log_batch_crc_good(&is));
        expect_eq(is.count, was.count);
        expect_eq(is.attributes, (int)codec);
        wrapped += codec != LOG_NONE;
        expect_same_records(&was, &is, magic);
        legacy_set_fini(&set);
        free(back);
        free(at);
    }
    expect(wrapped > ROUNDS / 2);
}

/* Magic 1 becomes magic 0 as well, and 0 stays what it is in a set of magic 1. */
void test_stored_sets_become_older_ones(void)
{
    for (int round = 0; round < ROUNDS / 4; round++) {
        enum log_codec codec;
        struct log_batch was, b;
        struct legacy_set one, zero, again;
        size_t size;
        uint8_t *at = random_batch(&size, &codec);
        struct bytes rest = {at, size};
        expect_eq(log_batch_next(&rest, &was), OUT_OK);
        legacy_set_init(&one, 1);
        legacy_set_init(&zero, 0);
        legacy_set_init(&again, 1);
        expect_eq(legacy_set_add(&one, &was, 0), OUT_OK);
        rest = (struct bytes){one.at, one.size};
        while (log_batch_next(&rest, &b) == OUT_OK)
            expect_eq(legacy_set_add(&zero, &b, 0), OUT_OK);
        rest = (struct bytes){zero.at, zero.size};
        while (log_batch_next(&rest, &b) == OUT_OK) {
            expect(b.magic == 0 && b.last_offset <= was.last_offset);
            expect_eq(legacy_set_add(&again, &b, 0), OUT_OK);
        }
        expect_eq(b.last_offset, was.last_offset);
        expect(bytes_equal((struct bytes){zero.at, zero.size},
                           (struct bytes){again.at, again.size}));
        legacy_set_fini(&one);
        legacy_set_fini(&zero);
        legacy_set_fini(&again);
        free(at);
    }
}

/* Damage under right checksums: refused, or a batch that holds together. */
void test_damaged_sets_give_errors_or_whole_batches(void)
{
    int good = 0;
    for (int round = 0; round < ROUNDS * 10; round++) {
        struct made m = {NULL, 0}, inner = {NULL, 0};
        int magic = round % 2;
        uint8_t *batch;
        size_t size;
        for (uint64_t i = 0; i < 3; i++) {
            size_t from = make(&inner, (struct shape){magic, 0, (int64_t)i, 5, bytes_of("key"),
                                                      bytes_of("some value")});
            inner.at[from + 16 + below(inner.size - from - 16)] ^= (uint8_t)(1 << below(8));
            seal(&inner, from);
        }
        if (below(2)) {
            wrap(&m, magic, (enum log_codec)(1 + below(3)), 2, &inner);
            m.at[16 + below(m.size - 16)] ^= (uint8_t)(below(2) << below(8));
            seal(&m, 0);
        } else {
            make_bytes(&m, bytes_view(inner.at, inner.size));
        }
        enum outcome o = legacy_up((struct bytes){m.at, m.size}, BIG, &batch, &size);
        if (o == OUT_OK) {
            struct bytes rest = {batch, size};
            struct log_batch b;
            struct log_records walk;
            struct log_record r;
            expect_eq(log_batch_next(&rest, &b), OUT_OK);
            expect(b.count >= 1 && b.count <= 3 && log_batch_crc_good(&b));
            expect_eq(log_records_begin(&walk, &b, BIG), OUT_OK);
            while ((o = log_records_next(&walk, &r)) == OUT_OK)
                expect(r.timestamp >= -1);
            expect_eq(o, OUT_END);
            log_records_fini(&walk);
            good++;
        } else {
            expect(outcome_blame(o) == BLAME_PEER);
        }
        free(batch);
        made_fini(&m);
        made_fini(&inner);
    }
    expect(good > ROUNDS);
}

/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: message sets of magic 0 and 1 as an old producer sends them, and stored batches for
 * an old consumer. The first byte picks: bit 0 makes the checksums of all whole messages right (so
 * that what lies behind them is reached), bit 1 the magic of the set that is made for a consumer.
 * Every input is tried cut to some shorter length too.
 */
#include "base/check.h"
#include "fuzz.h"
#include "legacy/legacy.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LIMIT KiB(256)

static void make_good(uint8_t *at, size_t size)
{
    while (size >= 18) {
        uint32_t length = get_be32(at + 8);
        if (length < 14 || length > size - 12)
            return;
        if (at[16] < 2)
            put_be32(at + 12, (uint32_t)crc32_z(0, at + 16, length - 4));
        at += length + 12;
        size -= length + 12;
    }
}

/* What comes out for the log is a batch that holds together. */
static void produce(struct bytes set)
{
    uint8_t *batch;
    size_t size;
    if (legacy_up(set, LIMIT, &batch, &size) != OUT_OK) {
        check(batch == NULL);
        return;
    }
    struct bytes rest = {batch, size};
    struct log_batch b;
    struct log_records walk;
    struct log_record r;
    check(log_batch_next(&rest, &b) == OUT_OK && rest.size == 0);
    check(b.magic == 2 && log_batch_crc_good(&b) && b.last_offset + 1 == b.count);
    check(log_records_begin(&walk, &b, SIZE_MAX) == OUT_OK);
    enum outcome o;
    while ((o = log_records_next(&walk, &r)) == OUT_OK)
        check(r.timestamp >= -1 && r.header_count == 0);
    check(o == OUT_END);
    log_records_fini(&walk);
    free(batch);
}

/* What comes out for a consumer are whole messages with good checksums, when whole ones went in. */
static void consume(struct bytes rest, int magic)
{
    struct legacy_set set;
    struct log_batch b;
    legacy_set_init(&set, magic);
    while (log_batch_next(&rest, &b) == OUT_OK) {
        size_t before = set.size;
        if (legacy_set_add(&set, &b, b.base_offset + 1) != OUT_OK) {
            check(set.size == before);
            continue;
        }
        struct bytes made = {set.at + before, set.size - before};
        bool as_it_was = b.magic <= magic;
        while (made.size > 0 && log_batch_next(&made, &b) == OUT_OK)
            check(as_it_was || (b.magic == magic && log_batch_crc_good(&b)));
        check(made.size == 0 || b.base_offset < 0);
    }
    legacy_set_fini(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t whole = size - 1, sizes[2] = {whole, whole - whole * (data[0] >> 2) / 64};
    for (int i = 0; i < 2; i++) {
        uint8_t *exact = malloc(sizes[i] + (sizes[i] == 0));
        if (exact == NULL)
            return 0;
        memcpy(exact, data + 1, sizes[i]);
        if (data[0] & 1)
            make_good(exact, sizes[i]);
        produce((struct bytes){exact, sizes[i]});
        consume((struct bytes){exact, sizes[i]}, data[0] >> 1 & 1);
        free(exact);
    }
    return 0;
}

/* Both magics, plain and in a wrapper of each codec; and batches of each codec. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    int codec = (int)(number % 4), kind = (int)(number / 4 % 3);
    uint8_t *at, *packed;
    size_t size, packed_size;
    struct bytes rest;
    struct log_batch batch;
    struct legacy_set set;
    if (number >= 4 * 3 * 4)
        return 0;
    log_builder_init(&b, LIMIT);
    for (int64_t i = 0; i < 4; i++)
        log_builder_add(&b, 1000 + i, i % 2 ? bytes_of("key") : bytes_view(NULL, 0),
                        bytes_of("value value value value value"), NULL, 0);
    check(log_builder_finish(&b, &end, &at, &size) == OUT_OK);
    struct bytes records = {at + LOG_BATCH_HEADER, size - LOG_BATCH_HEADER};
    check(log_compress((enum log_codec)codec, INT32_MIN, records, &packed, &packed_size) == OUT_OK);
    size = LOG_BATCH_HEADER + packed_size;
    check(1 + size <= room);
    memcpy(out + 1, at, LOG_BATCH_HEADER);
    memcpy(out + 1 + LOG_BATCH_HEADER, packed, packed_size);
    put_be32(out + 1 + 8, (uint32_t)(size - LOG_BATCH_OVERHEAD));
    out[1 + 22] = (uint8_t)codec;
    free(packed);
    log_builder_fini(&b);
    if (kind < 2) {
        legacy_set_init(&set, kind);
        rest = (struct bytes){out + 1, size};
        check(log_batch_next(&rest, &batch) == OUT_OK);
        check(legacy_set_add(&set, &batch, 0) == OUT_OK && 1 + set.size <= room);
        memcpy(out + 1, set.at, size = set.size);
        legacy_set_fini(&set);
    }
    out[0] = (uint8_t)(1 | number / 12 << 1);
    return 1 + size;
}

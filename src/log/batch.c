/* SPDX-License-Identifier: MIT */
/*
 * Record batches: cutting them out of a stream of bytes by their headers, checking their checksum.
 * Magic 2 is a batch proper; of magic 0 and 1 each message, wrapper or not, counts as a batch.
 * Nothing here trusts a number before it was compared with the bytes that are there.
 */
#include "log/batch.h"

#include "base/check.h"
#include "base/crc32c.h"

#include <zlib.h>

#define LEGACY_MIN_V0 14 /* crc, magic, attributes, key and value lengths */
#define LEGACY_MIN_V1 22 /* and a timestamp */

static void parse_legacy(const uint8_t *at, struct log_batch *b)
{
    b->last_offset = b->base_offset;
    b->leader_epoch = -1;
    b->crc = get_be32(at + 12);
    b->attributes = (int8_t)at[17];
    b->base_timestamp = b->max_timestamp = b->magic == 1 ? (int64_t)get_be64(at + 18) : -1;
    b->producer_id = -1;
    b->producer_epoch = -1;
    b->base_sequence = -1;
    b->count = -1;
}

static void parse_current(const uint8_t *at, struct log_batch *b)
{
    b->leader_epoch = (int32_t)get_be32(at + BATCH_LEADER_EPOCH);
    b->crc = get_be32(at + BATCH_CRC);
    b->attributes = (int16_t)get_be16(at + BATCH_ATTRIBUTES);
    b->base_timestamp = (int64_t)get_be64(at + BATCH_BASE_TIMESTAMP);
    b->max_timestamp = (int64_t)get_be64(at + BATCH_MAX_TIMESTAMP);
    b->producer_id = (int64_t)get_be64(at + BATCH_PRODUCER_ID);
    b->producer_epoch = (int16_t)get_be16(at + BATCH_PRODUCER_EPOCH);
    b->base_sequence = (int32_t)get_be32(at + BATCH_BASE_SEQUENCE);
    b->count = (int32_t)get_be32(at + BATCH_COUNT);
}

enum outcome batch_parse(const uint8_t *at, size_t readable, uint64_t available,
                         struct log_batch *b)
{
    if (readable < LOG_BATCH_OVERHEAD)
        return OUT_MORE;
    int32_t length = (int32_t)get_be32(at + BATCH_LENGTH);
    if (length < LEGACY_MIN_V0)
        return OUT_CORRUPT_MESSAGE;
    if (readable < BATCH_MIN_READ)
        return OUT_MORE;
    b->magic = (int8_t)at[BATCH_MAGIC];
    if (b->magic < 0 || b->magic > 2)
        return OUT_CORRUPT_MESSAGE;
    int32_t least = b->magic == 2   ? LOG_BATCH_HEADER - LOG_BATCH_OVERHEAD
                    : b->magic == 1 ? LEGACY_MIN_V1
                                    : LEGACY_MIN_V0;
    if (length < least)
        return OUT_CORRUPT_MESSAGE;
    if (readable < (size_t)least + LOG_BATCH_OVERHEAD)
        return OUT_MORE;
    b->at = at;
    b->size = (size_t)length + LOG_BATCH_OVERHEAD;
    b->base_offset = (int64_t)get_be64(at);
    if (b->magic < 2)
        parse_legacy(at, b);
    else
        parse_current(at, b);
    int32_t delta = b->magic < 2 ? 0 : (int32_t)get_be32(at + BATCH_LAST_DELTA);
    if (b->size > available)
        return OUT_MORE;
    b->last_offset = b->base_offset;
    if (delta < 0 || b->base_offset < 0 || b->base_offset > INT64_MAX - delta - 1)
        return OUT_INVALID_RECORD; /* whole, but its offsets are none */
    b->last_offset += delta;
    return OUT_OK;
}

enum outcome log_batch_next(struct bytes *rest, struct log_batch *b)
{
    enum outcome o = batch_parse(rest->at, rest->size, rest->size, b);
    if (o == OUT_OK) {
        rest->at += b->size;
        rest->size -= b->size;
    }
    return o;
}

uint32_t batch_crc(const uint8_t *at, size_t size)
{
    check(size >= LOG_BATCH_HEADER);
    return crc32c(0, at + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES);
}

bool log_batch_crc_good(const struct log_batch *b)
{
    if (b->magic == 2)
        return batch_crc(b->at, b->size) == b->crc;
    size_t from = BATCH_MAGIC;
    return (uint32_t)crc32_z(0, b->at + from, b->size - from) == b->crc;
}

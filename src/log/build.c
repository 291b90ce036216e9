/* SPDX-License-Identifier: MIT */
/*
 * Building one uncompressed batch in memory: records are written behind room for the header, which
 * finish fills in. Grows by doubling up to the builder's limit; a failure is remembered and told by
 * finish, so that adding needs no check each time.
 */
#include "log/batch.h"

#include "base/check.h"
#include "base/varint.h"

#include <stdlib.h>

#define BUILDER_FIRST KiB(1)

void log_builder_init(struct log_builder *b, size_t limit_bytes)
{
    *b = (struct log_builder){.limit = limit_bytes, .size = LOG_BATCH_HEADER};
}

void log_builder_reset(struct log_builder *b)
{
    *b = (struct log_builder){
        .at = b->at, .room = b->room, .limit = b->limit, .size = LOG_BATCH_HEADER};
}

void log_builder_fini(struct log_builder *b)
{
    free(b->at);
    log_builder_init(b, b->limit);
}

static bool make_room(struct log_builder *b, size_t more)
{
    if (b->failed || more > b->limit || b->size > b->limit - more)
        return false;
    if (b->size + more <= b->room)
        return true;
    size_t room = MAX(b->room * 2, BUILDER_FIRST);
    while (room < b->size + more)
        room *= 2;
    uint8_t *at = realloc(b->at, room);
    if (at == NULL)
        return false;
    b->at = at;
    b->room = room;
    return true;
}

static size_t bytes_size(struct bytes b)
{
    if (b.at == NULL)
        return 1;
    return uvarint_size(zigzag32((int32_t)b.size)) + b.size;
}

static uint8_t *put_bytes(uint8_t *to, struct bytes b)
{
    if (b.at == NULL) {
        *to = 1; /* -1 */
        return to + 1;
    }
    to += uvarint_put(to, zigzag32((int32_t)b.size));
    if (b.size > 0)
        memcpy(to, b.at, b.size);
    return to + b.size;
}

size_t log_builder_add(struct log_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct log_header *headers, int32_t header_count)
{
    if (b->count == 0)
        b->base_timestamp = b->max_timestamp = timestamp;
    uint64_t time_delta = zigzag64((int64_t)((uint64_t)timestamp - (uint64_t)b->base_timestamp));
    uint32_t offset_delta = zigzag32(b->count);
    size_t body = 1 + uvarlong_size(time_delta) + uvarint_size(offset_delta) + bytes_size(key) +
                  bytes_size(value) + uvarint_size(zigzag32(header_count));
    for (int32_t i = 0; i < header_count; i++)
        body += bytes_size(headers[i].key) + bytes_size(headers[i].value);
    if (body > INT32_MAX || !make_room(b, body + VARINT32_MAX)) {
        b->failed = true;
        return b->size;
    }
    uint8_t *to = b->at + b->size;
    to += uvarint_put(to, zigzag32((int32_t)body));
    uint8_t *record = to;
    *to++ = 0;
    to += uvarlong_put(to, time_delta);
    to += uvarint_put(to, offset_delta);
    to = put_bytes(to, key);
    to = put_bytes(to, value);
    to += uvarint_put(to, zigzag32(header_count));
    for (int32_t i = 0; i < header_count; i++)
        to = put_bytes(put_bytes(to, headers[i].key), headers[i].value);
    check((size_t)(to - record) == body);
    b->size = (size_t)(to - b->at);
    b->max_timestamp = MAX(b->max_timestamp, timestamp);
    b->count++;
    return b->size;
}

struct log_builder_end log_builder_plain(void)
{
    return (struct log_builder_end){.producer_id = -1, .producer_epoch = -1, .base_sequence = -1};
}

enum outcome log_builder_finish(struct log_builder *b, const struct log_builder_end *e,
                                uint8_t **batch, size_t *size)
{
    if (b->failed)
        return b->size >= b->limit / 2 ? OUT_TOO_LARGE : OUT_NO_MEMORY;
    if (b->count == 0)
        return OUT_INVALID;
    uint8_t *at = b->at;
    put_be64(at + BATCH_BASE_OFFSET, (uint64_t)e->base_offset);
    put_be32(at + BATCH_LENGTH, (uint32_t)(b->size - LOG_BATCH_OVERHEAD));
    put_be32(at + BATCH_LEADER_EPOCH, (uint32_t)e->leader_epoch);
    at[BATCH_MAGIC] = 2;
    put_be16(at + BATCH_ATTRIBUTES, (uint16_t)(e->attributes | b->attributes));
    put_be32(at + BATCH_LAST_DELTA, (uint32_t)(b->count - 1));
    put_be64(at + BATCH_BASE_TIMESTAMP, (uint64_t)b->base_timestamp);
    put_be64(at + BATCH_MAX_TIMESTAMP, (uint64_t)b->max_timestamp);
    put_be64(at + BATCH_PRODUCER_ID, (uint64_t)e->producer_id);
    put_be16(at + BATCH_PRODUCER_EPOCH, (uint16_t)e->producer_epoch);
    put_be32(at + BATCH_BASE_SEQUENCE, (uint32_t)e->base_sequence);
    put_be32(at + BATCH_COUNT, (uint32_t)b->count);
    put_be32(at + BATCH_CRC, batch_crc(at, b->size));
    *batch = at;
    *size = b->size;
    return OUT_OK;
}

void log_builder_marker(struct log_builder *b, int64_t timestamp, enum log_marker type,
                        int32_t coordinator_epoch)
{
    uint8_t key[4] = {0, 0, 0, (uint8_t)type}, value[6] = {0};
    put_be32(value + 2, (uint32_t)coordinator_epoch);
    log_builder_add(b, timestamp, bytes_view(key, sizeof key), bytes_view(value, sizeof value),
                    NULL, 0);
    b->attributes = LOG_ATTR_TXN | LOG_ATTR_CONTROL;
}

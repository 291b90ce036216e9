/* SPDX-License-Identifier: MIT */
/*
 * Walking the records of a batch, decompressing first when need be. Happy path: begin, next until
 * OUT_END, fini. Every length is checked against the bytes that are left; a record must fill
 * exactly the length it claims, and a batch must hold exactly the records its header counts.
 */
#include "log/batch.h"

#include "base/varint.h"
#include "log/codec.h"

#include <stdlib.h>

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

/* Of one or two bytes, which nearly all are: without a call. 0: longer, or cut off. */
static inline size_t short_varint(const struct reader *r, uint32_t *raw)
{
    const uint8_t *at = r->at;
    if (unlikely(r->bad || at >= r->end))
        return 0;
    *raw = at[0];
    if (at[0] < 128)
        return 1;
    if (r->end - at < 2 || at[1] >= 128)
        return 0;
    *raw = (at[0] & 127u) | (uint32_t)at[1] << 7;
    return 2;
}

static inline int32_t take_varint(struct reader *r)
{
    uint32_t raw = 0;
    size_t used = short_varint(r, &raw);
    if (unlikely(used == 0))
        used = r->bad ? 0 : uvarint_get(r->at, r->end, &raw);
    if (unlikely(used == 0)) {
        r->bad = true;
        return 0;
    }
    r->at += used;
    return unzigzag32(raw);
}

static inline int64_t take_varlong(struct reader *r)
{
    uint32_t brief;
    size_t brief_size = short_varint(r, &brief);
    if (likely(brief_size > 0)) {
        r->at += brief_size;
        return unzigzag64(brief);
    }
    uint64_t raw = 0;
    size_t used = r->bad ? 0 : uvarlong_get(r->at, r->end, &raw);
    if (unlikely(used == 0)) {
        r->bad = true;
        return 0;
    }
    r->at += used;
    return unzigzag64(raw);
}

/* A length and that many bytes; a negative length is null. */
static inline struct bytes take_bytes(struct reader *r)
{
    int32_t size = take_varint(r);
    if (size < 0 || r->bad)
        return (struct bytes){NULL, 0};
    if (unlikely(size > r->end - r->at)) {
        r->bad = true;
        return (struct bytes){NULL, 0};
    }
    struct bytes b = {r->at, (size_t)size};
    r->at += size;
    return b;
}

bool log_header_next(struct bytes *rest, struct log_header *h)
{
    if (rest->size == 0)
        return false;
    struct reader r = {rest->at, rest->at + rest->size, false};
    h->key = take_bytes(&r);
    h->value = take_bytes(&r);
    *rest = (struct bytes){r.at, (size_t)(r.end - r.at)};
    return !r.bad;
}

static void skip_headers(struct reader *r, int32_t count)
{
    for (int32_t i = 0; i < count && !r->bad; i++) {
        struct bytes key = take_bytes(r);
        if (key.at == NULL)
            r->bad = true;
        (void)take_bytes(r);
    }
}

enum outcome record_parse(struct bytes *rest, struct log_record *record)
{
    struct reader r = {rest->at, rest->at + rest->size, false};
    int32_t size = take_varint(&r);
    if (unlikely(r.bad || size < 6 || size > r.end - r.at))
        return OUT_INVALID_RECORD;
    r.end = r.at + size;
    r.at++; /* attributes: none are defined */
    record->timestamp = take_varlong(&r);
    record->offset = take_varint(&r);
    record->key = take_bytes(&r);
    record->value = take_bytes(&r);
    record->header_count = take_varint(&r);
    if (unlikely(r.bad || record->header_count < 0))
        return OUT_INVALID_RECORD;
    record->headers.at = r.at;
    skip_headers(&r, record->header_count);
    if (unlikely(r.bad || r.at != r.end))
        return OUT_INVALID_RECORD;
    record->headers.size = (size_t)(r.at - record->headers.at);
    size_t used = (size_t)(r.end - rest->at);
    *rest = (struct bytes){r.end, rest->size - used};
    return OUT_OK;
}

/* ---- magic 0 and 1 ---- */

/* Key and value of one message of `b`. */
static enum outcome legacy_message(const struct log_batch *b, struct log_record *record)
{
    const uint8_t *at = b->at + (b->magic == 1 ? 26 : 18), *end = b->at + b->size;
    struct bytes *parts[2] = {&record->key, &record->value};
    for (int i = 0; i < 2; i++) {
        if (end - at < 4)
            return OUT_CORRUPT_MESSAGE;
        int32_t size = (int32_t)get_be32(at);
        at += 4;
        *parts[i] = (struct bytes){NULL, 0};
        if (size < 0)
            continue;
        if (size > end - at)
            return OUT_CORRUPT_MESSAGE;
        *parts[i] = (struct bytes){at, (size_t)size};
        at += size;
    }
    record->offset = b->base_offset;
    record->timestamp = b->max_timestamp;
    record->header_count = 0;
    record->headers = (struct bytes){at, 0};
    return at == end ? OUT_OK : OUT_CORRUPT_MESSAGE;
}

/* Relative inner offsets (magic 1) count from where the last one is the wrapper's. */
static enum outcome legacy_base(struct log_records *r)
{
    struct bytes rest = r->rest;
    struct log_batch inner;
    int64_t last = -1;
    while (rest.size > 0) {
        enum outcome o = log_batch_next(&rest, &inner);
        if (o != OUT_OK || (inner.attributes & LOG_ATTR_CODEC) != LOG_NONE)
            return OUT_INVALID_RECORD;
        last = inner.base_offset;
    }
    if (last < 0)
        return OUT_INVALID_RECORD;
    r->base_offset = r->batch.magic == 1 ? r->batch.base_offset - last : 0;
    return r->base_offset < 0 ? OUT_INVALID_RECORD : OUT_OK;
}

static enum outcome legacy_begin(struct log_records *r, size_t limit_bytes)
{
    enum log_codec codec = (enum log_codec)(r->batch.attributes & LOG_ATTR_CODEC);
    if (codec == LOG_NONE) {
        r->rest = (struct bytes){r->batch.at, r->batch.size};
        return OUT_OK;
    }
    struct log_record wrapper;
    enum outcome o = legacy_message(&r->batch, &wrapper);
    if (o != OUT_OK)
        return o;
    if (wrapper.value.at == NULL || codec > LOG_LZ4)
        return OUT_INVALID_RECORD;
    size_t size;
    o = codec_decompress(codec, r->batch.magic == 0 ? CODEC_OLD_LZ4 : CODEC_STRICT, wrapper.value,
                         limit_bytes, &r->memory, &size);
    if (o != OUT_OK)
        return o;
    r->rest = (struct bytes){r->memory, size};
    return legacy_base(r);
}

static enum outcome legacy_next(struct log_records *r, struct log_record *record)
{
    if (r->rest.size == 0)
        return OUT_END;
    struct log_batch inner;
    if (log_batch_next(&r->rest, &inner) != OUT_OK)
        return OUT_INVALID_RECORD;
    enum outcome o = legacy_message(&inner, record);
    record->offset += r->base_offset;
    if (r->batch.attributes & LOG_ATTR_APPEND_TIME)
        record->timestamp = r->batch.max_timestamp;
    r->index++;
    return o;
}

/* ---- the walk ---- */

enum outcome log_records_begin(struct log_records *r, const struct log_batch *b, size_t limit_bytes)
{
    *r = (struct log_records){.batch = *b};
    if (b->magic < 2)
        return legacy_begin(r, limit_bytes);
    if (b->count < 0)
        return OUT_INVALID_RECORD;
    struct bytes body = {b->at + LOG_BATCH_HEADER, b->size - LOG_BATCH_HEADER};
    enum log_codec codec = (enum log_codec)(b->attributes & LOG_ATTR_CODEC);
    r->rest = body;
    if (codec == LOG_NONE || (b->count == 0 && body.size == 0))
        return OUT_OK;
    size_t size = 0;
    enum outcome o = codec_decompress(codec, CODEC_STRICT, body, limit_bytes, &r->memory, &size);
    r->rest = (struct bytes){r->memory, size};
    return o;
}

enum outcome log_records_next(struct log_records *r, struct log_record *record)
{
    const struct log_batch *b = &r->batch;
    if (b->magic < 2)
        return legacy_next(r, record);
    if (r->index == b->count)
        return r->rest.size == 0 ? OUT_END : OUT_INVALID_RECORD;
    enum outcome o = record_parse(&r->rest, record);
    if (o != OUT_OK)
        return o;
    record->offset += b->base_offset;
    record->timestamp = (b->attributes & LOG_ATTR_APPEND_TIME) != 0
                            ? b->max_timestamp
                            : (int64_t)((uint64_t)record->timestamp + (uint64_t)b->base_timestamp);
    r->index++;
    return OUT_OK;
}

void log_records_fini(struct log_records *r)
{
    free(r->memory);
    r->memory = NULL;
}

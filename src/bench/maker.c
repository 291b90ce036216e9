/* SPDX-License-Identifier: MIT */
/*
 * Record batches. All values of a load have the same size and, behind the stamp, the same bytes:
 * so a batch's memory is written once and then only its stamps, header and checksum change. A
 * record is length, attributes, two deltas, no key, value, no headers (KIP-98).
 */
#include "bench/private.h"

#include "base/crc32c.h"
#include "base/varint.h"

#include <stdlib.h>

#define HEADER 61
#define OVERHEAD 12  /* base offset and length, which the length leaves out */
#define CRC_FROM 21
#define CRC_AT 17

/* Everything of a record but its value and the length in front. */
static size_t record_body(int64_t value_size, int32_t index)
{
    size_t size = 1 + 1 + uvarint_size(zigzag32(index)) + 1 + 1;
    return size + uvarint_size(zigzag32((int32_t)value_size)) + (size_t)value_size;
}

static size_t record_size(int64_t value_size, int32_t index)
{
    size_t body = record_body(value_size, index);
    return body + uvarint_size(zigzag32((int32_t)body));
}

/* Where record `index` begins: indexes take 1, 2, 3 or 4 bytes. */
static size_t record_at(const struct bench_maker *m, int32_t index)
{
    static const int32_t ends[] = {1 << 6, 1 << 13, 1 << 20, INT32_MAX};
    size_t at = HEADER;
    int32_t from = 0;
    for (size_t i = 0; i < COUNT_OF(ends) && from < index; i++) {
        int32_t to = MIN(index, ends[i]);
        at += (size_t)(to - from) * record_size(m->value_size, from);
        from = to;
    }
    return at;
}

size_t bench_batch_size(const struct bench_maker *m, int32_t count)
{
    return record_at(m, count);
}

void bench_maker_init(struct bench_maker *m, const struct bench_options *o)
{
    *m = (struct bench_maker){.value_size = o->size, .most = 1};
    int64_t most = o->batch_records > 0 ? o->batch_records : INT32_MAX;
    int32_t low = 1, high = (int32_t)MIN(most, o->batch_bytes / 7 + 1); /* no record is smaller */
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2;
        if (record_at(m, middle) <= (size_t)o->batch_bytes)
            low = middle;
        else
            high = middle - 1;
    }
    m->most = low;
    m->room = record_at(m, low);
}

static size_t put_record(uint8_t *at, int64_t value_size, int32_t index)
{
    uint8_t *p = at;
    p += uvarint_put(p, zigzag32((int32_t)record_body(value_size, index)));
    *p++ = 0;                 /* attributes */
    *p++ = 0;                 /* timestamp delta */
    p += uvarint_put(p, zigzag32(index));
    *p++ = 1;                 /* no key: zigzag of -1 */
    p += uvarint_put(p, zigzag32((int32_t)value_size));
    for (int64_t i = 0; i < value_size; i++)
        *p++ = (uint8_t)('a' + (i * 7 + index) % 26);
    *p++ = 0;                 /* headers */
    return (size_t)(p - at);
}

static enum outcome make_ready(const struct bench_maker *m, struct bench_batch *b, int32_t count)
{
    if (b->at == NULL) {
        b->at = malloc(m->room);
        if (b->at == NULL)
            return fail(OUT_NO_MEMORY, "a batch of %zu bytes", m->room);
        memset(b->at, 0, HEADER);
        b->at[16] = 2;                    /* magic */
        put_be64(b->at + 43, UINT64_MAX); /* no producer id, epoch, sequence */
        put_be16(b->at + 51, UINT16_MAX);
        put_be32(b->at + 53, UINT32_MAX);
        put_be32(b->at + 12, UINT32_MAX); /* leader epoch: the broker's to say */
    }
    size_t at = record_at(m, b->ready);
    for (; b->ready < count; b->ready++)
        at += put_record(b->at + at, m->value_size, b->ready);
    return OUT_OK;
}

static void put_stamps(const struct bench_maker *m, struct bench_batch *b,
                       const struct bench_records *r)
{
    size_t at = HEADER;
    for (int32_t i = 0; i < r->count; i++) {
        at += record_size(m->value_size, i);
        uint64_t sequence = r->first + (uint64_t)i;
        struct bench_stamp stamp = {.due_ns = r->due_ns, .lane = r->lane,
                                    .sequence = (uint32_t)sequence};
        if (r->pace->each_ns > 0)
            stamp.due_ns = bench_due(r->pace, sequence * r->stride + r->lane);
        /* The value ends before the last byte. */
        memcpy(b->at + at - 1 - m->value_size, &stamp, sizeof stamp);
    }
}

enum outcome bench_make(const struct bench_maker *m, struct bench_batch *b,
                        const struct bench_records *r, uint32_t *crc)
{
    if (b->ready < r->count) {
        enum outcome o = make_ready(m, b, r->count);
        if (o != OUT_OK)
            return o;
    }
    if (m->value_size >= BENCH_STAMP)
        put_stamps(m, b, r);
    b->size = bench_batch_size(m, r->count);
    put_be32(b->at + 8, (uint32_t)(b->size - OVERHEAD));
    put_be32(b->at + 23, (uint32_t)r->count - 1); /* last offset delta */
    put_be64(b->at + 27, (uint64_t)r->wall_ms);
    put_be64(b->at + 35, (uint64_t)r->wall_ms);
    put_be32(b->at + 57, (uint32_t)r->count);
    *crc = crc32c(0, b->at + CRC_FROM, b->size - CRC_FROM);
    put_be32(b->at + CRC_AT, *crc);
    return OUT_OK;
}

bool bench_stamp_read(struct bytes value, struct bench_stamp *s)
{
    static_assert(sizeof *s == BENCH_STAMP, "a stamp is as it is stored");
    if (value.size < BENCH_STAMP)
        return false;
    memcpy(s, value.at, sizeof *s);
    return true;
}

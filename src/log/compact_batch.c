/* SPDX-License-Identifier: MIT */
/*
 * What compaction leaves of a batch. Two walks over the records: which stay, and whether a
 * tombstone or a marker needs its delete horizon; then, if anything changes, the records that stay
 * are written anew with their old offsets and times. A batch keeps its base and last offset and its
 * sequence, whatever goes. With a delete horizon the header's base timestamp is the time from which
 * tombstones (or the marker) may go, and attribute bit 6 is set (KIP-534).
 */
#include "log/compact.h"

#include "base/check.h"
#include "base/varint.h"

#include <stdlib.h>
#include <zlib.h>

#define INFLATE_MAX MiB(256) /* a batch that decompresses to more is left as it is */
#define RECORD_MIN 7         /* bytes of the smallest record */

void compact_out_fini(struct compact_out *out)
{
    free(out->at);
    free(out->kept);
    *out = (struct compact_out){0};
}

static bool has_horizon(const struct log_batch *b)
{
    return b->magic == 2 && (b->attributes & LOG_ATTR_DELETE_HORIZON) != 0;
}

/* The producer's last sequence (or last epoch, when only markers are left) is in this batch. */
static bool is_last_of_producer(const struct compact_rules *rules, const struct log_batch *b)
{
    size_t low = 0, high = rules->last_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rules->last[middle].producer_id < b->producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (b->producer_id < 0 || low == rules->last_count ||
        rules->last[low].producer_id != b->producer_id)
        return false;
    const struct last_batch *last = &rules->last[low];
    if (last->last_offset >= 0)
        return b->last_offset == last->last_offset;
    return batch_is_control(b) && b->producer_epoch == last->epoch;
}

static bool stays(const struct compact_rules *rules, const struct log_batch *b,
                  const struct log_record *r, int64_t *invalid)
{
    if (rules->map != NULL && r->offset > rules->map->latest_offset)
        return true; /* what it stands in for is not known yet: neither goes */
    if (rules->expires && record_expired(r, rules->ttl_ms, rules->now_ms))
        return false;
    if (rules->map == NULL)
        return true;
    if (r->key.at == NULL) {
        (*invalid)++;
        return false;
    }
    if (r->offset < key_map_get(rules->map, r->key))
        return false;
    if (r->value.at != NULL)
        return true;
    if (b->magic < 2)
        return rules->keep_old_tombstones;
    return !has_horizon(b) || rules->now_ms < b->base_timestamp;
}

static enum outcome more_room(struct compact_out *out, size_t more)
{
    if (out->size + more <= out->room)
        return OUT_OK;
    size_t room = MAX(out->room * 2, KiB(64));
    while (room < out->size + more)
        room *= 2;
    uint8_t *at = realloc(out->at, room);
    if (at == NULL)
        return OUT_NO_MEMORY;
    out->at = at;
    out->room = room;
    return OUT_OK;
}

/* ---- the first walk ---- */

struct choice {
    int32_t kept, tombstones;
    int64_t first_timestamp, max_timestamp; /* of those that stay */
    bool unreadable;
};

static bool is_kept(const struct compact_out *out, int32_t i)
{
    return (out->kept[i / 8] >> (i % 8) & 1) != 0;
}

static enum outcome room_for_choice(struct compact_out *out, int32_t count)
{
    size_t bytes = (size_t)count / 8 + 1;
    if (bytes > out->kept_room) {
        free(out->kept);
        out->kept_room = 0;
        out->kept = malloc(bytes);
        if (out->kept == NULL)
            return OUT_NO_MEMORY;
        out->kept_room = bytes;
    }
    memset(out->kept, 0, bytes);
    return OUT_OK;
}

/* Which of the records stay. `discard`: none. */
static enum outcome choose(const struct compact_rules *rules, struct log_records *walk,
                           bool discard, struct compact_out *out, struct choice *c)
{
    struct log_record r;
    enum outcome o;
    const struct log_batch *b = &walk->batch;
    int64_t invalid = 0;
    *c = (struct choice){.max_timestamp = -1};
    while ((o = log_records_next(walk, &r)) == OUT_OK) {
        bool keep = !discard && (batch_is_control(b) || stays(rules, b, &r, &invalid));
        if (!keep)
            continue;
        int32_t i = walk->index - 1;
        out->kept[i / 8] |= (uint8_t)(1u << (i % 8));
        if (c->kept == 0)
            c->first_timestamp = c->max_timestamp = r.timestamp;
        c->max_timestamp = MAX(c->max_timestamp, r.timestamp);
        c->tombstones += r.value.at == NULL;
        c->kept++;
    }
    if (o == OUT_NO_MEMORY)
        return o;
    c->unreadable = o != OUT_END;
    out->invalid += c->unreadable ? 1 : invalid;
    return OUT_OK;
}

/* ---- rewriting ---- */

static size_t bytes_size(struct bytes b)
{
    return b.at == NULL ? 1 : uvarint_size(zigzag32((int32_t)b.size)) + b.size;
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

static enum outcome put_record(struct compact_out *out, const struct log_record *r,
                               int64_t base_offset, int64_t base_timestamp)
{
    uint64_t time = zigzag64((int64_t)((uint64_t)r->timestamp - (uint64_t)base_timestamp));
    uint32_t offset = zigzag32((int32_t)(r->offset - base_offset));
    size_t body = 1 + uvarlong_size(time) + uvarint_size(offset) + bytes_size(r->key) +
                  bytes_size(r->value) + uvarint_size(zigzag32(r->header_count)) + r->headers.size;
    enum outcome o = more_room(out, body + VARINT32_MAX);
    if (o != OUT_OK)
        return o;
    uint8_t *to = out->at + out->size;
    to += uvarint_put(to, zigzag32((int32_t)body));
    *to++ = 0;
    to += uvarlong_put(to, time);
    to += uvarint_put(to, offset);
    to = put_bytes(put_bytes(to, r->key), r->value);
    to += uvarint_put(to, zigzag32(r->header_count));
    if (r->headers.size > 0)
        memcpy(to, r->headers.at, r->headers.size);
    out->size = (size_t)(to - out->at) + r->headers.size;
    return OUT_OK;
}

/* The header of `b` over the records in out->at, with other numbers where they changed. */
static void finish_batch(const struct log_batch *b, int attributes, int64_t base_timestamp,
                         int64_t max_timestamp, int32_t count, struct compact_out *out)
{
    uint8_t *at = out->at;
    memcpy(at, b->at, LOG_BATCH_HEADER);
    put_be32(at + BATCH_LENGTH, (uint32_t)(out->size - LOG_BATCH_OVERHEAD));
    put_be16(at + BATCH_ATTRIBUTES, (uint16_t)attributes);
    put_be64(at + BATCH_BASE_TIMESTAMP, (uint64_t)base_timestamp);
    put_be64(at + BATCH_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    put_be32(at + BATCH_COUNT, (uint32_t)count);
    put_be32(at + BATCH_CRC, batch_crc(at, out->size));
}

/* Only the header stays: it remembers offsets and the producer's sequence. */
static enum outcome empty_batch(const struct log_batch *b, struct compact_out *out)
{
    out->size = 0;
    enum outcome o = more_room(out, LOG_BATCH_HEADER);
    if (o != OUT_OK)
        return o;
    out->size = LOG_BATCH_HEADER;
    finish_batch(b, b->attributes & ~(LOG_ATTR_CODEC | LOG_ATTR_DELETE_HORIZON), -1,
                 b->max_timestamp, 0, out);
    return OUT_OK;
}

static enum outcome compress_records(enum log_codec codec, struct compact_out *out)
{
    uint8_t *packed;
    size_t size;
    struct bytes records = {out->at + LOG_BATCH_HEADER, out->size - LOG_BATCH_HEADER};
    enum outcome o = log_compress(codec, INT32_MIN, records, &packed, &size);
    if (o != OUT_OK)
        return o;
    out->size = LOG_BATCH_HEADER;
    o = more_room(out, size);
    if (o == OUT_OK) {
        memcpy(out->at + LOG_BATCH_HEADER, packed, size);
        out->size += size;
    }
    free(packed);
    return o;
}

/* The second walk: records that stay, over a base timestamp that is the horizon when there is
 * one. */
static enum outcome rewrite_batch(const struct compact_rules *rules, struct log_records *walk,
                                  const struct choice *c, bool new_horizon,
                                  struct compact_out *out)
{
    const struct log_batch *b = &walk->batch;
    struct log_record r;
    int attributes = b->attributes | (new_horizon ? LOG_ATTR_DELETE_HORIZON : 0);
    int64_t base = c->first_timestamp, max = c->max_timestamp;
    if (new_horizon && __builtin_add_overflow(rules->now_ms, rules->delete_retention_ms, &base))
        base = INT64_MAX;
    else if (!new_horizon && has_horizon(b))
        base = b->base_timestamp;
    if ((b->attributes & LOG_ATTR_APPEND_TIME) != 0)
        max = b->max_timestamp;
    out->size = 0;
    enum outcome o = more_room(out, LOG_BATCH_HEADER);
    out->size = LOG_BATCH_HEADER;
    while (o == OUT_OK && (o = log_records_next(walk, &r)) == OUT_OK)
        if (is_kept(out, walk->index - 1))
            o = put_record(out, &r, b->base_offset, base);
    if (o != OUT_END)
        return o;
    enum log_codec codec = (enum log_codec)(b->attributes & LOG_ATTR_CODEC);
    o = codec == LOG_NONE ? OUT_OK : compress_records(codec, out);
    if (o == OUT_OK)
        finish_batch(b, attributes, base, max, c->kept, out);
    return o;
}

static enum outcome compact_current(const struct compact_rules *rules, struct log_records *walk,
                                    bool droppable, struct compact_out *out,
                                    struct bytes *remains)
{
    const struct log_batch *b = &walk->batch;
    struct choice c;
    bool discard = droppable;
    if (batch_is_control(b))
        discard = droppable && has_horizon(b) && b->base_timestamp <= rules->now_ms;
    bool header = rules->map == NULL || is_last_of_producer(rules, b) ||
                  b->last_offset + 1 == rules->round_end;
    struct bytes rest = walk->rest;
    if (b->count < 0 || (size_t)b->count > rest.size / RECORD_MIN) {
        out->invalid++;
        return OUT_OK;
    }
    enum outcome o = room_for_choice(out, b->count);
    if (o == OUT_OK)
        o = choose(rules, walk, discard, out, &c);
    if (o != OUT_OK || c.unreadable)
        return o;
    out->records_read += b->count;
    out->records_kept += c.kept;
    bool needs_horizon = (c.tombstones > 0 && rules->map != NULL) ||
                         (batch_is_control(b) && droppable);
    bool new_horizon = c.kept > 0 && needs_horizon && !has_horizon(b);
    if (c.kept == b->count && c.kept > 0 && !new_horizon)
        return OUT_OK;
    if (c.kept > 0) {
        walk->rest = rest;
        walk->index = 0;
        o = rewrite_batch(rules, walk, &c, new_horizon, out);
    } else if (header) {
        o = empty_batch(b, out);
    } else {
        out->size = 0;
    }
    *remains = (struct bytes){out->at, out->size};
    return o;
}

/* ---- formats 0 and 1 ---- */

static uint8_t *put_sized(uint8_t *to, struct bytes b)
{
    put_be32(to, b.at == NULL ? UINT32_MAX : (uint32_t)b.size);
    if (b.size > 0)
        memcpy(to + 4, b.at, b.size);
    return to + 4 + b.size;
}

/* One message, not compressed, with its own offset. */
static enum outcome put_message(struct compact_out *out, const struct log_batch *b,
                                const struct log_record *r)
{
    size_t head = b->magic == 1 ? 26 : 18, size = head + 8 + r->key.size + r->value.size;
    enum outcome o = more_room(out, size);
    if (o != OUT_OK)
        return o;
    uint8_t *at = out->at + out->size;
    put_be64(at, (uint64_t)r->offset);
    put_be32(at + BATCH_LENGTH, (uint32_t)(size - LOG_BATCH_OVERHEAD));
    at[BATCH_MAGIC] = (uint8_t)b->magic;
    at[BATCH_MAGIC + 1] = (uint8_t)(b->attributes & LOG_ATTR_APPEND_TIME);
    if (b->magic == 1)
        put_be64(at + 18, (uint64_t)r->timestamp);
    put_sized(put_sized(at + head, r->key), r->value);
    put_be32(at + 12, (uint32_t)crc32_z(0, at + BATCH_MAGIC, size - BATCH_MAGIC));
    out->size += size;
    return OUT_OK;
}

/* Messages have no header that could stay behind. */
static enum outcome compact_legacy(const struct compact_rules *rules, struct log_records *walk,
                                   struct compact_out *out, struct bytes *remains)
{
    const struct log_batch *b = &walk->batch;
    struct log_record r;
    enum outcome o;
    int64_t kept = 0, invalid = 0;
    out->size = 0;
    while ((o = log_records_next(walk, &r)) == OUT_OK) {
        if (!stays(rules, b, &r, &invalid))
            continue;
        kept++;
        o = put_message(out, b, &r);
        if (o != OUT_OK)
            return o;
    }
    if (o == OUT_NO_MEMORY)
        return o;
    out->invalid += o == OUT_END ? invalid : 1;
    if (o != OUT_END)
        return OUT_OK;
    out->records_read += walk->index;
    out->records_kept += kept;
    if (kept < walk->index)
        *remains = (struct bytes){out->at, out->size};
    return OUT_OK;
}

enum outcome compact_batch(const struct compact_rules *rules, const struct log_batch *b,
                           bool droppable, struct compact_out *out, struct bytes *remains)
{
    struct log_records walk;
    *remains = (struct bytes){b->at, b->size};
    if (!log_batch_crc_good(b)) {
        out->invalid++;
        return OUT_OK;
    }
    enum outcome o = log_records_begin(&walk, b, INFLATE_MAX);
    if (o == OUT_OK && b->magic < 2)
        o = compact_legacy(rules, &walk, out, remains);
    else if (o == OUT_OK)
        o = compact_current(rules, &walk, droppable, out, remains);
    else if (o != OUT_NO_MEMORY) {
        out->invalid++;
        o = OUT_OK;
    }
    log_records_fini(&walk);
    return o;
}

/* SPDX-License-Identifier: MIT */
/*
 * Stored batches as a message set. A batch that was compressed becomes one wrapper, so that an old
 * consumer's traffic stays as small as a new one's; its messages are collected in a set of their
 * own first.
 */
#include "legacy/legacy.h"

#include "base/check.h"
#include "legacy/message.h"

#include <stdlib.h>

#define SET_FIRST KiB(4)
#define SET_MAX ((size_t)INT32_MAX)

void legacy_set_init(struct legacy_set *s, int magic)
{
    check(magic == 0 || magic == 1);
    *s = (struct legacy_set){.magic = magic};
}

void legacy_set_fini(struct legacy_set *s)
{
    free(s->at);
    legacy_set_init(s, s->magic);
}

/* Where `more` bytes may be written behind the set, NULL: out of memory. */
static uint8_t *make_room(struct legacy_set *s, size_t more)
{
    if (more > SET_MAX || s->size > SET_MAX - more)
        return NULL;
    if (s->size + more > s->room) {
        size_t room = MAX(MAX(s->room * 2, (size_t)SET_FIRST), s->size + more);
        uint8_t *at = realloc(s->at, room);
        if (at == NULL)
            return NULL;
        s->at = at;
        s->room = room;
    }
    return s->at + s->size;
}

enum outcome legacy_set_put(struct legacy_set *s, struct bytes bytes)
{
    uint8_t *to = make_room(s, bytes.size);
    if (to == NULL)
        return OUT_NO_MEMORY;
    if (bytes.size > 0)
        memcpy(to, bytes.at, bytes.size);
    s->size += bytes.size;
    return OUT_OK;
}

static uint8_t *put_bytes(uint8_t *to, struct bytes b)
{
    put_be32(to, b.at == NULL ? UINT32_MAX : (uint32_t)b.size);
    if (b.size > 0)
        memcpy(to + 4, b.at, b.size);
    return to + 4 + b.size;
}

static enum outcome put_message(struct legacy_set *s, int64_t offset, int64_t timestamp,
                                int attributes, struct bytes key, struct bytes value)
{
    size_t head = message_head(s->magic);
    if (key.size > SET_MAX / 2 || value.size > SET_MAX / 2)
        return OUT_TOO_LARGE;
    size_t size = head + 8 + key.size + value.size;
    uint8_t *to = make_room(s, size);
    if (to == NULL)
        return OUT_NO_MEMORY;
    put_bytes(put_bytes(to + head, key), value);
    message_seal(to, size, s->magic, offset, timestamp, attributes);
    s->size += size;
    return OUT_OK;
}

/* The attribute that says whose time the timestamps are; magic 0 has none. */
static int time_attribute(const struct legacy_set *s, const struct log_batch *b)
{
    return s->magic == 0 ? 0 : b->attributes & LOG_ATTR_APPEND_TIME;
}

static enum outcome add_plain(struct legacy_set *s, const struct log_batch *b,
                              struct log_records *walk, int64_t first_offset)
{
    struct log_record r;
    enum outcome o;
    while ((o = log_records_next(walk, &r)) == OUT_OK) {
        if (r.offset < first_offset)
            continue;
        o = put_message(s, r.offset, r.timestamp, time_attribute(s, b), r.key, r.value);
        if (o != OUT_OK)
            return o;
    }
    return o == OUT_END ? OUT_OK : o;
}

/* Offsets inside a wrapper of magic 1 count from its first message. */
static enum outcome collect(struct legacy_set *inner, const struct log_batch *b,
                            struct log_records *walk, int64_t *last, int64_t *max_timestamp)
{
    struct log_record r;
    int64_t base = -1;
    enum outcome o;
    while ((o = log_records_next(walk, &r)) == OUT_OK) {
        if (base < 0)
            base = inner->magic == 0 ? 0 : r.offset;
        o = put_message(inner, r.offset - base, r.timestamp, time_attribute(inner, b), r.key,
                        r.value);
        if (o != OUT_OK)
            return o;
        if (inner->size > LEGACY_INFLATED_MAX)
            return OUT_TOO_LARGE;
        *last = r.offset;
        *max_timestamp = MAX(*max_timestamp, r.timestamp);
    }
    return o == OUT_END ? OUT_OK : o;
}

static enum outcome add_wrapped(struct legacy_set *s, const struct log_batch *b,
                                struct log_records *walk)
{
    enum log_codec codec = (enum log_codec)(b->attributes & LOG_ATTR_CODEC);
    struct legacy_set inner;
    legacy_set_init(&inner, s->magic);
    int64_t last = -1, max_timestamp = -1;
    enum outcome o = collect(&inner, b, walk, &last, &max_timestamp);
    if (o == OUT_OK && inner.size > 0) {
        uint8_t *packed = NULL;
        size_t size = 0;
        o = wrapper_pack(codec, s->magic, (struct bytes){inner.at, inner.size}, &packed, &size);
        if (o == OUT_OK)
            o = put_message(s, last, max_timestamp, time_attribute(s, b) | (int)codec,
                            (struct bytes){NULL, 0}, (struct bytes){packed, size});
        free(packed);
    }
    legacy_set_fini(&inner);
    return o;
}

enum outcome legacy_set_add(struct legacy_set *s, const struct log_batch *b, int64_t first_offset)
{
    enum log_codec codec = (enum log_codec)(b->attributes & LOG_ATTR_CODEC);
    if (b->magic == 2 && (b->attributes & LOG_ATTR_CONTROL) != 0)
        return OUT_OK;
    if (codec == LOG_ZSTD)
        return OUT_UNSUPPORTED_COMPRESSION;
    if (b->magic <= s->magic)
        return legacy_set_put(s, (struct bytes){b->at, b->size});
    size_t before = s->size;
    struct log_records walk;
    enum outcome o = log_records_begin(&walk, b, MAX(b->size, (size_t)LEGACY_INFLATED_MAX));
    if (o == OUT_OK)
        o = codec == LOG_NONE ? add_plain(s, b, &walk, first_offset) : add_wrapped(s, b, &walk);
    log_records_fini(&walk);
    if (o != OUT_OK)
        s->size = before;
    return o;
}

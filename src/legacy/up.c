/* SPDX-License-Identifier: MIT */
/*
 * What an old producer sends, as one record batch. First every message of the set is checked as it
 * stands (size, checksum), then its records are taken, out of a wrapper or one by one. Happy path:
 * one walk for the checksums, one that copies.
 */
#include "legacy/legacy.h"

#include "base/crc32c.h"
#include "legacy/message.h"

#include <stdlib.h>

/* Where a record batch keeps what is patched when its records are compressed. */
#define BATCH_LENGTH_AT 8
#define BATCH_CRC_AT 17
#define BATCH_ATTRIBUTES_AT 21

struct up {
    struct log_builder builder;
    size_t limit;      /* of the message in the set, and of what a wrapper holds */
    size_t inflated;
    int32_t count;     /* of messages, wrappers count once */
    int magic;
    enum log_codec codec;
    int attributes;    /* of the batch */
};

int legacy_magic(struct bytes set)
{
    return set.size > MESSAGE_MAGIC ? (int8_t)set.at[MESSAGE_MAGIC] : -1;
}

/* Checks every whole message; *whole is where they end. */
static enum outcome survey(struct up *u, struct bytes set, size_t *whole)
{
    struct bytes rest = set;
    struct message m;
    enum outcome o;
    for (;;) {
        int magic = legacy_magic(rest);
        o = message_next(&rest, &m);
        if ((o == OUT_OK || o == OUT_MORE) && (magic < -1 || magic > 2))
            return OUT_CORRUPT_MESSAGE;
        if (o != OUT_OK)
            break;
        if (m.size > u->limit)
            return OUT_MESSAGE_TOO_LARGE;
        if (m.magic > 2) /* the signed -1 */
            return OUT_CORRUPT_MESSAGE;
        if (m.magic == 2)
            return OUT_INVALID_RECORD;
        if (!message_crc_good(&m))
            return OUT_CORRUPT_MESSAGE;
        if (message_codec(&m) > LOG_ZSTD)
            return OUT_BAD_COMPRESSION;
        if (message_codec(&m) != LOG_NONE)
            u->codec = message_codec(&m);
        if (u->count++ == 0)
            u->magic = m.magic;
    }
    *whole = (size_t)(rest.at - set.at);
    if (o != OUT_MORE)
        return o;
    return u->count == 0 ? OUT_END : OUT_OK;
}

static enum outcome add(struct up *u, const struct message *m, int64_t timestamp)
{
    if (timestamp < -1)
        return OUT_INVALID_TIMESTAMP;
    log_builder_add(&u->builder, timestamp, m->key, m->value, NULL, 0);
    return OUT_OK;
}

static enum outcome add_plain(struct up *u, struct bytes set)
{
    struct message m;
    while (message_next(&set, &m) == OUT_OK) {
        if (m.magic != u->magic)
            return OUT_INVALID_RECORD;
        enum outcome o = message_fields(&m);
        if (o == OUT_OK)
            o = add(u, &m, m.timestamp);
        if (o != OUT_OK)
            return o;
        if (message_append_time(&m))
            u->attributes |= LOG_ATTR_APPEND_TIME;
    }
    return OUT_OK;
}

/* Relative offsets end with the wrapper's. Some clients leave that one zero. */
static bool offset_can_be(const struct message *wrapper, int64_t last)
{
    return wrapper->magic == 0 || wrapper->offset == 0 || wrapper->offset >= last;
}

static enum outcome add_inner(struct up *u, const struct message *wrapper, struct bytes rest)
{
    struct message m;
    bool append_time = message_append_time(wrapper);
    enum outcome o;
    int64_t last = -1;
    int32_t count = 0;
    while ((o = message_next(&rest, &m)) == OUT_OK) {
        if (m.magic != wrapper->magic || message_codec(&m) != LOG_NONE)
            return OUT_INVALID_RECORD;
        if (!message_crc_good(&m))
            return OUT_CORRUPT_MESSAGE;
        o = message_fields(&m);
        if (o == OUT_OK)
            o = add(u, &m, append_time ? wrapper->timestamp : m.timestamp);
        if (o != OUT_OK)
            return o;
        last = m.offset;
        count++;
    }
    if (o != OUT_MORE)
        return o;
    if (append_time)
        u->attributes |= LOG_ATTR_APPEND_TIME;
    return count > 0 && offset_can_be(wrapper, last) ? OUT_OK : OUT_INVALID_RECORD;
}

static enum outcome add_wrapped(struct up *u, struct bytes set)
{
    struct message wrapper;
    uint8_t *inner = NULL;
    size_t size = 0;
    enum outcome o = u->count == 1 ? message_next(&set, &wrapper) : OUT_INVALID_RECORD;
    if (o == OUT_OK)
        o = message_fields(&wrapper);
    if (o == OUT_OK)
        o = wrapper_unpack(&wrapper, u->inflated, &inner, &size);
    if (o == OUT_OK)
        o = add_inner(u, &wrapper, (struct bytes){inner, size});
    free(inner);
    return o == OUT_TOO_LARGE ? OUT_MESSAGE_TOO_LARGE : o;
}

/* The plain batch with its records compressed. */
static enum outcome pack(const struct up *u, const uint8_t *plain, size_t plain_size,
                         uint8_t **batch, size_t *size)
{
    uint8_t *packed;
    struct bytes records = {plain + LOG_BATCH_HEADER, plain_size - LOG_BATCH_HEADER};
    enum outcome o = log_compress(u->codec, INT32_MIN, records, &packed, size);
    if (o != OUT_OK)
        return o == OUT_TOO_LARGE ? OUT_MESSAGE_TOO_LARGE : o;
    uint8_t *at = malloc(LOG_BATCH_HEADER + *size);
    if (at != NULL) {
        memcpy(at, plain, LOG_BATCH_HEADER);
        memcpy(at + LOG_BATCH_HEADER, packed, *size);
        *size += LOG_BATCH_HEADER;
        put_be32(at + BATCH_LENGTH_AT, (uint32_t)(*size - LOG_BATCH_OVERHEAD));
        put_be16(at + BATCH_ATTRIBUTES_AT, (uint16_t)(u->attributes | (int)u->codec));
        put_be32(at + BATCH_CRC_AT,
                 crc32c(0, at + BATCH_ATTRIBUTES_AT, *size - BATCH_ATTRIBUTES_AT));
    }
    free(packed);
    *batch = at;
    return at == NULL ? OUT_NO_MEMORY : OUT_OK;
}

static enum outcome finish(struct up *u, uint8_t **batch, size_t *size)
{
    struct log_builder_end end = log_builder_plain();
    end.attributes = (int16_t)u->attributes;
    enum outcome o = log_builder_finish(&u->builder, &end, batch, size);
    if (o != OUT_OK)
        return o == OUT_TOO_LARGE ? OUT_MESSAGE_TOO_LARGE : o;
    if (u->codec != LOG_NONE)
        return pack(u, *batch, *size, batch, size);
    u->builder.at = NULL; /* the caller's now */
    return OUT_OK;
}

enum outcome legacy_up(struct bytes set, int32_t max_message_bytes, uint8_t **batch, size_t *size)
{
    struct up u = {.limit = (size_t)MAX(max_message_bytes, 0)};
    size_t whole = 0;
    u.inflated = MAX(u.limit, (size_t)LEGACY_INFLATED_MAX);
    *batch = NULL;
    *size = 0;
    enum outcome o = survey(&u, set, &whole);
    if (o != OUT_OK)
        return o;
    set.size = whole;
    /* A short record may take some bytes more in a batch than as a message. */
    log_builder_init(&u.builder, 2 * MAX(u.inflated, set.size) + LOG_BATCH_HEADER);
    o = u.codec == LOG_NONE ? add_plain(&u, set) : add_wrapped(&u, set);
    if (o == OUT_OK)
        o = finish(&u, batch, size);
    log_builder_fini(&u.builder);
    if (o != OUT_OK)
        *batch = NULL;
    return o;
}

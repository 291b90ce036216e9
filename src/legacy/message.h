/* SPDX-License-Identifier: MIT */
/* One message of magic 0 or 1, and wrappers around compressed messages. */
#ifndef LEGACY_MESSAGE_H
#define LEGACY_MESSAGE_H

#include "log/log.h"

enum {
    MESSAGE_OVERHEAD = 12, /* offset and length, which the length does not count */
    MESSAGE_CRC = 12,
    MESSAGE_MAGIC = 16,
    MESSAGE_ATTRIBUTES = 17,
    MESSAGE_TIMESTAMP = 18, /* magic 1 */
};

/* Bytes of a message before its key's length. */
static inline size_t message_head(int magic)
{
    return magic == 0 ? 18 : 26;
}

struct message {
    const uint8_t *at; /* from its offset on */
    size_t size;
    int64_t offset, timestamp; /* -1 in magic 0 */
    int magic;
    uint8_t attributes;
    struct bytes key, value;
};

static inline enum log_codec message_codec(const struct message *m)
{
    return (enum log_codec)(m->attributes & LOG_ATTR_CODEC);
}

static inline bool message_append_time(const struct message *m)
{
    return m->magic == 1 && (m->attributes & LOG_ATTR_APPEND_TIME) != 0;
}

/* Cuts the message at *rest out by its length; timestamp, key and value are not looked at yet.
 * OUT_MORE: cut off; OUT_CORRUPT_MESSAGE: too short to be one. */
MUST enum outcome message_next(struct bytes *rest, struct message *m);
MUST bool message_crc_good(const struct message *m);
/* Fills timestamp, key and value of a message of magic 0 or 1; bytes behind the value do not
 * matter. OUT_CORRUPT_MESSAGE. */
MUST enum outcome message_fields(struct message *m);

/* Writes a message of `size` bytes around what is at its key already: everything but that. */
void message_seal(uint8_t *at, size_t size, int magic, int64_t offset, int64_t timestamp,
                  int attributes);

/* The messages inside a wrapper, malloc'ed. OUT_INVALID_RECORD, OUT_BAD_COMPRESSION, OUT_TOO_LARGE,
 * OUT_NO_MEMORY. */
MUST enum outcome wrapper_unpack(const struct message *wrapper, size_t limit_bytes, uint8_t **to,
                                 size_t *size);
/* A wrapper's value, malloc'ed. OUT_TOO_LARGE, OUT_NO_MEMORY. */
MUST enum outcome wrapper_pack(enum log_codec codec, int magic, struct bytes messages, uint8_t **to,
                               size_t *size);

#endif

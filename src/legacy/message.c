/* SPDX-License-Identifier: MIT */
/* Where the fields of a message stand. Lengths are compared with the bytes that are left. */
#include "legacy/message.h"

#include <zlib.h>

#define LENGTH_MIN 14 /* checksum, magic, attributes, two lengths */

static uint32_t crc_of(const uint8_t *at, size_t size)
{
    return (uint32_t)crc32_z(0, at + MESSAGE_MAGIC, size - MESSAGE_MAGIC);
}

enum outcome message_next(struct bytes *rest, struct message *m)
{
    if (rest->size < MESSAGE_OVERHEAD)
        return OUT_MORE;
    int32_t length = (int32_t)get_be32(rest->at + 8);
    if (length < LENGTH_MIN)
        return OUT_CORRUPT_MESSAGE;
    if ((size_t)length > rest->size - MESSAGE_OVERHEAD)
        return OUT_MORE;
    *m = (struct message){
        .at = rest->at,
        .size = (size_t)length + MESSAGE_OVERHEAD,
        .offset = (int64_t)get_be64(rest->at),
        .timestamp = -1,
        .magic = rest->at[MESSAGE_MAGIC],
        .attributes = rest->at[MESSAGE_ATTRIBUTES],
    };
    rest->at += m->size;
    rest->size -= m->size;
    return OUT_OK;
}

bool message_crc_good(const struct message *m)
{
    return crc_of(m->at, m->size) == get_be32(m->at + MESSAGE_CRC);
}

/* A length and that many bytes, a negative one is null. */
static bool take_bytes(struct bytes *rest, struct bytes *to)
{
    *to = (struct bytes){NULL, 0};
    if (rest->size < 4)
        return false;
    int32_t size = (int32_t)get_be32(rest->at);
    *rest = (struct bytes){rest->at + 4, rest->size - 4};
    if (size < 0)
        return true;
    if ((size_t)size > rest->size)
        return false;
    *to = (struct bytes){rest->at, (size_t)size};
    *rest = (struct bytes){rest->at + size, rest->size - (size_t)size};
    return true;
}

enum outcome message_fields(struct message *m)
{
    size_t head = message_head(m->magic);
    if (m->size < head)
        return OUT_CORRUPT_MESSAGE;
    m->timestamp = m->magic == 0 ? -1 : (int64_t)get_be64(m->at + MESSAGE_TIMESTAMP);
    struct bytes rest = {m->at + head, m->size - head};
    return take_bytes(&rest, &m->key) && take_bytes(&rest, &m->value) ? OUT_OK
                                                                      : OUT_CORRUPT_MESSAGE;
}

void message_seal(uint8_t *at, size_t size, int magic, int64_t offset, int64_t timestamp,
                  int attributes)
{
    put_be64(at, (uint64_t)offset);
    put_be32(at + 8, (uint32_t)(size - MESSAGE_OVERHEAD));
    at[MESSAGE_MAGIC] = (uint8_t)magic;
    at[MESSAGE_ATTRIBUTES] = (uint8_t)attributes;
    if (magic == 1)
        put_be64(at + MESSAGE_TIMESTAMP, (uint64_t)timestamp);
    put_be32(at + MESSAGE_CRC, crc_of(at, size));
}

/* SPDX-License-Identifier: MIT */
/* Where the fields of a magic-2 record batch stand, and patches that an append makes. */
#ifndef LOG_BATCH_H
#define LOG_BATCH_H

#include "log/log.h"

enum {
    BATCH_BASE_OFFSET = 0,
    BATCH_LENGTH = 8,
    BATCH_LEADER_EPOCH = 12,
    BATCH_MAGIC = 16,
    BATCH_CRC = 17,
    BATCH_ATTRIBUTES = 21,
    BATCH_LAST_DELTA = 23,
    BATCH_BASE_TIMESTAMP = 27,
    BATCH_MAX_TIMESTAMP = 35,
    BATCH_PRODUCER_ID = 43,
    BATCH_PRODUCER_EPOCH = 51,
    BATCH_BASE_SEQUENCE = 53,
    BATCH_COUNT = 57,
};
static_assert(BATCH_COUNT + 4 == LOG_BATCH_HEADER, "the header is 61 bytes");

#define BATCH_MIN_READ 17 /* enough for length and magic */

static inline bool batch_is_control(const struct log_batch *b)
{
    return (b->attributes & LOG_ATTR_CONTROL) != 0;
}

static inline bool batch_is_txn(const struct log_batch *b)
{
    return (b->attributes & LOG_ATTR_TXN) != 0;
}

/* Fills `b` from a header of which `readable` bytes are at hand, in a file or buffer that holds
 * `available` bytes from there on. As log_batch_next; with OUT_INVALID_RECORD (nonsense offsets)
 * all other fields are filled. */
MUST enum outcome batch_parse(const uint8_t *at, size_t readable, uint64_t available,
                              struct log_batch *b);

/* The record at *rest, as it stands; offset and timestamp are deltas. */
MUST enum outcome record_parse(struct bytes *rest, struct log_record *record);

/* Checksum of a magic-2 batch as it should stand in its header. */
uint32_t batch_crc(const uint8_t *at, size_t size);

#endif

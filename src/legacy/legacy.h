/* SPDX-License-Identifier: MIT */
/*
 * Kafka's message formats before record batches (magic 0 and 1): what old producers send becomes a
 * magic-2 batch, what is stored becomes the message set that an old consumer understands. Pure
 * functions over bytes; everything is checked before it is believed, and no number of a peer is
 * allocated.
 */
#ifndef LEGACY_LEGACY_H
#define LEGACY_LEGACY_H

#include "log/log.h"

/* What a message (or wrapper) may unpack to, unless the topic takes larger ones. */
#define LEGACY_INFLATED_MAX MiB(64)

/* ---- from old producers ---- */

/* Magic of the first message or batch: -1 when there are not even the bytes to tell. Magic 2 (which
 * Produce 0-2 may hold as well) needs no conversion. */
int legacy_magic(struct bytes set);

/*
 * Makes one magic-2 batch, malloc'ed, of a message set as a Produce request holds it: base offset
 * 0, offsets 0, 1, 2 ..., no producer, compressed as the wrapper was, to be appended as a client's.
 * A wrapper must be the only message of its set. Timestamps are those of the messages (-1 in magic
 * 0); the attribute of a log-append time is kept for the log to judge. What is cut off at the end
 * of the set is left out.
 *
 * OUT_END: no whole message; Kafka answers that without an error, with base offset -1.
 * OUT_CORRUPT_MESSAGE: a checksum, a length, an unknown magic. OUT_MESSAGE_TOO_LARGE: a message
 * above max_message_bytes, or a wrapper that unpacks to more than it and LEGACY_INFLATED_MAX.
 * OUT_INVALID_RECORD: several magics, wrappers beside other messages, nested or empty wrappers,
 * zstd, offsets that can't be. OUT_INVALID_TIMESTAMP: below -1. OUT_BAD_COMPRESSION: unknown codec,
 * damaged bytes. OUT_NO_MEMORY. Nothing is given back then.
 */
MUST enum outcome legacy_up(struct bytes set, int32_t max_message_bytes, uint8_t **batch,
                            size_t *size);

/* ---- for old consumers ---- */

/* A message set that grows. */
struct legacy_set {
    uint8_t *at;
    size_t size, room;
    int magic; /* 0 or 1 */
};
void legacy_set_init(struct legacy_set *s, int magic);
void legacy_set_fini(struct legacy_set *s);

/*
 * Adds one stored batch of any magic. Older or equal magic goes in as it is. Otherwise each record
 * becomes a message; a compressed batch one wrapper of the same codec around all of its records.
 * Records of an uncompressed batch below first_offset, headers, and control batches are left out,
 * so that nothing may have been added. Offsets stay. The checksum is not looked at.
 *
 * On failure the set is as it was. OUT_UNSUPPORTED_COMPRESSION: zstd, which old clients do not
 * know; OUT_CORRUPT_MESSAGE, OUT_INVALID_RECORD, OUT_BAD_COMPRESSION: the batch is damaged;
 * OUT_TOO_LARGE: it unpacks to more than LEGACY_INFLATED_MAX and than itself; OUT_NO_MEMORY.
 */
MUST enum outcome legacy_set_add(struct legacy_set *s, const struct log_batch *b,
                                 int64_t first_offset);

/* Adds bytes as they are: the beginning of a message that does not fit. OUT_NO_MEMORY. */
MUST enum outcome legacy_set_put(struct legacy_set *s, struct bytes bytes);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Records and messages: the same thing seen from two doors.
 *
 *     record                    message
 *     key                       header Kafka-Key
 *     value                     payload
 *     null value (tombstone)    header Kafka-Tombstone: true, empty payload
 *     headers, in order         headers, in order
 *     header Nats-Subject       subject; without it the topic's name is the subject
 *     header Nats-TTL           header Nats-TTL; with the record's time it makes the deadline
 *
 * A header value (or a key) that can't stand in a header line as it is, since it has a line end or
 * blanks at its ends or bytes that are no text, is written in base64 and its name gets ";base64".
 * A header whose name can't stand there is left out of messages.
 */
#ifndef NATS_RECORD_H
#define NATS_RECORD_H

#include "live/live.h"
#include "log/log.h"

#define NATS_KEY "Kafka-Key"
#define NATS_TOMBSTONE "Kafka-Tombstone"
#define NATS_SUBJECT "Nats-Subject"
#define NATS_TTL "Nats-TTL"

/* Memory that is used again and again. */
struct nats_scratch {
    uint8_t *at;
    size_t used, room;
    struct log_header *headers;
    int32_t header_count, header_room;
    bool failed;           /* out of memory */
};
void nats_scratch_fini(struct nats_scratch *s);

/* `m` views the record and the scratch, both until the scratch is used again. `extra`: whole header
 * lines that go to the end of the block, or size 0. False: out of memory. The subject is the
 * topic's name, or that of the Nats-Subject header when it falls under one of `patterns`. */
MUST bool nats_from_record(const struct log_record *record, struct bytes topic,
                           const struct bytes *patterns, size_t pattern_count, struct bytes extra,
                           struct nats_scratch *s, struct live_message *m);

/* The parts of a record: views of the message and the scratch. False: out of memory. */
struct nats_parts {
    struct bytes key, value;          /* at NULL: null */
    const struct log_header *headers;
    int32_t header_count;
};
MUST bool nats_to_record(const struct live_message *m, struct bytes topic, struct nats_scratch *s,
                         struct nats_parts *parts);

/* One more header; the texts are the caller's. */
MUST bool nats_parts_add(struct nats_scratch *s, struct nats_parts *parts, struct bytes name,
                         struct bytes value);

/* The deadline of a record by its own time to live, else by the topic's (-1: none); 0: never. */
int64_t nats_record_deadline(const struct log_record *record, int64_t ttl_ms);

#endif

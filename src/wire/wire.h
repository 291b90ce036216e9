/* SPDX-License-Identifier: MIT */
/*
 * Kafka bytes <-> structs. Messages are data: one definition per Kafka API or record type (messages
 * folder), from which genwire.py makes the structs of "wire/messages.h" and constant programs that
 * one engine runs. This room knows no topic and keeps no state; every function may be called on any
 * thread.
 *
 * Strings, bytes and records of a decoded struct are views into the input; arrays and nullable
 * structs live in the arena. at == NULL is null. Strings may hold any bytes, UTF-8 or not.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/outcome.h"

/* Record batches: in memory, or (external != NULL) `size` bytes somewhere else, of which the
 * encoder only writes the length and notes a cut. Null: at and external are both NULL. */
struct wire_records {
    const uint8_t *at;
    size_t size;
    const void *external;
};

/* External bytes to be sent between out[0..position) and out[position..). */
struct wire_cut {
    size_t position;
    const void *external;
    size_t size;
};

enum wire_kind { WIRE_REQUEST, WIRE_RESPONSE, WIRE_HEADER, WIRE_METADATA, WIRE_RECORD };

/* One message; constants of "wire/messages.h" (wire_fetch_request, wire_topic_record, ...). */
struct wire_message {
    const char *name;         /* "Fetch", "TopicRecord" */
    const char *struct_name;  /* "fetch_request", "topic_record" */
    enum wire_kind kind;
    int16_t key;              /* api key or record type, -1: none */
    int16_t lowest, highest;  /* versions that are defined */
    int16_t flexible_from;    /* INT16_MAX: never */
    int16_t unstable_from;    /* from here on not to be advertised; INT16_MAX: never */
    uint32_t size;            /* of the struct */
    const uint16_t *programs; /* private: one for each version */
};

static inline bool wire_has_version(const struct wire_message *m, int version)
{
    return version >= m->lowest && version <= m->highest;
}

/* Fills `out` (m->size bytes) with the message's defaults. */
void wire_defaults(const struct wire_message *m, void *out);

/* Reads the message at the start of `in`; *used (may be NULL) is how many bytes it took, bytes
 * behind it are no error. OUT_MALFORMED: `in` is cut off, or null where null is not allowed, or a
 * length beyond the end; OUT_NO_MEMORY: the arena is at its limit; then `out` holds something that
 * is only safe to throw away. OUT_UNSUPPORTED: no such version. */
MUST enum outcome wire_decode(const struct wire_message *m, int version, struct bytes in,
                              struct arena *arena, void *out, size_t *used);

/* Size of the encoding in memory, external records left out. OUT_INVALID: a null where the version
 * allows none, a string over 32767 bytes where its length is 16 bits; OUT_TOO_LARGE: over 2 GiB. */
MUST enum outcome wire_measure(const struct wire_message *m, int version, const void *in,
                               size_t *size);

/* Writes exactly `size` bytes, the size that wire_measure gave for the same message. *cut_count
 * says how many cuts there is room for, and is set to how many there are; `cuts` and
 * `cut_count` are NULL when nothing is external. OUT_FULL: too few cuts. */
MUST enum outcome wire_encode(const struct wire_message *m, int version, const void *in,
                              uint8_t *out, size_t size, struct wire_cut *cuts,
                              size_t *cut_count);

/* Measures, takes the memory from the arena and encodes; nothing external. */
MUST enum outcome wire_encode_new(const struct wire_message *m, int version, const void *in,
                                  struct arena *arena, struct bytes *out);

/* ---- request and response headers */

struct wire_request_header {
    int16_t key, version;
    int32_t correlation_id;
    struct bytes client_id; /* may be null */
    int header_version;     /* 1 or 2 */
};

/* Reads a request's header, for any key and version. A version that is not known yet has the newest
 * header, a key that is not known the oldest. *used is where the body begins. OUT_MALFORMED: it is
 * cut off. */
MUST enum outcome wire_request_header_decode(struct bytes in, struct wire_request_header *out,
                                             size_t *used);

/* Bytes of a response's header: 4, or 5 when it is flexible (never for ApiVersions). */
size_t wire_response_header_size(int key, int version);

/* Writes it; `out` has wire_response_header_size() bytes. */
void wire_response_header_encode(int key, int version, int32_t correlation_id, uint8_t *out);

/* ---- what there is */

struct wire_api {
    int16_t key;
    int16_t lowest, highest; /* of the definition; what is served is the business of others */
    const char *name;        /* "Fetch" */
    const struct wire_message *request, *response;
};

/* The row of an API, NULL for a key that is not known. */
const struct wire_api *wire_api(int key);

/* The definition of a metadata log record, NULL for a type that is not known. */
const struct wire_message *wire_metadata_record(int type);

/* All messages, in no promised order; for tests and tools. */
extern const struct wire_message *const wire_messages[];
extern const size_t wire_message_count;

/* The message of that struct name ("fetch_request"), NULL: none. A linear search. */
const struct wire_message *wire_message_find(struct bytes struct_name);

/* ---- printing, comparing, making up: traces, tests and tools; not for hot paths */

/* One line of JSON: camelCase names, UUIDs and bytes in base64, tagged fields that are at their
 * default left out. Null view when the arena is full. */
struct bytes wire_print(const struct wire_message *m, int version, const void *in,
                        struct arena *arena);

/* Whether the fields that this version has are equal. */
bool wire_equal(const struct wire_message *m, int version, const void *a, const void *b);

/* A made-up value, the same one for the same *seed, which moves on; false: the arena is full. */
MUST bool wire_random(const struct wire_message *m, int version, uint64_t *seed,
                      struct arena *arena, void *out);

/* ---- error codes of the protocol */

enum kafka_error {
#define KAFKA_ERROR(code, name, retriable, text) KAFKA_##name = (code),
#include "wire/kafka_error.def"
#undef KAFKA_ERROR
};

/* "NONE", "UNKNOWN_TOPIC_OR_PARTITION", ...; NULL for a code that is not known. */
const char *kafka_error_name(int code);

/* A sentence for people; "" for a code that is not known. */
const char *kafka_error_text(int code);
bool kafka_error_retriable(int code);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What a client's batch must be before it may touch the log, in Kafka's order of checks. Happy
 * path: one header, one checksum, one walk over the records when they are not compressed; two
 * header fields are corrected (largest timestamp, timestamp type) and the checksum redone only when
 * they were wrong. Compressed records are looked into only with validation FULL, for compacted
 * topics, and when the topic wants another compression.
 */
#include "log/partition.h"

#include "base/check.h"
#include "base/varint.h"

#include <stdlib.h>

#define INFLATED_MAX MiB(64) /* but for topics that take larger batches */
#define INFLATED_RATIO 4096  /* more only up to max.message.bytes */
#define ATTRIBUTES_KNOWN 0x7f /* bits without a meaning do not outlive a change of the header */
#define LOG_APPEND_TIME_GIVEN "Producer should not set timestamp type to LogAppendTime"

struct walk {
    const struct log_options *opts;
    const struct store_append *a;
    struct store_appended *done;
    int64_t max_timestamp;
    size_t room;          /* of done->errors */
    enum outcome refused; /* of the records listed */
    bool keys_needed;
    int64_t least_ms, most_ms; /* from the batch's first time on: a record then is not refused */
};

/* Header, and what must (not) follow it. */
static enum outcome take_header(const struct store_append *a, struct log_batch *b)
{
    enum outcome o = batch_parse(a->at, a->size, a->size, b);
    if (o == OUT_MORE)
        return OUT_INVALID_RECORD;
    if (o == OUT_CORRUPT_MESSAGE)
        return o;
    if (b->magic != 2)
        return OUT_INVALID_RECORD; /* offsets that are none are found with the other fields */
    struct log_batch other;
    enum outcome next =
        batch_parse(a->at + b->size, a->size - b->size, a->size - b->size, &other);
    if (next != OUT_MORE)
        return next == OUT_CORRUPT_MESSAGE ? next : OUT_INVALID_RECORD;
    return OUT_OK;
}

static enum outcome check_header(const struct log_options *opts, const struct log_batch *b)
{
    if (get_be64(b->at) != 0)
        return OUT_INVALID_RECORD;
    if (b->size > (size_t)opts->max_message_bytes)
        return OUT_MESSAGE_TOO_LARGE;
    if (!log_batch_crc_good(b))
        return OUT_CORRUPT_MESSAGE;
    int32_t delta = (int32_t)get_be32(b->at + BATCH_LAST_DELTA);
    if (b->count <= 0 || delta < 0 || delta != b->count - 1)
        return OUT_INVALID_RECORD;
    if (batch_is_control(b) || (b->producer_id >= 0 && b->base_sequence < 0))
        return OUT_INVALID_RECORD;
    if ((b->attributes & LOG_ATTR_CODEC) > LOG_ZSTD)
        return OUT_BAD_COMPRESSION;
    return (int64_t)b->size > opts->segment_bytes ? OUT_RECORD_LIST_TOO_LARGE : OUT_OK;
}

static bool timestamp_in_bounds(const struct walk *w, int64_t timestamp)
{
    if (timestamp == -1 || w->opts->timestamp_type == LOG_APPEND_TIME)
        return true;
    int64_t age;
    if (__builtin_sub_overflow(w->a->now_ms, timestamp, &age) || age == INT64_MIN)
        return false;
    return age <= w->opts->timestamp_before_max_ms && -age <= w->opts->timestamp_after_max_ms;
}

/* Lists a record that the batch is refused for; the walk goes on to find the others. */
COLD static void refuse_record(struct walk *w, int32_t index, enum outcome o, const char *message)
{
    struct store_appended *done = w->done;
    if (w->refused != OUT_INVALID_TIMESTAMP)
        w->refused = o;
    done->error_text = o == OUT_INVALID_TIMESTAMP
                           ? "One or more records have been rejected due to invalid timestamp"
                           : "One or more records have been rejected";
    if (w->a->arena == NULL)
        return;
    if (done->error_count == w->room) {
        size_t room = w->room == 0 ? 8 : w->room * 2;
        struct store_record_error *list = arena_array(w->a->arena, struct store_record_error, room);
        if (list == NULL)
            return;
        if (done->error_count > 0)
            memcpy(list, done->errors, done->error_count * sizeof *list);
        done->errors = list;
        w->room = room;
    }
    done->errors[done->error_count++] = (struct store_record_error){index, message};
}

/* The broker's time is not the client's to give: Kafka says so only where it would give it. */
static bool time_given(const struct walk *w, const struct log_batch *b)
{
    return w->opts->timestamp_type == LOG_APPEND_TIME &&
           (b->attributes & LOG_ATTR_APPEND_TIME) != 0;
}

static inline void check_record(struct walk *w, const struct log_batch *b, int32_t index,
                                const struct log_record *r)
{
    w->max_timestamp = MAX(w->max_timestamp, r->timestamp);
    if (unlikely(w->opts->cleanup_compact && r->key.at == NULL))
        refuse_record(w, index, OUT_INVALID_RECORD,
                      "Compacted topic cannot accept message without key");
    else if (unlikely(!timestamp_in_bounds(w, r->timestamp)))
        refuse_record(w, index, OUT_INVALID_TIMESTAMP,
                      "The timestamp of the message is out of the acceptable range");
    else if (unlikely(time_given(w, b)))
        refuse_record(w, index, OUT_INVALID_TIMESTAMP, LOG_APPEND_TIME_GIVEN);
}

/* ---- the walk over records ---- */

#define BRIEF_MAX 3   /* bytes of the numbers that brief() reads */
#define BRIEF_SPAN 16 /* bytes in front of a key that are read without asking where the end is */

/* A number of at most BRIEF_MAX bytes, all of them there; longer ones are nobody's in practice. */
static inline bool brief(const uint8_t **at, uint32_t *raw)
{
    const uint8_t *p = *at;
    uint32_t value = p[0];
    size_t used = 1;
    if (value >= 128) {
        value = (value & 127) | (uint32_t)p[1] << 7;
        used = 2;
        if (p[1] >= 128) {
            value = (value & 0x3fff) | (uint32_t)p[2] << 14;
            used = 3;
            if (unlikely(p[2] >= 128))
                return false;
        }
    }
    *at = p + used;
    *raw = value;
    return true;
}

/* A length in zigzag code; null has none. */
static inline size_t brief_size(uint32_t raw) { return (raw & 1) != 0 ? 0 : raw >> 1; }

/* What nearly every record is, in a third of the instructions of record_parse(): no headers, short
 * numbers, the right delta, a time that needs no question. The record's end, or NULL: it is another
 * or a bad one, which the long way tells. */
static inline const uint8_t *skim(const struct walk *w, const uint8_t *at, const uint8_t *end,
                                  uint32_t index, int64_t *delta_ms)
{
    uint32_t size = 0, time = 0, offset = 0, key = 0, value = 0;
    if (unlikely(end - at < BRIEF_SPAN) || !brief(&at, &size))
        return NULL;
    if (unlikely((size & 1) != 0 || (size_t)(end - at) < size >> 1))
        return NULL;
    const uint8_t *last = at + (size >> 1) - 1;
    at++; /* attributes: none are defined */
    if (unlikely(!brief(&at, &time) || !brief(&at, &offset) || !brief(&at, &key)))
        return NULL;
    if (unlikely(offset != index * 2 || (w->keys_needed && (key & 1) != 0)))
        return NULL;
    size_t key_size = brief_size(key);
    if (unlikely((size_t)(end - at) < key_size + BRIEF_MAX))
        return NULL;
    at += key_size;
    if (unlikely(!brief(&at, &value) || (size_t)(end - at) < brief_size(value)))
        return NULL;
    at += brief_size(value);
    if (unlikely(at != last || *at != 0))
        return NULL;
    *delta_ms = unzigzag32(time);
    return last + 1;
}

/* Of which distances from the batch's first time nothing needs to be asked. */
static void plain_times(struct walk *w, const struct log_batch *b)
{
    int64_t base = b->base_timestamp, now = w->a->now_ms, least, most;
    w->keys_needed = w->opts->cleanup_compact;
    w->least_ms = INT64_MAX; /* none */
    w->most_ms = INT64_MIN;
    if (base < 0 || base > INT64_MAX / 2 || time_given(w, b))
        return;
    if (w->opts->timestamp_type == LOG_APPEND_TIME) {
        w->least_ms = -base;
        w->most_ms = INT32_MAX;
        return;
    }
    if (__builtin_sub_overflow(now - base, w->opts->timestamp_before_max_ms, &least))
        least = INT64_MIN;
    if (__builtin_add_overflow(now - base, w->opts->timestamp_after_max_ms, &most))
        most = INT64_MAX;
    w->least_ms = MAX(least, -base);
    w->most_ms = most;
}

/* Records must fill the section, with offset deltas 0, 1, 2, ... */
static enum outcome walk_records(struct walk *w, const struct log_batch *b, struct bytes section)
{
    struct log_record r;
    const uint8_t *end = section.at + section.size;
    int64_t delta_ms, most_ms = INT64_MIN;
    plain_times(w, b);
    for (int32_t i = 0; i < b->count; i++) {
        const uint8_t *next = skim(w, section.at, end, (uint32_t)i, &delta_ms);
        if (likely(next != NULL && delta_ms >= w->least_ms && delta_ms <= w->most_ms)) {
            most_ms = MAX(most_ms, delta_ms);
            section.at = next;
            continue;
        }
        section.size = (size_t)(end - section.at);
        enum outcome o = record_parse(&section, &r);
        if (unlikely(o != OUT_OK))
            return o;
        if (unlikely(r.offset != i))
            return OUT_INVALID_RECORD;
        r.timestamp = (int64_t)((uint64_t)r.timestamp + (uint64_t)b->base_timestamp);
        check_record(w, b, i, &r);
    }
    if (most_ms != INT64_MIN)
        w->max_timestamp = MAX(w->max_timestamp, b->base_timestamp + most_ms);
    return section.at == end ? w->refused : OUT_INVALID_RECORD;
}

/* What a compressed batch claims, when nobody looks inside. */
static enum outcome trust_claims(struct walk *w, const struct log_batch *b)
{
    w->max_timestamp = b->max_timestamp;
    if (time_given(w, b)) {
        refuse_record(w, 0, OUT_INVALID_TIMESTAMP, LOG_APPEND_TIME_GIVEN);
        return OUT_INVALID_TIMESTAMP;
    }
    if (timestamp_in_bounds(w, b->base_timestamp) && timestamp_in_bounds(w, b->max_timestamp))
        return OUT_OK;
    refuse_record(w, 0, OUT_INVALID_TIMESTAMP,
                  "The timestamp of the message is out of the acceptable range");
    return OUT_INVALID_TIMESTAMP;
}

/* The same batch with its records in the topic's compression. */
static enum outcome recompress(const struct log_options *opts, struct bytes records,
                               struct log_checked *c)
{
    uint8_t *packed, *at;
    size_t size;
    enum outcome o =
        log_compress(opts->compression, opts->compression_level, records, &packed, &size);
    if (o != OUT_OK)
        return o;
    if (LOG_BATCH_HEADER + size > (size_t)opts->max_message_bytes)
        o = OUT_MESSAGE_TOO_LARGE;
    else if ((at = malloc(LOG_BATCH_HEADER + size)) == NULL)
        o = OUT_NO_MEMORY;
    if (o == OUT_OK) {
        int kept = ATTRIBUTES_KNOWN & ~LOG_ATTR_CODEC & ~LOG_ATTR_DELETE_HORIZON;
        int attributes = (c->batch.attributes & kept) | (int)opts->compression;
        memcpy(at, c->batch.at, LOG_BATCH_HEADER);
        if (size > 0)
            memcpy(at + LOG_BATCH_HEADER, packed, size);
        put_be32(at + BATCH_LENGTH, (uint32_t)(LOG_BATCH_HEADER + size - LOG_BATCH_OVERHEAD));
        put_be16(at + BATCH_ATTRIBUTES, (uint16_t)attributes);
        put_be32(at + BATCH_CRC, batch_crc(at, LOG_BATCH_HEADER + size));
        o = batch_parse(at, LOG_BATCH_HEADER + size, LOG_BATCH_HEADER + size, &c->batch);
        c->replaced = at;
    }
    free(packed);
    return o;
}

/* What compressed records may unpack to: a small batch can't cost as much as a large one. */
static size_t inflated_limit(const struct log_options *opts, size_t size)
{
    size_t most = MAX((size_t)opts->max_message_bytes, INFLATED_MAX);
    size_t fair = MAX((size_t)opts->max_message_bytes, MiB(1)) + size * INFLATED_RATIO;
    return MIN(most, fair);
}

static enum outcome check_records(struct walk *w, struct log_checked *c)
{
    const struct log_options *opts = w->opts;
    const struct log_batch *b = &c->batch;
    enum log_codec codec = (enum log_codec)(b->attributes & LOG_ATTR_CODEC);
    struct bytes section = {b->at + LOG_BATCH_HEADER, b->size - LOG_BATCH_HEADER};
    bool repack = opts->compression != LOG_CODEC_PRODUCER && opts->compression != codec;
    if (codec == LOG_NONE) {
        enum outcome o = walk_records(w, b, section);
        return o == OUT_OK && repack ? recompress(opts, section, c) : o;
    }
    if (!repack && !opts->cleanup_compact && opts->validation == LOG_VALIDATE_PLAIN)
        return trust_claims(w, b);
    uint8_t *memory;
    size_t size;
    enum outcome o =
        log_decompress(codec, section, inflated_limit(opts, section.size), &memory, &size);
    if (o != OUT_OK)
        return o;
    o = walk_records(w, b, (struct bytes){memory, size});
    if (o == OUT_OK && repack)
        o = recompress(opts, (struct bytes){memory, size}, c);
    free(memory);
    return o;
}

/* Largest timestamp and timestamp type as they must be; true when a byte changed. */
static bool patch(const struct walk *w, uint8_t *at, struct log_batch *b)
{
    bool append_time = w->opts->timestamp_type == LOG_APPEND_TIME;
    int64_t max_timestamp = append_time ? w->a->now_ms : w->max_timestamp;
    int attributes =
        append_time ? b->attributes | LOG_ATTR_APPEND_TIME : b->attributes & ~LOG_ATTR_APPEND_TIME;
    if (attributes == b->attributes && max_timestamp == b->max_timestamp)
        return false;
    attributes &= ATTRIBUTES_KNOWN;
    b->attributes = (int16_t)attributes;
    b->max_timestamp = max_timestamp;
    put_be16(at + BATCH_ATTRIBUTES, (uint16_t)attributes);
    put_be64(at + BATCH_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    return true;
}

enum outcome log_check_batch(const struct log_options *opts, const struct store_append *a,
                             struct log_checked *c, struct store_appended *done)
{
    struct walk w = {.opts = opts, .a = a, .done = done, .max_timestamp = -1};
    c->replaced = NULL;
    c->log_append_time_ms = -1;
    c->reached_log = false;
    if (a->origin != STORE_CLIENT)
        return batch_parse(a->at, a->size, a->size, &c->batch);
    c->log_append_time_ms = opts->timestamp_type == LOG_APPEND_TIME ? a->now_ms : -1;
    enum outcome o = take_header(a, &c->batch);
    if (o == OUT_CORRUPT_MESSAGE)
        done->error_text = "The record batch has a wrong length or an unknown magic";
    if (o != OUT_OK)
        return o;
    if (a->zstd_refused && (c->batch.attributes & LOG_ATTR_CODEC) == LOG_ZSTD)
        return OUT_UNSUPPORTED_COMPRESSION;
    c->reached_log = true;
    o = check_header(opts, &c->batch);
    if (o == OUT_OK)
        o = check_records(&w, c);
    uint8_t *at = c->replaced == NULL ? a->at : c->replaced;
    if (o == OUT_OK && patch(&w, at, &c->batch))
        put_be32(at + BATCH_CRC, c->batch.crc = batch_crc(at, c->batch.size));
    if (o != OUT_OK) {
        free(c->replaced);
        c->replaced = NULL;
    }
    return o;
}

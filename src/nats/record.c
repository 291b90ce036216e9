/* SPDX-License-Identifier: MIT */
/* See record.h. Only headers and keys are copied; payloads stay where they are. */
#include "nats/record.h"

#include "nats/private.h"

#include <stdlib.h>

#define BASE64 ";base64"
#define VERSION_LINE "NATS/1.0\r\n"
#define HEADERS_MAX 100000

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void nats_scratch_fini(struct nats_scratch *s)
{
    free(s->at);
    free(s->headers);
    *s = (struct nats_scratch){0};
}

/* ---- growing ---- */

static uint8_t *take(struct nats_scratch *s, size_t size)
{
    if (s->room - s->used < size) {
        size_t room = MAX(2 * s->room, s->used + size + 1024);
        uint8_t *at = realloc(s->at, room);
        if (at == NULL) {
            s->failed = true;
            return NULL;
        }
        s->at = at;
        s->room = room;
    }
    uint8_t *at = s->at + s->used;
    s->used += size;
    return at;
}

static void put(struct nats_scratch *s, struct bytes piece)
{
    uint8_t *to = piece.size == 0 ? NULL : take(s, piece.size);
    if (to != NULL)
        memcpy(to, piece.at, piece.size);
}

static void put_text(struct nats_scratch *s, const char *text)
{
    put(s, bytes_of(text));
}

static void put_base64(struct nats_scratch *s, struct bytes value)
{
    uint8_t *to = take(s, (value.size + 2) / 3 * 4);
    for (size_t i = 0; to != NULL && i < value.size; i += 3) {
        uint32_t left = (uint32_t)MIN(value.size - i, 3), word = (uint32_t)value.at[i] << 16;
        word |= left > 1 ? (uint32_t)value.at[i + 1] << 8 : 0;
        word |= left > 2 ? value.at[i + 2] : 0;
        *to++ = (uint8_t)alphabet[word >> 18];
        *to++ = (uint8_t)alphabet[word >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)alphabet[word >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)alphabet[word & 63] : '=';
    }
}

static int digit_of(uint8_t c)
{
    const char *at = c == 0 ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

/* The bytes behind base64 text, in the scratch from *begin on; false: it is none. */
static bool take_base64(struct nats_scratch *s, struct bytes text, size_t *begin)
{
    uint32_t word = 0;
    int bits = 0;
    while (text.size > 0 && text.at[text.size - 1] == '=')
        text.size--;
    *begin = s->used;
    uint8_t *to = take(s, text.size / 4 * 3 + 3);
    if (to == NULL)
        return false;
    uint8_t *first = to;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.at[i]);
        if (digit < 0)
            return false;
        word = word << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *to++ = (uint8_t)(word >> bits);
        }
    }
    s->used = *begin + (size_t)(to - first);
    return bits < 6;
}

/* ---- records become messages ---- */

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.at[i] <= ' ' || name.at[i] == ':' || name.at[i] >= 0x7f)
            return false;
    }
    return name.size > 0;
}

static bool is_value(struct bytes value)
{
    if (value.size > 0 && (value.at[0] == ' ' || value.at[value.size - 1] == ' '))
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < ' ' || value.at[i] == 0x7f)
            return false;
    }
    return true;
}

static void put_header(struct nats_scratch *s, struct bytes name, struct bytes value)
{
    bool plain = is_value(value);
    put(s, name);
    put_text(s, plain ? ": " : BASE64 ": ");
    if (plain)
        put(s, value);
    else
        put_base64(s, value);
    put_text(s, "\r\n");
}

static bool under(const struct bytes *patterns, size_t count, struct bytes subject)
{
    if (subject.size > LIVE_SUBJECT_MAX || live_subject_kind(subject) != LIVE_LITERAL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (live_matches(patterns[i], subject))
            return true;
    }
    return false;
}

bool nats_from_record(const struct log_record *record, struct bytes topic,
                      const struct bytes *patterns, size_t pattern_count, struct bytes extra,
                      struct nats_scratch *s, struct live_message *m)
{
    struct bytes rest = record->headers;
    struct log_header h;
    s->used = 0;
    s->failed = false;
    *m = (struct live_message){.subject = topic, .payload = record->value,
                               .offset = record->offset, .timestamp_ms = record->timestamp};
    if (record->header_count > 0 || record->key.at != NULL || record->value.at == NULL ||
        extra.size > 0)
        put_text(s, VERSION_LINE);
    while (log_header_next(&rest, &h)) {
        if (bytes_is(h.key, NATS_SUBJECT) && h.value.at != NULL &&
            under(patterns, pattern_count, h.value))
            m->subject = h.value;
        else if (is_name(h.key))
            put_header(s, h.key, h.value);
    }
    if (record->key.at != NULL)
        put_header(s, bytes_of(NATS_KEY), record->key);
    if (record->value.at == NULL)
        put_text(s, NATS_TOMBSTONE ": true\r\n");
    put(s, extra);
    if (s->used > sizeof VERSION_LINE - 1)
        put_text(s, "\r\n");
    else
        s->used = 0; /* nothing that could be written */
    m->headers = (struct bytes){s->at, s->used};
    return !s->failed;
}

int64_t nats_record_deadline(const struct log_record *record, int64_t ttl_ms)
{
    return log_record_deadline(record, ttl_ms);
}

/* ---- messages become records ---- */

static struct bytes unpadded(struct bytes value)
{
    while (value.size > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
        value = (struct bytes){value.at + 1, value.size - 1};
    while (value.size > 0 && strchr(" \t\r", value.at[value.size - 1]) != NULL)
        value.size--;
    return value;
}

/* The next header line of a block, whose version line has no colon; false at the end. */
static bool next_header(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    while (rest->size > 0) {
        const uint8_t *lf = memchr(rest->at, '\n', rest->size);
        struct bytes line = {rest->at, lf == NULL ? rest->size : (size_t)(lf - rest->at)};
        size_t used = line.size + (lf != NULL);
        *rest = (struct bytes){rest->at + used, rest->size - used};
        const uint8_t *colon = line.size == 0 ? NULL : memchr(line.at, ':', line.size);
        if (colon == NULL || colon == line.at)
            continue;
        size_t size = (size_t)(colon - line.at);
        *name = (struct bytes){line.at, size};
        *value = unpadded((struct bytes){colon + 1, line.size - size - 1});
        return true;
    }
    return false;
}

static void add_header(struct nats_scratch *s, struct bytes name, struct bytes value)
{
    if (s->header_count == s->header_room) {
        int32_t room = MAX(2 * s->header_room, 16);
        struct log_header *more = realloc(s->headers, (size_t)room * sizeof *more);
        if (more == NULL || room > HEADERS_MAX) {
            s->failed = true;
            s->headers = more == NULL ? s->headers : more;
            return;
        }
        s->headers = more;
        s->header_room = room;
    }
    s->headers[s->header_count++] = (struct log_header){.key = name, .value = value};
}

static bool cut_suffix(struct bytes *name)
{
    size_t size = sizeof BASE64 - 1;
    if (name->size <= size || memcmp(name->at + name->size - size, BASE64, size) != 0)
        return false;
    name->size -= size;
    return true;
}

/* The scratch was made large enough for all base64 beforehand: pointers into it stay. */
static struct bytes decoded(struct nats_scratch *s, struct bytes *name, struct bytes value)
{
    struct bytes whole = *name;
    size_t begin;
    if (!cut_suffix(name))
        return value;
    if (take_base64(s, value, &begin))
        return (struct bytes){s->at + begin, s->used - begin};
    *name = whole; /* somebody's own header that happens to be named so */
    return value;
}

bool nats_to_record(const struct live_message *m, struct bytes topic, struct nats_scratch *s,
                    struct nats_parts *parts)
{
    struct bytes rest = m->headers, name, value;
    s->used = 0;
    s->failed = false;
    s->header_count = 0;
    if (take(s, m->headers.size + 16) == NULL)
        return false;
    s->used = 0;
    *parts = (struct nats_parts){.value = m->payload};
    if (parts->value.at == NULL)
        parts->value = bytes_of("");
    if (!bytes_equal(m->subject, topic))
        add_header(s, bytes_of(NATS_SUBJECT), m->subject);
    while (next_header(&rest, &name, &value)) {
        value = decoded(s, &name, value);
        if (bytes_is(name, NATS_KEY))
            parts->key = value;
        else if (bytes_is(name, NATS_TOMBSTONE) && bytes_is(value, "true") && m->payload.size == 0)
            parts->value = (struct bytes){0};
        else if (!bytes_is(name, NATS_SUBJECT))
            add_header(s, name, value);
    }
    parts->headers = s->headers;
    parts->header_count = s->header_count;
    return !s->failed;
}

bool nats_parts_add(struct nats_scratch *s, struct nats_parts *parts, struct bytes name,
                    struct bytes value)
{
    add_header(s, name, value);
    parts->headers = s->headers;
    parts->header_count = s->header_count;
    return !s->failed;
}

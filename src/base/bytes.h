/* SPDX-License-Identifier: MIT */
/*
 * Views over bytes. A view never outlives its buffer; keeping bytes means copying (arena) or
 * holding the buffer. at == NULL is Kafka's null; at != NULL with size 0 is empty. Strings are
 * views too: UTF-8, not terminated.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/cc.h"

#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t size;
};

struct uuid {
    uint8_t b[16];
};

/* A view of a literal or of a terminated string; NULL gives null. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static inline struct bytes bytes_view(const void *at, size_t size)
{
    return (struct bytes){(const uint8_t *)at, size};
}

/* Same bytes; null equals only null. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.at == NULL) == (b.at == NULL) &&
           (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static inline bool bytes_is(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of(text));
}

/* Order of memcmp, a prefix comes first. */
int bytes_compare(struct bytes a, struct bytes b);

/* 64-bit hash for tables that peers can fill: keyed by a per-process secret. */
uint64_t bytes_hash(struct bytes a);

static inline bool uuid_is_zero(const struct uuid *u)
{
    static const struct uuid zero;
    return memcmp(u, &zero, sizeof zero) == 0;
}

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Random (version 4), never with a leading '-' in its text, as Kafka's Uuid.randomUuid. */
struct uuid uuid_random(void);

/* Kafka's text form: URL-safe base64 without padding, 22 characters and a NUL. */
#define UUID_TEXT_SIZE 23
void uuid_print(const struct uuid *u, char text[static UUID_TEXT_SIZE]);

/* False when `text` is not 22 characters of that alphabet. */
MUST bool uuid_parse(struct bytes text, struct uuid *u);

/* Big-endian loads and stores, any alignment. */
static inline uint16_t get_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
static inline void put_be16(uint8_t *p, uint16_t v) { v = __builtin_bswap16(v); memcpy(p, &v, 2); }
static inline void put_be32(uint8_t *p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
static inline void put_be64(uint8_t *p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }

#endif

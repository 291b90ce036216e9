/* SPDX-License-Identifier: MIT */
/* What the tests of message sets share: messages written by hand, walks over batches and sets. */
#ifndef LEGACY_HELPER_H
#define LEGACY_HELPER_H

#include "legacy/legacy.h"
#include "vectors.h"

#define BIG MiB(1)
#define NOBODY ((struct bytes){NULL, 0})

/* Bytes that grow. */
struct made {
    uint8_t *at;
    size_t size;
};

__attribute__((unused)) static void made_fini(struct made *m)
{
    free(m->at);
    *m = (struct made){NULL, 0};
}

__attribute__((unused)) static void make_bytes(struct made *m, struct bytes b)
{
    m->at = realloc(m->at, m->size + b.size + 1);
    expect(m->at != NULL);
    if (b.size > 0)
        memcpy(m->at + m->size, b.at, b.size);
    m->size += b.size;
}

__attribute__((unused)) static void make_number(struct made *m, uint64_t n, size_t size)
{
    uint8_t be[8];
    put_be64(be, n);
    make_bytes(m, (struct bytes){be + 8 - size, size});
}

__attribute__((unused)) static void make_sized(struct made *m, struct bytes b)
{
    make_number(m, b.at == NULL ? UINT32_MAX : b.size, 4);
    make_bytes(m, b);
}

/* Makes the checksum of the message at `from` right. */
__attribute__((unused)) static void seal(struct made *m, size_t from)
{
    uint32_t crc = (uint32_t)crc32_z(0, m->at + from + 16, m->size - from - 16);
    put_be32(m->at + from + 12, crc);
    put_be32(m->at + from + 8, (uint32_t)(m->size - from - 12));
}

struct shape {
    int magic, attributes;
    int64_t offset, timestamp;
    struct bytes key, value;
};

/* Adds a message; where it begins. */
__attribute__((unused)) static size_t make(struct made *m, struct shape s)
{
    size_t from = m->size;
    make_number(m, (uint64_t)s.offset, 8);
    make_number(m, 0, 8);
    make_number(m, (uint64_t)s.magic, 1);
    make_number(m, (uint64_t)s.attributes, 1);
    if (s.magic == 1)
        make_number(m, (uint64_t)s.timestamp, 8);
    make_sized(m, s.key);
    make_sized(m, s.value);
    seal(m, from);
    return from;
}

/* Adds a wrapper around `inner`. */
__attribute__((unused)) static void wrap(struct made *m, int magic, enum log_codec codec,
                                         int64_t offset, const struct made *inner)
{
    uint8_t *packed;
    size_t size;
    expect_eq(log_compress(codec, INT32_MIN, bytes_view(inner->at, inner->size), &packed, &size),
              OUT_OK);
    make(m, (struct shape){magic, (int)codec, offset, 7, NOBODY, {packed, size}});
    free(packed);
}

__attribute__((unused)) static enum outcome up(const struct made *m)
{
    uint8_t *exact = malloc(m->size + (m->size == 0)), *batch; /* sanitizers see reads behind it */
    size_t size;
    expect(exact != NULL);
    if (m->size > 0)
        memcpy(exact, m->at, m->size);
    enum outcome o = legacy_up((struct bytes){exact, m->size}, BIG, &batch, &size);
    expect((o == OUT_OK) == (batch != NULL));
    free(batch);
    free(exact);
    return o;
}

#endif

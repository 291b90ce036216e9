/* SPDX-License-Identifier: MIT */
/* Comparing fields with each other and with their defaults: what is a tagged field left out for? */
#ifndef WIRE_SAME_H
#define WIRE_SAME_H

#include "wire/wire_step.h"

static inline int32_t wire_array_count(const uint8_t *field)
{
    int32_t count;
    memcpy(&count, field + WIRE_COUNT_AT, sizeof count);
    return count;
}

static inline const uint8_t *wire_pointer(const uint8_t *field)
{
    const uint8_t *at;
    memcpy(&at, field, sizeof at);
    return at;
}

static inline struct bytes wire_bytes(const uint8_t *field)
{
    struct bytes b;
    memcpy(&b, field, sizeof b);
    return b;
}

/* Whether two fields without inner structs are equal (arrays of plain values included). */
bool wire_field_equal(const struct wire_step *s, const uint8_t *a, const uint8_t *b);

/* Whether a field of the struct at `base` has its default. A struct has when all its fields have; a
 * default array is empty or null, so its count tells. */
bool wire_is_default(const struct wire_step *s, const uint8_t *base, const uint8_t *defaults);

#endif

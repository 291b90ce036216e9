/* SPDX-License-Identifier: MIT */
/* Variable-length integers; a fifth (tenth) byte that still continues is malformed: 0 is
 * returned. */
#include "base/varint.h"

size_t uvarlong_get(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < VARINT64_MAX && at + i < end; i++) {
        v |= (uint64_t)(at[i] & 127) << (7 * i);
        if (at[i] < 128) {
            *value = v;
            return i + 1;
        }
    }
    return 0;
}

size_t uvarint_get(const uint8_t *at, const uint8_t *end, uint32_t *value)
{
    uint32_t v = 0;
    for (size_t i = 0; i < VARINT32_MAX && at + i < end; i++) {
        v |= (uint32_t)(at[i] & 127) << (7 * i);
        if (at[i] < 128) {
            *value = v;
            return i + 1;
        }
    }
    return 0;
}

size_t uvarlong_put(uint8_t *at, uint64_t value)
{
    size_t size = 0;
    for (; value >= 128; value >>= 7)
        at[size++] = (uint8_t)(value | 128);
    at[size++] = (uint8_t)value;
    return size;
}

size_t uvarint_put(uint8_t *at, uint32_t value)
{
    return uvarlong_put(at, value);
}

size_t uvarlong_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 128; value >>= 7)
        size++;
    return size;
}

size_t uvarint_size(uint32_t value)
{
    return uvarlong_size(value);
}

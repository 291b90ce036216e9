/* SPDX-License-Identifier: MIT */
/* Kafka's variable-length integers: base 128, least group first; signed ones are zigzag coded. */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "base/cc.h"

#define VARINT32_MAX 5
#define VARINT64_MAX 10

/* Bytes read from [at, end), 0 when cut off or too long (more than 5 / 10 bytes). */
size_t uvarint_get(const uint8_t *at, const uint8_t *end, uint32_t *value);
size_t uvarlong_get(const uint8_t *at, const uint8_t *end, uint64_t *value);

/* Bytes written; `at` has room for VARINT32_MAX / VARINT64_MAX. */
size_t uvarint_put(uint8_t *at, uint32_t value);
size_t uvarlong_put(uint8_t *at, uint64_t value);
size_t uvarint_size(uint32_t value);
size_t uvarlong_size(uint64_t value);

static inline uint32_t zigzag32(int32_t v) { return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31); }
static inline uint64_t zigzag64(int64_t v) { return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63); }
static inline int32_t unzigzag32(uint32_t v) { return (int32_t)(v >> 1) ^ -(int32_t)(v & 1); }
static inline int64_t unzigzag64(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

#endif

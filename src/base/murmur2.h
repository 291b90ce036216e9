/* SPDX-License-Identifier: MIT */
/*
 * MurmurHash2 as Kafka's clients seed it: which partition a key belongs to. Not for tables that
 * peers can fill: bytes_hash() is.
 */
#ifndef BASE_MURMUR2_H
#define BASE_MURMUR2_H

#include "base/bytes.h"

uint32_t murmur2(struct bytes key);

/* Kafka's default partitioner for a key. */
static inline int32_t murmur2_partition(struct bytes key, int32_t count)
{
    return (int32_t)(murmur2(key) & 0x7fffffff) % count;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Austin Appleby's MurmurHash2 (public domain), 32 bits, little-endian words. */
#include "base/murmur2.h"

#define SEED 0x9747b28cu
#define FACTOR 0x5bd1e995u

uint32_t murmur2(struct bytes key)
{
    uint32_t h = SEED ^ (uint32_t)key.size;
    size_t at = 0;
    for (; key.size - at >= 4; at += 4) {
        uint32_t k = (uint32_t)key.at[at] | (uint32_t)key.at[at + 1] << 8 |
                     (uint32_t)key.at[at + 2] << 16 | (uint32_t)key.at[at + 3] << 24;
        k *= FACTOR;
        k ^= k >> 24;
        k *= FACTOR;
        h = h * FACTOR ^ k;
    }
    for (size_t left = key.size - at; left > 0; left--)
        h ^= (uint32_t)key.at[at + left - 1] << 8 * (left - 1);
    if (at < key.size)
        h *= FACTOR;
    h ^= h >> 13;
    h *= FACTOR;
    return h ^ h >> 15;
}

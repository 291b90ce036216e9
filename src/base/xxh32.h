/* SPDX-License-Identifier: MIT */
/* xxHash32 with seed 0 of fewer than 16 bytes: what an LZ4 frame header's checksum is taken
 * from. */
#ifndef BASE_XXH32_H
#define BASE_XXH32_H

#include "base/cc.h"

#include <string.h>

static inline uint32_t xxh32_short(const uint8_t *at, size_t size)
{
    const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u, p4 = 668265263u,
                   p5 = 374761393u;
    uint32_t h = p5 + (uint32_t)size, word;
    for (; size >= 4; at += 4, size -= 4) {
        memcpy(&word, at, 4);
        h += word * p3;
        h = (h << 17 | h >> 15) * p4;
    }
    for (; size > 0; at++, size--) {
        h += *at * p5;
        h = (h << 11 | h >> 21) * p1;
    }
    h = (h ^ h >> 15) * p2;
    h = (h ^ h >> 13) * p3;
    return h ^ h >> 16;
}

#endif

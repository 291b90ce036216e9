/* SPDX-License-Identifier: MIT */
/* CRC-32C by isa-l, which chooses the fastest instructions of the machine at run time. */
#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c(uint32_t start, const void *at, size_t size)
{
    uint32_t state = ~start;
    unsigned char *p = (unsigned char *)(uintptr_t)at; /* isa-l's signature lacks the const */
    while (size > 0) {
        size_t part = MIN(size, (size_t)INT_MAX);
        state = crc32_iscsi(p, (int)part, state);
        p += part;
        size -= part;
    }
    return ~state;
}

/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli), as record batches and snapshots use it; "123456789" gives E3069283. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/cc.h"

/* Checksum of `size` bytes; pass the result of the piece before as `start`, 0 for the first. */
uint32_t crc32c(uint32_t start, const void *at, size_t size);

#endif

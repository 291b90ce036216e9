/* SPDX-License-Identifier: MIT */
/* Compression of record sections. */
#ifndef LOG_CODEC_H
#define LOG_CODEC_H

#include "log/log.h"

/* Old clients wrote LZ4 frames with a wrong header checksum into magic 0. */
enum codec_rule { CODEC_STRICT, CODEC_OLD_LZ4 };

/* `to` is malloc'ed. OUT_BAD_COMPRESSION, OUT_TOO_LARGE, OUT_NO_MEMORY (then *to is NULL). */
MUST enum outcome codec_decompress(enum log_codec codec, enum codec_rule rule, struct bytes from,
                                   size_t limit_bytes, uint8_t **to, size_t *size);

#endif

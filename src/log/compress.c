/* SPDX-License-Identifier: MIT */
/* Compressing the records of a batch: topics whose compression.type differs from the producer's. */
#include "log/codec.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define LEVEL_DEFAULT INT32_MIN

static size_t bound_of(enum log_codec codec, size_t size)
{
    switch (codec) {
    case LOG_GZIP: return compressBound((uLong)size) + 32;
    case LOG_SNAPPY: return snappy_max_compressed_length(size) + 20;
    case LOG_LZ4: return LZ4F_compressFrameBound(size, NULL);
    case LOG_ZSTD: return ZSTD_compressBound(size);
    case LOG_NONE:
    case LOG_CODEC_PRODUCER: break;
    }
    return size + 1;
}

static size_t gzip(int32_t level, struct bytes from, uint8_t *to, size_t room)
{
    z_stream z = {0};
    int wanted = level == LEVEL_DEFAULT ? Z_DEFAULT_COMPRESSION : level;
    if (deflateInit2(&z, wanted, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    z.next_in = (Bytef *)(uintptr_t)from.at;
    z.avail_in = (uInt)from.size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    int state = deflate(&z, Z_FINISH);
    size_t used = room - z.avail_out;
    deflateEnd(&z);
    return state == Z_STREAM_END ? used : 0;
}

/* One block in the framing that Java clients expect. */
static size_t snap(struct bytes from, uint8_t *to, size_t room)
{
    static const uint8_t head[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(to, head, sizeof head);
    size_t used = room - 20;
    if (snappy_compress((const char *)from.at, from.size, (char *)to + 20, &used) != SNAPPY_OK)
        return 0;
    put_be32(to + 16, (uint32_t)used);
    return used + 20;
}

/* Blocks of 64 KiB, independent: what Kafka's own reader can take. */
static size_t lz4(int32_t level, struct bytes from, uint8_t *to, size_t room)
{
    LZ4F_preferences_t p = {.frameInfo = {.blockSizeID = LZ4F_max64KB,
                                          .blockMode = LZ4F_blockIndependent},
                            .compressionLevel = level == LEVEL_DEFAULT ? 9 : level};
    size_t used = LZ4F_compressFrame(to, room, from.at, from.size, &p);
    return LZ4F_isError(used) ? 0 : used;
}

enum outcome log_compress(enum log_codec codec, int32_t level, struct bytes from, uint8_t **to,
                          size_t *size)
{
    *to = NULL;
    *size = 0;
    if (from.size > INT32_MAX / 2)
        return OUT_TOO_LARGE;
    size_t room = bound_of(codec, from.size);
    if (codec == LOG_LZ4)
        room += from.size / KiB(16) + 64; /* the bound above is for the largest block size */
    uint8_t *out = malloc(room);
    if (out == NULL)
        return OUT_NO_MEMORY;
    size_t used = 0;
    if (codec == LOG_NONE && from.size > 0)
        memcpy(out, from.at, used = from.size);
    else if (codec == LOG_GZIP)
        used = gzip(level, from, out, room);
    else if (codec == LOG_SNAPPY)
        used = snap(from, out, room);
    else if (codec == LOG_LZ4)
        used = lz4(level, from, out, room);
    else if (codec == LOG_ZSTD)
        used = ZSTD_compress(out, room, from.at, from.size, level == LEVEL_DEFAULT ? 3 : level);
    if ((used == 0 && codec != LOG_NONE) || ZSTD_isError(used)) {
        free(out);
        return OUT_NO_MEMORY;
    }
    *to = out;
    *size = used;
    return OUT_OK;
}

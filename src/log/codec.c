/* SPDX-License-Identifier: MIT */
/*
 * The four codecs of record batches, both ways, into memory that grows as bytes really come out: a
 * length that a peer claims is never allocated. Fails with OUT_BAD_COMPRESSION on damaged input,
 * OUT_TOO_LARGE when the output would pass the caller's limit.
 */
#include "log/codec.h"

#include "base/xxh32.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define GROW_FIRST KiB(16)
#define ZSTD_WINDOW_LOG_MAX 27 /* as other readers of this format: 128 MiB */
#define SNAPPY_RATIO_MAX 32    /* a 3-byte copy gives at most 64 bytes */

/* Output that grows up to a limit. */
struct growing {
    uint8_t *at;
    size_t used, room, limit;
};

/* Makes free room behind `used`. */
static enum outcome grow(struct growing *g, size_t least)
{
    if (g->room - g->used >= least && g->room > g->used)
        return OUT_OK;
    if (g->used >= g->limit || least > g->limit - g->used)
        return OUT_TOO_LARGE;
    size_t room = MAX(g->room * 2, GROW_FIRST);
    room = MIN(MAX(room, g->used + least), g->limit);
    uint8_t *at = realloc(g->at, room);
    if (at == NULL)
        return OUT_NO_MEMORY;
    g->at = at;
    g->room = room;
    return OUT_OK;
}

/* zlib wants its input mutable but does not write to it. */
static void zlib_input(z_stream *z, struct bytes from)
{
    z->next_in = (Bytef *)(uintptr_t)from.at;
    z->avail_in = (uInt)from.size;
}

/* Members may follow each other; zeros behind the last one are not tolerated. */
static enum outcome gunzip(struct bytes from, struct growing *g)
{
    z_stream z = {0};
    if (from.size > INT32_MAX || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return OUT_NO_MEMORY;
    zlib_input(&z, from);
    enum outcome o = OUT_OK;
    int state = Z_OK;
    while (o == OUT_OK && !(state == Z_STREAM_END && z.avail_in == 0)) {
        if (state == Z_STREAM_END && inflateReset(&z) != Z_OK)
            o = OUT_BAD_COMPRESSION;
        if (o == OUT_OK)
            o = grow(g, 1);
        if (o != OUT_OK)
            break;
        z.next_out = g->at + g->used;
        z.avail_out = (uInt)MIN(g->room - g->used, (size_t)INT32_MAX);
        uInt before = z.avail_out;
        state = inflate(&z, Z_NO_FLUSH);
        g->used += before - z.avail_out;
        if (state != Z_OK && state != Z_STREAM_END)
            o = state == Z_MEM_ERROR ? OUT_NO_MEMORY : OUT_BAD_COMPRESSION;
        else if (state == Z_OK && z.avail_in == 0 && z.avail_out > 0)
            o = OUT_BAD_COMPRESSION; /* cut */
    }
    inflateEnd(&z);
    return o;
}

static enum outcome unsnap_block(struct bytes from, struct growing *g)
{
    size_t size;
    if (snappy_uncompressed_length((const char *)from.at, from.size, &size) != SNAPPY_OK ||
        size > from.size * SNAPPY_RATIO_MAX + 64)
        return OUT_BAD_COMPRESSION;
    if (size == 0)
        return OUT_OK;
    enum outcome o = grow(g, size);
    if (o != OUT_OK)
        return o;
    if (snappy_uncompress((const char *)from.at, from.size, (char *)g->at + g->used,
                          &size) != SNAPPY_OK)
        return OUT_BAD_COMPRESSION;
    g->used += size;
    return OUT_OK;
}

/* Java's framing: an 16-byte header, then blocks behind 4-byte lengths; else one raw block. */
static enum outcome unsnap(struct bytes from, struct growing *g)
{
    static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    if (from.size < 16 || memcmp(from.at, magic, sizeof magic) != 0)
        return unsnap_block(from, g);
    from.at += 16;
    from.size -= 16;
    enum outcome o = OUT_OK;
    while (o == OUT_OK && from.size > 0) {
        if (from.size >= 16 && memcmp(from.at, magic, sizeof magic) == 0) {
            from.at += 16;
            from.size -= 16;
            continue;
        }
        if (from.size < 4 || get_be32(from.at) > from.size - 4)
            return OUT_BAD_COMPRESSION;
        struct bytes block = {from.at + 4, get_be32(from.at)};
        o = unsnap_block(block, g);
        from.at += 4 + block.size;
        from.size -= 4 + block.size;
    }
    return o;
}

static enum outcome unlz4_some(LZ4F_dctx *ctx, struct bytes from, struct growing *g, size_t *hint)
{
    while (from.size > 0) {
        enum outcome o = grow(g, 1);
        if (o != OUT_OK)
            return o;
        size_t out = g->room - g->used, in = from.size;
        *hint = LZ4F_decompress(ctx, g->at + g->used, &out, from.at, &in, NULL);
        if (LZ4F_isError(*hint))
            return OUT_BAD_COMPRESSION;
        g->used += out;
        from.at += in;
        from.size -= in;
    }
    return OUT_OK;
}

/* Drains what the frame still holds back; then it must be complete. */
static enum outcome unlz4_rest(LZ4F_dctx *ctx, struct growing *g, size_t *hint)
{
    for (;;) {
        enum outcome o = *hint == 0 ? OUT_OK : grow(g, 1);
        if (o != OUT_OK || *hint == 0)
            return o;
        size_t out = g->room - g->used, in = 0;
        *hint = LZ4F_decompress(ctx, g->at + g->used, &out, "", &in, NULL);
        if (LZ4F_isError(*hint) || (out == 0 && *hint != 0))
            return OUT_BAD_COMPRESSION;
        g->used += out;
    }
}

static enum outcome unlz4(struct bytes from, enum codec_rule rule, struct growing *g)
{
    uint8_t head[15];
    LZ4F_dctx *ctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return OUT_NO_MEMORY;
    size_t hint = 1;
    enum outcome o = OUT_OK;
    size_t head_size = from.size >= 7 ? (from.at[4] & 8 ? 15u : 7u) : SIZE_MAX;
    if (rule == CODEC_OLD_LZ4 && head_size <= from.size) {
        memcpy(head, from.at, head_size);
        head[head_size - 1] = (uint8_t)(xxh32_short(head + 4, head_size - 5) >> 8);
        o = unlz4_some(ctx, (struct bytes){head, head_size}, g, &hint);
        from.at += head_size;
        from.size -= head_size;
    }
    if (o == OUT_OK)
        o = unlz4_some(ctx, from, g, &hint);
    if (o == OUT_OK)
        o = unlz4_rest(ctx, g, &hint);
    LZ4F_freeDecompressionContext(ctx);
    return o;
}

static enum outcome unzstd(struct bytes from, struct growing *g)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx == NULL)
        return OUT_NO_MEMORY;
    ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    ZSTD_inBuffer in = {from.at, from.size, 0};
    enum outcome o = OUT_OK;
    size_t hint = 1;
    while (o == OUT_OK && (in.pos < in.size || hint != 0)) {
        o = grow(g, 1);
        if (o != OUT_OK)
            break;
        ZSTD_outBuffer out = {g->at, g->room, g->used};
        size_t before_in = in.pos;
        hint = ZSTD_decompressStream(ctx, &out, &in);
        if (ZSTD_isError(hint) ||
            (hint != 0 && in.pos == before_in && out.pos == g->used && in.pos == in.size))
            o = OUT_BAD_COMPRESSION;
        g->used = out.pos;
    }
    ZSTD_freeDCtx(ctx);
    return o;
}

enum outcome codec_decompress(enum log_codec codec, enum codec_rule rule, struct bytes from,
                              size_t limit_bytes, uint8_t **to, size_t *size)
{
    /* One byte of room above the limit tells "just fits" from "goes on". */
    struct growing g = {.limit = limit_bytes == SIZE_MAX ? SIZE_MAX : limit_bytes + 1};
    enum outcome o = OUT_BAD_COMPRESSION;
    switch (codec) {
    case LOG_NONE:
        o = from.size == 0 ? OUT_OK : grow(&g, from.size);
        if (o == OUT_OK && from.size > 0)
            memcpy(g.at, from.at, from.size);
        g.used = from.size;
        break;
    case LOG_GZIP: o = gunzip(from, &g); break;
    case LOG_SNAPPY: o = unsnap(from, &g); break;
    case LOG_LZ4: o = unlz4(from, rule, &g); break;
    case LOG_ZSTD: o = unzstd(from, &g); break;
    case LOG_CODEC_PRODUCER: break;
    }
    if (o == OUT_OK && g.used > limit_bytes)
        o = OUT_TOO_LARGE;
    if (o == OUT_OK && g.at == NULL)
        o = (g.at = malloc(1)) == NULL ? OUT_NO_MEMORY : OUT_OK;
    if (o != OUT_OK) {
        free(g.at);
        g = (struct growing){0};
    }
    *to = g.at;
    *size = g.used;
    return o;
}

enum outcome log_decompress(enum log_codec codec, struct bytes from, size_t limit_bytes,
                            uint8_t **to, size_t *size)
{
    return codec_decompress(codec, CODEC_STRICT, from, limit_bytes, to, size);
}

const char *log_codec_name(enum log_codec codec)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd", "producer"};
    return (unsigned)codec < COUNT_OF(names) ? names[codec] : "?";
}

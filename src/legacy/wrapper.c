/* SPDX-License-Identifier: MIT */
/*
 * The value of a wrapper is a compressed message set. In magic 0, LZ4 frames have a header checksum
 * that was taken from too many bytes: clients of that time wrote it so, and expect it so.
 */
#include "legacy/message.h"

#include "base/xxh32.h"

#include <stdlib.h>

#define FRAME_FLAGS 4        /* behind the frame's magic */
#define FLAG_CONTENT_SIZE 8
#define HEAD_SHORT 7
#define HEAD_LONG 15         /* with the size of the content */

/* Size of an LZ4 frame's header, 0 when there is none. */
static size_t frame_head(struct bytes frame)
{
    if (frame.size < HEAD_SHORT)
        return 0;
    size_t head = frame.at[FRAME_FLAGS] & FLAG_CONTENT_SIZE ? HEAD_LONG : HEAD_SHORT;
    return head <= frame.size ? head : 0;
}

/* Whatever the checksum is, a reader of magic 0 does not look at it; liblz4 does. */
static enum outcome unpack_old_lz4(struct bytes from, size_t limit_bytes, uint8_t **to,
                                   size_t *size)
{
    size_t head = frame_head(from);
    if (head == 0)
        return OUT_BAD_COMPRESSION;
    uint8_t *frame = malloc(from.size);
    if (frame == NULL)
        return OUT_NO_MEMORY;
    memcpy(frame, from.at, from.size);
    frame[head - 1] = (uint8_t)(xxh32_short(frame + FRAME_FLAGS, head - 1 - FRAME_FLAGS) >> 8);
    enum outcome o = log_decompress(LOG_LZ4, (struct bytes){frame, from.size}, limit_bytes, to,
                                    size);
    free(frame);
    return o;
}

enum outcome wrapper_unpack(const struct message *wrapper, size_t limit_bytes, uint8_t **to,
                            size_t *size)
{
    enum log_codec codec = message_codec(wrapper);
    if (wrapper->value.at == NULL || codec == LOG_ZSTD)
        return OUT_INVALID_RECORD;
    if (codec == LOG_LZ4 && wrapper->magic == 0)
        return unpack_old_lz4(wrapper->value, limit_bytes, to, size);
    return log_decompress(codec, wrapper->value, limit_bytes, to, size);
}

enum outcome wrapper_pack(enum log_codec codec, int magic, struct bytes messages, uint8_t **to,
                          size_t *size)
{
    enum outcome o = log_compress(codec, INT32_MIN, messages, to, size);
    if (o != OUT_OK || codec != LOG_LZ4 || magic != 0)
        return o;
    size_t head = frame_head((struct bytes){*to, *size});
    if (head > 0)
        (*to)[head - 1] = (uint8_t)(xxh32_short(*to, head - 1) >> 8);
    return OUT_OK;
}

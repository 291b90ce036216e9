/* SPDX-License-Identifier: MIT */
/*
 * Headers of requests and responses. They are three lines of code where the engine would need a
 * special case: a flexible request header (version 2) has an ordinary client id, and the response
 * to ApiVersions never has a flexible header, since the client cannot know yet what the broker
 * speaks.
 */
#include "base/check.h"
#include "base/varint.h"
#include "wire/wire_step.h"

#define KEY_API_VERSIONS 18
#define FIXED_SIZE 8 /* key, version, correlation id */

/* Whether requests and answers of this version carry tagged fields in their headers. A version we
 * do not know is one of the future, so flexible; an unknown key tells nothing. */
static bool is_flexible(int key, int version)
{
    const struct wire_api *api = wire_api(key);
    return api != NULL && version >= api->request->flexible_from;
}

/* Skips a section of tagged fields; the new position, 0 when it is cut off. */
static size_t skip_tags(struct bytes in, size_t position)
{
    const uint8_t *at = in.at + position, *end = in.at + in.size;
    uint32_t count, tag, size;
    size_t step = uvarint_get(at, end, &count);
    at += step;
    while (step != 0 && count-- > 0) {
        size_t tag_size = uvarint_get(at, end, &tag);
        size_t size_size = tag_size == 0 ? 0 : uvarint_get(at + tag_size, end, &size);
        step = size_size;
        if (step == 0)
            break;
        at += tag_size + size_size;
        if (size > (size_t)(end - at))
            return 0;
        at += size;
    }
    return step == 0 ? 0 : (size_t)(at - in.at);
}

enum outcome wire_request_header_decode(struct bytes in, struct wire_request_header *out,
                                        size_t *used)
{
    if (in.size < FIXED_SIZE + 2)
        return OUT_MALFORMED;
    out->key = (int16_t)get_be16(in.at);
    out->version = (int16_t)get_be16(in.at + 2);
    out->correlation_id = (int32_t)get_be32(in.at + 4);
    out->client_id = (struct bytes){NULL, 0};
    int16_t size = (int16_t)get_be16(in.at + FIXED_SIZE);
    size_t position = FIXED_SIZE + 2;
    if (size >= 0) {
        if ((size_t)size > in.size - position)
            return OUT_MALFORMED;
        out->client_id = (struct bytes){in.at + position, (size_t)size};
        position += (size_t)size;
    }
    out->header_version = 1;
    if (is_flexible(out->key, out->version)) {
        out->header_version = 2;
        position = skip_tags(in, position);
        if (position == 0)
            return OUT_MALFORMED;
    }
    *used = position;
    return OUT_OK;
}

size_t wire_response_header_size(int key, int version)
{
    return key != KEY_API_VERSIONS && is_flexible(key, version) ? 5 : 4;
}

void wire_response_header_encode(int key, int version, int32_t correlation_id, uint8_t *out)
{
    put_be32(out, (uint32_t)correlation_id);
    if (wire_response_header_size(key, version) == 5)
        out[4] = 0; /* no tagged fields */
}

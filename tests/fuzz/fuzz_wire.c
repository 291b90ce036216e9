/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: every decoder of the wire room. The first two bytes pick the message and the
 * version, the rest is its body. What is decoded must come back the same from its own encoding.
 */
#include "base/check.h"
#include "fuzz.h"
#include "wire/messages.h"

static void request_header(struct bytes in)
{
    struct wire_request_header header;
    size_t used = 0;
    if (wire_request_header_decode(in, &header, &used) == OUT_OK)
        check(used <= in.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct wire_message *m = wire_messages[data[0] * 2u % wire_message_count + (data[1] & 1)];
    int version = m->lowest + (data[1] >> 1) % (m->highest - m->lowest + 1);
    struct bytes in = {data + 2, size - 2}, out;
    struct arena arena;
    arena_init(&arena, MiB(4));
    void *value = arena_take(&arena, m->size), *again = arena_take(&arena, m->size);
    size_t used = 0;
    request_header(in);
    if (value != NULL && again != NULL &&
        wire_decode(m, version, in, &arena, value, &used) == OUT_OK) {
        check(used <= in.size);
        enum outcome o = wire_encode_new(m, version, value, &arena, &out);
        check(o == OUT_OK || o == OUT_NO_MEMORY);
        if (o == OUT_OK && wire_decode(m, version, out, &arena, again, &used) == OUT_OK) {
            check(used == out.size);
            check(wire_equal(m, version, value, again));
        }
        check(wire_print(m, version, value, &arena).at != NULL || arena.failed);
    }
    arena_fini(&arena);
    return 0;
}

/* Three made-up values for each message and version. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room)
{
    size_t index = 0, left = number / 3;
    while (index < wire_message_count) {
        const struct wire_message *m = wire_messages[index];
        size_t versions = (size_t)(m->highest - m->lowest + 1);
        if (left < versions)
            break;
        left -= versions;
        index++;
    }
    if (index == wire_message_count)
        return 0;
    const struct wire_message *m = wire_messages[index];
    struct arena arena;
    arena_init(&arena, MiB(4));
    uint64_t state = number;
    void *value = arena_take(&arena, m->size);
    struct bytes body = {NULL, 0};
    out[0] = (uint8_t)(index / 2);
    out[1] = (uint8_t)(left << 1 | (index & 1));
    if (value != NULL && wire_random(m, m->lowest + (int)left, &state, &arena, value) &&
        wire_encode_new(m, m->lowest + (int)left, value, &arena, &body) == OUT_OK &&
        body.size <= room - 2)
        memcpy(out + 2, body.at, body.size);
    else
        body.size = 0;
    arena_fini(&arena);
    return 2 + body.size;
}

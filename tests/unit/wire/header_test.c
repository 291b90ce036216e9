/* SPDX-License-Identifier: MIT */
#include "wire/messages.h"

#include "tap.h"

static struct wire_request_header header;
static size_t used;

static enum outcome decode(const char *raw, size_t size)
{
    used = 0;
    return wire_request_header_decode(bytes_view(raw, size), &header, &used);
}

#define DECODE(literal) decode(literal, sizeof(literal) - 1)

void test_a_plain_header(void)
{
    expect_eq(DECODE("\0\3\0\1\0\0\0\7\0\2hi...body"), OUT_OK);
    expect_eq(header.key, API_METADATA);
    expect_eq(header.version, 1);
    expect_eq(header.correlation_id, 7);
    expect(bytes_is(header.client_id, "hi"));
    expect_eq(header.header_version, 1);
    expect_eq(used, 12);
}

void test_a_flexible_header_has_a_plain_client_id(void)
{
    expect_eq(DECODE("\0\3\0\11\200\0\0\0\0\2hi\0..."), OUT_OK);
    expect_eq(header.correlation_id, INT32_MIN);
    expect(bytes_is(header.client_id, "hi"));
    expect_eq(header.header_version, 2);
    expect_eq(used, 13);
}

void test_tagged_fields_of_the_header_are_skipped(void)
{
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377\2\5\3abc\6\0..."), OUT_OK);
    expect(header.client_id.at == NULL);
    expect_eq(used, 18);
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377\2\5\3abc\6\4abc"), OUT_MALFORMED);
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377\2\5\3abc"), OUT_MALFORMED);
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377\1\5"), OUT_MALFORMED);
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377"), OUT_MALFORMED);
    expect_eq(DECODE("\0\3\0\11\0\0\0\1\377\377\377\377\377\377\377\0"), OUT_MALFORMED);
}

void test_a_client_id_of_negative_length_is_null(void)
{
    expect_eq(DECODE("\0\3\0\1\0\0\0\7\377\376"), OUT_OK);
    expect(header.client_id.at == NULL);
    expect_eq(used, 10);
}

void test_an_empty_client_id_is_not_null(void)
{
    expect_eq(DECODE("\0\3\0\1\0\0\0\7\0\0"), OUT_OK);
    expect(header.client_id.at != NULL);
    expect_eq(header.client_id.size, 0);
}

void test_every_cut_is_malformed(void)
{
    static const char whole[] = "\0\3\0\11\0\0\0\1\0\2hi\1\5\3abc";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *copy = malloc(size + 1); /* to its end, for asan */
        memcpy(copy + 1, whole, size);
        expect_eq(decode(copy + 1, size), OUT_MALFORMED);
        free(copy);
    }
    expect_eq(decode(whole, sizeof whole - 1), OUT_OK);
    expect_eq(used, sizeof whole - 1);
}

void test_api_versions_of_the_future_and_unknown_keys(void)
{
    expect_eq(DECODE("\0\22\0\177\0\0\0\1\0\0\0"), OUT_OK); /* version 127: flexible */
    expect_eq(header.header_version, 2);
    expect_eq(DECODE("\0\22\377\377\0\0\0\1\0\0"), OUT_OK); /* version -1 */
    expect_eq(header.header_version, 1);
    expect_eq(DECODE("\3\350\0\11\0\0\0\1\0\0"), OUT_OK); /* key 1000 */
    expect_eq(header.key, 1000);
    expect_eq(header.header_version, 1);
}

void test_response_headers(void)
{
    uint8_t out[5] = {9, 9, 9, 9, 9};
    expect_eq(wire_response_header_size(API_METADATA, 8), 4);
    expect_eq(wire_response_header_size(API_METADATA, 9), 5);
    expect_eq(wire_response_header_size(API_API_VERSIONS, 4), 4);
    wire_response_header_encode(API_API_VERSIONS, 4, 258, out);
    expect(memcmp(out, "\0\0\1\2\11", 5) == 0);
    wire_response_header_encode(API_METADATA, 9, -1, out);
    expect(memcmp(out, "\377\377\377\377\0", 5) == 0);
}

/* The engine's own definition of the headers says the same. */
void test_headers_agree_with_their_definitions(void)
{
    struct arena arena;
    arena_init(&arena, KiB(64));
    for (int version = 1; version <= 2; version++) {
        struct request_header in = {.request_api_key = API_FETCH,
                                    .request_api_version = (int16_t)(version == 1 ? 11 : 12),
                                    .correlation_id = 77, .client_id = bytes_of("me")};
        struct bytes out;
        expect_eq(wire_encode_new(&wire_request_header, version, &in, &arena, &out), OUT_OK);
        expect_eq(decode((const char *)out.at, out.size), OUT_OK);
        expect_eq(used, out.size);
        expect_eq(header.header_version, version);
        expect_eq(header.correlation_id, 77);
        expect(bytes_is(header.client_id, "me"));
    }
    for (int version = 0; version <= 1; version++) {
        struct response_header in = {.correlation_id = 78};
        struct bytes out;
        uint8_t mine[5];
        int fetch = version == 0 ? 11 : 12;
        expect_eq(wire_encode_new(&wire_response_header, version, &in, &arena, &out), OUT_OK);
        expect_eq(out.size, wire_response_header_size(API_FETCH, fetch));
        wire_response_header_encode(API_FETCH, fetch, 78, mine);
        expect(memcmp(mine, out.at, out.size) == 0);
    }
    arena_fini(&arena);
}

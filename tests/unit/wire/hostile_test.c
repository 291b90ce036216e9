/* SPDX-License-Identifier: MIT */
/* Bytes that no honest client sends, one by one. */
#include "wire/messages.h"

#include "tap.h"

static struct arena arena;
static struct metadata_request metadata;
static struct fetch_request fetch;
static size_t used;

static enum outcome decode(const struct wire_message *m, int version, const char *raw, size_t size,
                           void *out)
{
    /* To the end of a block of its own, so that asan sees a read behind it. */
    char *copy = malloc(size + 1);
    memcpy(copy + 1, raw, size);
    arena_init(&arena, KiB(64));
    enum outcome o = wire_decode(m, version, bytes_view(copy + 1, size), &arena, out, &used);
    arena_fini(&arena);
    free(copy);
    return o;
}

#define METADATA(version, literal) \
    decode(&wire_metadata_request, version, literal, sizeof(literal) - 1, &metadata)

void test_a_negative_count_is_null(void)
{
    expect_eq(METADATA(1, "\377\377\377\377"), OUT_OK);
    expect_eq(metadata.topics_count, -1);
    expect_eq(METADATA(1, "\377\377\377\376"), OUT_OK);
    expect_eq(metadata.topics_count, -1);
    expect_eq(METADATA(1, "\200\0\0\0"), OUT_OK);
    expect_eq(metadata.topics_count, -1);
}

void test_a_null_where_none_is_allowed(void)
{
    expect_eq(METADATA(0, "\377\377\377\377"), OUT_MALFORMED);       /* null array in version 0 */
    expect_eq(METADATA(1, "\0\0\0\1\377\377"), OUT_MALFORMED);       /* null name */
    expect_eq(METADATA(9, "\2\0\0\1\0\0\0"), OUT_MALFORMED);         /* null compact name */
}

void test_a_name_need_not_be_text(void)
{
    expect_eq(METADATA(1, "\0\0\0\1\0\2\377\0"), OUT_OK);
    expect_eq(metadata.topics_count, 1);
}

void test_a_count_beyond_the_input_takes_no_memory(void)
{
    arena_init(&arena, GiB(8));
    static const char raw[] = "\177\377\377\377\0\1a\0\1b";
    expect_eq(wire_decode(&wire_metadata_request, 1, bytes_view(raw, sizeof raw - 1), &arena,
                          &metadata, NULL), OUT_MALFORMED);
    expect_eq(arena.total_bytes, 0);
    expect(!arena.failed);
    arena_fini(&arena);
}

void test_a_count_is_bounded_by_the_least_size_of_an_element(void)
{
    /* Four topics need at least 4 * 2 bytes; seven are there. */
    arena_init(&arena, KiB(64));
    static const char raw[] = "\0\0\0\4\0\0\0\0\0\0\0";
    expect_eq(wire_decode(&wire_metadata_request, 1, bytes_view(raw, sizeof raw - 1), &arena,
                          &metadata, NULL), OUT_MALFORMED);
    expect_eq(arena.total_bytes, 0);
    arena_fini(&arena);
}

void test_varints(void)
{
    expect_eq(METADATA(9, "\201\200\200\200\200\0"), OUT_MALFORMED);             /* 6 bytes */
    expect_eq(METADATA(9, "\200\200\200\200\200\200\0\1\1\1\0"), OUT_MALFORMED); /* 7 bytes */
    expect_eq(METADATA(9, "\200\200\200\200\0\1\1\1\0"), OUT_OK); /* a long way to write 0: null */
    expect_eq(metadata.topics_count, -1);
    expect_eq(used, 9);
    expect_eq(METADATA(9, "\200"), OUT_MALFORMED);
}

void test_a_string_over_32767_bytes(void)
{
    static char raw[40000] = "\2\201\200\2"; /* one topic, a name of 32768 bytes */
    expect_eq(decode(&wire_metadata_request, 9, raw, sizeof raw, &metadata), OUT_MALFORMED);
    memcpy(raw, "\2\200\200\2", 4); /* of 32767 */
    expect_eq(decode(&wire_metadata_request, 9, raw, sizeof raw, &metadata), OUT_OK);
}

void test_booleans_are_any_byte(void)
{
    expect_eq(METADATA(4, "\377\377\377\377\177"), OUT_OK);
    expect_eq(metadata.allow_auto_topic_creation, true);
}

#define FETCH_HEAD \
    "\0\0\0\0" "\0\0\0\1" "\0\0\0\1" "\0" "\0\0\0\0" "\0\0\0\0" "\1" "\1" "\1"
#define FETCH(tags) \
    decode(&wire_fetch_request, 15, FETCH_HEAD tags, sizeof(FETCH_HEAD tags) - 1, &fetch)

void test_tagged_fields(void)
{
    expect_eq(FETCH("\0"), OUT_OK);
    expect(fetch.cluster_id.at == NULL);
    expect_eq(FETCH("\1\0\3\2id"), OUT_MALFORMED);   /* the size says 3, a string of 1 follows */
    expect_eq(FETCH("\1\0\2\2i"), OUT_OK);
    expect_eq(fetch.cluster_id.size, 1);
    expect_eq(FETCH("\1\0\1\2i"), OUT_MALFORMED);    /* size too small for the string */
    expect_eq(FETCH("\1\0\1\0"), OUT_OK);            /* null */
    expect_eq(FETCH("\2\0\2\2i\0\1\0"), OUT_OK);     /* twice: the last one counts */
    expect(fetch.cluster_id.at == NULL);
    expect_eq(FETCH("\2\11\3abc\0\2\2i"), OUT_OK);   /* in any order, an unknown one among them */
    expect_eq(FETCH("\1\11\4abc"), OUT_MALFORMED);
    expect_eq(FETCH("\1\11\377\377\377\377\17abc"), OUT_MALFORMED);
    expect_eq(FETCH("\3\11\0\11\0"), OUT_MALFORMED); /* fewer than counted */
    expect_eq(FETCH(""), OUT_MALFORMED);
}

void test_a_tagged_struct(void)
{
    expect_eq(FETCH("\1\1\15\0\0\0\5\0\0\0\0\0\0\0\6\0"), OUT_OK);
    expect_eq(fetch.replica_state.replica_id, 5);
    expect_eq(fetch.replica_state.replica_epoch, 6);
    expect_eq(FETCH("\1\1\14\0\0\0\5\0\0\0\0\0\0\0\6\0"), OUT_MALFORMED);
    expect_eq(FETCH("\1\1\16\0\0\0\5\0\0\0\0\0\0\0\6\0\0"), OUT_MALFORMED);
}

void test_the_limit_of_the_arena(void)
{
    static uint8_t raw[4 + 2 * 4096];
    put_be32(raw, 4096); /* topics with empty names */
    arena_init(&arena, KiB(16));
    expect_eq(wire_decode(&wire_metadata_request, 1, bytes_view(raw, sizeof raw), &arena, &metadata,
                          NULL), OUT_NO_MEMORY);
    arena_fini(&arena);
}

void test_nothing_at_all(void)
{
    struct bytes nothing = {NULL, 0};
    arena_init(&arena, KiB(64));
    expect_eq(wire_decode(&wire_metadata_request, 1, nothing, &arena, &metadata, &used),
              OUT_MALFORMED);
    struct api_versions_request versions; /* an empty body in versions 0 to 2 */
    expect_eq(wire_decode(&wire_api_versions_request, 0, nothing, &arena, &versions, &used),
              OUT_OK);
    expect_eq(used, 0);
    arena_fini(&arena);
}

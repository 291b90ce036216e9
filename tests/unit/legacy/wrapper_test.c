/* SPDX-License-Identifier: MIT */
/* Wrappers of old producers: what may be inside, what their offsets may be, and how much may come
 * out. */
#include "helper.h"

#include <sys/resource.h>

#define INSIDE(...) ((struct shape){__VA_ARGS__})

static const enum log_codec codecs[] = {LOG_GZIP, LOG_SNAPPY, LOG_LZ4};

static enum outcome up_wrapped(int magic, int64_t offset, const struct made *inner)
{
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        struct made m = {NULL, 0};
        wrap(&m, magic, codecs[i], offset, inner);
        enum outcome got = up(&m);
        expect(i == 0 || got == o);
        o = got;
        made_fini(&m);
    }
    return o;
}

void test_what_is_inside_is_checked_like_what_is_outside(void)
{
    struct made inner = {NULL, 0};
    for (int magic = 0; magic < 2; magic++) {
        inner.size = 0;
        expect_eq(up_wrapped(magic, 0, &inner), OUT_INVALID_RECORD); /* empty */
        make(&inner, INSIDE(magic, 0, 0, 5, bytes_of("k"), bytes_of("v")));
        size_t second = make(&inner, INSIDE(magic, 0, 1, 5, NOBODY, bytes_of("value")));
        expect_eq(up_wrapped(magic, 1, &inner), OUT_OK);
        inner.at[inner.size - 1] ^= 1;
        expect_eq(up_wrapped(magic, 1, &inner), OUT_CORRUPT_MESSAGE);
        put_be32(inner.at + inner.size - 9, 6);
        seal(&inner, second);
        expect_eq(up_wrapped(magic, 1, &inner), OUT_CORRUPT_MESSAGE); /* its length */
        made_fini(&inner);
    }
}

void test_wrappers_do_not_nest(void)
{
    struct made inner = {NULL, 0}, middle = {NULL, 0};
    for (int magic = 0; magic < 2; magic++) {
        inner.size = middle.size = 0;
        make(&inner, INSIDE(magic, 0, 0, 5, bytes_of("k"), bytes_of("v")));
        wrap(&middle, magic, LOG_GZIP, 0, &inner);
        expect_eq(up_wrapped(magic, 0, &middle), OUT_INVALID_RECORD);
    }
    made_fini(&inner);
    made_fini(&middle);
}

void test_the_magic_inside_is_the_wrappers(void)
{
    struct made inner = {NULL, 0};
    make(&inner, INSIDE(0, 0, 0, 5, bytes_of("k"), bytes_of("v")));
    expect_eq(up_wrapped(0, 0, &inner), OUT_OK);
    expect_eq(up_wrapped(1, 0, &inner), OUT_INVALID_RECORD);
    inner.at[16] = 200;
    seal(&inner, 0);
    expect_eq(up_wrapped(0, 0, &inner), OUT_INVALID_RECORD);
    made_fini(&inner);
}

void test_a_wrapper_is_alone_in_its_set(void)
{
    struct made inner = {NULL, 0}, m = {NULL, 0};
    make(&inner, INSIDE(1, 0, 0, 5, bytes_of("k"), bytes_of("v")));
    wrap(&m, 1, LOG_GZIP, 0, &inner);
    expect_eq(up(&m), OUT_OK);
    size_t one = m.size;
    make_bytes(&m, bytes_of("the beginning of another")); /* its length is nonsense */
    put_be32(m.at + one + 8, 5000);
    m.at[one + 16] = 1;
    expect_eq(up(&m), OUT_OK);
    m.size = one;
    wrap(&m, 1, LOG_GZIP, 1, &inner);
    expect_eq(up(&m), OUT_INVALID_RECORD);
    m.size = one;
    make(&m, INSIDE(1, 0, 1, 5, NOBODY, bytes_of("plain")));
    expect_eq(up(&m), OUT_INVALID_RECORD);
    made_fini(&inner);
    made_fini(&m);
}

void test_offsets_of_wrappers(void)
{
    struct made inner = {NULL, 0};
    for (int64_t i = 0; i < 3; i++)
        make(&inner, INSIDE(1, 0, i, 5, NOBODY, bytes_of("v")));
    expect_eq(up_wrapped(1, 2, &inner), OUT_OK);
    expect_eq(up_wrapped(1, 0, &inner), OUT_OK); /* some clients always write 0 */
    expect_eq(up_wrapped(1, 500, &inner), OUT_OK);
    expect_eq(up_wrapped(1, 1, &inner), OUT_INVALID_RECORD);
    expect_eq(up_wrapped(1, -1, &inner), OUT_INVALID_RECORD);
    made_fini(&inner);
    for (int64_t i = 0; i < 3; i++)
        make(&inner, INSIDE(0, 0, INT64_MAX - i, 5, NOBODY, bytes_of("v")));
    expect_eq(up_wrapped(0, -7, &inner), OUT_OK); /* absolute ones mean nothing yet */
    made_fini(&inner);
}

void test_what_is_cut_off_inside_is_left_out(void)
{
    struct made inner = {NULL, 0};
    make(&inner, INSIDE(1, 0, 0, 5, bytes_of("k"), bytes_of("v")));
    size_t one = inner.size;
    make(&inner, INSIDE(1, 0, 1, 5, bytes_of("k"), bytes_of("v")));
    for (size_t size = 0; size < inner.size; size++) {
        struct made part = {inner.at, size};
        expect_eq(up_wrapped(1, 1, &part), size < one ? OUT_INVALID_RECORD : OUT_OK);
    }
    made_fini(&inner);
}

/* The checksum of an LZ4 frame's header is a matter of the magic. */
void test_lz4_frames_of_magic_0_may_have_the_wrong_checksum(void)
{
    struct made inner = {NULL, 0}, m = {NULL, 0};
    for (int magic = 0; magic < 2; magic++) {
        inner.size = m.size = 0;
        make(&inner, INSIDE(magic, 0, 0, 5, bytes_of("k"), bytes_of("v")));
        wrap(&m, magic, LOG_LZ4, 0, &inner);
        size_t frame = magic == 0 ? 26 : 34;
        expect_eq(get_be32(m.at + frame), 0x04224d18);
        m.at[frame + 6] ^= 0x55;
        seal(&m, 0);
        expect_eq(up(&m), magic == 0 ? OUT_OK : OUT_BAD_COMPRESSION);
        m.at[frame + 4] = 0; /* the version, under the checksum */
        seal(&m, 0);
        expect_eq(up(&m), OUT_BAD_COMPRESSION);
    }
    made_fini(&inner);
    made_fini(&m);
}

/* Ten gigabytes of zeros in ten megabytes: `part` again and again. */
static struct made bomb(enum log_codec codec, size_t size)
{
    struct made b = {NULL, 0};
    uint8_t *zeros = calloc(1, MiB(64)), *part;
    size_t part_size;
    expect(zeros != NULL);
    expect_eq(log_compress(codec, 1, bytes_view(zeros, MiB(64)), &part, &part_size), OUT_OK);
    while (b.size < size)
        make_bytes(&b, bytes_view(part, part_size));
    free(part);
    free(zeros);
    return b;
}

static size_t peak_bytes(void)
{
    struct rusage u;
    expect(getrusage(RUSAGE_SELF, &u) == 0);
    return (size_t)u.ru_maxrss * 1024;
}

static void explode(enum log_codec codec)
{
    struct made b = bomb(codec, MiB(10)), m = {NULL, 0};
    make(&m, INSIDE(1, (int)codec, 0, 5, NOBODY, {b.at, b.size}));
    made_fini(&b);
    size_t before = peak_bytes();
    uint8_t *batch;
    size_t size;
    expect_eq(legacy_up((struct bytes){m.at, m.size}, MiB(20), &batch, &size),
              OUT_MESSAGE_TOO_LARGE);
    expect(batch == NULL);
    expect(peak_bytes() - before < 3 * LEGACY_INFLATED_MAX);
    made_fini(&m);
}

void test_ten_gigabytes_in_gzip_cost_what_the_limit_says(void)
{
    explode(LOG_GZIP);
}

void test_gigabytes_in_lz4_and_snappy_cost_what_the_limit_says(void)
{
    explode(LOG_LZ4);
    explode(LOG_SNAPPY);
}

void test_a_message_above_the_topics_limit_is_refused(void)
{
    struct made m = {NULL, 0}, inner = {NULL, 0};
    uint8_t *batch, value[1000] = {0};
    size_t size;
    make(&m, INSIDE(1, 0, 0, 5, NOBODY, {value, sizeof value}));
    struct bytes set = {m.at, m.size};
    expect_eq(legacy_up(set, (int32_t)m.size, &batch, &size), OUT_OK);
    free(batch);
    expect_eq(legacy_up(set, (int32_t)m.size - 1, &batch, &size), OUT_MESSAGE_TOO_LARGE);
    expect_eq(legacy_up(set, -1, &batch, &size), OUT_MESSAGE_TOO_LARGE);
    /* what counts is the size of the wrapper; the batch is looked at by the log */
    make_bytes(&inner, set);
    m.size = 0;
    wrap(&m, 1, LOG_GZIP, 0, &inner);
    expect_eq(legacy_up((struct bytes){m.at, m.size}, 200, &batch, &size), OUT_OK);
    free(batch);
    made_fini(&m);
    made_fini(&inner);
}

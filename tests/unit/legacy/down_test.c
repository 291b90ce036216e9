/* SPDX-License-Identifier: MIT */
/*
 * Stored batches become message sets: byte for byte what Kafka's own conversion makes of them, or,
 * where a compressor had its say, the same messages in the same wrappers.
 */
#include "helper.h"

/* What the codec made differs; everything around it, and what comes out, must not. */
static void compare_wrapper(const struct log_batch *ours, const struct log_batch *theirs)
{
    size_t head = ours->magic == 0 ? 18 : 26, sizes[2];
    const struct log_batch *both[2] = {ours, theirs};
    uint8_t *inner[2];
    expect_eq(ours->last_offset, theirs->last_offset);
    expect_eq(ours->max_timestamp, theirs->max_timestamp);
    for (int i = 0; i < 2; i++) {
        struct bytes value = {both[i]->at + head + 8, both[i]->size - head - 8};
        enum log_codec codec = (enum log_codec)(both[i]->attributes & LOG_ATTR_CODEC);
        expect_eq(get_be32(both[i]->at + head), UINT32_MAX);
        expect_eq(get_be32(both[i]->at + head + 4), value.size);
        if (codec == LOG_LZ4 && ours->magic == 0) {
            /* no reader but an old one takes the frame as it stands */
            expect_eq(log_decompress(codec, value, MiB(1), &inner[i], &sizes[i]),
                      OUT_BAD_COMPRESSION);
            uint8_t *frame = malloc(value.size);
            memcpy(frame, value.at, value.size);
            expect(frame[4] == 0x60 && frame[5] == 0x40);
            frame[6] = 130; /* the right one of this header */
            expect_eq(log_decompress(codec, bytes_view(frame, value.size), MiB(1), &inner[i],
                                     &sizes[i]), OUT_OK);
            free(frame);
        } else {
            expect_eq(log_decompress(codec, value, MiB(1), &inner[i], &sizes[i]), OUT_OK);
        }
    }
    if ((ours->attributes & LOG_ATTR_CODEC) == LOG_LZ4)
        expect(memcmp(ours->at + head + 8, theirs->at + head + 8, 7) == 0);
    expect(bytes_equal(bytes_view(inner[0], sizes[0]), bytes_view(inner[1], sizes[1])));
    free(inner[0]);
    free(inner[1]);
}

static void compare_sets(struct bytes ours, struct bytes theirs, int *exact)
{
    struct log_batch a, b;
    while (log_batch_next(&theirs, &b) == OUT_OK) {
        expect_eq(log_batch_next(&ours, &a), OUT_OK);
        expect(log_batch_crc_good(&a));
        expect_eq(a.magic, b.magic);
        expect_eq(a.attributes, b.attributes);
        if ((a.attributes & LOG_ATTR_CODEC) != LOG_NONE) {
            compare_wrapper(&a, &b);
            continue;
        }
        expect(bytes_equal(bytes_view(a.at, a.size), bytes_view(b.at, b.size)));
        ++*exact;
    }
    expect(ours.size == 0 && theirs.size == 0);
}

static void check_golden(const json_t *line, int *exact)
{
    size_t size, set_size;
    uint8_t *stored = unhex(text_of(line, "stored"), &size);
    uint8_t *theirs = unhex(text_of(line, "set"), &set_size);
    struct bytes rest = {stored, size};
    struct legacy_set set;
    struct log_batch b;
    enum outcome o = OUT_OK;
    legacy_set_init(&set, (int)number_of(line, "magic"));
    while (o == OUT_OK && log_batch_next(&rest, &b) == OUT_OK)
        o = legacy_set_add(&set, &b, number_of(line, "first"));
    if (strcmp(text_of(line, "failed"), "UnsupportedCompressionTypeException") == 0) {
        expect_eq(o, OUT_UNSUPPORTED_COMPRESSION);
        expect_eq(set.size, 0);
    } else {
        if (o != OUT_OK)
            printf("# %s: %s\n", text_of(line, "name"), outcome_name(o));
        expect_eq(o, OUT_OK);
        expect_eq(rest.size, 0);
        compare_sets((struct bytes){set.at, set.size}, (struct bytes){theirs, set_size}, exact);
    }
    legacy_set_fini(&set);
    free(stored);
    free(theirs);
}

void test_batches_become_the_sets_that_kafkas_classes_make(void)
{
    gzFile f = vectors_open("message-sets.jsonl.gz");
    json_t *line;
    int lines = 0, exact = 0;
    while ((line = vectors_next(f)) != NULL) {
        if (strcmp(text_of(line, "what"), "down") == 0) {
            check_golden(line, &exact);
            lines++;
        }
        json_decref(line);
    }
    gzclose(f);
    expect_eq(lines, 310);
    expect(exact > 500);
}

static struct log_batch build(struct log_builder *b, int32_t count)
{
    struct log_builder_end end = log_builder_plain();
    struct log_batch batch;
    uint8_t *at;
    size_t size;
    log_builder_init(b, MiB(1));
    for (int32_t i = 0; i < count; i++)
        log_builder_add(b, 5 + i, bytes_of("key"), bytes_of("value"), NULL, 0);
    end.base_offset = 10;
    expect_eq(log_builder_finish(b, &end, &at, &size), OUT_OK);
    struct bytes rest = {at, size};
    expect_eq(log_batch_next(&rest, &batch), OUT_OK);
    return batch;
}

void test_a_damaged_batch_leaves_the_set_as_it_was(void)
{
    struct log_builder builder;
    struct legacy_set set;
    struct log_batch b = build(&builder, 20);
    legacy_set_init(&set, 1);
    expect_eq(legacy_set_add(&set, &b, 0), OUT_OK);
    size_t size = set.size;
    uint8_t *at = builder.at;
    at[b.size - 7] ^= 0x7f; /* the length of the last value */
    expect_eq(legacy_set_add(&set, &b, 0), OUT_INVALID_RECORD);
    expect_eq(set.size, size);
    for (int codec = LOG_GZIP; codec <= LOG_LZ4; codec++) {
        b.attributes = (int16_t)codec;
        expect(legacy_set_add(&set, &b, 0) != OUT_OK);
        expect_eq(set.size, size);
    }
    legacy_set_fini(&set);
    log_builder_fini(&builder);
}

void test_what_is_below_the_first_offset_is_left_out(void)
{
    struct log_builder builder;
    struct log_batch b = build(&builder, 5);
    for (int64_t first = 9; first < 17; first++) {
        struct legacy_set set;
        legacy_set_init(&set, 1);
        expect_eq(legacy_set_add(&set, &b, first), OUT_OK);
        int64_t want = first < 10 ? 5 : first > 14 ? 0 : 15 - first;
        expect_eq(set.size, want * (26 + 8 + 8));
        if (want > 0)
            expect_eq(get_be64(set.at), first < 10 ? 10 : first);
        legacy_set_fini(&set);
    }
    log_builder_fini(&builder);
}

void test_a_beginning_goes_in_as_it_is(void)
{
    struct legacy_set set;
    legacy_set_init(&set, 0);
    expect_eq(legacy_set_put(&set, bytes_of("begin")), OUT_OK);
    expect_eq(legacy_set_put(&set, bytes_of("")), OUT_OK);
    expect_eq(legacy_set_put(&set, bytes_of("ning")), OUT_OK);
    expect(bytes_is(bytes_view(set.at, set.size), "beginning"));
    legacy_set_fini(&set);
    expect(set.at == NULL && set.size == 0);
}

/* A batch that packs well is not unpacked without end. */
void test_a_stored_bomb_is_refused(void)
{
    uint8_t *zeros = calloc(1, LEGACY_INFLATED_MAX + MiB(1)), *packed;
    size_t size;
    struct legacy_set set;
    struct log_builder builder;
    struct log_batch b = build(&builder, 1);
    expect_eq(log_compress(LOG_GZIP, 1, bytes_view(zeros, LEGACY_INFLATED_MAX + MiB(1)), &packed,
                           &size), OUT_OK);
    uint8_t *at = malloc(LOG_BATCH_HEADER + size);
    memcpy(at, b.at, LOG_BATCH_HEADER);
    memcpy(at + LOG_BATCH_HEADER, packed, size);
    put_be32(at + 8, (uint32_t)(LOG_BATCH_HEADER - LOG_BATCH_OVERHEAD + size));
    at[22] = LOG_GZIP;
    struct bytes rest = {at, LOG_BATCH_HEADER + size};
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    legacy_set_init(&set, 1);
    expect_eq(legacy_set_add(&set, &b, 0), OUT_TOO_LARGE);
    expect_eq(set.size, 0);
    legacy_set_fini(&set);
    log_builder_fini(&builder);
    free(at);
    free(packed);
    free(zeros);
}

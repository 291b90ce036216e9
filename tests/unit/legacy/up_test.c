/* SPDX-License-Identifier: MIT */
/*
 * Message sets of old producers become batches: sets that Kafka's own classes wrote give the
 * records that its reader gives; broken ones are refused, each for its reason.
 */
#include "helper.h"

#define INSIDE(...) ((struct shape){__VA_ARGS__})

static void compare(const struct log_batch *b, const json_t *list)
{
    struct log_records walk;
    struct log_record r;
    size_t i;
    json_t *v;
    expect_eq(b->count, json_array_size(list));
    expect_eq(log_records_begin(&walk, b, LEGACY_INFLATED_MAX), OUT_OK);
    json_array_foreach(list, i, v) {
        expect_eq(log_records_next(&walk, &r), OUT_OK);
        expect_eq(r.offset, i);
        expect_eq(r.timestamp, json_integer_value(json_array_get(v, 1)));
        expect(same_bytes(r.key, json_array_get(v, 2)));
        expect(same_bytes(r.value, json_array_get(v, 3)));
        expect_eq(r.header_count, 0);
    }
    expect_eq(log_records_next(&walk, &r), OUT_END);
    log_records_fini(&walk);
}

static void check_golden(const json_t *line)
{
    uint8_t *batch;
    size_t size, batch_size;
    uint8_t *set = unhex(text_of(line, "set"), &size);
    struct log_batch b;
    enum outcome o = legacy_up((struct bytes){set, size}, BIG, &batch, &batch_size);
    if (o != OUT_OK)
        printf("# %s: %s\n", text_of(line, "name"), outcome_name(o));
    expect_eq(o, OUT_OK);
    struct bytes rest = {batch, batch_size};
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    expect_eq(rest.size, 0);
    expect(b.magic == 2 && b.base_offset == 0 && log_batch_crc_good(&b));
    expect(b.producer_id == -1 && b.producer_epoch == -1 && b.base_sequence == -1);
    expect_str(log_codec_name((enum log_codec)(b.attributes & LOG_ATTR_CODEC)),
               text_of(line, "codec"));
    expect_eq((b.attributes & LOG_ATTR_APPEND_TIME) != 0,
              json_is_true(json_object_get(line, "append_time")));
    compare(&b, json_object_get(line, "records"));
    free(batch);
    free(set);
}

void test_sets_of_kafkas_classes_become_the_same_records(void)
{
    gzFile f = vectors_open("message-sets.jsonl.gz");
    json_t *line;
    int lines = 0;
    while ((line = vectors_next(f)) != NULL) {
        if (strcmp(text_of(line, "what"), "up") == 0) {
            check_golden(line);
            lines++;
        }
        json_decref(line);
    }
    gzclose(f);
    expect_eq(lines, 184);
}

void test_a_set_may_be_cut_anywhere(void)
{
    gzFile f = vectors_open("message-sets.jsonl.gz");
    json_t *line;
    int cuts = 0;
    while ((line = vectors_next(f)) != NULL) {
        size_t size;
        uint8_t *set = unhex(text_of(line, "set"), &size);
        bool wanted = strcmp(text_of(line, "what"), "up") == 0 && size < 800;
        for (size_t cut = 0; wanted && cut < size; cut++, cuts++) {
            struct made part = {set, cut};
            enum outcome o = up(&part);
            bool plain = strcmp(text_of(line, "codec"), "none") == 0;
            expect(o == OUT_END || (plain && o == OUT_OK));
        }
        free(set);
        json_decref(line);
    }
    gzclose(f);
    expect(cuts > 10000);
}

void test_every_changed_byte_behind_the_length_is_found(void)
{
    for (int magic = 0; magic < 2; magic++) {
        struct made m = {NULL, 0};
        make(&m, INSIDE(magic, 0, 0, 5, bytes_of("key"), bytes_of("value")));
        expect_eq(up(&m), OUT_OK);
        for (size_t i = 12; i < m.size; i++) {
            for (int bit = 0; bit < 8; bit++) {
                m.at[i] ^= (uint8_t)(1 << bit);
                enum outcome o = up(&m);
                /* magic 2 is another kind of set */
                expect(o == OUT_CORRUPT_MESSAGE || (i == 16 && o == OUT_INVALID_RECORD));
                m.at[i] ^= (uint8_t)(1 << bit);
            }
        }
        made_fini(&m);
    }
}

void test_nothing_whole_is_no_error(void)
{
    struct made m = {NULL, 0};
    expect_eq(up(&m), OUT_END);
    make_number(&m, 0, 8);
    make_number(&m, 1000, 4);
    expect_eq(up(&m), OUT_END);
    make_number(&m, 0, 4);
    make_number(&m, 3, 1);
    expect_eq(up(&m), OUT_CORRUPT_MESSAGE); /* a magic that there is not */
    m.at[16] = 1;
    expect_eq(up(&m), OUT_END);
    expect_eq(legacy_magic((struct bytes){m.at, m.size}), 1);
    expect_eq(legacy_magic((struct bytes){m.at, 16}), -1);
    put_be32(m.at + 8, 13);
    expect_eq(up(&m), OUT_CORRUPT_MESSAGE);
    put_be32(m.at + 8, UINT32_MAX);
    expect_eq(up(&m), OUT_CORRUPT_MESSAGE);
    made_fini(&m);
}

/* A message whose key or value claims more than there is, under a right checksum. */
void test_lengths_are_compared_with_the_message(void)
{
    for (int magic = 0; magic < 2; magic++) {
        static const uint32_t lengths[] = {6, 100, INT32_MAX};
        size_t head = magic == 0 ? 18 : 26;
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            for (int of_value = 0; of_value < 2; of_value++) {
                struct made m = {NULL, 0};
                make(&m, INSIDE(magic, 0, 0, 5, bytes_of(""), bytes_of("value")));
                put_be32(m.at + head + (of_value ? 4 : 0), lengths[i]);
                seal(&m, 0);
                expect_eq(up(&m), OUT_CORRUPT_MESSAGE);
                made_fini(&m);
            }
        }
    }
    struct made m = {NULL, 0}; /* magic 1 needs 8 bytes more than the least */
    make(&m, INSIDE(0, 0, 0, 0, NOBODY, NOBODY));
    m.at[16] = 1;
    seal(&m, 0);
    expect_eq(up(&m), OUT_CORRUPT_MESSAGE);
    made_fini(&m);
}

void test_what_stands_behind_a_value_is_ignored(void)
{
    struct made m = {NULL, 0};
    make(&m, INSIDE(1, 0, 0, 5, bytes_of("k"), bytes_of("v")));
    make_bytes(&m, bytes_of("more"));
    seal(&m, 0);
    expect_eq(up(&m), OUT_OK);
    made_fini(&m);
}

void test_a_set_is_of_one_magic(void)
{
    struct made m = {NULL, 0};
    make(&m, INSIDE(1, 0, 0, 5, NOBODY, bytes_of("v")));
    make(&m, INSIDE(0, 0, 1, 5, NOBODY, bytes_of("v")));
    expect_eq(up(&m), OUT_INVALID_RECORD);
    m.size = 0;
    make(&m, INSIDE(0, 0, 0, 5, NOBODY, bytes_of("v")));
    make(&m, INSIDE(2, 0, 1, 5, NOBODY, bytes_of("v")));
    expect_eq(up(&m), OUT_INVALID_RECORD);
    made_fini(&m);
}

void test_attributes_that_can_not_be(void)
{
    static const struct {
        int codec;
        enum outcome want;
    } cases[] = {{LOG_ZSTD, OUT_INVALID_RECORD}, {5, OUT_BAD_COMPRESSION},
                 {7, OUT_BAD_COMPRESSION}, {LOG_GZIP, OUT_BAD_COMPRESSION},
                 {LOG_SNAPPY, OUT_BAD_COMPRESSION}, {LOG_LZ4, OUT_BAD_COMPRESSION}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int magic = 0; magic < 2; magic++) {
            struct made m = {NULL, 0};
            struct bytes junk = bytes_of("\xff\xff\xff\xff junk");
            make(&m, INSIDE(magic, cases[i].codec, 0, 5, NOBODY, junk));
            expect_eq(up(&m), cases[i].want);
            made_fini(&m);
        }
    }
    struct made m = {NULL, 0};
    make(&m, INSIDE(1, LOG_GZIP, 0, 5, NOBODY, NOBODY));
    expect_eq(up(&m), OUT_INVALID_RECORD);
    m.size = 0;
    make(&m, INSIDE(1, 0, 0, -2, NOBODY, NOBODY));
    expect_eq(up(&m), OUT_INVALID_TIMESTAMP);
    m.size = 0;
    make(&m, INSIDE(1, 0, 0, -1, NOBODY, NOBODY));
    expect_eq(up(&m), OUT_OK);
    made_fini(&m);
}

/* SPDX-License-Identifier: MIT */
/*
 * Record batches against vectors that Kafka's own classes wrote (batches.jsonl): good ones decode
 * to the same headers and records, uncompressed ones are built again to the same bytes; bad ones
 * are refused, each for its reason. And the builder against the reader.
 */
#include "helper.h"
#include "vectors.h"

#define LIMIT MiB(64)

static void compare_header(const struct log_batch *b, const json_t *v)
{
    static const char *const crc_keys[] = {"crc32", "crc32", "crc32c"};
    expect_eq(b->magic, number_of(v, "magic"));
    expect_eq(b->size, number_of(v, "sizeInBytes"));
    expect_eq(b->crc, number_of(v, crc_keys[b->magic]));
    expect_eq(b->last_offset, number_of(v, "lastOffset"));
    expect_eq(b->max_timestamp, number_of(v, "maxTimestamp"));
    expect_str(log_codec_name((enum log_codec)(b->attributes & LOG_ATTR_CODEC)),
               text_of(v, "codec"));
    expect(log_batch_crc_good(b));
    if (b->magic < 2)
        return;
    expect_eq(b->base_offset, number_of(v, "baseOffset"));
    expect_eq(b->leader_epoch, number_of(v, "partitionLeaderEpoch"));
    expect_eq(b->producer_id, number_of(v, "producerId"));
    expect_eq(b->producer_epoch, number_of(v, "producerEpoch"));
    expect_eq(b->base_sequence, number_of(v, "baseSequence"));
    expect_eq(b->count, number_of(v, "count"));
    expect_eq((b->attributes & LOG_ATTR_TXN) != 0,
              json_is_true(json_object_get(v, "isTransactional")));
    expect_eq((b->attributes & LOG_ATTR_CONTROL) != 0,
              json_is_true(json_object_get(v, "isControl")));
    expect_eq((b->attributes & LOG_ATTR_DELETE_HORIZON) != 0,
              json_object_get(v, "deleteHorizonMs") != NULL);
}

static void compare_headers(const struct log_record *r, const json_t *list)
{
    struct bytes rest = r->headers;
    struct log_header h;
    size_t i;
    json_t *v;
    if (list == NULL) {
        expect_eq(r->header_count, 0);
        return;
    }
    expect_eq(r->header_count, json_array_size(list));
    json_array_foreach(list, i, v) {
        expect(log_header_next(&rest, &h));
        expect(bytes_is(h.key, text_of(v, "key")));
        expect(same_bytes(h.value, json_object_get(v, "value")));
    }
    expect(!log_header_next(&rest, &h));
}

static int compare_records(const struct log_batch *b, const json_t *list)
{
    struct log_records walk;
    struct log_record r;
    size_t i;
    json_t *v;
    expect_eq(log_records_begin(&walk, b, LIMIT), OUT_OK);
    json_array_foreach(list, i, v) {
        expect_eq(log_records_next(&walk, &r), OUT_OK);
        expect_eq(r.offset, number_of(v, "offset"));
        expect_eq(r.timestamp, number_of(v, "timestamp"));
        expect(same_bytes(r.key, json_object_get(v, "key")));
        expect(same_bytes(r.value, json_object_get(v, "value")));
        compare_headers(&r, json_object_get(v, "headers"));
    }
    expect_eq(log_records_next(&walk, &r), OUT_END);
    log_records_fini(&walk);
    return (int)json_array_size(list);
}

/* Builds an uncompressed batch again from its records: the same bytes. */
static bool rebuild(const struct log_batch *b)
{
    struct log_builder builder;
    struct log_records walk;
    struct log_record r;
    struct log_header headers[16];
    int other = LOG_ATTR_CODEC | LOG_ATTR_APPEND_TIME | LOG_ATTR_DELETE_HORIZON;
    if (b->magic != 2 || (b->attributes & other) != 0 || b->count == 0 ||
        b->last_offset - b->base_offset + 1 != b->count)
        return false;
    log_builder_init(&builder, LIMIT);
    expect_eq(log_records_begin(&walk, b, LIMIT), OUT_OK);
    while (log_records_next(&walk, &r) == OUT_OK) {
        struct bytes rest = r.headers;
        for (int32_t i = 0; i < r.header_count; i++)
            expect(log_header_next(&rest, &headers[i]));
        log_builder_add(&builder, r.timestamp, r.key, r.value, headers, r.header_count);
    }
    struct log_builder_end end = {b->base_offset,    b->leader_epoch, b->producer_id,
                                  b->producer_epoch, b->base_sequence, b->attributes};
    uint8_t *at;
    size_t size;
    expect_eq(log_builder_finish(&builder, &end, &at, &size), OUT_OK);
    expect_eq(size, b->size);
    expect(memcmp(at, b->at, size) == 0);
    log_builder_fini(&builder);
    return true;
}

void test_good_batches_decode_and_encode_to_the_same(void)
{
    gzFile f = vectors_open("batches.jsonl.gz");
    int lines = 0, batches = 0, records = 0, rebuilt = 0;
    json_t *line, *v;
    while ((line = vectors_next(f)) != NULL) {
        size_t size, i;
        json_t *list = json_object_get(line, "batches");
        if (list != NULL) {
            uint8_t *at = unhex(text_of(line, "hex"), &size);
            struct bytes rest = {at, size};
            struct log_batch b;
            json_array_foreach(list, i, v) {
                if (log_batch_next(&rest, &b) != OUT_OK)
                    printf("# %s\n", text_of(line, "name"));
                expect(b.at + b.size == rest.at);
                compare_header(&b, v);
                records += compare_records(&b, json_object_get(v, "records"));
                rebuilt += rebuild(&b);
                batches++;
            }
            expect_eq(log_batch_next(&rest, &b), OUT_MORE);
            free(at);
            lines++;
        }
        json_decref(line);
    }
    gzclose(f);
    expect_eq(lines, 107);
    expect(batches > 110 && records > 2000 && rebuilt >= 10);
}

/* How a reader of stored data ends with the bytes. */
static enum outcome read_whole(uint8_t *at, size_t size)
{
    struct bytes rest = {at, size};
    struct log_batch b;
    struct log_records walk;
    struct log_record r;
    enum outcome o = log_batch_next(&rest, &b);
    if (o != OUT_OK)
        return o;
    if (!log_batch_crc_good(&b))
        return OUT_CORRUPT_MESSAGE;
    o = log_records_begin(&walk, &b, LIMIT);
    while (o == OUT_OK)
        o = log_records_next(&walk, &r);
    log_records_fini(&walk);
    return o;
}

static enum outcome expected(const char *reader)
{
    if (strcmp(reader, "no complete batch") == 0)
        return OUT_MORE;
    if (strcmp(reader, "CorruptRecordException") == 0)
        return OUT_CORRUPT_MESSAGE;
    return strcmp(reader, "KafkaException") == 0 ? OUT_BAD_COMPRESSION : OUT_INVALID_RECORD;
}

void test_bad_batches_are_refused_each_for_its_reason(void)
{
    gzFile f = vectors_open("batches.jsonl.gz");
    int lines = 0;
    json_t *line;
    while ((line = vectors_next(f)) != NULL) {
        const char *reader = text_of(line, "reader"), *name = text_of(line, "name");
        if (reader != NULL) {
            size_t size;
            uint8_t *at = unhex(text_of(line, "hex"), &size);
            enum outcome o = read_whole(at, size), want = expected(reader);
            if (strstr(name, "codec-5") != NULL)
                want = OUT_BAD_COMPRESSION;
            if (strcmp(name, "bad-length-huge") == 0)
                want = OUT_MORE;
            if (o != want)
                printf("# %s: %s, expected %s\n", name, outcome_name(o), outcome_name(want));
            expect(o == want);
            free(at);
            lines++;
        }
        json_decref(line);
    }
    gzclose(f);
    expect_eq(lines, 51);
}

void test_every_cut_of_a_batch_is_more_or_an_error(void)
{
    gzFile f = vectors_open("batches.jsonl.gz");
    json_t *line;
    while ((line = vectors_next(f)) != NULL) {
        json_t *list = json_object_get(line, "batches");
        size_t size;
        uint8_t *at = unhex(text_of(line, "hex"), &size);
        if (list != NULL && json_array_size(list) == 1 && size < 300) {
            for (size_t cut = 0; cut < size; cut++) {
                uint8_t *part = malloc(cut + 1); /* a sanitizer sees reads behind it */
                memcpy(part, at, cut);
                expect_eq(read_whole(part, cut), OUT_MORE);
                free(part);
            }
        }
        free(at);
        json_decref(line);
    }
    gzclose(f);
}

void test_codecs_round_trip_and_respect_the_limit(void)
{
    uint8_t *from = malloc(MiB(1)), *packed, *to;
    size_t packed_size, size;
    static const size_t sizes[] = {1, 100, 65536, 70000, MiB(1)};
    for (size_t i = 0; i < MiB(1); i++)
        from[i] = (uint8_t)(i % 7 == 0 ? random_below(256) : i / 100);
    for (int codec = LOG_NONE; codec <= LOG_ZSTD; codec++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct bytes plain = {from, sizes[i]};
            expect_eq(log_compress((enum log_codec)codec, INT32_MIN, plain, &packed, &packed_size),
                      OUT_OK);
            struct bytes p = {packed, packed_size};
            expect_eq(log_decompress((enum log_codec)codec, p, sizes[i], &to, &size), OUT_OK);
            expect(bytes_equal(plain, bytes_view(to, size)));
            free(to);
            if (sizes[i] > 1)
                expect_eq(log_decompress((enum log_codec)codec, p, sizes[i] - 1, &to, &size),
                          OUT_TOO_LARGE);
            expect(to == NULL || sizes[i] == 1);
            free(packed);
        }
    }
    free(from);
}

void test_gzip_members_and_raw_snappy_are_understood(void)
{
    uint8_t *one, *to, both[256];
    size_t size, used;
    expect_eq(log_compress(LOG_GZIP, 1, bytes_of("hello "), &one, &size), OUT_OK);
    memcpy(both, one, size);
    memcpy(both + size, one, size);
    expect_eq(log_decompress(LOG_GZIP, bytes_view(both, 2 * size), 100, &to, &used), OUT_OK);
    expect(bytes_is(bytes_view(to, used), "hello hello "));
    free(one);
    free(to);
    /* raw snappy: length 5, literal of 5 */
    expect_eq(log_decompress(LOG_SNAPPY, bytes_of("\x05\x10hello"), 100, &to, &used), OUT_OK);
    expect(bytes_is(bytes_view(to, used), "hello"));
    free(to);
    /* a claimed length of 4 GiB allocates nothing */
    expect_eq(log_decompress(LOG_SNAPPY, bytes_of("\xff\xff\xff\xff\x0f\x10hello"), SIZE_MAX, &to,
                             &used),
              OUT_BAD_COMPRESSION);
}

void test_a_builder_grows_fails_and_starts_again(void)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    uint8_t *at;
    size_t size;
    char value[1000];
    memset(value, 'x', sizeof value);
    log_builder_init(&b, 3000);
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_INVALID);
    for (int i = 0; i < 4; i++)
        log_builder_add(&b, 1, bytes_view(NULL, 0), bytes_view(value, sizeof value), NULL, 0);
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_TOO_LARGE);
    log_builder_reset(&b);
    log_builder_add(&b, 5, bytes_of("k"), bytes_view(NULL, 0), NULL, 0);
    log_builder_add(&b, 3, bytes_of("k"), bytes_of(""), NULL, 0);
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    struct bytes rest = {at, size};
    struct log_batch batch;
    expect_eq(log_batch_next(&rest, &batch), OUT_OK);
    expect_eq(batch.base_timestamp, 5);
    expect_eq(batch.max_timestamp, 5);
    expect_eq(batch.producer_id, -1);
    struct log_records walk;
    struct log_record r;
    expect_eq(log_records_begin(&walk, &batch, LIMIT), OUT_OK);
    expect_eq(log_records_next(&walk, &r), OUT_OK);
    expect(r.value.at == NULL && r.timestamp == 5);
    expect_eq(log_records_next(&walk, &r), OUT_OK);
    expect(r.value.at != NULL && r.value.size == 0 && r.timestamp == 3);
    log_records_fini(&walk);
    log_builder_reset(&b);
    log_builder_marker(&b, 7, LOG_MARKER_COMMIT, 9);
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    expect_eq(size, 78); /* as Kafka's own marker */
    log_builder_fini(&b);
}

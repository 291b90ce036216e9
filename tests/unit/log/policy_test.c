/* SPDX-License-Identifier: MIT */
/* Settings of a log that decide when a segment ends, and what its files are like. */
#include "helper.h"

static int64_t file_size(const struct scratch *s, int64_t base, const char *suffix)
{
    char path[400];
    struct stat st;
    snprintf(path, sizeof path, "%s/%020lld.%s", s->dir, (long long)base, suffix);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Appends one small record stamped `after` ms later than NOW. */
static void put_at(struct log *l, int64_t after)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW + after};
    log_builder_init(&b, KiB(4));
    log_builder_add(&b, NOW + after, bytes_of("k"), bytes_of("v"), NULL, 0);
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(l), &a, &done), OUT_OK);
    log_builder_fini(&b);
}

void test_a_full_index_ends_a_segment(void)
{
    struct scratch s;
    int64_t flushed;
    scratch_init(&s);
    s.open.options.index_interval_bytes = 1;
    s.open.options.segment_index_bytes = 80; /* 10 entries of offsets, 6 of times */
    scratch_open(&s);
    for (int i = 0; i < 60; i++)
        put_at(s.log, i);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    struct store_stat st = stat_of(s.log);
    expect(st.segment_count >= 6 && st.segment_count <= 15);
    scratch_close(&s, LOG_CLEAN);
    shell(s.dir, "for f in *.index *.timeindex; do [ $(stat -c %s $f) -le 80 ] || exit 1; done");
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 60);
    scratch_close(&s, LOG_CLEAN);
}

/* The age at which the segment that begins with the next record ends. */
static int64_t roll_age(struct scratch *s, int64_t *now)
{
    int32_t before = stat_of(s->log).segment_count;
    int64_t first = *now;
    while (stat_of(s->log).segment_count == before)
        put_at(s->log, *now += 10);
    return *now - first;
}

void test_jitter_ends_segments_at_different_ages(void)
{
    struct scratch s;
    int64_t now = 0, least = INT64_MAX, most = 0;
    scratch_init(&s);
    s.open.options.segment_ms = 1000;
    s.open.options.timestamp_after_max_ms = INT64_MAX;
    scratch_open(&s);
    put_at(s.log, 0);
    for (int i = 0; i < 5; i++)
        expect_eq(roll_age(&s, &now), 1010);
    s.open.options.segment_jitter_ms = 800;
    expect_eq(log_configure(s.log, &s.open.options), OUT_OK);
    roll_age(&s, &now);
    for (int i = 0; i < 30; i++) {
        int64_t age = roll_age(&s, &now);
        least = MIN(least, age);
        most = MAX(most, age);
    }
    expect(least >= 200 && least < 500);
    expect(most <= 1010 && most > 700);
    scratch_close(&s, LOG_CLEAN);
}

void test_deleted_files_stay_for_their_delay(void)
{
    struct scratch s;
    int32_t deleted;
    int64_t start;
    scratch_init(&s);
    s.open.options.file_delete_delay_ms = 5000;
    scratch_open(&s);
    put_at(s.log, 0);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    put_at(s.log, 1);
    expect_eq(store_trim(log_store(s.log), 1, &start), OUT_OK);
    expect_eq(log_retain(s.log, NOW + 100, &deleted), OUT_OK);
    expect_eq(deleted, 1);
    expect_eq(file_size(&s, 0, "log"), -1);
    expect(file_size(&s, 0, "log.deleted") > 0);
    expect_eq(log_retain(s.log, NOW + 5099, &deleted), OUT_OK);
    expect(file_size(&s, 0, "log.deleted") > 0);
    expect_eq(log_retain(s.log, NOW + 5100, &deleted), OUT_OK);
    expect_eq(file_size(&s, 0, "log.deleted"), -1);
    scratch_close(&s, LOG_CLEAN);
}

/* Bytes of a batch of words after it went through a log with this compression. */
static int64_t stored_size(enum log_codec codec, int32_t level)
{
    struct scratch s;
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW};
    char value[2000];
    scratch_init(&s);
    s.open.options.compression = codec;
    s.open.options.compression_level = level;
    scratch_open(&s);
    log_builder_init(&b, MiB(1));
    random_state = 5;
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizeof value; k += 4)
            memcpy(value + k, &"the cat sat on a mat or not "[4 * random_below(7)], 4);
        log_builder_add(&b, NOW, bytes_of("k"), bytes_view(value, sizeof value), NULL, 0);
    }
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(s.log), &a, &done), OUT_OK);
    int64_t size = stat_of(s.log).size_bytes;
    log_builder_fini(&b);
    scratch_close(&s, LOG_CLEAN);
    scratch_end();
    return size;
}

void test_levels_of_compression(void)
{
    expect(stored_size(LOG_GZIP, 9) < stored_size(LOG_GZIP, 1));
    expect_eq(stored_size(LOG_GZIP, -1), stored_size(LOG_GZIP, INT32_MIN));
    expect(stored_size(LOG_LZ4, 12) < stored_size(LOG_LZ4, 1));
    expect_eq(stored_size(LOG_LZ4, 9), stored_size(LOG_LZ4, INT32_MIN));
    expect(stored_size(LOG_ZSTD, 19) < stored_size(LOG_ZSTD, -50));
    expect_eq(stored_size(LOG_ZSTD, 3), stored_size(LOG_ZSTD, INT32_MIN));
}

void test_a_segment_takes_its_space_at_once(void)
{
    struct scratch s;
    struct stat st;
    char path[400];
    scratch_init(&s);
    s.open.options.preallocate = true;
    s.open.options.segment_bytes = MiB(1);
    scratch_open(&s);
    put_at(s.log, 0);
    snprintf(path, sizeof path, "%s/00000000000000000000.log", s.dir);
    expect(stat(path, &st) == 0);
    if (st.st_blocks * 512 < (int64_t)MiB(1))
        skip_case("this file system has no fallocate");
    expect(st.st_size < 100);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    expect(stat(path, &st) == 0 && st.st_blocks * 512 < (int64_t)KiB(64));
    put_at(s.log, 1);
    scratch_close(&s, LOG_CLEAN);
    snprintf(path, sizeof path, "%s/00000000000000000001.log", s.dir);
    expect(stat(path, &st) == 0 && st.st_blocks * 512 < (int64_t)KiB(64));
    expect(st.st_size > 0);
}

/* SPDX-License-Identifier: MIT */
/* Appending, reading, rolling, reopening: the ordinary life of a partition. */
#include "helper.h"

/* Every batch from `from` on, by views of at most `max_bytes`; returns the offset behind. */
static int64_t read_all(struct log *l, int64_t from, size_t max_bytes, int *batches)
{
    *batches = 0;
    for (;;) {
        struct store_view v;
        struct store_read r = {.offset = from, .limit_offset = INT64_MAX, .max_bytes = max_bytes};
        expect_eq(store_read(log_store(l), &r, &v), OUT_OK);
        if (v.size == 0)
            return from;
        uint8_t *bytes = view_bytes(&v);
        struct bytes rest = {bytes, v.size};
        struct log_batch b;
        expect(v.first_size <= v.size);
        for (bool first = true; log_batch_next(&rest, &b) == OUT_OK; first = false) {
            expect(!first || b.last_offset >= from);
            expect(first || b.base_offset == from);
            expect(log_batch_crc_good(&b));
            from = b.last_offset + 1;
            (*batches)++;
        }
        free(bytes);
        store_hold_drop(v.hold);
    }
}

void test_records_come_back_in_order_across_segments_and_restarts(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 20000;
    s.open.options.index_interval_bytes = 500;
    scratch_open(&s);
    int batches;
    int64_t next = 0;
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 200; i++) {
            int count = 1 + (int)random_below(5);
            expect_eq(append(s.log, i, count, 20 + random_below(200)), next);
            next += count;
        }
        expect_eq(stat_of(s.log).end_offset, next);
        expect(stat_of(s.log).segment_count > 3);
        expect_eq(read_all(s.log, 0, 1000, &batches), next);
        expect_eq(batches, 200 * (round + 1));
        for (int64_t from = 0; from < next; from += 37) {
            expect_eq(read_all(s.log, from, 1, &batches), next);
        }
        scratch_close(&s, round % 2 == 0 ? LOG_CLEAN : LOG_UNCLEAN);
        scratch_open(&s);
        struct log_recovered r;
        log_recovered(s.log, &r);
        expect_eq(r.bytes_truncated, 0);
        expect_eq(r.segments_scanned > 0, round % 2 == 1);
        expect_eq(stat_of(s.log).end_offset, next);
    }
    scratch_close(&s, LOG_CLEAN);
}

void test_a_view_is_cut_at_the_limit_but_for_the_first_batch(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 3, 1000);
    append(s.log, 2, 3, 1000);
    struct store_view v;
    struct store_read r = {.offset = 1, .limit_offset = INT64_MAX, .max_bytes = 10};
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, v.first_size);
    expect_eq(v.position, 0);
    size_t first = v.first_size;
    store_hold_drop(v.hold);
    r.least = STORE_CUT;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, 10);
    expect_eq(v.first_size, first);
    store_hold_drop(v.hold);
    r.max_bytes = first + 7;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, first + 7);
    store_hold_drop(v.hold);
    r.max_bytes = 1 << 20;
    r.limit_offset = 3; /* only the first batch is below it */
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, first);
    store_hold_drop(v.hold);
    r.limit_offset = 5; /* inside the second: not given */
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, first);
    store_hold_drop(v.hold);
    r.limit_offset = 2; /* inside the first */
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect_eq(v.size, 0);
    r.limit_offset = INT64_MAX;
    r.map = STORE_MAPPED;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    uint8_t *bytes = view_bytes(&v);
    expect(memcmp(bytes, v.at, v.size) == 0);
    free(bytes);
    store_hold_drop(v.hold);
    r.offset = 6;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect(v.size == 0 && v.hold == NULL && v.fd == -1);
    r.offset = 7;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OFFSET_OUT_OF_RANGE);
    r.offset = -1;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OFFSET_OUT_OF_RANGE);
    scratch_close(&s, LOG_CLEAN);
}

static bool done_at(struct log *l, int64_t offset, int64_t limit, size_t max_bytes)
{
    struct store_view v;
    struct store_read r = {.offset = offset, .limit_offset = limit, .max_bytes = max_bytes};
    expect_eq(store_read(log_store(l), &r, &v), OUT_OK);
    expect(v.size > 0);
    store_hold_drop(v.hold);
    return v.segment_done;
}

void test_a_view_tells_that_its_segment_is_done(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 3, 100);
    append(s.log, 2, 3, 100);
    expect(!done_at(s.log, 0, INT64_MAX, 100000)); /* the end of the log: more may come */
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    append(s.log, 3, 3, 100);
    expect(done_at(s.log, 0, INT64_MAX, 100000));
    expect(done_at(s.log, 3, INT64_MAX, 100000));
    expect(!done_at(s.log, 0, 3, 100000));      /* the limit lies before its end */
    expect(!done_at(s.log, 0, INT64_MAX, 10));  /* cut by the bytes wanted */
    expect(!done_at(s.log, 6, INT64_MAX, 100000));
    scratch_close(&s, LOG_CLEAN);
}

void test_a_mapped_view_sees_what_is_appended_later(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 1, 100);
    struct store_view v, w;
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1 << 20, .map = STORE_MAPPED};
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    append(s.log, 2, 1, 100);
    expect_eq(store_read(log_store(s.log), &r, &w), OUT_OK);
    expect(v.at == w.at);
    expect(w.size > v.size);
    struct bytes rest = {w.at, w.size};
    struct log_batch b;
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    expect_eq(b.base_offset, 1);
    expect(log_batch_crc_good(&b));
    store_hold_drop(v.hold);
    store_hold_drop(w.hold);
    scratch_close(&s, LOG_CLEAN);
}

void test_seek_finds_the_exact_record_by_time(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 5000;
    s.open.options.index_interval_bytes = 300;
    scratch_open(&s);
    struct store_place p;
    expect_eq(store_seek(log_store(s.log), NOW, &p), OUT_OK);
    expect_eq(p.offset, -1);
    expect_eq(store_seek(log_store(s.log), STORE_MAX_TIMESTAMP, &p), OUT_OK);
    expect_eq(p.offset, -1);
    for (uint32_t i = 0; i < 100; i++)
        append(s.log, i * 10, 2, 100);
    for (int reopen = 0; reopen < 2; reopen++) {
        for (int64_t i = 0; i < 100; i++) {
            expect_eq(store_seek(log_store(s.log), NOW + i * 10, &p), OUT_OK);
            expect_eq(p.offset, i * 2);
            expect_eq(p.timestamp, NOW + i * 10);
            expect_eq(store_seek(log_store(s.log), NOW + i * 10 - 3, &p), OUT_OK);
            expect_eq(p.offset, i * 2);
        }
        expect_eq(store_seek(log_store(s.log), NOW + 991, &p), OUT_OK);
        expect_eq(p.offset, -1);
        expect_eq(store_seek(log_store(s.log), STORE_MAX_TIMESTAMP, &p), OUT_OK);
        expect_eq(p.offset, 198);
        expect_eq(p.timestamp, NOW + 990);
        expect_eq(store_seek(log_store(s.log), STORE_LATEST, &p), OUT_OK);
        expect_eq(p.offset, 200);
        expect_eq(p.timestamp, -1);
        expect_eq(store_seek(log_store(s.log), STORE_EARLIEST, &p), OUT_OK);
        expect_eq(p.offset, 0);
        scratch_close(&s, LOG_CLEAN);
        scratch_open(&s);
    }
    int64_t start;
    expect_eq(store_trim(log_store(s.log), 101, &start), OUT_OK);
    expect_eq(store_seek(log_store(s.log), NOW, &p), OUT_OK);
    expect_eq(p.offset, 101);
    scratch_close(&s, LOG_CLEAN);
}

void test_trim_moves_the_start_and_retention_drops_what_is_below(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 3000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 50; i++)
        append(s.log, i, 2, 100);
    int64_t start;
    int32_t deleted;
    struct store_view v, held;
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1 << 20};
    expect_eq(store_read(log_store(s.log), &r, &held), OUT_OK);
    uint8_t *before = view_bytes(&held);
    expect_eq(store_trim(log_store(s.log), 101, &start), OUT_OFFSET_OUT_OF_RANGE);
    expect_eq(store_trim(log_store(s.log), -1, &start), OUT_OFFSET_OUT_OF_RANGE);
    expect_eq(store_trim(log_store(s.log), 55, &start), OUT_OK);
    expect_eq(start, 55);
    expect_eq(store_trim(log_store(s.log), 20, &start), OUT_OK);
    expect_eq(start, 55);
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OFFSET_OUT_OF_RANGE);
    int32_t segments = stat_of(s.log).segment_count;
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OK);
    expect(deleted > 0);
    expect_eq(stat_of(s.log).segment_count, segments - deleted);
    expect_eq(stat_of(s.log).start_offset, 55);
    r.offset = 55;
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    expect(v.size > 0);
    store_hold_drop(v.hold);
    uint8_t *after = view_bytes(&held); /* deleted, still readable by who holds it */
    expect(memcmp(before, after, held.size) == 0);
    free(before);
    free(after);
    store_hold_drop(held.hold);
    shell(s.dir, "test $(ls *.deleted | wc -l) -gt 0");
    expect_eq(log_retain(s.log, NOW + 60000, &deleted), OUT_OK);
    expect_eq(deleted, 0);
    shell(s.dir, "test $(ls | grep -c deleted) -eq 0");
    s.open.start_offset = 55;
    scratch_close(&s, LOG_CLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).start_offset, 55);
    expect_eq(stat_of(s.log).end_offset, 100);
    scratch_close(&s, LOG_CLEAN);
}

void test_retention_by_age_and_by_size(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 3000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 50; i++)
        append(s.log, i * 100, 2, 100);
    int32_t deleted;
    struct log_options o = s.open.options;
    int64_t size = stat_of(s.log).size_bytes;
    o.retention_bytes = size / 2;
    expect_eq(log_configure(s.log, &o), OUT_OK);
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OK);
    expect(deleted > 0);
    expect(stat_of(s.log).size_bytes >= size / 2);
    expect(stat_of(s.log).size_bytes < size / 2 + 3000);
    expect(stat_of(s.log).start_offset > 0);
    o.retention_bytes = -1;
    o.retention_ms = 1000;
    expect_eq(log_configure(s.log, &o), OUT_OK);
    expect_eq(log_retain(s.log, NOW + 4900 + 1000, &deleted), OUT_OK);
    expect_eq(stat_of(s.log).end_offset, 100);
    expect(stat_of(s.log).segment_count >= 1);
    expect(stat_of(s.log).start_offset < 100); /* the newest record is exactly as old as allowed */
    expect_eq(log_retain(s.log, NOW + 4900 + 1001, &deleted), OUT_OK);
    expect_eq(stat_of(s.log).start_offset, 100); /* the active segment went too */
    expect_eq(stat_of(s.log).segment_count, 1);
    expect_eq(append(s.log, 1, 1, 10), 100);
    o.cleanup_delete = false;
    o.cleanup_compact = true;
    expect_eq(log_configure(s.log, &o), OUT_OK);
    expect_eq(log_retain(s.log, NOW + 99999999, &deleted), OUT_OK);
    expect_eq(deleted, 0);
    scratch_close(&s, LOG_CLEAN);
}

void test_segments_roll_by_age_of_their_first_batch(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_ms = 1000;
    scratch_open(&s);
    append(s.log, 0, 1, 10);
    append(s.log, 1000, 1, 10);
    expect_eq(stat_of(s.log).segment_count, 1);
    append(s.log, 1001, 1, 10);
    expect_eq(stat_of(s.log).segment_count, 2);
    append(s.log, 5, 1, 10); /* an older one does not roll */
    expect_eq(stat_of(s.log).segment_count, 2);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    expect_eq(stat_of(s.log).segment_count, 3);
    expect_eq(log_roll(s.log, NOW), OUT_OK); /* empty: nothing to do */
    expect_eq(stat_of(s.log).segment_count, 3);
    scratch_close(&s, LOG_CLEAN);
}

void test_pieces_are_the_segments_with_the_times_of_their_files(void)
{
    struct scratch s;
    struct log_piece pieces[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1234, .tv_nsec = 567000000}};
    char path[300];
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 3, 10);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    append(s.log, 2, 1, 10);
    snprintf(path, sizeof path, "%s/00000000000000000000.log", s.dir);
    expect_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_eq(log_pieces(s.log, NULL, 0), 2);
    expect_eq(log_pieces(s.log, pieces, 1), 2); /* no more than there is room for */
    expect_eq(pieces[1].base_offset, -1);
    expect_eq(log_pieces(s.log, pieces, 3), 2);
    expect_eq(pieces[0].base_offset, 0);
    expect_eq(pieces[0].modified_ms, 1234567);
    expect_eq(pieces[1].base_offset, 3);
    expect(pieces[1].modified_ms > 1234567);
    expect_eq(pieces[2].base_offset, -1);
    scratch_close(&s, LOG_CLEAN);
}

void test_leader_epochs_are_noted_kept_and_cut(void)
{
    struct scratch s;
    int32_t epoch;
    int64_t end;
    scratch_init(&s);
    scratch_open(&s);
    expect_eq(log_epoch_latest(s.log), -1);
    log_epoch_end(s.log, 0, &epoch, &end);
    expect(epoch == -1 && end == -1);
    expect_eq(log_epoch_begin(s.log, 0), OUT_OK);
    expect_eq(log_epoch_begin(s.log, 2), OUT_OK); /* same offset: replaces */
    append(s.log, 1, 10, 10);                     /* epoch 0 in the batch changes nothing */
    expect_eq(log_epoch_begin(s.log, 4), OUT_OK);
    append(s.log, 1, 5, 10);
    for (int reopen = 0; reopen < 2; reopen++) {
        log_epoch_end(s.log, 1, &epoch, &end); /* before the first known */
        expect(epoch == 1 && end == 0);
        log_epoch_end(s.log, 2, &epoch, &end);
        expect(epoch == 2 && end == 10);
        log_epoch_end(s.log, 3, &epoch, &end);
        expect(epoch == 2 && end == 10);
        log_epoch_end(s.log, 4, &epoch, &end);
        expect(epoch == 4 && end == 15);
        log_epoch_end(s.log, 5, &epoch, &end);
        expect(epoch == -1 && end == -1);
        expect_eq(log_epoch_at(s.log, 9), 2);
        expect_eq(log_epoch_at(s.log, 10), 4);
        scratch_close(&s, LOG_CLEAN);
        scratch_open(&s);
    }
    expect_eq(store_trim(log_store(s.log), 12, &end), OUT_OK);
    log_epoch_end(s.log, 3, &epoch, &end);
    expect(epoch == 3 && end == 12);
    scratch_close(&s, LOG_CLEAN);
    shell(s.dir, "printf '0\\n1\\n4 12\\n' | cmp - leader-epoch-checkpoint");
}

void test_topic_id_is_written_read_and_guarded(void)
{
    struct scratch s;
    scratch_init(&s);
    struct uuid id = uuid_random();
    s.open.topic_id = id;
    scratch_open(&s);
    scratch_close(&s, LOG_CLEAN);
    memset(&s.open.topic_id, 0, sizeof id);
    scratch_open(&s);
    struct uuid got = log_topic_id(s.log);
    expect(uuid_equal(&got, &id));
    scratch_close(&s, LOG_CLEAN);
    s.open.topic_id = uuid_random();
    expect_eq(log_open(&s.open, &s.log), OUT_EXISTS);
}

void test_truncate_takes_the_log_back_to_a_batch_boundary(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 3000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 50; i++)
        append(s.log, i, 2, 100);
    int batches;
    for (int64_t at = 99; at > 0; at -= 7) {
        expect_eq(log_truncate(s.log, at), OUT_OK);
        int64_t end = at - at % 2; /* a batch has two records */
        expect_eq(stat_of(s.log).end_offset, end);
        expect_eq(read_all(s.log, 0, 500, &batches), end);
        expect_eq(batches, end / 2);
        expect_eq(append(s.log, 7, 2, 100), end);
        expect_eq(append(s.log, 7, 2, 100), end + 2);
        scratch_close(&s, at % 2 ? LOG_CLEAN : LOG_UNCLEAN);
        scratch_open(&s);
        expect_eq(stat_of(s.log).end_offset, end + 4);
    }
    expect_eq(log_restart_at(s.log, 1000), OUT_OK);
    expect_eq(append(s.log, 7, 2, 100), 1000);
    scratch_close(&s, LOG_CLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).start_offset, 1000);
    expect_eq(stat_of(s.log).end_offset, 1002);
    scratch_close(&s, LOG_CLEAN);
}

void test_deleting_renames_the_directory_and_then_removes_it(void)
{
    struct scratch s;
    char path[LOG_PATH_MAX];
    struct logdir_partition *list;
    size_t count;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 1, 10);
    expect_eq(log_delete(&s.log, path), OUT_OK);
    expect(s.log == NULL);
    expect(access(s.dir, F_OK) != 0);
    expect(access(path, F_OK) == 0);
    expect(strstr(path, "/t-0.") != NULL && strcmp(path + strlen(path) - 7, "-delete") == 0);
    expect_eq(logdir_partitions(s.base, &list, &count), OUT_OK); /* ends the deletion */
    expect_eq(count, 0);
    expect(access(path, F_OK) != 0);
    free(list);
    expect_eq(log_delete_finish(path), OUT_OK);
}

void test_a_retired_log_touches_its_directory_no_more(void)
{
    struct scratch s;
    struct store_view held, v;
    struct store_appended done;
    int64_t flushed;
    int32_t deleted;
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1 << 20};
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 3, 100);
    expect_eq(store_read(log_store(s.log), &r, &held), OUT_OK);
    log_retire(s.log);
    shell(s.base, "mv t-0 gone; mkdir t-0");
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW};
    struct log_builder b;
    log_builder_init(&b, MiB(1));
    a.size = build(&b, 1, 3, 10, &a.at);
    expect_eq(store_append(log_store(s.log), &a, &done), OUT_OFFLINE);
    log_builder_fini(&b);
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OFFLINE);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OFFLINE);
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OFFLINE);
    expect_eq(log_epoch_begin(s.log, 9), OUT_OFFLINE);
    free(view_bytes(&held));
    store_hold_drop(held.hold);
    expect_eq(log_close(&s.log, LOG_UNCLEAN), OUT_OK);
    shell(s.dir, "test $(ls | wc -l) -eq 0");
}

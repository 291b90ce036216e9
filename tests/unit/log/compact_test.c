/* SPDX-License-Identifier: MIT */
/* Compaction in small: horizons, markers, last batches, old formats, lags, readers of old files. */
#include "helper.h"

#include <zlib.h>

struct seen {
    struct log_batch batches[200];
    int64_t offsets[200]; /* of records */
    int64_t times[200];
    size_t batch_count, record_count;
};

static enum outcome note(void *context, const struct log_batch *b)
{
    struct seen *s = context;
    struct log_records walk;
    struct log_record r;
    s->batches[s->batch_count++] = *b;
    expect(log_batch_crc_good(b));
    expect_eq(log_records_begin(&walk, b, MiB(1)), OUT_OK);
    while (log_records_next(&walk, &r) == OUT_OK) {
        s->times[s->record_count] = r.timestamp;
        s->offsets[s->record_count++] = r.offset;
    }
    log_records_fini(&walk);
    return OUT_OK;
}

static struct seen *look(struct scratch *s)
{
    static struct seen seen;
    memset(&seen, 0, sizeof seen);
    expect_eq(log_scan(s->log, 0, INT64_MAX, note, &seen), OUT_OK);
    return &seen;
}

static void start(struct scratch *s)
{
    scratch_init(s);
    s->open.options.cleanup_delete = false;
    s->open.options.cleanup_compact = true;
    s->open.options.delete_retention_ms = 1000;
    s->open.options.producer_expiration_ms = INT64_C(1) << 50;
    scratch_open(s);
}

/* Everything appended so far becomes dirty and is compacted from `first_dirty` on. */
static int64_t compact(struct scratch *s, int64_t first_dirty, int64_t now_ms)
{
    struct log_dirt d;
    struct log_compacted done;
    expect_eq(log_roll(s->log, now_ms), OUT_OK);
    expect_eq(log_dirt(s->log, first_dirty, now_ms, &d), OUT_OK);
    struct log_compact what = {.first_dirty = d.first_dirty, .end = d.end, .now_ms = now_ms,
                               .key_bytes = MiB(1), .key_load = 0.9};
    expect_eq(log_compact(s->log, &what, &done), OUT_OK);
    return done.next_dirty;
}

struct producer_of {
    int64_t id;
    int16_t epoch;
    int32_t sequence;
    int16_t attributes;
};

/* Appends one record; value NULL: a tombstone. Returns its offset. */
static int64_t put_stamped(struct scratch *s, const char *key, const char *value,
                           struct producer_of *by, int64_t timestamp)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    uint8_t *at;
    size_t size;
    log_builder_init(&b, MiB(1));
    log_builder_add(&b, timestamp, bytes_of(key), bytes_of(value), NULL, 0);
    if (by != NULL) {
        end.producer_id = by->id;
        end.producer_epoch = by->epoch;
        end.base_sequence = by->sequence++;
        end.attributes = by->attributes;
    }
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    expect_eq(put(s->log, at, size, &done), OUT_OK);
    log_builder_fini(&b);
    return done.base_offset;
}

static int64_t put_one(struct scratch *s, const char *key, const char *value,
                       struct producer_of *by)
{
    return put_stamped(s, key, value, by, NOW);
}

static void end_txn(struct scratch *s, const struct producer_of *by, enum log_marker type)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    struct store_append a = {.origin = STORE_COORDINATOR, .now_ms = NOW};
    log_builder_init(&b, KiB(1));
    log_builder_marker(&b, NOW, type, 1);
    end.producer_id = by->id;
    end.producer_epoch = by->epoch;
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(s->log), &a, &done), OUT_OK);
    log_builder_fini(&b);
}

void test_a_tombstone_goes_after_its_horizon(void)
{
    struct scratch s;
    start(&s);
    put_one(&s, "a", "1", NULL);
    put_one(&s, "a", NULL, NULL);
    put_one(&s, "b", "1", NULL);
    int64_t dirty = compact(&s, 0, NOW + 10);
    expect_eq(dirty, 3);
    struct seen *seen = look(&s);
    expect_eq(seen->record_count, 2);
    expect_eq(seen->offsets[0], 1);
    expect_eq(seen->times[0], NOW); /* the record's time stays */
    expect(seen->batches[0].attributes & LOG_ATTR_DELETE_HORIZON);
    expect_eq(seen->batches[0].base_timestamp, NOW + 10 + 1000);
    expect_eq(seen->batches[0].max_timestamp, NOW);
    expect(!(seen->batches[1].attributes & LOG_ATTR_DELETE_HORIZON));
    put_one(&s, "c", "1", NULL);
    dirty = compact(&s, dirty, NOW + 1009);
    seen = look(&s);
    expect_eq(seen->record_count, 3);
    expect_eq(seen->batches[0].base_timestamp, NOW + 10 + 1000); /* as it was first */
    put_one(&s, "d", "1", NULL);
    compact(&s, dirty, NOW + 1010);
    seen = look(&s);
    expect_eq(seen->record_count, 3);
    expect_eq(seen->offsets[0], 2);
    scratch_close(&s, LOG_CLEAN);
}

static size_t aborted_count(struct scratch *s)
{
    struct arena arena;
    struct log_aborted *list;
    size_t count;
    arena_init(&arena, MiB(1));
    expect_eq(log_aborted(s->log, 0, INT64_MAX, &arena, &list, &count), OUT_OK);
    arena_fini(&arena);
    return count;
}

static int txnindex_files(const struct scratch *s)
{
    char command[400];
    snprintf(command, sizeof command, "exit $(ls '%s' | grep -c 'txnindex$')", s->dir);
    return WEXITSTATUS(system(command));
}

/* Data of an aborted transaction goes at once, its marker when a pass has met no data, and the
 * horizon is past; that of a committed one when all its records were replaced. */
void test_markers_go_when_their_data_is_gone(void)
{
    struct scratch s;
    struct producer_of bad = {7, 0, 0, LOG_ATTR_TXN}, good = {8, 0, 0, LOG_ATTR_TXN};
    start(&s);
    put_one(&s, "a", "aborted", &bad);   /* 0 */
    put_one(&s, "b", "committed", &good); /* 1 */
    end_txn(&s, &bad, LOG_MARKER_ABORT);  /* 2 */
    end_txn(&s, &good, LOG_MARKER_COMMIT); /* 3 */
    bad.attributes = good.attributes = 0;
    put_one(&s, "x", "1", &bad);          /* 4: what their producers did last lies elsewhere */
    put_one(&s, "b", "2", &good);         /* 5 */
    expect_eq(aborted_count(&s), 1);
    int64_t dirty = compact(&s, 0, NOW);
    struct seen *seen = look(&s);
    expect_eq(seen->batch_count, 4);
    expect_eq(seen->offsets[0], 2);
    expect_eq(aborted_count(&s), 1); /* readers of old views may need it */
    expect_eq(txnindex_files(&s), 1);
    expect(seen->batches[0].base_timestamp == NOW);
    put_one(&s, "c", "1", NULL);          /* 6 */
    dirty = compact(&s, dirty, NOW);
    seen = look(&s);
    expect_eq(seen->batch_count, 5);
    expect(seen->batches[0].attributes & LOG_ATTR_DELETE_HORIZON);
    expect(seen->batches[1].attributes & LOG_ATTR_DELETE_HORIZON);
    expect_eq(seen->batches[0].base_timestamp, NOW + 1000);
    expect_eq(seen->times[0], NOW);
    expect_eq(aborted_count(&s), 0);
    expect_eq(txnindex_files(&s), 0);
    put_one(&s, "d", "1", NULL);          /* 7 */
    dirty = compact(&s, dirty, NOW + 999);
    expect_eq(look(&s)->batch_count, 6);
    put_one(&s, "e", "1", NULL);          /* 8 */
    compact(&s, dirty, NOW + 1000);
    seen = look(&s);
    expect_eq(seen->batch_count, 5);
    expect_eq(seen->offsets[0], 4);
    scratch_close(&s, LOG_UNCLEAN);
    s.open.was = LOG_UNCLEAN;
    scratch_open(&s);
    expect_eq(stat_of(s.log).stable_offset, 9);
    expect_eq(look(&s)->batch_count, 5);
    scratch_close(&s, LOG_CLEAN);
}

void test_the_last_batch_of_a_producer_stays_as_a_header(void)
{
    struct scratch s;
    struct producer_of by = {9, 2, 0, 0};
    struct log_producer p;
    start(&s);
    put_one(&s, "a", "1", &by);
    put_one(&s, "a", "2", &by);
    put_one(&s, "a", "3", NULL);
    compact(&s, 0, NOW);
    struct seen *seen = look(&s);
    expect_eq(seen->batch_count, 2);
    expect_eq(seen->record_count, 1);
    const struct log_batch *b = &seen->batches[0];
    expect_eq(b->base_offset, 1);
    expect_eq(b->last_offset, 1);
    expect_eq(b->count, 0);
    expect_eq(b->size, LOG_BATCH_HEADER);
    expect_eq(b->base_sequence, 1);
    expect_eq(b->producer_id, 9);
    expect_eq(b->base_timestamp, -1);
    expect_eq(b->max_timestamp, NOW);
    scratch_close(&s, LOG_UNCLEAN); /* its state comes from the batches alone */
    shell(s.dir, "rm -f *.snapshot");
    scratch_open(&s);
    expect_eq(log_producers(s.log, &p, 1), 1);
    expect_eq(p.last_sequence, 1);
    put_one(&s, "b", "1", &by);
    scratch_close(&s, LOG_CLEAN);
}

void test_records_without_key_are_dropped(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    put_one(&s, NULL, "1", NULL); /* the topic was not compacted then */
    put_one(&s, "a", "1", NULL);
    put_one(&s, NULL, "2", NULL);
    put_one(&s, "b", "1", NULL);
    s.open.options.cleanup_compact = true;
    expect_eq(log_configure(s.log, &s.open.options), OUT_OK);
    expect_eq(compact(&s, 0, NOW), 4);
    struct seen *seen = look(&s);
    expect_eq(seen->record_count, 2);
    expect_eq(seen->offsets[0], 1);
    expect_eq(seen->offsets[1], 3);
    scratch_close(&s, LOG_CLEAN);
}

/* ---- readers, lags ---- */

static size_t count_deleted(const struct scratch *s)
{
    char command[400];
    snprintf(command, sizeof command, "exit $(ls '%s' | grep -c 'deleted$')", s->dir);
    return (size_t)WEXITSTATUS(system(command));
}

void test_views_of_replaced_segments_stay_good(void)
{
    struct scratch s;
    struct store_view views[3];
    uint8_t *before[3];
    int32_t deleted;
    start(&s);
    for (int i = 0; i < 3; i++) {
        put_one(&s, "a", "0123456789", NULL);
        put_one(&s, "b", "0123456789", NULL);
        expect_eq(log_roll(s.log, NOW), OUT_OK);
    }
    for (int i = 0; i < 3; i++) {
        struct store_read r = {.offset = 2 * i, .limit_offset = INT64_MAX, .max_bytes = 1000,
                               .map = STORE_MAPPED};
        expect_eq(store_read(log_store(s.log), &r, &views[i]), OUT_OK);
        before[i] = view_bytes(&views[i]);
    }
    expect_eq(stat_of(s.log).segment_count, 4);
    compact(&s, 0, NOW);
    expect_eq(stat_of(s.log).segment_count, 2);
    expect_eq(look(&s)->record_count, 2);
    expect(count_deleted(&s) > 0);
    expect_eq(log_retain(s.log, NOW + 60000, &deleted), OUT_OK);
    expect_eq(deleted, 0);
    expect_eq(count_deleted(&s), 0);
    for (int i = 0; i < 3; i++) {
        uint8_t *after = view_bytes(&views[i]);
        expect(memcmp(before[i], after, views[i].size) == 0);
        expect(memcmp(before[i], views[i].at, views[i].size) == 0);
        free(before[i]);
        free(after);
        store_hold_drop(views[i].hold);
    }
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1000};
    expect_eq(store_read(log_store(s.log), &r, &views[0]), OUT_OK);
    struct bytes rest = {view_bytes(&views[0]), views[0].size};
    struct log_batch b;
    expect_eq(log_batch_next(&rest, &b), OUT_OK);
    expect_eq(b.base_offset, 4); /* the first that is left */
    free((void *)(uintptr_t)b.at);
    store_hold_drop(views[0].hold);
    scratch_close(&s, LOG_CLEAN);
}

void test_what_is_dirty(void)
{
    struct scratch s;
    struct log_dirt d;
    start(&s);
    expect_eq(log_dirt(s.log, 0, NOW, &d), OUT_OK);
    expect(d.end == 0 && d.dirty_bytes == 0 && d.clean_bytes == 0 && !d.due);
    put_one(&s, "a", "1", NULL);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    int64_t one = stat_of(s.log).size_bytes;
    put_one(&s, "b", "1", NULL);
    expect_eq(log_dirt(s.log, 0, NOW, &d), OUT_OK);
    expect_eq(d.end, 1); /* not the active segment */
    expect_eq(d.dirty_bytes, one);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    expect_eq(log_dirt(s.log, 1, NOW, &d), OUT_OK);
    expect_eq(d.end, 2);
    expect_eq(d.dirty_bytes, one);
    expect_eq(d.clean_bytes, one);
    expect_eq(log_dirt(s.log, 99, NOW, &d), OUT_OK); /* a checkpoint of another log */
    expect_eq(d.first_dirty, 0);
    struct log_options *o = &s.open.options;
    o->min_compaction_lag_ms = 100;
    expect_eq(log_configure(s.log, o), OUT_OK);
    expect_eq(log_dirt(s.log, 0, NOW + 99, &d), OUT_OK);
    expect_eq(d.end, 0);
    expect_eq(log_dirt(s.log, 0, NOW + 100, &d), OUT_OK);
    expect_eq(d.end, 2);
    o->min_compaction_lag_ms = 0;
    o->max_compaction_lag_ms = 500;
    expect_eq(log_configure(s.log, o), OUT_OK);
    put_one(&s, "c", "1", NULL);
    expect_eq(log_dirt(s.log, 2, NOW + 500, &d), OUT_OK);
    expect(!d.due);
    expect_eq(stat_of(s.log).segment_count, 3);
    expect_eq(log_dirt(s.log, 2, NOW + 501, &d), OUT_OK); /* rolled, since it is too old */
    expect(d.due);
    expect_eq(d.end, 3);
    expect_eq(stat_of(s.log).segment_count, 4);
    struct producer_of txn = {5, 0, 0, LOG_ATTR_TXN};
    put_one(&s, "d", "1", &txn);
    put_one(&s, "e", "1", NULL);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    expect_eq(log_dirt(s.log, 0, NOW, &d), OUT_OK);
    expect_eq(d.end, 3); /* an open transaction */
    scratch_close(&s, LOG_CLEAN);
}

void test_little_memory_takes_several_passes(void)
{
    struct scratch s;
    struct log_dirt d;
    struct log_compacted done;
    int64_t dirty = 0;
    int passes = 0;
    start(&s);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i % 100);
        put_one(&s, key, "1", NULL);
    }
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    for (; dirty < 200; passes++) {
        expect_eq(log_dirt(s.log, dirty, NOW, &d), OUT_OK);
        struct log_compact what = {.first_dirty = dirty, .end = d.end, .now_ms = NOW,
                                   .key_bytes = 20 * 24, .key_load = 0.5};
        expect_eq(log_compact(s.log, &what, &done), OUT_OK);
        expect_eq(done.next_dirty, dirty + 10); /* half of the slots */
        dirty = done.next_dirty;
    }
    expect_eq(passes, 20);
    struct seen *seen = look(&s);
    expect_eq(seen->record_count, 100);
    expect_eq(seen->offsets[0], 100);
    scratch_close(&s, LOG_CLEAN);
}

static bool stop_at_once(void *context, size_t bytes)
{
    (void)bytes;
    return --*(int *)context > 0;
}

void test_a_pass_can_be_stopped(void)
{
    struct scratch s;
    struct log_compacted done;
    start(&s);
    for (int i = 0; i < 20; i++)
        put_one(&s, "a", "1", NULL);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    for (int bites = 1; bites <= 40; bites++) {
        int left = bites;
        struct log_compact what = {.end = 20, .now_ms = NOW, .key_bytes = 10000, .key_load = 0.9,
                                   .go_on = stop_at_once, .context = &left};
        expect_eq(log_compact(s.log, &what, &done), OUT_CLOSED);
        expect_eq(done.next_dirty, 0);
        expect_eq(look(&s)->record_count, 20);
        shell(s.dir, "test -z \"$(ls | grep -E 'swap|cleaned')\"");
    }
    compact(&s, 0, NOW);
    expect_eq(look(&s)->record_count, 1);
    scratch_close(&s, LOG_CLEAN);
}

/* ---- formats 0 and 1 ---- */

/* One message; value NULL: a tombstone. Returns its size. */
static size_t message(uint8_t *to, int magic, int64_t offset, int attributes, struct bytes key,
                      struct bytes value)
{
    size_t at = magic == 1 ? 26 : 18;
    put_be64(to, (uint64_t)offset);
    to[16] = (uint8_t)magic;
    to[17] = (uint8_t)attributes;
    if (magic == 1)
        put_be64(to + 18, (uint64_t)NOW);
    const struct bytes parts[] = {key, value};
    for (int i = 0; i < 2; i++) {
        put_be32(to + at, parts[i].at == NULL ? UINT32_MAX : (uint32_t)parts[i].size);
        if (parts[i].size > 0)
            memcpy(to + at + 4, parts[i].at, parts[i].size);
        at += 4 + parts[i].size;
    }
    put_be32(to + 8, (uint32_t)(at - 12));
    put_be32(to + 12, (uint32_t)crc32_z(0, to + 16, at - 16));
    return at;
}

/* A gzip wrapper of three messages with keys a, b and c at offsets base to base + 2. */
static size_t wrapper(uint8_t *to, int magic, int64_t base)
{
    uint8_t inner[500], *packed;
    size_t size = 0, packed_size;
    static const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        size += message(inner + size, magic, magic == 1 ? i : base + i, 0, bytes_of(keys[i]),
                        bytes_of("inner"));
    expect_eq(log_compress(LOG_GZIP, INT32_MIN, bytes_view(inner, size), &packed, &packed_size),
              OUT_OK);
    size = message(to, magic, base + 2, LOG_GZIP, bytes_view(NULL, 0),
                   bytes_view(packed, packed_size));
    free(packed);
    return size;
}

static struct {
    int64_t offset[20];
    char key[20], value[20];
    size_t count;
} old;

static enum outcome note_old(void *context, const struct log_batch *b)
{
    struct log_records walk;
    struct log_record r;
    (void)context;
    expect(log_batch_crc_good(b));
    expect_eq(log_records_begin(&walk, b, MiB(1)), OUT_OK);
    while (log_records_next(&walk, &r) == OUT_OK) {
        expect_eq(r.timestamp, b->magic == 0 ? -1 : NOW);
        old.offset[old.count] = r.offset;
        old.key[old.count] = (char)r.key.at[0];
        old.value[old.count++] = r.value.at == NULL ? '-' : (char)r.value.at[0];
    }
    log_records_fini(&walk);
    return OUT_OK;
}

static void compact_old_format(int magic)
{
    struct scratch s;
    uint8_t file[2000];
    size_t size = 0;
    char path[400];
    scratch_init(&s);
    s.open.options.cleanup_compact = true;
    s.open.options.cleanup_delete = false;
    expect(mkdir(s.dir, 0755) == 0);
    size += wrapper(file + size, magic, 0);                                      /* 0 to 2 */
    size += message(file + size, magic, 3, 0, bytes_of("a"), bytes_of("single")); /* 3 */
    size += message(file + size, magic, 4, 0, bytes_of("d"), bytes_view(NULL, 0)); /* 4 */
    size += message(file + size, magic, 5, 0, bytes_view(NULL, 0), bytes_of("x")); /* 5 */
    size += wrapper(file + size, magic, 6);                                      /* 6 to 8 */
    snprintf(path, sizeof path, "%s/00000000000000000000.log", s.dir);
    FILE *f = fopen(path, "w");
    expect(f != NULL && fwrite(file, 1, size, f) == size && fclose(f) == 0);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 9);
    put_one(&s, "c", "new", NULL); /* 9 */
    put_one(&s, "e", "new", NULL); /* 10 */
    expect_eq(compact(&s, 0, NOW), 11);
    memset(&old, 0, sizeof old);
    expect_eq(log_scan(s.log, 0, INT64_MAX, note_old, NULL), OUT_OK);
    static const int64_t offsets[] = {4, 6, 7, 9, 10};
    expect_eq(old.count, COUNT_OF(offsets));
    for (size_t i = 0; i < old.count; i++)
        expect_eq(old.offset[i], offsets[i]);
    expect_str(old.key, "dabce");
    expect_str(old.value, "-iinn");
    scratch_close(&s, LOG_UNCLEAN);
    s.open.was = LOG_UNCLEAN;
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 11);
    scratch_close(&s, LOG_CLEAN);
}

void test_messages_of_format_1(void)
{
    compact_old_format(1);
}

void test_messages_of_format_0(void)
{
    compact_old_format(0);
}

/* ---- append times ---- */

void test_append_times_stay(void)
{
    struct scratch s;
    start(&s);
    s.open.options.timestamp_type = LOG_APPEND_TIME;
    expect_eq(log_configure(s.log, &s.open.options), OUT_OK);
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW + 77};
    struct store_appended done;
    log_builder_init(&b, KiB(4));
    log_builder_add(&b, NOW - 5, bytes_of("a"), bytes_of("1"), NULL, 0);
    log_builder_add(&b, NOW - 4, bytes_of("b"), bytes_view(NULL, 0), NULL, 0);
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(s.log), &a, &done), OUT_OK);
    put_one(&s, "a", "2", NULL);
    compact(&s, 0, NOW);
    struct seen *seen = look(&s);
    expect_eq(seen->record_count, 2);
    expect_eq(seen->offsets[0], 1);
    expect_eq(seen->times[0], NOW + 77);
    expect(seen->batches[0].attributes & LOG_ATTR_APPEND_TIME);
    expect_eq(seen->batches[0].max_timestamp, NOW + 77);
    expect_eq(seen->batches[0].base_offset, 0);
    expect_eq(seen->batches[0].last_offset, 1);
    log_builder_fini(&b);
    scratch_close(&s, LOG_CLEAN);
}

/* ---- many keys ---- */

static enum outcome count_records(void *context, const struct log_batch *b)
{
    int64_t *sum = context;
    sum[0] += b->count;
    sum[1] += b->base_offset < 30000 ? b->count : 0;
    return OUT_OK;
}

/* 30000 keys, each twice: the table grows many times; with less memory it takes several passes. */
static void compact_many(size_t key_bytes, int passes)
{
    struct scratch s;
    struct log_builder b;
    struct log_compacted done;
    int64_t dirty = 0, sum[2] = {0, 0};
    start(&s);
    log_builder_init(&b, MiB(4));
    for (int i = 0; i < 600; i++) {
        struct log_builder_end end = log_builder_plain();
        struct store_appended appended;
        uint8_t *at;
        size_t size;
        log_builder_reset(&b);
        for (int k = 0; k < 100; k++) {
            char key[24];
            snprintf(key, sizeof key, "key-%d", (i * 100 + k) * 7 % 30000);
            log_builder_add(&b, NOW, bytes_of(key), bytes_of("v"), NULL, 0);
        }
        expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
        expect_eq(put(s.log, at, size, &appended), OUT_OK);
    }
    log_builder_fini(&b);
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    for (; dirty < 60000; passes--) {
        struct log_compact what = {.first_dirty = dirty, .end = 60000, .now_ms = NOW,
                                   .key_bytes = key_bytes, .key_load = 0.9};
        expect_eq(log_compact(s.log, &what, &done), OUT_OK);
        expect(done.next_dirty > dirty);
        dirty = done.next_dirty;
    }
    expect_eq(passes, 0);
    expect_eq(log_scan(s.log, 0, INT64_MAX, count_records, sum), OUT_OK);
    expect_eq(sum[0], 30000);
    expect_eq(sum[1], 0);
    scratch_close(&s, LOG_CLEAN);
}

void test_the_table_of_keys_grows(void)
{
    compact_many(MiB(1), 1);
    scratch_end();
    compact_many(10000 * 24, 7); /* 9000 keys a pass */
}

/* ---- records past their time ---- */

/* A newest record that is past its time goes no sooner than what it stands in for. */
void test_what_is_past_its_time_brings_nothing_back(void)
{
    struct scratch s;
    struct log_compacted done;
    int64_t dirty = 0;
    int passes = 0;
    start(&s);
    put_stamped(&s, "a", "old value, not past its time", NULL, NOW + 60000);
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        put_stamped(&s, key, "1", NULL, NOW + 60000);
    }
    put_one(&s, "a", "newest value, past its time", NULL); /* 31 */
    expect_eq(log_roll(s.log, NOW), OUT_OK);
    for (; dirty < 32; passes++) {
        struct log_compact what = {.first_dirty = dirty, .end = 32, .now_ms = NOW + 5000,
                                   .expires = true, .ttl_ms = 1000, .key_bytes = 20 * 24,
                                   .key_load = 0.5};
        expect_eq(log_compact(s.log, &what, &done), OUT_OK);
        dirty = done.next_dirty;
        struct seen *seen = look(&s);
        bool first = seen->offsets[0] == 0, last = seen->offsets[seen->record_count - 1] == 31;
        expect(last || !first);
    }
    expect_eq(passes, 4);
    expect_eq(look(&s)->record_count, 30);
    scratch_close(&s, LOG_CLEAN);
}

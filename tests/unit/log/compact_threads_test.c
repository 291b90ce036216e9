/* SPDX-License-Identifier: MIT */
/*
 * Compaction beside writers, readers, scans, flushes and retention. Every eighth record has a key
 * of its own and is never dropped: whoever walks through the log, by reads or by a scan, must meet
 * all of them, however often segments are replaced under way. Meant for the sanitizers as well.
 */
#include "helper.h"

#include <pthread.h>
#include <sched.h>

#define RECORDS 24000
#define UNIQUE 8
#define EACH_PASS 1000 /* the writer lets a pass begin and end for so many records */

struct shared {
    struct scratch s;
    atomic_bool done;
    atomic_llong passes, walks, dropped;
};

static void *write_records(void *context)
{
    struct shared *sh = context;
    struct log_builder b;
    log_builder_init(&b, MiB(1));
    for (int i = 0; i < RECORDS; i++) {
        struct log_builder_end end = log_builder_plain();
        struct store_appended done;
        char key[32], value[100];
        uint8_t *at;
        size_t size;
        while (atomic_load(&sh->passes) < i / EACH_PASS)
            sched_yield();
        snprintf(key, sizeof key, i % UNIQUE == 0 ? "own %d" : "shared %d",
                 i % UNIQUE == 0 ? i : i % 50);
        memset(value, 'v', sizeof value);
        log_builder_reset(&b);
        log_builder_add(&b, NOW, bytes_of(key), bytes_view(value, sizeof value), NULL, 0);
        expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
        expect_eq(put(sh->s.log, at, size, &done), OUT_OK);
        expect_eq(done.base_offset, i);
    }
    log_builder_fini(&b);
    atomic_store(&sh->done, true);
    return NULL;
}

static enum outcome meet(void *context, const struct log_batch *b)
{
    int64_t *next = context; /* the next one that can't be missing */
    expect(log_batch_crc_good(b));
    expect(b->base_offset <= *next);
    if (b->base_offset == *next)
        *next += UNIQUE;
    return OUT_OK;
}

static void walk_by_reads(struct shared *sh, int64_t end, size_t bytes)
{
    int64_t at = 0, next = 0;
    while (at < end) {
        struct store_view v;
        struct store_read r = {.offset = at, .limit_offset = INT64_MAX, .max_bytes = bytes};
        expect_eq(store_read(log_store(sh->s.log), &r, &v), OUT_OK);
        expect(v.size > 0);
        uint8_t *copy = view_bytes(&v);
        struct bytes rest = {copy, v.size};
        struct log_batch b;
        while (log_batch_next(&rest, &b) == OUT_OK) {
            expect_eq(meet(&next, &b), OUT_OK);
            at = b.last_offset + 1;
        }
        free(copy);
        store_hold_drop(v.hold);
    }
    expect(next >= end);
}

static void *walk(void *context)
{
    struct shared *sh = context;
    for (bool last = false; !last;) {
        last = atomic_load(&sh->done);
        int64_t end = stat_of(sh->s.log).end_offset, next = 0;
        end -= end % UNIQUE;
        if (end == 0)
            continue;
        walk_by_reads(sh, end, 700 + (size_t)(end % 7000));
        expect_eq(log_scan(sh->s.log, 0, end, meet, &next), OUT_OK);
        expect(next >= end);
        struct store_place p;
        expect_eq(store_seek(log_store(sh->s.log), NOW, &p), OUT_OK);
        expect_eq(p.offset, 0);
        atomic_fetch_add(&sh->walks, 1);
    }
    return NULL;
}

static void *compact(void *context)
{
    struct shared *sh = context;
    int64_t dirty = 0;
    int32_t deleted;
    for (bool last = false; !last;) {
        struct log_dirt d;
        struct log_compacted done;
        last = atomic_load(&sh->done);
        expect_eq(log_dirt(sh->s.log, dirty, NOW, &d), OUT_OK);
        struct log_compact what = {.first_dirty = d.first_dirty, .end = d.end, .now_ms = NOW,
                                   .key_bytes = MiB(1), .key_load = 0.9};
        expect_eq(log_compact(sh->s.log, &what, &done), OUT_OK);
        dirty = done.next_dirty;
        atomic_fetch_add(&sh->dropped, done.records_read - done.records_kept);
        atomic_fetch_add(&sh->passes, done.segments_before > 0);
        expect_eq(log_retain(sh->s.log, NOW, &deleted), OUT_OK);
        expect_eq(deleted, 0);
    }
    return NULL;
}

static void *flush(void *context)
{
    struct shared *sh = context;
    int64_t flushed;
    while (!atomic_load(&sh->done))
        expect_eq(store_flush(log_store(sh->s.log), &flushed), OUT_OK);
    return NULL;
}

/* The order of things is looked at here, not the disk. */
static int no_sync(int fd)
{
    return fd < 0 ? -1 : 0;
}

void test_nobody_misses_what_stays(void)
{
    static struct shared sh;
    static struct log_io io;
    void *(*const work[])(void *) = {write_records, walk, walk, compact, flush};
    pthread_t threads[COUNT_OF(work)];
    scratch_init(&sh.s);
    io = log_io_kernel;
    io.fsync = io.fdatasync = no_sync;
    sh.s.open.io = &io;
    sh.s.open.options.cleanup_delete = false;
    sh.s.open.options.cleanup_compact = true;
    sh.s.open.options.segment_bytes = 6000;
    sh.s.open.options.index_interval_bytes = 500;
    sh.s.open.options.file_delete_delay_ms = 0;
    scratch_open(&sh.s);
    for (size_t i = 0; i < COUNT_OF(work); i++)
        expect(pthread_create(&threads[i], NULL, work[i], &sh) == 0);
    for (size_t i = 0; i < COUNT_OF(work); i++)
        expect(pthread_join(threads[i], NULL) == 0);
    printf("# %lld passes, %lld walks, %lld records dropped\n", atomic_load(&sh.passes),
           atomic_load(&sh.walks), atomic_load(&sh.dropped));
    expect(atomic_load(&sh.passes) >= 20 && atomic_load(&sh.walks) > 1);
    expect(atomic_load(&sh.dropped) > RECORDS / 2);
    scratch_close(&sh.s, LOG_CLEAN);
    scratch_open(&sh.s);
    walk_by_reads(&sh, RECORDS, 5000);
    scratch_close(&sh.s, LOG_CLEAN);
}

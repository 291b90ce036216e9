/* SPDX-License-Identifier: MIT */
/*
 * One log, many threads: writers, readers, a flusher, retention. Every reader sees whole batches in
 * order, everything below what it was told is the end; nothing is read after it was freed. Meant to
 * be run with the thread and address sanitizers as well.
 */
#include "helper.h"

#include <pthread.h>

#define WRITERS 2
#define READERS 2
#define APPENDS 10000

struct shared {
    struct scratch s;
    atomic_int writing; /* writers still at work */
    atomic_llong views, flushes;
};

static void *write_batches(void *context)
{
    struct shared *sh = context;
    struct log_builder b;
    struct store_appended done;
    uint8_t *at;
    int64_t before = -1;
    char value[100] = {'v'};
    struct log_builder_end end = log_builder_plain();
    log_builder_init(&b, MiB(1));
    for (int i = 0; i < APPENDS; i++) {
        size_t size;
        log_builder_reset(&b);
        for (int k = 0; k <= i % 3; k++)
            log_builder_add(&b, NOW + i, bytes_of("k"), bytes_view(value, sizeof value), NULL, 0);
        expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
        expect_eq(put(sh->s.log, at, size, &done), OUT_OK);
        expect(done.base_offset > before);
        before = done.last_offset;
    }
    log_builder_fini(&b);
    atomic_fetch_sub(&sh->writing, 1);
    return NULL;
}

/* Follows the log from its start; whoever was overtaken by retention begins again at the start. */
static void *read_batches(void *context)
{
    struct shared *sh = context;
    struct store *store = log_store(sh->s.log);
    int64_t at = 0;
    for (;;) {
        bool last = atomic_load(&sh->writing) == 0;
        struct store_view v;
        int64_t limit = stat_of(sh->s.log).end_offset; /* as a fetch bounds it */
        struct store_read r = {.offset = at, .limit_offset = limit, .max_bytes = 3000};
        enum outcome o = store_read(store, &r, &v);
        if (o == OUT_OFFSET_OUT_OF_RANGE) {
            at = stat_of(sh->s.log).start_offset;
            continue;
        }
        expect_eq(o, OUT_OK);
        if (v.size == 0) {
            if (last)
                break;
            sched_yield();
            continue;
        }
        uint8_t *bytes = view_bytes(&v);
        struct bytes rest = {bytes, v.size};
        struct log_batch b;
        int batches = 0;
        while (log_batch_next(&rest, &b) == OUT_OK) {
            expect(log_batch_crc_good(&b));
            expect(b.base_offset == at || (batches == 0 && b.base_offset < at));
            expect(b.last_offset < limit);
            at = b.last_offset + 1;
            batches++;
        }
        expect(batches > 0);
        free(bytes);
        store_hold_drop(v.hold);
        atomic_fetch_add(&sh->views, 1);
    }
    expect_eq(at, stat_of(sh->s.log).end_offset);
    return NULL;
}

static void *flush_and_retain(void *context)
{
    struct shared *sh = context;
    int64_t flushed = 0;
    int32_t deleted;
    while (atomic_load(&sh->writing) > 0) {
        int64_t end = stat_of(sh->s.log).end_offset, before = flushed;
        expect_eq(store_flush(log_store(sh->s.log), &flushed), OUT_OK);
        expect(flushed >= end && flushed >= before);
        expect_eq(log_retain(sh->s.log, NOW, &deleted), OUT_OK);
        struct store_place p;
        expect_eq(store_seek(log_store(sh->s.log), NOW + 5, &p), OUT_OK);
        atomic_fetch_add(&sh->flushes, 1);
    }
    return NULL;
}

void test_writers_readers_flusher_and_retention_at_once(void)
{
    static struct shared sh;
    pthread_t threads[WRITERS + READERS + 1];
    scratch_init(&sh.s);
    sh.s.open.options.segment_bytes = 8000;
    sh.s.open.options.index_interval_bytes = 500;
    sh.s.open.options.retention_bytes = 60000;
    sh.s.open.options.file_delete_delay_ms = 0;
    scratch_open(&sh.s);
    atomic_store(&sh.writing, WRITERS);
    for (int i = 0; i < WRITERS + READERS + 1; i++)
        expect(pthread_create(&threads[i], NULL,
                              i < WRITERS             ? write_batches
                              : i < WRITERS + READERS ? read_batches
                                                      : flush_and_retain,
                              &sh) == 0);
    for (int i = 0; i < WRITERS + READERS + 1; i++)
        expect(pthread_join(threads[i], NULL) == 0);
    int64_t records = 0;
    for (int i = 0; i < APPENDS; i++)
        records += 1 + i % 3;
    expect_eq(stat_of(sh.s.log).end_offset, WRITERS * records);
    expect(atomic_load(&sh.views) > 0 && atomic_load(&sh.flushes) > 0);
    expect(stat_of(sh.s.log).start_offset > 0);
    scratch_close(&sh.s, LOG_CLEAN);
    scratch_open(&sh.s);
    expect_eq(stat_of(sh.s.log).end_offset, WRITERS * records);
    scratch_close(&sh.s, LOG_CLEAN);
}

/* SPDX-License-Identifier: MIT */
/*
 * One stream, many threads: writers, readers that follow, retention and options that change. Every
 * reader sees whole batches in order and never one that is not below the limit it gave; what a view
 * shows stays. Meant to be run with the thread and address sanitizers as well.
 */
#include "helper.h"

#include <pthread.h>
#include <sched.h>

#define WRITERS 2
#define READERS 3
#define APPENDS 20000
#define HELD 4

struct shared {
    struct stream *s;
    atomic_int writing;
    atomic_llong views, lost;
};

static void *write_batches(void *context)
{
    struct shared *sh = context;
    struct log_builder b;
    struct store_appended done;
    uint8_t *at;
    int64_t before = -1;
    char value[200] = {'v'};
    struct log_builder_end end = log_builder_plain();
    log_builder_init(&b, MiB(1));
    for (int i = 0; i < APPENDS; i++) {
        size_t size;
        log_builder_reset(&b);
        for (int k = 0; k <= i % 3; k++)
            log_builder_add(&b, NOW + i, bytes_of("k"), bytes_view(value, sizeof value), NULL, 0);
        expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
        expect_eq(stream_put(sh->s, at, size, NOW, &done), OUT_OK);
        expect(done.base_offset > before);
        before = done.last_offset;
    }
    log_builder_fini(&b);
    atomic_fetch_sub(&sh->writing, 1);
    return NULL;
}

/* Walks a view; the offset behind it. */
static int64_t walk(const struct store_view *v, int64_t at, int64_t limit)
{
    struct bytes rest = {v->at, v->size};
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
    return at;
}

/* Follows the stream; who was overtaken begins again at the start. Some views are kept for a while,
 * longer than what they show is. */
static void *read_batches(void *context)
{
    struct shared *sh = context;
    struct { struct store_view v; int64_t at; } held[HELD] = {0};
    int64_t at = 0;
    for (size_t i = 0;; i++) {
        bool last = atomic_load(&sh->writing) == 0;
        struct store_view v;
        int64_t limit = stream_stat(sh->s).end_offset;
        struct store_read r = {.offset = at, .limit_offset = limit, .max_bytes = 3000};
        enum outcome o = store_read(stream_store(sh->s), &r, &v);
        if (o == OUT_OFFSET_OUT_OF_RANGE) {
            at = stream_stat(sh->s).start_offset;
            atomic_fetch_add(&sh->lost, 1);
            continue;
        }
        expect_eq(o, OUT_OK);
        if (v.size == 0) {
            if (last)
                break;
            sched_yield();
            continue;
        }
        if (held[i % HELD].v.size > 0)
            (void)walk(&held[i % HELD].v, held[i % HELD].at, INT64_MAX);
        store_hold_drop(held[i % HELD].v.hold);
        held[i % HELD].v = v;
        held[i % HELD].at = at;
        at = walk(&v, at, limit);
        atomic_fetch_add(&sh->views, 1);
    }
    expect_eq(at, stream_stat(sh->s).end_offset);
    for (size_t i = 0; i < HELD; i++)
        store_hold_drop(held[i].v.hold);
    return NULL;
}

static void *retain_and_configure(void *context)
{
    struct shared *sh = context;
    struct stream_options o = stream_defaults();
    int64_t start = 0;
    for (int i = 0; atomic_load(&sh->writing) > 0; i++) {
        o.batches.retention_bytes = 100000 + i % 5 * 100000;
        o.retention_records = i % 7 == 0 ? 500 : -1;
        if (i % 64 == 0)
            expect_eq(stream_configure(sh->s, &o), OUT_OK);
        stream_retain(sh->s, NOW);
        struct store_place p;
        expect_eq(store_seek(stream_store(sh->s), NOW + 5, &p), OUT_OK);
        expect_eq(store_seek(stream_store(sh->s), STORE_MAX_TIMESTAMP, &p), OUT_OK);
        struct store_stat st = stream_stat(sh->s);
        expect(st.start_offset >= start && st.start_offset <= st.end_offset);
        start = st.start_offset;
        sched_yield();
    }
    return NULL;
}

void test_writers_readers_and_retention_at_once(void)
{
    static struct shared sh;
    pthread_t threads[WRITERS + READERS + 1];
    struct stream_options o = stream_defaults();
    o.batches.retention_bytes = 300000;
    sh.s = stream_open(&o);
    atomic_store(&sh.writing, WRITERS);
    for (int i = 0; i < WRITERS + READERS + 1; i++)
        expect(pthread_create(&threads[i], NULL,
                              i < WRITERS             ? write_batches
                              : i < WRITERS + READERS ? read_batches
                                                      : retain_and_configure,
                              &sh) == 0);
    for (int i = 0; i < WRITERS + READERS + 1; i++)
        expect(pthread_join(threads[i], NULL) == 0);
    int64_t records = 0;
    for (int i = 0; i < APPENDS; i++)
        records += 1 + i % 3;
    expect_eq(stream_stat(sh.s).end_offset, WRITERS * records);
    expect(atomic_load(&sh.views) > 0);
    expect(stream_stat(sh.s).start_offset > 0);
    printf("# %lld views, %lld times overtaken\n", (long long)atomic_load(&sh.views),
           (long long)atomic_load(&sh.lost));
    stream_free(sh.s);
}

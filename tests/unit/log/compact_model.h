/* SPDX-License-Identifier: MIT */
/*
 * A log of keyed records and what must be in it: every record ever appended, whether it was
 * committed, and what a consumer has to see after any number of compactions.
 */
#ifndef LOG_COMPACT_MODEL_H
#define LOG_COMPACT_MODEL_H

#include "helper.h"

#define KEYS 40
#define RECORDS_MAX 20000
#define PRODUCERS 6 /* the first half is idempotent, the others are transactional */

enum fate { FATE_CONTROL, FATE_PLAIN, FATE_OPEN, FATE_COMMITTED, FATE_ABORTED };

struct origin {
    enum fate fate;
    int32_t key, who;
    bool tombstone, present;
    int64_t timestamp, cleaned_ms; /* of the first pass over it, 0 none */
};

struct maker {
    int32_t sequence;   /* of the next batch */
    int64_t txn_start;  /* -1 none */
    uint8_t *last;      /* bytes of the last batch as it was sent */
    size_t last_size;
    int64_t last_base;
};

struct model {
    struct scratch s;
    struct origin records[RECORDS_MAX]; /* by offset */
    struct maker makers[PRODUCERS];
    int64_t start, end, first_dirty, now_ms, passed_ms;
    int64_t dropped, passes;
    bool half_done; /* a pass was broken off: only what consumers see is certain */
};

__attribute__((unused)) static void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    scratch_init(&m->s);
    m->now_ms = NOW;
    for (int i = 0; i < PRODUCERS; i++)
        m->makers[i].txn_start = -1;
    struct log_options *o = &m->s.open.options;
    o->cleanup_delete = false;
    o->cleanup_compact = true;
    o->segment_bytes = 5000;
    o->index_interval_bytes = 300;
    o->delete_retention_ms = 1000;
    o->producer_expiration_ms = INT64_C(1) << 50;
    o->timestamp_after_max_ms = INT64_MAX;
}

static void model_value(char to[static 200], int64_t offset, size_t *size)
{
    int used = snprintf(to, 200, "value %lld ", (long long)offset);
    memset(to + used, 'a' + (int)(offset % 26), 150);
    *size = (size_t)used + (size_t)(offset * 7 % 100);
}

static void model_key(char to[static 16], int32_t key)
{
    snprintf(to, 16, "key %d", key);
}

/* One batch of random records. `who`: -1 nobody. */
__attribute__((unused)) static void model_append(struct model *m, int who)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    uint8_t *at;
    size_t size;
    int count = 1 + (int)random_below(6);
    bool txn = who >= PRODUCERS / 2;
    if (m->end + count >= RECORDS_MAX)
        return;
    log_builder_init(&b, MiB(1));
    for (int i = 0; i < count; i++) {
        char key[16], value[200];
        struct origin *r = &m->records[m->end + i];
        struct log_header h = {bytes_of("h"), bytes_of("x")};
        *r = (struct origin){.fate = txn ? FATE_OPEN : FATE_PLAIN,
                             .key = (int32_t)random_below(KEYS), .who = who,
                             .tombstone = random_below(5) == 0,
                             .timestamp = m->now_ms + (int64_t)random_below(100)};
        model_key(key, r->key);
        model_value(value, m->end + i, &size);
        log_builder_add(&b, r->timestamp, bytes_of(key),
                        r->tombstone ? (struct bytes){NULL, 0} : bytes_view(value, size), &h,
                        (int32_t)(random_below(4) == 0));
    }
    if (who >= 0) {
        end.producer_id = 100 + who;
        end.producer_epoch = 3;
        end.base_sequence = m->makers[who].sequence;
        end.attributes = txn ? LOG_ATTR_TXN : 0;
    }
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    uint8_t *copy = malloc(size);
    memcpy(copy, at, size);
    enum outcome o = put(m->s.log, at, size, &done);
    if (o != OUT_OK)
        printf("# %s: %s\n", outcome_name(o), outcome_trail());
    expect_eq(o, OUT_OK);
    expect(!done.duplicate);
    expect_eq(done.base_offset, m->end);
    if (who >= 0) {
        struct maker *k = &m->makers[who];
        free(k->last);
        *k = (struct maker){k->sequence + count,
                            txn && k->txn_start < 0 ? m->end : k->txn_start, copy, size, m->end};
    } else {
        free(copy);
    }
    m->end += count;
    log_builder_fini(&b);
}

/* The last batch of a producer once more: it is known, wherever its records went. */
__attribute__((unused)) static void model_again(struct model *m, int who)
{
    struct store_appended done;
    struct maker *k = &m->makers[who];
    if (k->last == NULL || k->last_base < m->start)
        return; /* what is known of a batch that was deleted is not promised */
    uint8_t *copy = malloc(k->last_size);
    memcpy(copy, k->last, k->last_size);
    expect_eq(put(m->s.log, copy, k->last_size, &done), OUT_OK);
    expect(done.duplicate);
    expect_eq(done.base_offset, k->last_base);
    free(copy);
}

__attribute__((unused)) static void model_end_txn(struct model *m, int who, enum log_marker type)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_appended done;
    uint8_t *at;
    size_t size;
    if (m->makers[who].txn_start < 0 || m->end + 1 >= RECORDS_MAX)
        return;
    log_builder_init(&b, KiB(1));
    log_builder_marker(&b, m->now_ms, type, 1);
    end.producer_id = 100 + who;
    end.producer_epoch = 3;
    expect_eq(log_builder_finish(&b, &end, &at, &size), OUT_OK);
    struct store_append a = {.at = at, .size = size, .origin = STORE_COORDINATOR,
                             .now_ms = m->now_ms};
    expect_eq(store_append(log_store(m->s.log), &a, &done), OUT_OK);
    m->records[m->end++] = (struct origin){.fate = FATE_CONTROL};
    for (int64_t i = m->makers[who].txn_start; i < m->end; i++) /* others' lie in between */
        if (m->records[i].fate == FATE_OPEN && m->records[i].who == who)
            m->records[i].fate = type == LOG_MARKER_COMMIT ? FATE_COMMITTED : FATE_ABORTED;
    m->makers[who].txn_start = -1;
    log_builder_fini(&b);
}

/* ---- what a consumer sees ---- */

struct walk_state {
    struct model *m;
    int64_t last_offset, stable;
    int64_t live[KEYS];   /* offset of the newest visible record of each key, -1 none, -2 deleted */
    struct log_aborted *aborted;
    size_t aborted_count, next;
    bool aborting[PRODUCERS];
    int64_t records;
};

static void walk_record(struct walk_state *w, const struct log_batch *b, const struct log_record *r,
                        bool hidden)
{
    char key[16], value[200];
    size_t size;
    struct origin *o = &w->m->records[r->offset];
    expect(r->offset >= b->base_offset && r->offset <= b->last_offset);
    if (r->offset < w->m->start)
        return; /* the batch of the first record that is left has more */
    model_key(key, o->key);
    model_value(value, r->offset, &size);
    expect(bytes_is(r->key, key));
    expect(o->tombstone ? r->value.at == NULL : bytes_equal(r->value, bytes_view(value, size)));
    expect_eq(r->timestamp, o->timestamp);
    o->present = true;
    w->records++;
    if (hidden) {
        expect(o->fate == FATE_ABORTED);
        return;
    }
    if (r->offset >= w->stable)
        return;
    expect(o->fate == FATE_COMMITTED || o->fate == FATE_PLAIN);
    w->live[o->key] = o->tombstone ? -2 : r->offset;
}

/* As a read_committed consumer goes through batches and the list of aborted transactions. */
static enum outcome walk_batch(void *context, const struct log_batch *b)
{
    struct walk_state *w = context;
    struct log_records walk;
    struct log_record r;
    enum outcome o;
    int64_t before = -1;
    expect(b->base_offset > w->last_offset);
    expect(log_batch_crc_good(b));
    w->last_offset = b->last_offset;
    for (; w->next < w->aborted_count && w->aborted[w->next].first_offset <= b->last_offset;
         w->next++)
        w->aborting[w->aborted[w->next].producer_id - 100] = true;
    expect_eq(log_records_begin(&walk, b, MiB(1)), OUT_OK);
    bool txn = (b->attributes & LOG_ATTR_TXN) != 0;
    bool hidden = txn && w->aborting[b->producer_id - 100];
    while ((o = log_records_next(&walk, &r)) == OUT_OK) {
        expect(r.offset > before);
        before = r.offset;
        if ((b->attributes & LOG_ATTR_CONTROL) == 0)
            walk_record(w, b, &r, hidden);
        else if (get_be16(r.key.at + 2) == LOG_MARKER_ABORT)
            w->aborting[b->producer_id - 100] = false;
    }
    expect_eq(o, OUT_END);
    log_records_fini(&walk);
    return OUT_OK;
}

/* The log's memory of producers: what it must be by all that was ever appended. */
__attribute__((unused)) static void model_verify_producers(struct model *m)
{
    struct log_producer told[2 * PRODUCERS];
    size_t count = log_producers(m->s.log, told, COUNT_OF(told));
    expect(count <= PRODUCERS);
    for (int who = 0; who < PRODUCERS; who++) {
        const struct maker *k = &m->makers[who];
        const struct log_producer *p = NULL;
        for (size_t i = 0; i < count; i++)
            if (told[i].producer_id == 100 + who)
                p = &told[i];
        if (k->last == NULL || (p == NULL && k->last_base < m->start))
            continue;
        expect(p != NULL);
        expect_eq(p->epoch, 3);
        expect_eq(p->last_sequence, k->sequence - 1);
        expect_eq(p->txn_start_offset, k->txn_start);
    }
}

/* What must be there and what must not. */
__attribute__((unused)) static void model_verify(struct model *m)
{
    struct arena arena;
    struct walk_state w = {.m = m, .last_offset = -1, .stable = stat_of(m->s.log).stable_offset};
    int64_t want[KEYS], newest[KEYS];
    arena_init(&arena, MiB(64));
    expect_eq(stat_of(m->s.log).start_offset, m->start);
    expect_eq(stat_of(m->s.log).end_offset, m->end);
    model_verify_producers(m);
    expect_eq(log_aborted(m->s.log, 0, m->end, &arena, &w.aborted, &w.aborted_count), OUT_OK);
    for (int k = 0; k < KEYS; k++)
        w.live[k] = want[k] = newest[k] = -1;
    for (int64_t i = 0; i < m->end; i++)
        m->records[i].present = false;
    expect_eq(log_scan(m->s.log, 0, INT64_MAX, walk_batch, &w), OUT_OK);
    for (int64_t i = 0; i < m->end; i++) {
        struct origin *r = &m->records[i];
        bool committed = r->fate == FATE_COMMITTED || r->fate == FATE_PLAIN;
        if (committed && i >= m->start && i < w.stable)
            want[r->key] = r->tombstone ? -2 : i;
        if (committed && i < m->first_dirty)
            newest[r->key] = i;
    }
    for (int k = 0; k < KEYS; k++) {
        if (w.live[k] == -1 && want[k] == -2)
            continue; /* the tombstone is gone, and all before it */
        expect_eq(w.live[k], want[k]);
    }
    for (int64_t i = m->start; i < m->end && !m->half_done; i++) {
        struct origin *r = &m->records[i];
        if (r->fate == FATE_CONTROL)
            continue;
        if (i >= m->first_dirty)
            expect(r->present || r->cleaned_ms != 0);
        else if (r->fate == FATE_ABORTED || newest[r->key] != i)
            expect(!r->present);
        else if (!r->tombstone)
            expect(r->present);
        else
            expect(r->present || m->passed_ms - r->cleaned_ms >= 1000);
    }
    arena_fini(&arena);
}

/* DeleteRecords. */
__attribute__((unused)) static void model_trim(struct model *m, int64_t offset)
{
    int64_t start;
    expect_eq(store_trim(log_store(m->s.log), offset, &start), OUT_OK);
    m->start = MAX(m->start, offset);
    expect_eq(start, m->start);
}

/* By age (`ms`), by size (`bytes`), -1: not; only whole segments go, and none that must stay. */
__attribute__((unused)) static void model_retain(struct model *m, int64_t ms, int64_t bytes)
{
    struct log_options *o = &m->s.open.options;
    int32_t deleted;
    int64_t size = stat_of(m->s.log).size_bytes;
    o->cleanup_delete = true;
    o->retention_ms = ms;
    o->retention_bytes = bytes;
    expect_eq(log_configure(m->s.log, o), OUT_OK);
    expect_eq(log_retain(m->s.log, m->now_ms, &deleted), OUT_OK);
    int64_t start = stat_of(m->s.log).start_offset;
    expect(start >= m->start && start <= m->end);
    expect(start == m->start || deleted > 0);
    if (start > m->start && bytes >= 0 && ms < 0)
        expect(stat_of(m->s.log).size_bytes >= bytes || start == m->end);
    for (int64_t i = m->start; i < start && ms >= 0 && bytes < 0; i++)
        expect(m->records[i].fate == FATE_CONTROL || m->now_ms - m->records[i].timestamp > ms ||
               !m->records[i].present);
    if (bytes >= 0 && ms < 0 && start == m->start)
        expect(size - bytes < 2 * o->segment_bytes + 4096 || size < bytes);
    m->start = start;
    o->cleanup_delete = false;
    o->retention_ms = o->retention_bytes = -1;
    expect_eq(log_configure(m->s.log, o), OUT_OK);
}

/* One pass over what is dirty, with memory for `keys` keys. */
__attribute__((unused)) static enum outcome model_compact(struct model *m, size_t keys,
                                                          struct log_compacted *done)
{
    struct log_dirt d;
    expect_eq(log_dirt(m->s.log, m->first_dirty, m->now_ms, &d), OUT_OK);
    expect_eq(d.first_dirty, MAX(m->first_dirty, m->start));
    m->first_dirty = d.first_dirty;
    expect(d.end == d.first_dirty || d.end <= stat_of(m->s.log).stable_offset);
    struct log_compact what = {.first_dirty = d.first_dirty, .end = d.end, .now_ms = m->now_ms,
                               .key_bytes = keys * 24, .key_load = 0.9};
    enum outcome o = log_compact(m->s.log, &what, done);
    if (o != OUT_OK) {
        m->half_done = true;
        return o;
    }
    m->half_done = false;
    expect(done->next_dirty >= d.first_dirty && done->next_dirty <= d.end);
    expect(done->next_dirty > d.first_dirty || d.end == d.first_dirty);
    for (int64_t i = 0; i < d.end; i++)
        if (m->records[i].cleaned_ms == 0)
            m->records[i].cleaned_ms = m->now_ms;
    m->first_dirty = done->next_dirty;
    m->passed_ms = m->now_ms;
    m->dropped += done->records_read - done->records_kept;
    m->passes++;
    return OUT_OK;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What goes: batches from the oldest on, for the start (DeleteRecords, retention.records), the
 * bytes, the age. The head batch's size and age are kept at hand, so that an append with nothing to
 * drop compares a few numbers. Slabs go when all of their batches have.
 */
#include "stream/private.h"

#include "base/check.h"

struct bound {
    int64_t start;  /* batches that end below it go */
    int64_t bytes;  /* above it they go, but for the newest batch */
    int64_t oldest; /* batches with a largest timestamp below it go; those without one stay */
};

void head_look(struct stream *s)
{
    const struct slabs *list = atomic_load_explicit(&s->list, memory_order_relaxed);
    struct head *h = &s->head;
    struct log_batch b;
    h->size = 0;
    while (list != NULL && h->slab < list->count) {
        const struct slab *slab = list->at[h->slab];
        if (h->position < atomic_load_explicit(&slab->used, memory_order_relaxed)) {
            slab_batch(slab, h->position, &b);
            h->size = b.size;
            h->last_offset = b.last_offset;
            h->max_timestamp = b.max_timestamp;
            return;
        }
        h->slab++;
        h->position = 0;
    }
    h->position = 0;
}

static bool goes(const struct head *h, const struct bound *to, int64_t bytes, int64_t end)
{
    if (h->last_offset < to->start)
        return true;
    if (bytes > to->bytes && h->last_offset + 1 < end)
        return true;
    return h->max_timestamp >= 0 && h->max_timestamp < to->oldest;
}

/* True when the start moved. */
static bool shrink(struct stream *s, const struct bound *to)
{
    struct head *h = &s->head;
    int64_t before = atomic_load_explicit(&s->start_offset, memory_order_relaxed);
    int64_t end = atomic_load_explicit(&s->end_offset, memory_order_relaxed);
    int64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    int64_t start = MAX(before, to->start);
    while (h->size > 0 && goes(h, to, bytes, end)) {
        bytes -= (int64_t)h->size;
        start = MAX(start, h->last_offset + 1);
        h->position += h->size;
        head_look(s);
    }
    if (start == before)
        return false;
    /* The start before the list: who does not find a slab any more sees why. */
    atomic_store_explicit(&s->start_offset, start, memory_order_seq_cst);
    atomic_store_explicit(&s->bytes, bytes, memory_order_relaxed);
    enum outcome o = h->slab > 0 ? slabs_publish(s, NULL) : OUT_OK;
    (void)o; /* no memory for a shorter list: the next one leaves them out */
    log_ledger_cut(s->ledger, start);
    return true;
}

void stream_cut(struct stream *s, int64_t offset)
{
    struct bound to = {.start = offset, .bytes = INT64_MAX, .oldest = INT64_MIN};
    (void)shrink(s, &to);
}

bool stream_bound(struct stream *s, int64_t now_ms)
{
    const struct stream_options *o = stream_opts(s);
    struct bound to = {.start = -1, .bytes = INT64_MAX, .oldest = INT64_MIN};
    if (o->retention_records >= 0)
        to.start = atomic_load_explicit(&s->end_offset, memory_order_relaxed) -
                   MAX(o->retention_records, 1);
    if (o->batches.retention_bytes >= 0)
        to.bytes = o->batches.retention_bytes;
    if (o->batches.retention_ms >= 0 &&
        __builtin_sub_overflow(now_ms, o->batches.retention_ms, &to.oldest))
        to.oldest = INT64_MIN;
    return shrink(s, &to);
}

bool stream_retain(struct stream *s, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    bool moved = stream_bound(s, now_ms);
    log_ledger_expire(s->ledger, now_ms, stream_opts(s)->batches.producer_expiration_ms);
    struct slabs *old = slabs_detach(s);
    pthread_mutex_unlock(&s->lock);
    slabs_free(old);
    return moved;
}

enum outcome stream_trim_op(struct store *store, int64_t offset, int64_t *start_offset)
{
    struct stream *s = stream_of(store);
    enum outcome o = OUT_OK;
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->offline))
        o = OUT_OFFLINE;
    else if (offset < 0 || offset > atomic_load(&s->end_offset))
        o = OUT_OFFSET_OUT_OF_RANGE;
    else
        stream_cut(s, offset);
    *start_offset = atomic_load(&s->start_offset);
    struct slabs *old = slabs_detach(s);
    pthread_mutex_unlock(&s->lock);
    slabs_free(old);
    return o;
}

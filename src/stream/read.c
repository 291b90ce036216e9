/* SPDX-License-Identifier: MIT */
/*
 * Reading: a view of one slab's bytes, found through its marks and a short hop over batch headers;
 * seeking by time over the slabs that reach it. No lock, no copy. What a view shows is bounded by
 * what was published when it was made.
 */
#include "stream/private.h"

/* The view of a held slab; OUT_END: the offset lies behind it. */
static enum outcome view_slab(struct slab *b, const struct store_read *r, struct store_view *view)
{
    struct log_batch batch, at_limit;
    size_t position, stop, size = atomic_load_explicit(&b->used, memory_order_acquire);
    enum outcome o = slab_find(b, size, r->offset, &position, &batch);
    if (o != OUT_OK)
        return o;
    /* The bytes are published before the end is: what lies behind the limit may be there. */
    if (r->limit_offset == INT64_MAX ||
        slab_find(b, size, r->limit_offset, &stop, &at_limit) != OUT_OK)
        stop = size;
    if (stop <= position)
        return OUT_OK;
    size_t want = MIN(r->max_bytes, stop - position);
    if (r->least == STORE_WHOLE_BATCH && want < batch.size)
        want = batch.size;
    if (want == 0)
        return OUT_OK;
    *view = (struct store_view){
        .fd = -1, .position = position, .size = want, .first_size = batch.size,
        .at = b->bytes + position, .hold = &b->hold,
        .segment_done = position + want == size && want < r->max_bytes, /* if it is not the last */
    };
    return OUT_OK;
}

static bool is_last(struct stream *s, const struct slab *b)
{
    const struct slabs *list = slabs_enter(s);
    bool last = list != NULL && list->at[list->count - 1] == b;
    slabs_leave(s);
    return last;
}

enum outcome stream_read_op(struct store *store, const struct store_read *r,
                            struct store_view *view)
{
    struct stream *s = stream_of(store);
    *view = (struct store_view){.fd = -1};
    if (unlikely(atomic_load_explicit(&s->offline, memory_order_relaxed)))
        return OUT_OFFLINE;
    int64_t end = atomic_load_explicit(&s->end_offset, memory_order_acquire);
    if (r->offset < atomic_load_explicit(&s->start_offset, memory_order_relaxed) || r->offset > end)
        return OUT_OFFSET_OUT_OF_RANGE;
    if (r->offset == end || r->limit_offset <= r->offset)
        return OUT_OK;
    struct slab *b = slabs_hold_at(s, r->offset);
    while (b != NULL) {
        enum outcome o = view_slab(b, r, view);
        if (view->hold != NULL) {
            view->segment_done = view->segment_done && !is_last(s, b);
            return OUT_OK;
        }
        int64_t base = b->base_offset;
        store_hold_drop(&b->hold);
        if (o != OUT_END)
            return o;
        b = slabs_hold_after(s, base); /* a gap of a leader's offsets */
    }
    /* Nothing at or below the offset: the bounds were faster. Nothing behind it: the end. */
    return r->offset < atomic_load(&s->start_offset) ? OUT_OFFSET_OUT_OF_RANGE : OUT_OK;
}

/* ---- by time ---- */

static struct slab *first_held(struct stream *s, int64_t start)
{
    struct slab *b = slabs_hold_at(s, start);
    return b != NULL ? b : slabs_hold_after(s, start);
}

static enum outcome seek_slab(const struct slab *b, int64_t timestamp, int64_t start,
                              struct store_place *place)
{
    struct log_batch batch;
    size_t size = atomic_load_explicit(&b->used, memory_order_acquire), at = 0;
    if (slab_find(b, size, start, &at, &batch) != OUT_OK)
        return OUT_OK;
    for (; at < size && place->offset < 0; at += batch.size) {
        slab_batch(b, at, &batch);
        if (batch.max_timestamp < timestamp)
            continue;
        enum outcome o = log_seek_batch(&batch, timestamp, start, place);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

static enum outcome seek_time(struct stream *s, int64_t timestamp, struct store_place *place)
{
    enum outcome o = OUT_OK;
    int64_t start = atomic_load(&s->start_offset);
    for (struct slab *b = first_held(s, start); b != NULL;) {
        int64_t base = b->base_offset;
        if (atomic_load_explicit(&b->max_timestamp, memory_order_relaxed) >= timestamp)
            o = seek_slab(b, timestamp, start, place);
        store_hold_drop(&b->hold);
        if (o != OUT_OK || place->offset >= 0)
            break;
        b = slabs_hold_after(s, base);
    }
    return o;
}

/* The largest timestamp of what is kept; of whole slabs only their own largest is known, and the
 * first may begin with batches that have gone. */
static int64_t largest_timestamp(struct stream *s)
{
    int64_t largest = -1, start = atomic_load(&s->start_offset);
    for (struct slab *b = first_held(s, start); b != NULL;) {
        struct log_batch batch;
        int64_t base = b->base_offset;
        size_t at, size = atomic_load_explicit(&b->used, memory_order_acquire);
        if (base > start) {
            largest = MAX(largest, atomic_load(&b->max_timestamp));
        } else if (slab_find(b, size, start, &at, &batch) == OUT_OK) {
            for (; at < size; at += batch.size) {
                slab_batch(b, at, &batch);
                largest = MAX(largest, batch.max_timestamp);
            }
        }
        store_hold_drop(&b->hold);
        b = slabs_hold_after(s, base);
    }
    return largest;
}

enum outcome stream_seek_op(struct store *store, int64_t timestamp, struct store_place *place)
{
    struct stream *s = stream_of(store);
    *place = (struct store_place){-1, -1, -1};
    if (atomic_load(&s->offline))
        return OUT_OFFLINE;
    if (timestamp == STORE_LATEST || timestamp == STORE_EARLIEST) {
        pthread_mutex_lock(&s->lock);
        bool latest = timestamp == STORE_LATEST;
        place->offset = atomic_load(latest ? &s->end_offset : &s->start_offset);
        place->leader_epoch = latest ? log_ledger_epoch_latest(s->ledger)
                                     : log_ledger_epoch_at(s->ledger, place->offset);
        pthread_mutex_unlock(&s->lock);
        return OUT_OK;
    }
    if (timestamp == STORE_MAX_TIMESTAMP) {
        timestamp = largest_timestamp(s);
        if (timestamp < 0)
            return OUT_OK;
    }
    return seek_time(s, timestamp, place);
}

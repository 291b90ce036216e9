/* SPDX-License-Identifier: MIT */
/*
 * Appending. Checks that need only the batch run before the lock; under it: producer sequence,
 * offsets (12 bytes outside the checksum), one copy, index, publication, bounds. Cost per batch:
 * one checksum, one walk over uncompressed records, one copy; nothing is allocated but a slab now
 * and then.
 */
#include "stream/private.h"

#include "base/check.h"

#include <stdlib.h>

/* How large a new slab is: a small part of what is kept, so that what goes with it is too. */
static size_t slab_room(const struct stream *s, size_t size)
{
    int64_t limit = stream_opts(s)->batches.retention_bytes;
    int64_t kept = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    if (limit >= 0)
        kept = MIN(kept, limit);
    size_t room = (size_t)kept / SLAB_SHARE;
    return MAX(MIN(MAX(room, SLAB_MIN), SLAB_MAX), size);
}

/* The slab that has room for `size` bytes. */
static enum outcome make_room(struct stream *s, size_t size, struct slab **slab)
{
    const struct slabs *list = atomic_load_explicit(&s->list, memory_order_relaxed);
    int64_t end = atomic_load_explicit(&s->end_offset, memory_order_relaxed);
    if (list != NULL) {
        struct slab *b = list->at[list->count - 1];
        if (b->room - atomic_load_explicit(&b->used, memory_order_relaxed) >= size) {
            *slab = b;
            return OUT_OK;
        }
    }
    enum outcome o = slab_new(slab_room(s, size), end, slab);
    if (o != OUT_OK)
        return o;
    o = slabs_publish(s, *slab);
    store_hold_drop(&(*slab)->hold); /* the list has its own */
    return o;
}

/* Copies numbered batches and publishes them. */
static enum outcome put_batches(struct stream *s, const uint8_t *at, size_t size)
{
    struct slab *slab;
    struct log_batch b;
    struct bytes rest = {at, size};
    int64_t end = 0;
    enum outcome o = make_room(s, size, &slab);
    while (o == OUT_OK && rest.size > 0) {
        check(log_batch_next(&rest, &b) == OUT_OK);
        o = log_ledger_note(s->ledger, &b);
        end = b.last_offset + 1;
    }
    if (o != OUT_OK)
        return o;
    size_t position = atomic_load_explicit(&slab->used, memory_order_relaxed);
    memcpy(slab->bytes + position, at, size);
    for (rest = (struct bytes){slab->bytes + position, size}; rest.size > 0;) {
        check(log_batch_next(&rest, &b) == OUT_OK);
        slab_note(slab, &b, position);
        position += b.size;
    }
    atomic_store_explicit(&s->first_open_offset, log_ledger_first_open(s->ledger),
                          memory_order_release);
    atomic_store_explicit(&s->end_offset, end, memory_order_release);
    atomic_fetch_add_explicit(&s->bytes, (int64_t)size, memory_order_relaxed);
    if (s->head.size == 0)
        head_look(s);
    return OUT_OK;
}

/* One batch of our own numbering. */
static enum outcome append_one(struct stream *s, const struct store_append *a, uint8_t *at,
                               const struct log_batch *b, struct store_appended *done)
{
    enum outcome o = log_ledger_admit(s->ledger, b, a, done);
    if (o != OUT_OK || done->duplicate)
        return o;
    int64_t base = atomic_load_explicit(&s->end_offset, memory_order_relaxed);
    int64_t last = base + (b->last_offset - b->base_offset);
    log_number_batch(at, a, base);
    o = put_batches(s, at, b->size);
    if (o == OUT_OK) {
        done->base_offset = base;
        done->last_offset = last;
    }
    return o;
}

/* Batches of a leader's numbering. */
static enum outcome append_copy(struct stream *s, const struct store_append *a,
                                struct store_appended *done)
{
    struct log_batch first;
    int64_t end;
    size_t whole;
    enum outcome o = log_check_copy(a, atomic_load(&s->end_offset), &first, &whole, &end);
    if (o == OUT_OK)
        o = put_batches(s, a->at, whole);
    if (o == OUT_OK) {
        done->base_offset = first.base_offset;
        done->last_offset = end - 1;
    }
    return o;
}

enum outcome stream_append_op(struct store *store, const struct store_append *a,
                              struct store_appended *done)
{
    struct stream *s = stream_of(store);
    struct log_checked c = {.replaced = NULL, .log_append_time_ms = -1};
    enum outcome o = OUT_OK;
    *done = (struct store_appended){-1, -1, -1, -1, false, NULL, 0, NULL};
    if (a->origin != STORE_REPLICA)
        o = log_check_batch(&stream_opts(s)->batches, a, &c, done);
    if (likely(o == OUT_OK)) {
        c.reached_log = true;
        pthread_mutex_lock(&s->lock);
        if (unlikely(atomic_load_explicit(&s->offline, memory_order_relaxed)))
            o = OUT_OFFLINE;
        else if (a->origin == STORE_REPLICA)
            o = append_copy(s, a, done);
        else
            o = append_one(s, a, c.replaced == NULL ? a->at : c.replaced, &c.batch, done);
        if (likely(o == OUT_OK))
            (void)stream_bound(s, a->now_ms);
        struct slabs *old = slabs_detach(s);
        pthread_mutex_unlock(&s->lock);
        slabs_free(old);
    }
    if (likely(o == OUT_OK) && !done->duplicate)
        done->log_append_time_ms = c.log_append_time_ms;
    if (c.reached_log && log_refusal_tells_start(o))
        done->log_start_offset = atomic_load_explicit(&s->start_offset, memory_order_relaxed);
    free(c.replaced);
    return o;
}

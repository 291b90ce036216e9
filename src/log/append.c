/* SPDX-License-Identifier: MIT */
/*
 * Appending. Checks that need only the batch run before the lock; under it: producer sequence,
 * offset assignment (12 bytes outside the checksum), one write call, index entry, publication. A
 * write that fails is cut off again, so that the log ends where it did; a full disk leaves the log
 * usable. Cost per batch: one checksum, one walk over uncompressed records, one pwrite; no
 * allocation.
 */
#include "log/partition.h"

#include "base/check.h"

#include <stdlib.h>

#define AHEAD_FROM MiB(4) /* smaller segments stay as small on the disk */

static bool must_roll(const struct log *l, const struct log_options *opts,
                      const struct log_batch *b, size_t size, int64_t now_ms)
{
    struct segment *s = l->active;
    struct body *body = atomic_load_explicit(&s->body, memory_order_relaxed);
    uint64_t used = atomic_load_explicit(&s->size, memory_order_relaxed);
    if (used == 0)
        return false;
    if (used + size > (uint64_t)opts->segment_bytes || used + size > INT32_MAX)
        return true;
    int64_t age = s->first_timestamp >= 0 ? MAX(b->max_timestamp, -1) - s->first_timestamp
                                          : now_ms - s->created_ms;
    if (age > opts->segment_ms - l->jitter_ms)
        return true;
    uint32_t room = (uint32_t)opts->segment_index_bytes;
    if (index_count(&body->offsets) >= room / INDEX_OFFSETS ||
        index_count(&body->times) + 1 >= room / INDEX_TIMES)
        return true;
    return atomic_load_explicit(&l->end_offset, memory_order_relaxed) + b->count - s->base_offset >
           INT32_MAX - 1;
}

/* Ends the log where it was. */
COLD static enum outcome undo_write(struct log *l, uint64_t size, enum outcome o)
{
    struct body *body = atomic_load(&l->active->body);
    l->active->ahead = 0; /* goes with the rest */
    if (l->io->ftruncate(body->fd, (off_t)size) != 0)
        o = fail(OUT_OFFLINE, "%s: cut off a failed write", l->path);
    if (o != OUT_NO_SPACE)
        log_go_offline(l, o);
    return o;
}

/* Writes `size` bytes holding `count` batches and takes each into account. */
static enum outcome write_batches(struct log *l, const struct log_options *opts, const uint8_t *at,
                                  size_t size)
{
    struct segment *s = l->active;
    struct body *body = atomic_load_explicit(&s->body, memory_order_relaxed);
    uint64_t position = atomic_load_explicit(&s->size, memory_order_relaxed);
    if (unlikely(position + size > s->ahead) && position >= AHEAD_FROM &&
        opts->allocate_ahead_bytes > 0)
        segment_allocate_ahead(s, size, opts->allocate_ahead_bytes, opts->segment_bytes);
    enum outcome o = io_write(l->io, body->fd, at, size, position);
    if (unlikely(o != OUT_OK))
        return undo_write(l, position, o);
    struct bytes rest = {at, size};
    struct log_batch b;
    int64_t end = 0;
    while (rest.size > 0 && o == OUT_OK) {
        check(log_batch_next(&rest, &b) == OUT_OK);
        segment_note_batch(s, &b, position, opts->index_interval_bytes);
        if (b.producer_id >= 0)
            o = producers_reserve(&l->producers);
        if (o == OUT_OK)
            o = log_account(l, &b);
        position += b.size;
        end = b.last_offset + 1;
    }
    l->changed = true;
    if (!atomic_load_explicit(&s->unsynced, memory_order_relaxed))
        atomic_store(&s->unsynced, true);
    if (!atomic_load_explicit(&s->unsaved, memory_order_relaxed))
        atomic_store(&s->unsaved, true);
    uint64_t turn = atomic_load_explicit(&l->publishing, memory_order_relaxed);
    atomic_store_explicit(&l->publishing, turn + 1, memory_order_relaxed);
    atomic_store_explicit(&s->size, position, memory_order_release);
    atomic_store_explicit(&l->end_offset, end, memory_order_release);
    atomic_store_explicit(&l->publishing, turn + 2, memory_order_release);
    return o;
}

/* One batch of our own numbering. */
static enum outcome append_locked(struct log *l, const struct log_options *opts,
                                  const struct store_append *a, uint8_t *at, struct log_batch *b,
                                  struct store_appended *done)
{
    if (unlikely(atomic_load_explicit(&l->offline, memory_order_relaxed)))
        return OUT_OFFLINE;
    enum outcome o =
        b->producer_id < 0 ? OUT_OK : producers_admit(&l->producers, b, a, done);
    if (o != OUT_OK || done->duplicate)
        return o;
    if (unlikely(must_roll(l, opts, b, b->size, a->now_ms))) {
        o = log_roll_locked(l, a->now_ms);
        if (o != OUT_OK)
            return o;
    }
    int64_t base = atomic_load_explicit(&l->end_offset, memory_order_relaxed);
    int32_t delta = (int32_t)(b->last_offset - b->base_offset);
    log_number_batch(at, a, base);
    o = write_batches(l, opts, at, b->size);
    if (o == OUT_OK) {
        done->base_offset = base;
        done->last_offset = base + delta;
    }
    return o;
}

/* Batches of a leader's numbering: they must follow the end of the log; gaps are allowed. */
static enum outcome append_copy(struct log *l, const struct log_options *opts,
                                const struct store_append *a, struct store_appended *done)
{
    struct log_batch first;
    int64_t end;
    size_t whole;
    if (atomic_load(&l->offline))
        return OUT_OFFLINE;
    enum outcome o = log_check_copy(a, atomic_load(&l->end_offset), &first, &whole, &end);
    if (o != OUT_OK)
        return o;
    if (must_roll(l, opts, &first, whole, a->now_ms))
        o = log_roll_locked(l, a->now_ms);
    if (o == OUT_OK)
        o = write_batches(l, opts, a->at, whole);
    done->base_offset = first.base_offset;
    done->last_offset = end - 1;
    return o;
}

enum outcome log_append_op(struct store *store, const struct store_append *a,
                           struct store_appended *done)
{
    struct log *l = log_of(store);
    const struct log_options *opts = log_opts(l);
    struct log_checked c = {.replaced = NULL, .log_append_time_ms = -1};
    enum outcome o = OUT_OK;
    *done = (struct store_appended){-1, -1, -1, -1, false, NULL, 0, NULL};
    if (a->origin != STORE_REPLICA)
        o = log_check_batch(opts, a, &c, done);
    if (likely(o == OUT_OK)) {
        c.reached_log = true;
        pthread_mutex_lock(&l->append_lock);
        if (a->origin == STORE_REPLICA)
            o = append_copy(l, opts, a, done);
        else
            o = append_locked(l, opts, a, c.replaced == NULL ? a->at : c.replaced, &c.batch, done);
        pthread_mutex_unlock(&l->append_lock);
    }
    if (likely(o == OUT_OK) && !done->duplicate)
        done->log_append_time_ms = c.log_append_time_ms;
    if (c.reached_log && log_refusal_tells_start(o))
        done->log_start_offset = atomic_load_explicit(&l->start_offset, memory_order_relaxed);
    free(c.replaced);
    return o;
}

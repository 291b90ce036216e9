/* SPDX-License-Identifier: MIT */
/*
 * Reading: a view of one segment's bytes, found through the sparse index and a short hop over batch
 * headers. No lock, no copy; usually one pread of 4 KiB, and none when the view is to be in memory.
 * What a view shows is bounded by what was published when it was made.
 */
#include "log/partition.h"

#include "base/check.h"

#include <sys/mman.h>

#define ACTIVE_MAP GiB(2) /* address space for a segment that still grows: no segment is larger */

/* The whole segment in memory; made once. The active one gets room to grow. */
static enum outcome map_body(struct log *l, struct segment *s, struct body *body,
                             const uint8_t **map)
{
    *map = atomic_load_explicit(&body->map, memory_order_acquire);
    if (likely(*map != NULL))
        return OUT_OK;
    pthread_mutex_lock(&l->open_lock);
    *map = atomic_load(&body->map);
    if (*map == NULL) {
        struct segments *list = segments_enter(l);
        bool growing = list->at[list->count - 1] == s;
        segments_leave(l);
        body->map_size = growing ? ACTIVE_MAP : (size_t)atomic_load(&s->size);
        void *at = mmap(NULL, body->map_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, body->fd, 0);
        if (at != MAP_FAILED) {
            *map = at;
            atomic_store_explicit(&body->map, *map, memory_order_release);
        }
    }
    pthread_mutex_unlock(&l->open_lock);
    return *map == NULL ? fail(OUT_NO_MEMORY, "map a segment of %s", l->path) : OUT_OK;
}

/* In memory when that is there. */
static enum outcome find(struct log *l, struct segment *s, struct body *body, const uint8_t *map,
                         uint64_t size, int64_t offset, uint64_t *position,
                         struct log_batch *header)
{
    if (map != NULL)
        return segment_find_mapped(body, map, s, size, offset, position, header);
    return segment_find(body, l->io, s, size, offset, position, header);
}

/* The view of a held segment; OUT_END: the offset lies behind it. */
static enum outcome view_segment(struct log *l, struct segment *s, const struct store_read *r,
                                 struct store_view *view)
{
    struct body *body;
    struct log_batch header;
    uint64_t position, stop;
    /* An append publishes the size first: with no append in between, all of it is below the end;
     * else what lies behind the limit may be there and is looked for. */
    uint64_t turn = atomic_load_explicit(&l->publishing, memory_order_acquire);
    uint64_t size = atomic_load_explicit(&s->size, memory_order_acquire);
    int64_t end = atomic_load_explicit(&l->end_offset, memory_order_acquire);
    bool settled = turn % 2 == 0 &&
                   atomic_load_explicit(&l->publishing, memory_order_relaxed) == turn;
    const uint8_t *map = NULL;
    enum outcome o = segment_body(l, s, &body);
    if (o == OUT_OK && r->map == STORE_MAPPED && size > 0)
        o = map_body(l, s, body, &map);
    if (o == OUT_OK)
        o = find(l, s, body, map, size, r->offset, &position, &header);
    if (o != OUT_OK)
        return o;
    if (r->limit_offset == INT64_MAX || (likely(settled) && likely(r->limit_offset >= end))) {
        stop = size;
    } else {
        struct log_batch at_limit;
        o = find(l, s, body, map, size, r->limit_offset, &stop, &at_limit);
        if (o == OUT_END)
            stop = size;
        else if (o != OUT_OK)
            return o;
        if (stop <= position)
            return OUT_OK;
    }
    uint64_t want = MIN(r->max_bytes, stop - position);
    if (r->least == STORE_WHOLE_BATCH && want < header.size)
        want = header.size;
    if (want == 0)
        return OUT_OK;
    if (map != NULL)
        view->at = map + position;
    view->fd = body->fd;
    view->position = position;
    view->size = (size_t)want;
    view->first_size = header.size;
    view->hold = &s->hold;
    view->segment_done = position + want == size && want < r->max_bytes;
    return OUT_OK;
}

static bool is_last(struct log *l, const struct segment *s)
{
    const struct segments *list = segments_enter(l);
    bool last = list->count > 0 && list->at[list->count - 1] == s;
    segments_leave(l);
    return last;
}

enum outcome log_read_op(struct store *store, const struct store_read *r, struct store_view *view)
{
    struct log *l = log_of(store);
    *view = (struct store_view){.fd = -1};
    if (unlikely(atomic_load_explicit(&l->offline, memory_order_relaxed)))
        return OUT_OFFLINE;
    int64_t end = atomic_load_explicit(&l->end_offset, memory_order_acquire);
    if (r->offset < atomic_load_explicit(&l->start_offset, memory_order_relaxed) || r->offset > end)
        return OUT_OFFSET_OUT_OF_RANGE;
    if (r->offset == end || r->limit_offset <= r->offset)
        return OUT_OK;
    struct segment *s = segments_hold_at(l, r->offset);
    while (s != NULL) {
        enum outcome o = view_segment(l, s, r, view);
        if (view->hold == NULL) {
            /* On behind a gap that compaction left, or a roll meanwhile. */
            struct segment *next = o == OUT_END ? segments_hold_next(l, s, r->offset) : NULL;
            store_hold_drop(&s->hold);
            if (o != OUT_END)
                return o;
            s = next;
            continue;
        }
        view->segment_done = view->segment_done && !is_last(l, s);
        return OUT_OK;
    }
    /* Nothing at or below the offset: retention was faster. Nothing behind it: the end of the
     * log. */
    return r->offset < atomic_load(&l->start_offset) ? OUT_OFFSET_OUT_OF_RANGE : OUT_OK;
}

/* Batches of one held segment. OUT_END: go on with the next one, from *from on; else the scan's
 * result. */
static enum outcome scan_segment(struct log *l, struct segment *s, int64_t *from, int64_t to,
                                 enum outcome (*each)(void *,
                                                      const struct log_batch *), void *context)
{
    struct body *body;
    struct scan scan;
    struct log_batch b;
    uint64_t position = 0, size = atomic_load_explicit(&s->size, memory_order_acquire);
    enum outcome o = segment_body(l, s, &body);
    if (o == OUT_OK)
        o = segment_find(body, l->io, s, size, *from, &position, &b);
    if (o != OUT_OK)
        return o;
    scan_init(&scan, l->io, body->fd, position, size);
    bool done = false;
    while (!done && (o = scan_next(&scan, &b)) == OUT_OK) {
        done = b.base_offset >= to;
        o = done ? OUT_OK : each(context, &b);
        done |= o != OUT_OK;
        *from = b.last_offset + 1;
    }
    scan_fini(&scan);
    if (!done && (o == OUT_MORE || o == OUT_CORRUPT_MESSAGE || o == OUT_INVALID_RECORD))
        return fail(OUT_CORRUPT, "%s: bad batch in segment %lld", l->path,
                    (long long)s->base_offset);
    check(!done || o != OUT_END); /* `each` must not use it */
    return o;
}

enum outcome log_scan(struct log *l, int64_t from, int64_t to,
                      enum outcome (*each)(void *context,
                                           const struct log_batch *batch), void *context)
{
    struct segment *s = segments_hold_at(l, from);
    if (s == NULL)
        s = segments_hold_after(l, from);
    while (s != NULL) {
        enum outcome o = scan_segment(l, s, &from, to, each, context);
        struct segment *next = o == OUT_END ? segments_hold_next(l, s, from) : NULL;
        store_hold_drop(&s->hold);
        if (o != OUT_END)
            return o;
        s = next;
    }
    return OUT_OK;
}

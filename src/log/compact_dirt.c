/* SPDX-License-Identifier: MIT */
/*
 * How much of a log waits for compaction: sealed segments from the first dirty offset up to the
 * last stable one, the minimum lag or the active segment, whichever comes first.
 */
#include "log/compact.h"

#include "base/check.h"

/* The active segment is rolled when it holds records that max_compaction_lag_ms wants compacted. */
static enum outcome roll_old(struct log *l, const struct log_options *opts, int64_t now_ms)
{
    int64_t lag = opts->max_compaction_lag_ms;
    if (lag == INT64_MAX)
        return OUT_OK;
    pthread_mutex_lock(&l->append_lock);
    const struct segment *s = l->active;
    bool old = atomic_load(&s->size) > 0 && s->first_timestamp > 0 &&
               now_ms - s->first_timestamp > lag;
    pthread_mutex_unlock(&l->append_lock);
    return old ? log_roll(l, now_ms) : OUT_OK;
}

/* The base of the first of `held` (from the one with first_dirty on) that is too young. */
static enum outcome lag_end(struct log *l, struct segment **held, size_t count, int64_t young_ms,
                            int64_t *end)
{
    enum outcome o = OUT_OK;
    for (size_t i = 0; o == OUT_OK && i < count; i++) {
        int64_t newest;
        o = log_segment_newest(l, held[i], &newest);
        if (o == OUT_OK && newest > young_ms) {
            *end = MIN(*end, held[i]->base_offset);
            break;
        }
    }
    return o;
}

/* Whether a segment begins with a batch that is older than `due_ms`. */
static enum outcome is_due(struct log *l, struct segment *s, int64_t due_ms, bool *due)
{
    struct body *body;
    struct log_batch b;
    uint64_t position;
    enum outcome o = segment_body(l, s, &body);
    if (o == OUT_OK)
        o = segment_find(body, l->io, s, atomic_load(&s->size), s->base_offset, &position, &b);
    if (o == OUT_OK && b.max_timestamp > 0 && b.max_timestamp < due_ms)
        *due = true;
    return o == OUT_END ? OUT_OK : o;
}

static void count_bytes(struct segment **held, size_t count, size_t first, struct log_dirt *d)
{
    for (size_t i = 0; i < count; i++) {
        int64_t size = (int64_t)atomic_load(&held[i]->size);
        if (held[i]->base_offset < d->first_dirty)
            d->clean_bytes += size;
        if (i >= first && held[i]->base_offset < d->end)
            d->dirty_bytes += size;
    }
}

static enum outcome measure(struct log *l, const struct log_options *opts, struct segment **held,
                            size_t count, int64_t active, int64_t now_ms, struct log_dirt *d)
{
    size_t first = 0; /* the segment of the first dirty offset */
    enum outcome o = OUT_OK;
    while (first + 1 < count && held[first + 1]->base_offset <= d->first_dirty)
        first++;
    if (opts->min_compaction_lag_ms > 0)
        o = lag_end(l, held + first, count - first, now_ms - opts->min_compaction_lag_ms, &d->end);
    for (size_t i = count; i-- > 0;) { /* whole segments only */
        if (held[i]->base_offset <= d->end) {
            int64_t next = i + 1 < count ? held[i + 1]->base_offset : active;
            d->end = d->end < next ? held[i]->base_offset : d->end;
            break;
        }
    }
    count_bytes(held, count, first, d);
    bool asked = opts->max_compaction_lag_ms != INT64_MAX;
    for (size_t i = first; o == OUT_OK && asked && i < count; i++)
        o = is_due(l, held[i], now_ms - opts->max_compaction_lag_ms, &d->due);
    d->due &= d->dirty_bytes > 0;
    return o;
}

enum outcome log_dirt(struct log *l, int64_t first_dirty, int64_t now_ms, struct log_dirt *d)
{
    struct segment **held;
    size_t count;
    const struct log_options *opts = log_opts(l);
    *d = (struct log_dirt){.first_dirty = first_dirty};
    enum outcome o = atomic_load(&l->offline) ? OUT_OFFLINE : roll_old(l, opts, now_ms);
    if (o != OUT_OK)
        return o;
    int64_t start = atomic_load(&l->start_offset);
    if (first_dirty < start || first_dirty > atomic_load(&l->end_offset))
        d->first_dirty = start;
    int64_t open = atomic_load(&l->first_open_offset);
    pthread_mutex_lock(&l->append_lock);
    int64_t active = l->active->base_offset;
    pthread_mutex_unlock(&l->append_lock);
    d->end = MIN(active, open);
    o = compact_hold(l, active, &held, &count);
    if (o == OUT_OK && count > 0)
        o = measure(l, opts, held, count, active, now_ms, d);
    if (o == OUT_OK && d->end < d->first_dirty)
        d->end = d->first_dirty;
    compact_drop(held, count);
    return o;
}

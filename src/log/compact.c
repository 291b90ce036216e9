/* SPDX-License-Identifier: MIT */
/*
 * A pass of compaction: the newest offsets of the keys in the dirty part, as far as memory goes,
 * then every segment up to there, in groups that make one segment each. A group of one segment in
 * which nothing changes is only read. Segments stay held, and their files open, from the first
 * look to the swap.
 */
#include "log/compact.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/stat.h>

#define INFLATE_MAX MiB(256)

struct pass {
    struct log *log;
    const struct log_compact *what;
    struct log_compacted *done;
    const struct log_options *opts;
    struct segment **segments;   /* held, ascending, all with a base below what->end */
    size_t count;
    struct key_map map;
    struct txn_walk txns;
    struct compact_rules rules;
    struct last_batch *last;
    struct compact_out out;
    int64_t old_horizon_ms;      /* tombstones of formats 0 and 1 go from older segments */
};

/* Holds every sealed segment with a base below `end`. */
enum outcome compact_hold(struct log *l, int64_t end, struct segment ***held,
                          size_t *count)
{
    struct segments *list = segments_enter(l);
    *count = 0;
    *held = malloc((list->count + 1) * sizeof(struct segment *));
    for (size_t i = 0; *held != NULL && i + 1 < list->count; i++) {
        if (list->at[i]->base_offset >= end)
            break;
        store_hold_take(&list->at[i]->hold);
        (*held)[(*count)++] = list->at[i];
    }
    segments_leave(l);
    return *held == NULL ? OUT_NO_MEMORY : OUT_OK;
}

void compact_drop(struct segment **held, size_t count)
{
    for (size_t i = 0; held != NULL && i < count; i++)
        store_hold_drop(&held[i]->hold);
    free(held);
}

static int64_t next_base(const struct pass *p, size_t i)
{
    return i + 1 < p->count ? p->segments[i + 1]->base_offset : p->what->end;
}

static enum outcome go_on(struct pass *p, size_t bytes)
{
    if (atomic_load_explicit(&p->log->offline, memory_order_relaxed))
        return OUT_OFFLINE;
    if (p->what->go_on != NULL && !p->what->go_on(p->what->context, bytes))
        return OUT_CLOSED;
    return OUT_OK;
}

/* What takes locks that clients wait for. */
static enum outcome lend(struct pass *p, enum outcome (*work)(void *arg), void *arg)
{
    return p->what->lend == NULL ? work(arg) : p->what->lend(p->what->context, work, arg);
}

/* How a scan ended that is not at its end. */
static enum outcome scan_trouble(const struct pass *p, const struct segment *s, enum outcome o)
{
    if (o == OUT_MORE || o == OUT_CORRUPT_MESSAGE || o == OUT_INVALID_RECORD)
        return fail(OUT_CORRUPT, "%s: bad batch in segment %lld", p->log->path,
                    (long long)s->base_offset);
    return o;
}

/* ---- the keys of the dirty part ---- */

/* False in *room: the map is full. What can't be read has no keys: older values of its keys
 * stay. */
static enum outcome note_keys(struct pass *p, const struct log_batch *b, bool *room)
{
    struct log_records walk;
    struct log_record r;
    if (!log_batch_crc_good(b))
        return OUT_OK;
    enum outcome o = log_records_begin(&walk, b, INFLATE_MAX);
    while (o == OUT_OK && *room && (o = log_records_next(&walk, &r)) == OUT_OK)
        if (r.key.at != NULL && r.offset >= p->what->first_dirty)
            *room = key_map_put(&p->map, r.key, r.offset);
    log_records_fini(&walk);
    return o == OUT_NO_MEMORY ? o : OUT_OK;
}

static enum outcome note_segment(struct pass *p, size_t i, bool *room)
{
    struct body *body;
    struct scan scan;
    struct log_batch b;
    uint64_t position;
    struct segment *s = p->segments[i];
    uint64_t size = atomic_load(&s->size);
    enum outcome o = segment_body(p->log, s, &body);
    if (o == OUT_OK)
        o = segment_find(body, p->log->io, s, size, p->what->first_dirty, &position, &b);
    if (o == OUT_END)
        p->map.latest_offset = next_base(p, i) - 1;
    if (o != OUT_OK)
        return o == OUT_END ? OUT_OK : o;
    scan_init(&scan, p->log->io, body->fd, position, size);
    while (*room && (o = scan_next(&scan, &b)) == OUT_OK) {
        bool droppable = txn_walk_batch(&p->txns, &b);
        o = p->txns.failed;
        if (o == OUT_OK && !batch_is_control(&b) && !droppable)
            o = note_keys(p, &b, room);
        if (o == OUT_OK)
            o = go_on(p, b.size);
        p->done->bytes_read += (int64_t)b.size;
        if (o != OUT_OK)
            break;
        if (*room)
            p->map.latest_offset = MAX(p->map.latest_offset, b.last_offset);
    }
    scan_fini(&scan);
    if (o == OUT_END && *room) /* whatever is missing at the end of the segment is gone */
        p->map.latest_offset = next_base(p, i) - 1;
    return o == OUT_END ? OUT_OK : scan_trouble(p, s, o);
}

static enum outcome begin_noting(void *arg)
{
    struct pass *p = arg;
    const struct log_compact *w = p->what;
    enum outcome o = key_map_init(&p->map, (uint64_t)(w->end - w->first_dirty), w->key_bytes,
                                  w->key_load);
    return o == OUT_OK ? txn_walk_init(&p->txns, p->log, w->first_dirty, w->end) : o;
}

static enum outcome note_all(struct pass *p)
{
    bool room = true;
    const struct log_compact *w = p->what;
    enum outcome o = lend(p, begin_noting, p);
    for (size_t i = 0; o == OUT_OK && room && i < p->count; i++)
        if (next_base(p, i) > w->first_dirty)
            o = note_segment(p, i, &room);
    txn_walk_fini(&p->txns);
    return o;
}

/* ---- rewriting ---- */

static int by_producer(const void *a, const void *b)
{
    const struct last_batch *x = a, *y = b;
    return x->producer_id < y->producer_id ? -1 : x->producer_id > y->producer_id;
}

/* The last batches of all producers that the log remembers. */
static enum outcome note_last_batches(struct pass *p)
{
    struct log *l = p->log;
    size_t count = 0;
    pthread_mutex_lock(&l->append_lock);
    p->last = malloc((l->producers.count + 1) * sizeof *p->last);
    for (size_t i = 0; p->last != NULL && i < l->producers.room; i++) {
        const struct producer *from = &l->producers.table[i];
        if (from->id == -1)
            continue;
        int64_t offset = from->batch_count == 0
                             ? -1 : from->batches[from->batch_count - 1].last_offset;
        p->last[count++] = (struct last_batch){from->id, offset, from->epoch};
    }
    pthread_mutex_unlock(&l->append_lock);
    if (p->last == NULL)
        return OUT_NO_MEMORY;
    if (count > 1)
        qsort(p->last, count, sizeof *p->last, by_producer);
    p->rules.last = p->last;
    p->rules.last_count = count;
    return OUT_OK;
}

static int64_t file_time_ms(struct log *l, struct segment *s)
{
    struct body *body;
    struct stat st;
    if (segment_body(l, s, &body) != OUT_OK || fstat(body->fd, &st) != 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* How many segments from `i` on become one, as Kafka groups them. */
static size_t group_size(const struct pass *p, size_t i, size_t count)
{
    uint64_t bytes = atomic_load(&p->segments[i]->size);
    uint64_t most = (uint64_t)MIN(p->opts->segment_bytes, INT32_MAX);
    uint64_t entries = (uint64_t)p->opts->segment_index_bytes / INDEX_TIMES;
    uint64_t interval = (uint64_t)MAX(p->opts->index_interval_bytes, 1);
    size_t n = 1;
    for (; i + n < count; n++) {
        bytes += atomic_load(&p->segments[i + n]->size);
        int64_t last = next_base(p, i + n) - 1;
        if (bytes > most || bytes / interval >= entries ||
            last - p->segments[i]->base_offset > INT32_MAX)
            break;
    }
    return n;
}

struct group {
    struct pass *pass;
    struct segment **at;
    size_t count;
    int64_t next_offset;
    struct rewrite rewrite;
    bool writing;
};

static enum outcome begin_rewrite(void *arg)
{
    struct group *g = arg;
    return rewrite_begin(&g->rewrite, g->pass->log, g->at[0]->base_offset);
}

static enum outcome swap(void *arg)
{
    struct group *g = arg;
    return rewrite_finish(&g->rewrite, g->at, g->count, &g->pass->txns.kept);
}

static enum outcome end_rewrite(void *arg)
{
    struct group *g = arg;
    rewrite_fini(&g->rewrite);
    return OUT_OK;
}

/* The first `size` bytes of the group's only segment, in which nothing has changed. */
static enum outcome begin_writing(struct pass *p, struct group *g, uint64_t size)
{
    struct body *body;
    struct scan scan;
    struct log_batch b;
    g->writing = true;
    enum outcome o = lend(p, begin_rewrite, g);
    g->rewrite.next_offset = g->next_offset;
    g->rewrite.now_ms = p->what->now_ms;
    if (o != OUT_OK || size == 0)
        return o;
    o = segment_body(p->log, g->at[0], &body);
    if (o != OUT_OK)
        return o;
    scan_init(&scan, p->log->io, body->fd, 0, size);
    while ((o = scan_next(&scan, &b)) == OUT_OK) {
        o = rewrite_add(&g->rewrite, bytes_view(b.at, b.size));
        if (o == OUT_OK)
            o = go_on(p, b.size);
        if (o != OUT_OK)
            break;
    }
    scan_fini(&scan);
    return o == OUT_END ? OUT_OK : scan_trouble(p, g->at[0], o);
}

static enum outcome rewrite_one(struct pass *p, struct group *g, const struct log_batch *b,
                                uint64_t position)
{
    struct bytes remains;
    bool droppable = txn_walk_batch(&p->txns, b);
    enum outcome o = p->txns.failed;
    if (o == OUT_OK)
        o = compact_batch(&p->rules, b, droppable, &p->out, &remains);
    if (o == OUT_OK && !g->writing && remains.at != b->at)
        o = begin_writing(p, g, position);
    if (o == OUT_OK && g->writing && remains.size > 0)
        o = rewrite_add(&g->rewrite, remains);
    p->done->bytes_read += (int64_t)b->size;
    return o == OUT_OK ? go_on(p, b->size) : o;
}

static enum outcome rewrite_segment(struct pass *p, struct group *g, struct segment *s)
{
    struct body *body;
    struct scan scan;
    struct log_batch b;
    enum outcome o = segment_body(p->log, s, &body);
    if (o != OUT_OK)
        return o;
    p->rules.keep_old_tombstones = file_time_ms(p->log, s) > p->old_horizon_ms;
    scan_init(&scan, p->log->io, body->fd, 0, atomic_load(&s->size));
    while ((o = scan_next(&scan, &b)) == OUT_OK) {
        o = rewrite_one(p, g, &b, scan.position - b.size);
        if (o != OUT_OK)
            break;
    }
    scan_fini(&scan);
    return o == OUT_END ? OUT_OK : scan_trouble(p, s, o);
}

static enum outcome rewrite_group(struct pass *p, size_t i, size_t count)
{
    struct group g = {.pass = p, .at = p->segments + i, .count = count,
                      .next_offset = next_base(p, i + count - 1)};
    enum outcome o = count > 1 ? begin_writing(p, &g, 0) : OUT_OK;
    for (size_t k = 0; o == OUT_OK && k < count; k++)
        o = rewrite_segment(p, &g, g.at[k]);
    if (o == OUT_OK && g.writing) {
        o = rewrite_save(&g.rewrite, g.at[count - 1]);
        if (o == OUT_OK)
            o = lend(p, swap, &g);
        p->done->bytes_written += (int64_t)g.rewrite.size;
    }
    if (g.writing && lend(p, end_rewrite, &g) != OUT_OK)
        o = o == OUT_OK ? OUT_CLOSED : o;
    p->done->segments_before += (int32_t)count;
    p->done->segments_after++;
    return o == OUT_END ? OUT_AGAIN : o;
}

static enum outcome begin_rewriting(void *arg)
{
    struct pass *p = arg;
    enum outcome o = note_last_batches(p);
    return o == OUT_OK ? txn_walk_init(&p->txns, p->log, 0, p->what->end) : o;
}

static enum outcome rewrite_all(struct pass *p)
{
    const struct log_compact *w = p->what;
    size_t count = 0;
    int64_t clean_ms = 0;
    while (count < p->count && p->segments[count]->base_offset <= p->map.latest_offset) {
        if (p->segments[count]->base_offset < w->first_dirty)
            clean_ms = file_time_ms(p->log, p->segments[count]);
        count++;
    }
    p->old_horizon_ms = clean_ms == 0 ? 0 : clean_ms - p->opts->delete_retention_ms;
    p->rules.map = &p->map;
    p->rules.now_ms = w->now_ms;
    p->rules.delete_retention_ms = p->opts->delete_retention_ms;
    p->rules.round_end = w->end;
    p->rules.expires = w->expires;
    p->rules.ttl_ms = w->ttl_ms;
    enum outcome o = lend(p, begin_rewriting, p);
    for (size_t i = 0, n; o == OUT_OK && i < count; i += n) {
        n = group_size(p, i, count);
        o = rewrite_group(p, i, n);
    }
    txn_walk_fini(&p->txns);
    return o;
}

/* What a full disk kept from being flushed can't be swapped yet. */
static enum outcome all_saved(const struct pass *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (!segment_saved(p->segments[i]))
            return OUT_AGAIN;
    return OUT_OK;
}

/* What the pass goes through, on disk, held and open. */
static enum outcome begin_pass(void *arg)
{
    struct pass *p = arg;
    struct body *body;
    int64_t flushed;
    enum outcome o = store_flush(&p->log->store, &flushed); /* what is swapped is on disk */
    if (o == OUT_OK)
        o = compact_hold(p->log, p->what->end, &p->segments, &p->count);
    if (o == OUT_OK)
        o = all_saved(p);
    for (size_t i = 0; o == OUT_OK && i < p->count; i++)
        o = segment_body(p->log, p->segments[i], &body);
    return o;
}

static enum outcome end_pass(void *arg)
{
    struct pass *p = arg;
    compact_out_fini(&p->out);
    key_map_fini(&p->map);
    free(p->last);
    compact_drop(p->segments, p->count);
    return OUT_OK;
}

enum outcome log_compact(struct log *l, const struct log_compact *what, struct log_compacted *done)
{
    struct pass p = {.log = l, .what = what, .done = done, .opts = log_opts(l)};
    *done = (struct log_compacted){.next_dirty = what->first_dirty};
    if (what->end <= what->first_dirty)
        return OUT_OK;
    enum outcome o = lend(&p, begin_pass, &p);
    if (o == OUT_OK && p.count > 0)
        o = note_all(&p);
    if (o == OUT_OK && p.count > 0 && p.map.latest_offset >= what->first_dirty)
        o = rewrite_all(&p);
    if (o == OUT_OK)
        done->next_dirty = MAX(p.map.latest_offset + 1, what->first_dirty);
    done->records_read = p.out.records_read;
    done->records_kept = p.out.records_kept;
    done->invalid = p.out.invalid;
    if (o != OUT_OK)
        o = outcome_add(o, "compact %s", l->path);
    return lend(&p, end_pass, &p) == OUT_OK || o != OUT_OK ? o : OUT_CLOSED;
}

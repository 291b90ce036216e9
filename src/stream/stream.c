/* SPDX-License-Identifier: MIT */
/* Life, options, figures and epochs of a stream. An idle one is this struct and an empty ledger. */
#include "stream/private.h"

#include <stdlib.h>

/* Nothing is promised beyond the process, so all of it is kept. */
static enum outcome flush_op(struct store *store, int64_t *flushed_offset)
{
    struct stream *s = stream_of(store);
    *flushed_offset = atomic_load_explicit(&s->end_offset, memory_order_acquire);
    return atomic_load(&s->offline) ? OUT_OFFLINE : OUT_OK;
}

static void stat_op(struct store *store, struct store_stat *stat)
{
    struct stream *s = stream_of(store);
    stat->start_offset = atomic_load(&s->start_offset);
    int64_t open = atomic_load(&s->first_open_offset);
    stat->end_offset = atomic_load(&s->end_offset);
    stat->high_watermark = stat->flushed_offset = stat->end_offset;
    stat->stable_offset = MAX(MIN(open, stat->end_offset), stat->start_offset);
    stat->size_bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    stat->offline = atomic_load(&s->offline);
    const struct slabs *list = slabs_enter(s);
    stat->segment_count = list == NULL ? 0 : (int32_t)list->count;
    slabs_leave(s);
}

static void producer_op(struct store *store, int64_t id, struct store_producer *to)
{
    struct stream *s = stream_of(store);
    pthread_mutex_lock(&s->lock);
    log_ledger_producer(s->ledger, id, to);
    pthread_mutex_unlock(&s->lock);
}

static void attempt_op(struct store *store, int64_t id, int32_t epoch, int32_t sequence)
{
    struct stream *s = stream_of(store);
    pthread_mutex_lock(&s->lock);
    log_ledger_attempt(s->ledger, id, epoch, sequence);
    pthread_mutex_unlock(&s->lock);
}

static const struct store_ops ops = {
    .append = stream_append_op, .read = stream_read_op, .seek = stream_seek_op,
    .trim = stream_trim_op, .flush = flush_op, .stat = stat_op, .producer = producer_op,
    .attempt = attempt_op,
};

enum outcome stream_new(const struct stream_options *o, struct stream **stream)
{
    struct stream *s = calloc(1, sizeof *s);
    *stream = NULL;
    if (s == NULL)
        return OUT_NO_MEMORY;
    s->store.ops = &ops;
    s->first_open_offset = INT64_MAX;
    pthread_mutex_init(&s->lock, NULL);
    s->ledger = log_ledger_new();
    if (s->ledger == NULL || stream_configure(s, o) != OUT_OK) {
        stream_free(s);
        return OUT_NO_MEMORY;
    }
    *stream = s;
    return OUT_OK;
}

/* Everything goes; views keep their slabs. Under the lock, or alone. */
static void drop_all(struct stream *s)
{
    const struct slabs *list = atomic_load(&s->list);
    s->head = (struct head){.slab = list == NULL ? 0 : list->count};
    enum outcome o = slabs_publish(s, NULL);
    (void)o; /* an empty list needs no memory */
}

void stream_free(struct stream *s)
{
    drop_all(s);
    slabs_free(s->retired);
    for (struct options_box *box = atomic_load(&s->options); box != NULL;) {
        struct options_box *older = box->older;
        free(box);
        box = older;
    }
    log_ledger_free(s->ledger);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct store *stream_store(struct stream *s)
{
    return &s->store;
}

enum outcome stream_configure(struct stream *s, const struct stream_options *o)
{
    struct options_box *box = malloc(sizeof *box);
    if (box == NULL)
        return OUT_NO_MEMORY;
    box->options = *o;
    pthread_mutex_lock(&s->lock);
    box->older = atomic_load(&s->options);
    atomic_store_explicit(&s->options, box, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    return OUT_OK;
}

void stream_retire(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->offline, true);
    drop_all(s);
    atomic_store(&s->bytes, 0);
    struct slabs *old = slabs_detach(s);
    pthread_mutex_unlock(&s->lock);
    slabs_free(old);
}

/* ---- epochs and transactions ---- */

enum outcome stream_epoch_begin(struct stream *s, int32_t epoch)
{
    pthread_mutex_lock(&s->lock);
    enum outcome o =
        log_ledger_epoch_begin(s->ledger, epoch, atomic_load(&s->end_offset));
    pthread_mutex_unlock(&s->lock);
    return o;
}

void stream_epoch_end(struct stream *s, int32_t epoch, int32_t *found, int64_t *end_offset)
{
    pthread_mutex_lock(&s->lock);
    log_ledger_epoch_end(s->ledger, epoch, atomic_load(&s->end_offset), found, end_offset);
    pthread_mutex_unlock(&s->lock);
}

enum outcome stream_aborted(struct stream *s, int64_t from, int64_t to, struct arena *arena,
                            struct log_aborted **list, size_t *count)
{
    pthread_mutex_lock(&s->lock);
    enum outcome o = log_ledger_aborted(s->ledger, from, to, arena, list, count);
    pthread_mutex_unlock(&s->lock);
    return o;
}

size_t stream_producers(struct stream *s, struct log_producer *to, size_t room)
{
    pthread_mutex_lock(&s->lock);
    size_t count = log_ledger_producers(s->ledger, to, room);
    pthread_mutex_unlock(&s->lock);
    return count;
}

size_t stream_memory(struct stream *s)
{
    size_t sum = sizeof *s + sizeof(struct options_box);
    const struct slabs *list = slabs_enter(s);
    for (size_t i = 0; list != NULL && i < list->count; i++)
        sum += sizeof *list->at[i] + list->at[i]->room +
               (list->at[i]->room / SLAB_STEP + 1) * sizeof(struct mark);
    slabs_leave(s);
    return sum;
}

/* SPDX-License-Identifier: MIT */
/*
 * Producer state from the newest snapshot that can be trusted and the batches behind it; and taking
 * the log back to an earlier end, after which the same has to be found out again.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>

static enum outcome replay_batch(void *context, const struct log_batch *b)
{
    struct log *l = context;
    if (b->producer_id < 0)
        return OUT_OK;
    enum outcome o = producers_reserve(&l->producers);
    return o == OUT_OK ? log_account(l, b) : o;
}

/* Tries the snapshots at or below `limit`, newest first. A torn one is as good as none. */
static enum outcome load_snapshot(struct log *l, const struct listing *files, int64_t limit,
                                  int64_t *from)
{
    char path[LOG_PATH_MAX];
    enum outcome o = OUT_OK;
    *from = -1;
    for (size_t i = files->count[FILE_SNAPSHOT]; o == OUT_OK && i > 0 && *from < 0; i--) {
        int64_t offset = files->offsets[FILE_SNAPSHOT][i - 1];
        if (offset > limit)
            continue;
        segment_path(path, l->path, offset, FILE_SNAPSHOT, "");
        o = producers_load(&l->producers, l->io, path);
        if (o == OUT_OK)
            *from = offset;
        else if (o == OUT_CORRUPT || o == OUT_NOT_FOUND)
            o = OUT_OK;
    }
    return o;
}

enum outcome recover_producers(struct log *l, const struct listing *files, int64_t limit,
                               int64_t now_ms)
{
    int64_t from;
    producers_clear(&l->producers);
    enum outcome o = load_snapshot(l, files, limit, &from);
    if (o != OUT_OK)
        return o;
    if (from < 0)
        from = atomic_load(&l->start_offset);
    if (from < atomic_load(&l->end_offset))
        o = log_scan(l, from, INT64_MAX, replay_batch, l);
    producers_expire(&l->producers, now_ms, log_opts(l)->producer_expiration_ms);
    atomic_store(&l->first_open_offset, l->producers.first_open_offset);
    return o;
}

static void remove_segment(struct log *l, int64_t base)
{
    char path[LOG_PATH_MAX];
    for (int k = 0; k < FILE_KINDS; k++) {
        segment_path(path, l->path, base, (enum segment_file)k, "");
        l->io->unlink(path);
    }
    errno = 0;
}

static void remove_snapshots_above(struct log *l, int64_t offset)
{
    char path[LOG_PATH_MAX];
    struct listing files;
    if (listing_read(l->io, l->path, &files) != OUT_OK)
        return;
    for (size_t i = 0; i < files.count[FILE_SNAPSHOT]; i++) {
        if (files.offsets[FILE_SNAPSHOT][i] <= offset)
            continue;
        segment_path(path, l->path, files.offsets[FILE_SNAPSHOT][i], FILE_SNAPSHOT, "");
        l->io->unlink(path);
    }
    errno = 0;
    listing_free(&files);
}

/* The segment that holds the new end, opened afresh and cut: readers of the old object keep it. */
static enum outcome cut_segment(struct log *l, const struct segment *old, int64_t offset,
                                struct segment **fresh)
{
    struct log_batch b;
    uint64_t size = atomic_load(&old->size);
    int64_t next;
    enum outcome o = segment_new(l->io, l->path, old->base_offset, size, fresh);
    if (o != OUT_OK)
        return o;
    (*fresh)->created_ms = old->created_ms;
    o = segment_open_active(*fresh);
    if (o == OUT_OK)
        o = segment_find(atomic_load(&(*fresh)->body), l->io, *fresh, size, offset, &size, &b);
    if (o == OUT_END)
        o = OUT_OK;
    if (o == OUT_OK && l->io->ftruncate(atomic_load(&(*fresh)->body)->fd, (off_t)size) != 0)
        o = fail(OUT_IO, "truncate %s", l->path);
    if (o == OUT_OK) {
        atomic_store(&(*fresh)->size, size);
        o = recover_segment(l, *fresh, &next);
    }
    if (o == OUT_OK)
        atomic_store(&l->end_offset, next);
    else
        store_hold_drop(&(*fresh)->hold);
    return o;
}

/* Publishes the first `keep` segments and `last` behind them; the others' files go. */
static enum outcome replace_tail(struct log *l, size_t keep, struct segment *last)
{
    const struct segments *list = atomic_load(&l->list);
    size_t count = list->count;
    struct segment **at = malloc((keep + 1) * sizeof(struct segment *));
    int64_t *gone = malloc((count + 1) * sizeof *gone), sealed = 0;
    enum outcome o = at == NULL || gone == NULL ? OUT_NO_MEMORY : OUT_OK;
    for (size_t i = 0; o == OUT_OK && i < count; i++) {
        gone[i] = list->at[i]->base_offset;
        if (i < keep) {
            at[i] = list->at[i];
            sealed += (int64_t)atomic_load(&at[i]->size);
        }
    }
    if (o == OUT_OK) {
        at[keep] = last;
        o = segments_publish(l, at, keep + 1);
    }
    if (o == OUT_OK) {
        for (size_t i = keep; i < count; i++)
            if (gone[i] != last->base_offset)
                remove_segment(l, gone[i]);
        l->active = last;
        atomic_store(&l->sealed_bytes, sealed);
    }
    store_hold_drop(&last->hold);
    free(at);
    free(gone);
    return o;
}

/* What follows from a new end. */
static enum outcome settle(struct log *l, int64_t now_ms)
{
    int64_t end = atomic_load(&l->end_offset);
    atomic_store(&l->start_offset, MIN(atomic_load(&l->start_offset), end));
    atomic_store(&l->flushed_offset, MIN(atomic_load(&l->flushed_offset), end));
    remove_snapshots_above(l, end);
    txnindex_cut(&l->aborted, 0, end);
    l->txn_known = end;
    l->changed = l->dir_unsynced = true;
    enum outcome o = epochs_cut_end(&l->epochs, end) ? log_save_epochs(l) : OUT_OK;
    struct listing files;
    if (o == OUT_OK)
        o = listing_read(l->io, l->path, &files);
    if (o != OUT_OK)
        return o;
    o = recover_producers(l, &files, end, now_ms);
    listing_free(&files);
    return o;
}

enum outcome log_truncate(struct log *l, int64_t offset)
{
    size_t keep;
    struct segment *fresh;
    pthread_mutex_lock(&l->flush_lock);
    pthread_mutex_lock(&l->layout_lock);
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = atomic_load(&l->offline) ? OUT_OFFLINE : OUT_OK;
    if (o == OUT_OK && offset < atomic_load(&l->end_offset)) {
        const struct segments *list = atomic_load(&l->list);
        if (!segments_at(list, offset, &keep))
            o = fail(OUT_OFFSET_OUT_OF_RANGE, "truncate %s below its first segment", l->path);
        if (o == OUT_OK)
            o = cut_segment(l, list->at[keep], offset, &fresh);
        if (o == OUT_OK)
            o = replace_tail(l, keep, fresh);
        if (o == OUT_OK)
            o = settle(l, fresh->created_ms);
    }
    pthread_mutex_unlock(&l->append_lock);
    pthread_mutex_unlock(&l->layout_lock);
    pthread_mutex_unlock(&l->flush_lock);
    return o;
}

enum outcome log_restart_at(struct log *l, int64_t offset)
{
    struct segment *fresh;
    pthread_mutex_lock(&l->flush_lock);
    pthread_mutex_lock(&l->layout_lock);
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = atomic_load(&l->offline) ? OUT_OFFLINE : OUT_OK;
    if (o == OUT_OK)
        o = segment_create(l->io, l->path, offset, l->active->created_ms, &fresh);
    if (o == OUT_OK)
        o = replace_tail(l, 0, fresh);
    if (o == OUT_OK) {
        atomic_store(&l->end_offset, offset);
        atomic_store(&l->start_offset, offset);
        epochs_cut_end(&l->epochs, 0);
        remove_snapshots_above(l, -1);
        o = log_save_epochs(l);
        if (o == OUT_OK)
            o = settle(l, fresh->created_ms);
    }
    pthread_mutex_unlock(&l->append_lock);
    pthread_mutex_unlock(&l->layout_lock);
    pthread_mutex_unlock(&l->flush_lock);
    return o;
}

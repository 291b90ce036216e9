/* SPDX-License-Identifier: MIT */
/*
 * Flushing: data of every segment written since the last flush, indexes of sealed ones, and the
 * names of new files. Runs in a background thread, one at a time a log, beside appends and reads. A
 * failed flush is final: what the kernel dropped cannot be told, so the log goes offline. Only a
 * full disk that keeps small files from being written is waited for (OUT_NO_SPACE, the flushed
 * offset stays).
 */
#include "log/partition.h"

#include "base/check.h"

#include <fcntl.h>

static enum outcome sync_path(struct log *l, const char *path)
{
    int fd;
    enum outcome o = io_open(l->io, path, O_RDONLY, &fd);
    if (o != OUT_OK)
        return o;
    if (l->io->fdatasync(fd) != 0)
        o = fail(OUT_IO, "fdatasync %s", path);
    io_close(l->io, fd);
    return o;
}

/* What a full disk had kept from the file. OUT_NO_SPACE: it still does. */
static enum outcome rewrite_txnindex(struct log *l, struct segment *s, const char *path)
{
    struct segment *next = segments_hold_after(l, s->base_offset);
    int64_t to = next == NULL ? INT64_MAX : next->base_offset;
    if (next != NULL)
        store_hold_drop(&next->hold);
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = txnindex_rewrite(&l->aborted, l->io, path, s->base_offset, to);
    if (o == OUT_OK)
        atomic_store(&s->txn_unsaved, false);
    pthread_mutex_unlock(&l->append_lock);
    return o;
}

static enum outcome flush_segment(struct log *l, struct segment *s, bool sealed)
{
    struct body *body;
    char path[LOG_PATH_MAX];
    enum outcome o = OUT_OK;
    bool data = atomic_exchange(&s->unsynced, false);
    if (data) {
        o = segment_body(l, s, &body);
        if (o == OUT_OK && l->io->fdatasync(body->fd) != 0)
            o = fail(OUT_IO, "fdatasync segment %lld of %s", (long long)s->base_offset, l->path);
    }
    if (o == OUT_OK && sealed && atomic_load(&s->unsaved)) {
        o = segment_save_indexes(s, IO_SYNCED);
        if (o == OUT_OK)
            atomic_store(&s->unsaved, false);
        else if (o == OUT_NO_SPACE) /* they can be built again; the next flush tries again */
            o = OUT_OK;
    }
    segment_path(path, l->path, s->base_offset, FILE_TXNINDEX, "");
    if (o == OUT_OK && atomic_load(&s->txn_unsaved))
        o = rewrite_txnindex(l, s, path);
    if (o == OUT_OK && atomic_exchange(&s->txn_unsynced, false))
        o = sync_path(l, path);
    return o;
}

/* Names, and the epochs' file, which is written without waiting. */
static enum outcome flush_names(struct log *l)
{
    char path[LOG_PATH_MAX];
    enum outcome o = OUT_OK;
    pthread_mutex_lock(&l->append_lock);
    if (l->epochs.unsaved && l->epochs.unsaved_from < atomic_load(&l->end_offset))
        o = epochs_save(&l->epochs, l->io, l->path);
    bool epochs = l->epochs.unsynced, names = l->dir_unsynced || epochs;
    if (o == OUT_OK)
        l->epochs.unsynced = l->dir_unsynced = false;
    pthread_mutex_unlock(&l->append_lock);
    if (o != OUT_OK)
        return o;
    if (epochs) {
        io_path(path, l->path, "leader-epoch-checkpoint");
        o = sync_path(l, path);
    }
    if (o == OUT_OK && names)
        o = io_sync_dir(l->io, l->path);
    return o;
}

static enum outcome flush_locked(struct log *l, int64_t target)
{
    enum outcome o = OUT_OK;
    /* The segment that the last flush ended in: it may have been sealed right there since. */
    int64_t from = atomic_load(&l->flushed_offset) - 1;
    struct segment *s = segments_hold_at(l, from);
    if (s == NULL)
        s = segments_hold_after(l, from);
    while (s != NULL && o == OUT_OK) {
        int64_t base = s->base_offset;
        struct segment *next = segments_hold_after(l, base);
        o = flush_segment(l, s, next != NULL);
        store_hold_drop(&s->hold);
        s = next;
        if (s != NULL && base >= target)
            break;
    }
    if (s != NULL)
        store_hold_drop(&s->hold);
    return o == OUT_OK ? flush_names(l) : o;
}

enum outcome log_flush_op(struct store *store, int64_t *flushed_offset)
{
    struct log *l = log_of(store);
    pthread_mutex_lock(&l->flush_lock);
    enum outcome o = atomic_load(&l->offline) ? OUT_OFFLINE : OUT_OK;
    int64_t target = atomic_load_explicit(&l->end_offset, memory_order_acquire);
    if (o == OUT_OK) {
        o = flush_locked(l, target);
        if (o == OUT_OK)
            atomic_store(&l->flushed_offset, target);
        else if (o != OUT_NO_SPACE)
            o = outcome_add(log_go_offline(l, o), "flush");
    }
    *flushed_offset = atomic_load(&l->flushed_offset);
    pthread_mutex_unlock(&l->flush_lock);
    return o;
}

void log_write_back(struct log *l)
{
    if (atomic_load(&l->offline) || pthread_mutex_trylock(&l->flush_lock) != 0)
        return; /* a flush is under way: it does more */
    struct segment *s = segments_hold_at(l, INT64_MAX);
    struct body *body = atomic_load(&s->body);
    uint64_t size = atomic_load_explicit(&s->size, memory_order_acquire), from = s->written_back;
    if (body != NULL && size >= from + LOG_WRITE_BACK) {
        s->written_back = size;
        l->io->write_back(body->fd, (off_t)from, (off_t)(size - from));
    }
    store_hold_drop(&s->hold);
    pthread_mutex_unlock(&l->flush_lock);
}

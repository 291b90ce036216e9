/* SPDX-License-Identifier: MIT */
/*
 * What a batch that is in the log means beyond its bytes: producer state, ended transactions,
 * leader epochs. The same for a fresh append and for a replay after a crash. Under the append lock.
 */
#include "log/partition.h"

#include "base/check.h"

/* A full disk is put up with: the next flush tries again, and until then the recovery point stays
 * below the batches that would tell the epochs after a crash. */
enum outcome log_save_epochs(struct log *l)
{
    enum outcome o = epochs_save(&l->epochs, l->io, l->path);
    if (o == OUT_NO_SPACE)
        return OUT_OK;
    if (o != OUT_OK)
        log_go_offline(l, o);
    return o;
}

/* An aborted transaction goes to the index of the segment that has its marker. */
COLD static enum outcome note_aborted(struct log *l, const struct producer_ended *ended)
{
    char path[LOG_PATH_MAX];
    size_t i;
    struct log_aborted a = txnindex_entry(ended, l->producers.first_open_offset);
    const struct segments *list = atomic_load(&l->list);
    struct segment *s = l->active;
    if (ended->last_offset < s->base_offset && segments_at(list, ended->last_offset, &i))
        s = list->at[i];
    segment_path(path, l->path, s->base_offset, FILE_TXNINDEX, "");
    enum outcome o = txnindex_add(&l->aborted, &a);
    if (o == OUT_OK && !atomic_load(&s->txn_unsaved))
        o = txnindex_write(l->io, path, &a);
    if (o == OUT_NO_SPACE) { /* as with the epochs */
        atomic_store(&s->txn_unsaved, true);
        o = OUT_OK;
    }
    atomic_store(&s->txn_unsynced, true);
    l->dir_unsynced = true;
    if (o != OUT_OK)
        log_go_offline(l, o);
    return o;
}

enum outcome log_account(struct log *l, const struct log_batch *b)
{
    enum outcome o = OUT_OK;
    if (unlikely(b->leader_epoch > atomic_load_explicit(&l->epochs.latest, memory_order_relaxed))) {
        bool changed;
        o = epochs_assign(&l->epochs, b->leader_epoch, b->base_offset, &changed);
        if (o == OUT_OK && changed)
            o = log_save_epochs(l);
    }
    if (likely(b->producer_id < 0) || o != OUT_OK)
        return o;
    struct producer_ended ended;
    producers_update(&l->producers, b, &ended);
    if (producer_aborted(&ended) && ended.last_offset >= l->txn_known)
        o = note_aborted(l, &ended);
    atomic_store_explicit(&l->first_open_offset, l->producers.first_open_offset,
                          memory_order_release);
    return o;
}

/* ---- leader epochs, for the door ---- */

enum outcome log_epoch_begin(struct log *l, int32_t epoch)
{
    bool changed = false;
    enum outcome o = OUT_OK;
    if (epoch <= log_epoch_latest(l))
        return OUT_OK;
    pthread_mutex_lock(&l->append_lock);
    if (atomic_load(&l->offline))
        o = OUT_OFFLINE;
    if (o == OUT_OK)
        o = epochs_assign(&l->epochs, epoch, atomic_load(&l->end_offset), &changed);
    if (o == OUT_OK && changed)
        epochs_save_later(&l->epochs, atomic_load(&l->end_offset));
    pthread_mutex_unlock(&l->append_lock);
    return o;
}

void log_epoch_end(struct log *l, int32_t epoch, int32_t *found, int64_t *end_offset)
{
    pthread_mutex_lock(&l->append_lock);
    epochs_end_of(&l->epochs, epoch, atomic_load(&l->end_offset), found, end_offset);
    pthread_mutex_unlock(&l->append_lock);
}

int32_t log_epoch_latest(struct log *l)
{
    return atomic_load_explicit(&l->epochs.latest, memory_order_acquire);
}

int32_t log_epoch_at(struct log *l, int64_t offset)
{
    pthread_mutex_lock(&l->append_lock);
    ptrdiff_t i = epochs_at_offset(&l->epochs, offset);
    int32_t epoch = i < 0 ? -1 : l->epochs.list[i].epoch;
    pthread_mutex_unlock(&l->append_lock);
    return epoch;
}

/* ---- aborted transactions ---- */

enum outcome log_aborted(struct log *l, int64_t from, int64_t to, struct arena *arena,
                         struct log_aborted **list, size_t *count)
{
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = txnindex_overlapping(&l->aborted, from, to, arena, list, count);
    pthread_mutex_unlock(&l->append_lock);
    return o;
}

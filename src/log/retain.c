/* SPDX-License-Identifier: MIT */
/*
 * Beginning segments and letting go of them: roll, retention by start, age and size, DeleteRecords.
 * Deleted segments leave the list first; readers that still hold one keep its descriptor. Their
 * files are renamed to .deleted and unlinked after a delay.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#define RECLAIM_TRIES 64

int64_t log_jitter(const struct log *l, int64_t base)
{
    const struct log_options *opts = log_opts(l);
    int64_t most = MIN(opts->segment_jitter_ms, opts->segment_ms);
    uint64_t words[2] = {(uint64_t)base, (uint64_t)(uintptr_t)l};
    return most <= 0 ? 0 : (int64_t)(bytes_hash(bytes_view(words, sizeof words)) % (uint64_t)most);
}

static enum outcome publish_with(struct log *l, struct segment *fresh)
{
    const struct segments *list = atomic_load(&l->list);
    struct segment **at = malloc((list->count + 1) * sizeof(struct segment *));
    if (at == NULL)
        return OUT_NO_MEMORY;
    memcpy(at, list->at, list->count * sizeof(struct segment *));
    at[list->count] = fresh;
    enum outcome o = segments_publish(l, at, list->count + 1);
    free(at);
    return o;
}

enum outcome log_roll_locked(struct log *l, int64_t now_ms)
{
    char path[LOG_PATH_MAX];
    struct segment *old = l->active, *fresh;
    int64_t base = atomic_load(&l->end_offset);
    check(base > old->base_offset);
    enum outcome o = segment_create(l->io, l->path, base, now_ms, &fresh);
    if (o != OUT_OK)
        return o;
    segment_path(path, l->path, base, FILE_SNAPSHOT, "");
    o = producers_save(&l->producers, l->io, path, IO_NOT_SYNCED);
    if (o == OUT_OK) {
        segment_note_end(old);
        o = publish_with(l, fresh);
    }
    if (o == OUT_OK) {
        segment_give_back(old);
        if (log_opts(l)->preallocate)
            segment_allocate(fresh, log_opts(l)->segment_bytes);
        l->active = fresh;
        atomic_fetch_add(&l->sealed_bytes, (int64_t)atomic_load(&old->size));
        l->jitter_ms = log_jitter(l, base);
        l->dir_unsynced = l->changed = true;
    } else {
        int files[] = {FILE_LOG, FILE_INDEX, FILE_TIMEINDEX, FILE_SNAPSHOT};
        for (size_t i = 0; i < COUNT_OF(files); i++) {
            segment_path(path, l->path, base, (enum segment_file)files[i], "");
            l->io->unlink(path);
        }
        errno = 0;
    }
    store_hold_drop(&fresh->hold); /* the list has its own */
    return o;
}

enum outcome log_roll(struct log *l, int64_t now_ms)
{
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = OUT_OK;
    if (atomic_load(&l->offline))
        o = OUT_OFFLINE;
    else if (atomic_load(&l->active->size) > 0)
        o = log_roll_locked(l, now_ms);
    pthread_mutex_unlock(&l->append_lock);
    return o;
}

enum outcome log_trim_op(struct store *store, int64_t offset, int64_t *start_offset)
{
    struct log *l = log_of(store);
    enum outcome o = OUT_OK;
    pthread_mutex_lock(&l->append_lock);
    int64_t start = atomic_load(&l->start_offset);
    if (atomic_load(&l->offline))
        o = OUT_OFFLINE;
    else if (offset < 0 || offset > atomic_load(&l->end_offset))
        o = OUT_OFFSET_OUT_OF_RANGE;
    else if (offset > start) {
        start = offset;
        atomic_store(&l->start_offset, start);
        if (epochs_cut_start(&l->epochs, start))
            o = log_save_epochs(l);
    }
    *start_offset = start;
    pthread_mutex_unlock(&l->append_lock);
    return o;
}

/* How many of the oldest segments go. The active one never counts; *all: but for that, it would. */
static enum outcome count_deletable(struct log *l, const struct log_options *opts, int64_t now_ms,
                                    const struct segments *list, size_t *count, bool *all)
{
    int64_t start = atomic_load(&l->start_offset), end = atomic_load(&l->end_offset);
    int64_t over = -1;
    if (opts->cleanup_delete && opts->retention_bytes >= 0)
        over = atomic_load(&l->sealed_bytes) + (int64_t)atomic_load(&l->active->size) -
               opts->retention_bytes;
    *count = 0;
    *all = false;
    for (size_t i = 0; i < list->count; i++) {
        struct segment *s = list->at[i];
        bool active = i + 1 == list->count;
        int64_t next = active ? end : list->at[i + 1]->base_offset;
        int64_t size = (int64_t)atomic_load(&s->size), newest = atomic_load(&s->max_timestamp);
        if (active && size == 0)
            break;
        bool goes = next <= start && !active;
        if (size == 0) /* compaction left nothing: it goes with those around it */
            goes |= opts->cleanup_delete && opts->retention_ms >= 0;
        if (opts->cleanup_delete && opts->retention_ms >= 0 && newest == TIME_UNKNOWN) {
            struct body *body;
            enum outcome o = segment_body(l, s, &body);
            if (o != OUT_OK)
                return o;
            uint32_t times = index_count(&body->times);
            newest = times == 0 ? -1 : index_time(&body->times, times - 1);
            atomic_store(&s->max_timestamp, newest);
        }
        if (opts->cleanup_delete && opts->retention_ms >= 0 && newest >= 0)
            goes |= now_ms - newest > opts->retention_ms;
        goes |= over >= size && over >= 0 && size > 0;
        if (!goes)
            break;
        over -= size;
        if (active)
            *all = true;
        else
            (*count)++;
    }
    return OUT_OK;
}

static void rename_deleted(struct log *l, int64_t base, int64_t now_ms)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    for (int k = 0; k < FILE_KINDS; k++) {
        segment_path(from, l->path, base, (enum segment_file)k, "");
        segment_path(to, l->path, base, (enum segment_file)k, ".deleted");
        l->io->rename(from, to);
    }
    errno = 0;
    struct deleted *d = malloc(sizeof *d);
    if (d == NULL)
        return; /* the next open clears it away */
    *d = (struct deleted){l->deleted, base, now_ms};
    l->deleted = d;
}

/* Out of the list, under append_lock; the files' names change when appends may go on: a rename or
 * an unlink waits for the file system's journal. Neither the names nor the epochs that are cut off
 * here are saved for an acknowledgement: every open cuts again. */
static enum outcome drop_oldest(struct log *l, size_t count, int64_t *bases)
{
    const struct segments *list = atomic_load(&l->list);
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bases[i] = list->at[i]->base_offset;
        bytes += (int64_t)atomic_load(&list->at[i]->size);
    }
    int64_t start = MAX(atomic_load(&l->start_offset), list->at[count]->base_offset);
    atomic_store(&l->start_offset, start);
    enum outcome o = segments_publish(l, list->at + count, list->count - count);
    if (o != OUT_OK)
        return o;
    atomic_fetch_sub(&l->sealed_bytes, bytes);
    txnindex_cut(&l->aborted, start, INT64_MAX);
    epochs_cut_start(&l->epochs, start);
    return OUT_OK;
}

static void unlink_old(struct log *l, int64_t now_ms, int64_t delay_ms)
{
    char path[LOG_PATH_MAX];
    struct deleted **at = &l->deleted;
    while (*at != NULL) {
        struct deleted *d = *at;
        if (now_ms - d->at_ms < delay_ms) {
            at = &d->next;
            continue;
        }
        for (int k = 0; k < FILE_KINDS; k++) {
            segment_path(path, l->path, d->base_offset, (enum segment_file)k, ".deleted");
            l->io->unlink(path);
        }
        errno = 0;
        *at = d->next;
        free(d);
    }
}

/* Sealed segments that nobody read since the last pass give their descriptors back. */
static void close_idle(struct log *l)
{
    pthread_mutex_lock(&l->open_lock);
    struct segments *list = segments_enter(l);
    for (size_t i = 0; i + 1 < list->count; i++)
        if (!atomic_exchange(&list->at[i]->used, false))
            segment_close_idle(list->at[i]);
    segments_leave(l);
    pthread_mutex_unlock(&l->open_lock);
}

/* Whether lists are left that readers look at. The last one to close a deleted file empties it,
 * which takes its time. */
static bool reclaim(struct log *l)
{
    pthread_mutex_lock(&l->append_lock);
    struct segments *unused = segments_unused(l);
    bool left = l->retired != NULL;
    pthread_mutex_unlock(&l->append_lock);
    segments_free(unused);
    return left;
}

/* What needs the append lock: *bases are those of segments that left the list, to be freed. */
static enum outcome retain_locked(struct log *l, int64_t now_ms, int64_t **bases, size_t *count)
{
    const struct log_options *opts = log_opts(l);
    bool all = false;
    *bases = NULL;
    enum outcome o = count_deletable(l, opts, now_ms, atomic_load(&l->list), count, &all);
    if (o == OUT_OK && all) {
        o = log_roll_locked(l, now_ms);
        *count += o == OUT_OK;
    }
    if (o == OUT_OK && *count > 0) {
        *bases = malloc(*count * sizeof **bases);
        o = *bases == NULL ? OUT_NO_MEMORY : drop_oldest(l, *count, *bases);
    }
    if (o != OUT_OK)
        *count = 0;
    producers_expire(&l->producers, now_ms, opts->producer_expiration_ms);
    return o;
}

enum outcome log_retain(struct log *l, int64_t now_ms, int32_t *deleted)
{
    size_t count = 0;
    int64_t *bases;
    *deleted = 0;
    if (atomic_load(&l->offline))
        return OUT_OFFLINE;
    pthread_mutex_lock(&l->layout_lock);
    pthread_mutex_lock(&l->append_lock);
    enum outcome o = retain_locked(l, now_ms, &bases, &count);
    pthread_mutex_unlock(&l->append_lock);
    if (!atomic_load(&l->offline)) { /* a directory that is being deleted loses all its names */
        for (size_t i = 0; i < count; i++)
            rename_deleted(l, bases[i], now_ms);
        unlink_old(l, now_ms, log_opts(l)->file_delete_delay_ms);
    }
    pthread_mutex_unlock(&l->layout_lock);
    for (int i = 0; i < RECLAIM_TRIES && reclaim(l); i++)
        sched_yield();
    free(bases);
    *deleted = (int32_t)count;
    close_idle(l);
    return o;
}

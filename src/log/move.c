/* SPDX-License-Identifier: MIT */
/*
 * A log moves to another directory while it is written and read (KIP-113). Its records are copied
 * to a log of their own there; when few are missing, appends wait until the rest is copied and on
 * disk, the directories change their names, and the segments of the copy become this log's.
 * Readers of the old segments keep their descriptors: all are open when the names change.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The first batch to copy may begin before the log does: its records were deleted in part. */
static enum outcome begin_at(struct log *l, struct log *copy)
{
    struct store_read r = {.offset = atomic_load(&l->start_offset), .limit_offset = INT64_MAX,
                           .max_bytes = 1, .least = STORE_WHOLE_BATCH, .map = STORE_MAPPED};
    struct store_view view;
    int64_t base = r.offset;
    enum outcome o = store_read(&l->store, &r, &view);
    if (o == OUT_OK && view.size > 0) {
        base = MIN(base, (int64_t)get_be64(view.at));
        store_hold_drop(view.hold);
    }
    return o == OUT_OK && base != atomic_load(&copy->end_offset) ? log_restart_at(copy, base) : o;
}

static enum outcome copy_piece(struct log *l, struct log *copy, size_t most, int64_t now_ms,
                               size_t *copied)
{
    struct store_read r = {.offset = atomic_load(&copy->end_offset), .limit_offset = INT64_MAX,
                           .max_bytes = most, .least = STORE_WHOLE_BATCH, .map = STORE_MAPPED};
    struct store_view view;
    struct store_appended done;
    *copied = 0;
    enum outcome o = store_read(&l->store, &r, &view);
    if (o != OUT_OK || view.size == 0)
        return o;
    uint8_t *piece = malloc(view.size); /* the map can't be written to */
    if (piece != NULL) {
        memcpy(piece, view.at, view.size);
        struct store_append a = {.at = piece, .size = view.size, .leader_epoch = -1,
                                 .origin = STORE_REPLICA, .now_ms = now_ms};
        o = store_append(&copy->store, &a, &done);
        *copied = view.size;
    }
    free(piece);
    store_hold_drop(view.hold);
    return piece == NULL ? OUT_NO_MEMORY : o;
}

enum outcome log_copy(struct log *l, struct log *copy, size_t most, int64_t now_ms, size_t *left)
{
    size_t copied = 0;
    enum outcome o = OUT_OK;
    int64_t end = atomic_load(&copy->end_offset);
    if (end < atomic_load(&l->start_offset) || end == 0) /* new, or retention was faster */
        o = begin_at(l, copy);
    if (o == OUT_OK)
        o = copy_piece(l, copy, most, now_ms, &copied);
    int64_t records = atomic_load(&l->end_offset) - atomic_load(&copy->end_offset);
    *left = records <= 0 ? 0 : copied < most / 2 ? (size_t)1 : SIZE_MAX;
    return o;
}

/* Under append_lock: all of it, on disk. */
static enum outcome copy_rest(struct log *l, struct log *copy, int64_t now_ms)
{
    size_t copied = 1;
    int64_t flushed;
    enum outcome o = atomic_load(&l->offline) ? OUT_OFFLINE : OUT_OK;
    while (o == OUT_OK && copied > 0 &&
           atomic_load(&copy->end_offset) < atomic_load(&l->end_offset))
        o = copy_piece(l, copy, MiB(1), now_ms, &copied);
    bool same = atomic_load(&copy->end_offset) == atomic_load(&l->end_offset);
    if (o == OUT_OK && !same && atomic_load(&l->start_offset) == atomic_load(&l->end_offset))
        o = log_restart_at(copy, atomic_load(&l->end_offset)); /* there are no records */
    else if (o == OUT_OK && !same)
        o = fail(OUT_CORRUPT, "the copy of %s is not whole", l->path);
    return o == OUT_OK ? store_flush(&copy->store, &flushed) : o;
}

static enum outcome open_all(struct log *l)
{
    struct body *body;
    const struct segments *list = atomic_load(&l->list); /* nobody else replaces it now */
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < list->count && o == OUT_OK; i++)
        o = segment_body(l, list->at[i], &body);
    return o;
}

static enum outcome sync_parent_of(struct log *l, const char *path)
{
    char parent[LOG_PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    check(slash != NULL && slash > parent);
    *slash = '\0';
    return io_sync_dir(l->io, parent);
}

static enum outcome rename_durably(struct log *l, const char *from, const char *to)
{
    if (l->io->rename(from, to) != 0)
        return fail(outcome_of_errno(errno), "rename %s to %s", from, to);
    return sync_parent_of(l, to);
}

/* The copy's segments become ours. What a crash leaves between the two names is settled by
 * logdir_moves_end. */
static enum outcome change_names(struct log *l, struct log *copy, const struct log_moved *to)
{
    enum outcome o = rename_durably(l, l->path, to->aside);
    if (o != OUT_OK)
        return o;
    o = rename_durably(l, copy->path, to->path);
    if (o != OUT_OK && l->io->rename(to->aside, l->path) != 0)
        return log_go_offline(l, o);
    return o;
}

static enum outcome adopt(struct log *l, struct log *copy, struct left_path *left, char *path)
{
    const struct segments *list = atomic_load(&copy->list);
    for (size_t i = 0; i < list->count; i++)
        list->at[i]->dir = path;
    *left = (struct left_path){l->left, l->path}; /* old segments point to it */
    l->left = left;
    l->path = path;
    enum outcome o = segments_publish(l, list->at, list->count);
    if (o != OUT_OK)
        return log_go_offline(l, o);
    l->active = copy->active;
    l->jitter_ms = copy->jitter_ms;
    l->snapshot_offset = copy->snapshot_offset;
    l->changed = l->dir_unsynced = true;
    atomic_store(&l->sealed_bytes, atomic_load(&copy->sealed_bytes));
    atomic_store(&l->flushed_offset, atomic_load(&copy->flushed_offset));
    while (l->deleted != NULL) { /* they were in the old directory */
        struct deleted *next = l->deleted->next;
        free(l->deleted);
        l->deleted = next;
    }
    return log_save_epochs(l);
}

enum outcome log_move(struct log *l, struct log **future, const struct log_moved *to)
{
    struct log *copy = *future;
    struct left_path *left = malloc(sizeof *left);
    char *path = strdup(to->path);
    bool adopted = false;
    enum outcome o = left == NULL || path == NULL ? OUT_NO_MEMORY : OUT_OK;
    pthread_mutex_lock(&l->flush_lock);
    pthread_mutex_lock(&l->layout_lock);
    pthread_mutex_lock(&l->append_lock);
    if (o == OUT_OK)
        o = copy_rest(l, copy, to->now_ms);
    if (o == OUT_OK)
        o = open_all(l);
    if (o == OUT_OK)
        o = change_names(l, copy, to);
    if (o == OUT_OK) {
        adopted = true;
        l->failed_context = to->context;
        o = adopt(l, copy, left, path);
    }
    pthread_mutex_unlock(&l->append_lock);
    pthread_mutex_unlock(&l->layout_lock);
    pthread_mutex_unlock(&l->flush_lock);
    if (!adopted) {
        free(left);
        free(path);
        return o;
    }
    enum outcome closed = log_close(future, LOG_UNCLEAN); /* its segments are held by us */
    return o == OUT_OK ? closed : o;
}

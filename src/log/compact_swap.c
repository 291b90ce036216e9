/* SPDX-License-Identifier: MIT */
/*
 * The new segment of a compacted group, and how it takes the place of the old ones. It is written
 * under .cleaned names and synced; renamed to .swap, the .log last: from then on every open puts it
 * in place; the old files become .deleted, in ascending order, so that what a crash leaves of them
 * is always the newest (a tombstone never goes before what it deletes); then the .swap files get
 * their final names, again the .log last. Readers of the old segments keep their descriptors: all
 * of them are open when the names change.
 *
 * Paths are used only under flush_lock with the log not offline: a directory that is renamed
 * for deletion, and another of its name, are never written to.
 */
#include "log/compact.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BUFFER MiB(1)

enum outcome rewrite_begin(struct rewrite *w, struct log *l, int64_t base_offset)
{
    *w = (struct rewrite){.log = l, .base_offset = base_offset};
    w->buffer = malloc(BUFFER);
    if (w->buffer == NULL)
        return OUT_NO_MEMORY;
    pthread_mutex_lock(&l->flush_lock);
    enum outcome o = atomic_load(&l->offline)
                         ? OUT_OFFLINE
                         : segment_create_cleaned(l->io, l->path, base_offset, &w->segment);
    pthread_mutex_unlock(&l->flush_lock);
    return o;
}

/* A commit of the file system waits for the data of every file that has got blocks since the last
 * one, so others' flushes would wait for a segment that is written in one go: a piece at a time. */
static enum outcome write_out(struct rewrite *w, const uint8_t *at, size_t size)
{
    struct segment *s = w->segment;
    struct body *body = atomic_load(&s->body);
    enum outcome o = io_write(w->log->io, body->fd, at, size, w->written);
    if (o != OUT_OK)
        return o;
    if (w->log->io->write_out(body->fd, (off_t)w->written, (off_t)size) != 0)
        errno = 0; /* the sync at the end tells */
    w->written += size;
    return OUT_OK;
}

static enum outcome flush_buffer(struct rewrite *w)
{
    size_t held = w->held;
    w->held = 0;
    return held == 0 ? OUT_OK : write_out(w, w->buffer, held);
}

enum outcome rewrite_add(struct rewrite *w, struct bytes batches)
{
    struct bytes rest = batches;
    struct log_batch b;
    enum outcome o = OUT_OK;
    if (w->size + batches.size > INT32_MAX)
        return fail(OUT_TOO_LARGE, "%s: a compacted segment grows too large", w->log->path);
    while (rest.size > 0) {
        o = log_batch_next(&rest, &b);
        if (o != OUT_OK)
            return fail(OUT_CORRUPT, "%s: a compacted batch is none", w->log->path);
        segment_note_batch(w->segment, &b, w->size, log_opts(w->log)->index_interval_bytes);
        w->size += b.size;
    }
    if (w->held + batches.size > BUFFER)
        o = flush_buffer(w);
    if (o == OUT_OK && batches.size > BUFFER)
        return write_out(w, batches.at, batches.size);
    if (o == OUT_OK && batches.size > 0) {
        memcpy(w->buffer + w->held, batches.at, batches.size);
        w->held += batches.size;
    }
    return o;
}

/* ---- names ---- */

static enum outcome sync_file(struct log *l, const char *path)
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

static enum outcome rename_file(struct log *l, int64_t base, enum segment_file kind,
                                const char *before, const char *after)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    segment_path(from, l->path, base, kind, before);
    segment_path(to, l->path, base, kind, after);
    if (l->io->rename(from, to) == 0)
        return OUT_OK;
    if (errno == ENOENT && kind != FILE_LOG) {
        errno = 0;
        return OUT_OK;
    }
    return fail(outcome_of_errno(errno), "rename %s", from);
}

/* All of a segment's files, the .log last; `durable`: what was renamed before it is on disk
 * then. */
static enum outcome rename_files(struct log *l, int64_t base, enum segment_file most,
                                 const char *before, const char *after, bool durable)
{
    enum outcome o = OUT_OK;
    for (int k = (int)most; o == OUT_OK && k >= 0; k--) {
        if (k == FILE_LOG && durable)
            o = io_sync_dir(l->io, l->path);
        if (o == OUT_OK)
            o = rename_file(l, base, (enum segment_file)k, before, after);
    }
    return o;
}

/* Everything under its .cleaned name, on disk. */
static enum outcome save_cleaned(struct rewrite *w, const struct txnindex *kept)
{
    struct log *l = w->log;
    char path[LOG_PATH_MAX];
    bool aborted = false;
    for (size_t i = 0; i < kept->count && !aborted; i++)
        aborted = kept->list[i].last_offset >= w->base_offset &&
                  kept->list[i].last_offset < w->next_offset;
    segment_note_end(w->segment);
    enum outcome o = segment_save_indexes_as(w->segment, ".cleaned", IO_SYNCED);
    if (o == OUT_OK && aborted) {
        segment_path(path, l->path, w->base_offset, FILE_TXNINDEX, ".cleaned");
        o = txnindex_rewrite(kept, l->io, path, w->base_offset, w->next_offset);
        if (o == OUT_OK)
            o = sync_file(l, path);
    }
    return o == OUT_OK ? io_sync_dir(l->io, l->path) : o;
}

static void remove_leftovers(struct log *l, int64_t base)
{
    static const char *const suffixes[] = {".swap", ".cleaned"};
    char path[LOG_PATH_MAX];
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        for (int k = 0; k < FILE_SNAPSHOT; k++) {
            segment_path(path, l->path, base, (enum segment_file)k, suffixes[i]);
            l->io->unlink(path);
        }
    }
    errno = 0;
}

void rewrite_fini(struct rewrite *w)
{
    struct log *l = w->log;
    if (w->segment != NULL && !w->committed) {
        pthread_mutex_lock(&l->flush_lock);
        if (!atomic_load(&l->offline))
            remove_leftovers(l, w->base_offset);
        pthread_mutex_unlock(&l->flush_lock);
    }
    if (w->segment != NULL)
        store_hold_drop(&w->segment->hold);
    free(w->buffer);
    *w = (struct rewrite){0};
}

/* ---- the swap ---- */

/* The group stands in the list, one behind another, sealed and all on disk. */
static bool still_there(struct log *l, struct segment *const *group, size_t count, size_t *at)
{
    const struct segments *list = segments_enter(l);
    bool there = segments_at(list, group[0]->base_offset, at) && *at + count < list->count;
    for (size_t i = 0; there && i < count; i++) {
        there = list->at[*at + i] == group[i] && segment_saved(group[i]);
    }
    segments_leave(l);
    return there;
}

/* Aborted transactions whose data is gone are forgotten. `kept` is in order, as the list is. */
static void trim_aborted(struct log *l, const struct rewrite *w, const struct txnindex *kept)
{
    size_t to = 0, k = 0;
    struct txnindex *t = &l->aborted;
    for (size_t i = 0; i < t->count; i++) {
        const struct log_aborted *a = &t->list[i];
        bool inside = a->last_offset >= w->base_offset && a->last_offset < w->next_offset;
        while (k < kept->count && kept->list[k].last_offset < a->last_offset)
            k++;
        if (!inside || (k < kept->count && kept->list[k].last_offset == a->last_offset))
            t->list[to++] = *a;
    }
    t->count = to;
}

static void note_deleted(struct log *l, int64_t base, int64_t now_ms)
{
    struct deleted *d = malloc(sizeof *d);
    if (d == NULL)
        return; /* the next open clears it away */
    *d = (struct deleted){l->deleted, base, now_ms};
    l->deleted = d;
}

/* Readers get the new segment from here on. */
static enum outcome publish(struct rewrite *w, struct segment *const *group, size_t count,
                            size_t first, const struct txnindex *kept)
{
    struct log *l = w->log;
    int64_t before = 0;
    pthread_mutex_lock(&l->append_lock);
    const struct segments *list = atomic_load(&l->list);
    size_t left = list->count - count + 1;
    struct segment **at = malloc(left * sizeof(struct segment *));
    enum outcome o = at == NULL ? OUT_NO_MEMORY : OUT_OK;
    if (o == OUT_OK) {
        memcpy(at, list->at, first * sizeof(struct segment *));
        at[first] = w->segment;
        memcpy(at + first + 1, list->at + first + count,
               (left - first - 1) * sizeof(struct segment *));
        o = segments_publish(l, at, left);
    }
    for (size_t i = 0; o == OUT_OK && i < count; i++) {
        before += (int64_t)atomic_load(&group[i]->size);
        note_deleted(l, group[i]->base_offset, w->now_ms);
    }
    if (o == OUT_OK) {
        atomic_fetch_add(&l->sealed_bytes, (int64_t)w->size - before);
        trim_aborted(l, w, kept);
    }
    pthread_mutex_unlock(&l->append_lock);
    free(at);
    return o;
}

/* From .cleaned to in place. A failure in the middle needs an open to put right. */
static enum outcome swap_files(struct rewrite *w, struct segment *const *group, size_t count)
{
    struct log *l = w->log;
    int64_t base = w->base_offset;
    enum outcome o = OUT_OK;
    for (int k = FILE_TXNINDEX; o == OUT_OK && k > FILE_LOG; k--)
        o = rename_file(l, base, (enum segment_file)k, ".cleaned", ".swap");
    if (o == OUT_OK)
        o = io_sync_dir(l->io, l->path);
    if (o != OUT_OK)
        return o;
    w->committed = true;
    o = rename_file(l, base, FILE_LOG, ".cleaned", ".swap");
    if (o == OUT_OK)
        o = io_sync_dir(l->io, l->path);
    for (size_t i = 1; o == OUT_OK && i < count; i++)
        o = rename_files(l, group[i]->base_offset, FILE_SNAPSHOT, "", ".deleted", false);
    if (o == OUT_OK)
        o = rename_files(l, base, FILE_TXNINDEX, "", ".deleted", false);
    if (o == OUT_OK)
        o = rename_files(l, base, FILE_TXNINDEX, ".swap", "", true);
    return o == OUT_OK ? io_sync_dir(l->io, l->path) : o;
}

/* Kafka keeps the time of the last change: it tells the age of records without timestamps. */
static void keep_file_time(const struct rewrite *w, const struct segment *last)
{
    struct stat st;
    const struct body *from = atomic_load(&last->body), *to = atomic_load(&w->segment->body);
    if (from == NULL || fstat(from->fd, &st) != 0)
        return;
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (futimens(to->fd, times) != 0)
        errno = 0;
}

enum outcome rewrite_save(struct rewrite *w, const struct segment *last)
{
    struct body *body = atomic_load(&w->segment->body);
    enum outcome o = flush_buffer(w);
    check(o != OUT_OK || w->written == w->size);
    if (o == OUT_OK)
        keep_file_time(w, last);
    if (o == OUT_OK && w->log->io->fdatasync(body->fd) != 0)
        o = fail(OUT_IO, "%s: sync a compacted segment", w->log->path);
    if (o == OUT_OK)
        atomic_store(&w->segment->size, w->size);
    return o;
}

enum outcome rewrite_finish(struct rewrite *w, struct segment *const *group, size_t count,
                            const struct txnindex *kept)
{
    struct log *l = w->log;
    size_t first;
    enum outcome o = OUT_OK;
    pthread_mutex_lock(&l->flush_lock);
    pthread_mutex_lock(&l->layout_lock);
    if (atomic_load(&l->offline))
        o = OUT_OFFLINE;
    else if (!still_there(l, group, count, &first))
        o = OUT_END;
    if (o == OUT_OK)
        o = save_cleaned(w, kept);
    if (o == OUT_OK)
        o = swap_files(w, group, count);
    if (o == OUT_OK)
        o = publish(w, group, count, first, kept);
    if (o != OUT_OK && w->committed)
        log_go_offline(l, o);
    pthread_mutex_unlock(&l->layout_lock);
    pthread_mutex_unlock(&l->flush_lock);
    return o;
}

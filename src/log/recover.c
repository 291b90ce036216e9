/* SPDX-License-Identifier: MIT */
/*
 * From files to a log that can be appended to.
 *
 * After a clean stop files are trusted: only the tail of the active segment is walked, from its
 * last index entry. After a crash every segment from the recovery point on is verified batch by
 * batch; at the first bad one the file is cut, and later segments go. What can be derived (indexes,
 * epochs, producers, aborted transactions) is derived again for those segments.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What an open finds out on its way. */
struct opening {
    const struct log_open *what;
    struct listing files;
    struct segment **segments; /* as many as there are .log files */
    size_t count;
    int64_t recovered_from;    /* base of the first segment that was scanned, INT64_MAX none */
    int64_t end_offset;
};

static void remove_files(struct log *l, int64_t base, int kinds)
{
    char path[LOG_PATH_MAX];
    for (int k = 0; k < kinds; k++) {
        segment_path(path, l->path, base, (enum segment_file)k, "");
        if (l->io->unlink(path) != 0)
            errno = 0;
    }
}

enum outcome recover_segment(struct log *l, struct segment *s, int64_t *next_offset)
{
    struct scan scan;
    struct log_batch b;
    struct body *body = atomic_load(&s->body);
    enum outcome o;
    *next_offset = s->base_offset;
    atomic_store(&s->max_timestamp, -1);
    s->first_timestamp = -1;
    s->since_index = 0;
    scan_init(&scan, l->io, body->fd, 0, s->size);
    uint64_t good = 0;
    while ((o = scan_next(&scan, &b)) == OUT_OK) {
        if (!log_batch_crc_good(&b) || b.base_offset < *next_offset ||
            b.last_offset - s->base_offset > INT32_MAX)
            break;
        bool changed;
        o = epochs_assign(&l->epochs, b.leader_epoch, b.base_offset, &changed);
        if (o != OUT_OK)
            break;
        l->epochs.unsynced |= changed;
        segment_note_batch(s, &b, good, log_opts(l)->index_interval_bytes);
        good = scan.position;
        if (l->verified != NULL)
            atomic_fetch_add_explicit(l->verified, (int64_t)b.size, memory_order_relaxed);
        *next_offset = b.last_offset + 1;
    }
    scan_fini(&scan);
    if (o == OUT_IO || o == OUT_NO_MEMORY)
        return o;
    l->recovered.segments_scanned++;
    l->recovered.bytes_scanned += (int64_t)s->size;
    l->recovered.bytes_truncated += (int64_t)(s->size - good);
    if (good < s->size && l->io->ftruncate(body->fd, (off_t)good) != 0)
        return fail(OUT_IO, "truncate segment %lld", (long long)s->base_offset);
    atomic_store(&s->size, good);
    atomic_store(&s->unsaved, true);
    atomic_store(&s->unsynced, true);
    l->changed = true;
    return OUT_OK;
}

/* A tail that is not as a clean stop leaves it: OUT_CORRUPT. */
static enum outcome walk_tail(struct log *l, struct segment *s, int64_t *next_offset)
{
    struct body *body = atomic_load(&s->body);
    struct scan scan;
    struct log_batch b;
    uint32_t entries = index_count(&body->offsets), times = index_count(&body->times);
    enum outcome o;
    *next_offset = s->base_offset;
    atomic_store(&s->max_timestamp, -1);
    scan_init(&scan, l->io, body->fd, 0, s->size);
    if (scan_next(&scan, &b) == OUT_OK)
        s->first_timestamp = b.max_timestamp;
    scan_fini(&scan);
    if (times > 0) {
        s->max_timestamp_offset = s->base_offset + index_relative(&body->times, times - 1);
        atomic_store(&s->max_timestamp, index_time(&body->times, times - 1));
    }
    uint64_t from = entries == 0 ? 0 : index_position(&body->offsets, entries - 1);
    scan_init(&scan, l->io, body->fd, from, s->size);
    while ((o = scan_next(&scan, &b)) == OUT_OK && b.base_offset >= *next_offset) {
        *next_offset = b.last_offset + 1;
        if (b.max_timestamp > s->max_timestamp) {
            atomic_store(&s->max_timestamp, b.max_timestamp);
            s->max_timestamp_offset = b.last_offset;
        }
    }
    scan_fini(&scan);
    if (o == OUT_IO || o == OUT_NO_MEMORY)
        return o;
    return o == OUT_END ? OUT_OK : OUT_CORRUPT;
}

/* The active segment after a clean stop. */
static enum outcome trust_active(struct log *l, struct opening *op, struct segment *s)
{
    char path[LOG_PATH_MAX];
    struct body *body = atomic_load(&s->body);
    segment_path(path, l->path, s->base_offset, FILE_INDEX, "");
    enum outcome o = index_load(&body->offsets, l->io, path, s->size);
    segment_path(path, l->path, s->base_offset, FILE_TIMEINDEX, "");
    if (o == OUT_OK)
        o = index_load(&body->times, l->io, path, s->size);
    if (o == OUT_OK && s->size > 0 && index_count(&body->times) == 0)
        o = OUT_CORRUPT; /* a clean stop leaves an entry */
    if (o == OUT_OK)
        o = walk_tail(l, s, &op->end_offset);
    if (o != OUT_CORRUPT && o != OUT_NOT_FOUND)
        return o;
    errno = 0;
    l->recovered.indexes_rebuilt++;
    index_fini(&body->offsets);
    index_fini(&body->times);
    op->recovered_from = MIN(op->recovered_from, s->base_offset);
    return recover_segment(l, s, &op->end_offset);
}

static enum outcome open_segment(struct log *l, struct opening *op, size_t i, size_t count)
{
    struct stat st;
    char path[LOG_PATH_MAX];
    int64_t base = op->files.offsets[FILE_LOG][i];
    bool active = i + 1 == count;
    struct segment *s;
    segment_path(path, l->path, base, FILE_LOG, "");
    if (stat(path, &st) != 0)
        return fail(outcome_of_errno(errno), "stat %s", path);
    enum outcome o = segment_new(l->io, l->path, base, (uint64_t)st.st_size, &s);
    if (o != OUT_OK)
        return o;
    s->created_ms = op->what->now_ms;
    op->segments[op->count++] = s;
    int64_t next = active ? INT64_MAX : op->files.offsets[FILE_LOG][i + 1];
    bool trusted = op->what->was == LOG_CLEAN || next <= op->what->recovery_point;
    if (trusted && !active)
        return OUT_OK;
    o = segment_open_active(s);
    if (o != OUT_OK)
        return o;
    if (trusted)
        return trust_active(l, op, s);
    op->recovered_from = MIN(op->recovered_from, base);
    o = recover_segment(l, s, &op->end_offset);
    if (o != OUT_OK || active)
        return o;
    segment_note_end(s);
    o = segment_save_indexes(s, IO_SYNCED);
    atomic_store(&s->unsaved, false);
    return o;
}

/* Later segments go when one was cut or does not end where the next begins. */
static bool ends_short(const struct opening *op, const struct log *l, int64_t truncated_before,
                       size_t i)
{
    return l->recovered.bytes_truncated != truncated_before && i + 1 < op->files.count[FILE_LOG];
}

static enum outcome open_segments(struct log *l, struct opening *op)
{
    size_t count = op->files.count[FILE_LOG];
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < count && o == OUT_OK; i++) {
        int64_t truncated = l->recovered.bytes_truncated;
        o = open_segment(l, op, i, count);
        if (o != OUT_OK || !ends_short(op, l, truncated, i))
            continue;
        for (size_t k = i + 1; k < count; k++) {
            remove_files(l, op->files.offsets[FILE_LOG][k], FILE_SNAPSHOT);
            l->dir_unsynced = true;
        }
        atomic_store(&op->segments[i]->unsaved, true);
        break;
    }
    return o;
}

/* Publishes what is there; an empty directory, or one whose data all lies below the start
 * offset, gets a fresh segment. */
static enum outcome publish(struct log *l, struct opening *op)
{
    enum outcome o = OUT_OK;
    int64_t start = op->what->start_offset;
    if (op->count > 0 && start > op->end_offset) {
        for (size_t i = 0; i < op->count; i++) {
            remove_files(l, op->segments[i]->base_offset, FILE_KINDS);
            store_hold_drop(&op->segments[i]->hold);
        }
        op->count = 0;
    }
    if (op->count == 0) {
        o = segment_create(l->io, l->path, start, op->what->now_ms, &op->segments[0]);
        if (o != OUT_OK)
            return o;
        op->count = 1;
        op->end_offset = start;
        l->changed = l->dir_unsynced = true;
    }
    int64_t sealed = 0;
    for (size_t i = 0; i + 1 < op->count; i++)
        sealed += (int64_t)op->segments[i]->size;
    atomic_store(&l->sealed_bytes, sealed);
    l->active = op->segments[op->count - 1];
    atomic_store(&l->start_offset, MAX(start, op->segments[0]->base_offset));
    atomic_store(&l->end_offset, op->end_offset);
    return segments_publish(l, op->segments, op->count);
}

static enum outcome load_epochs(struct log *l)
{
    enum outcome o = epochs_load(&l->epochs, l->io, l->path);
    if (o == OUT_CORRUPT) { /* the batches know */
        l->changed = true;
        o = OUT_OK;
    }
    return o;
}

/* Aborted transactions of the segments that were not scanned, from their files. */
static enum outcome load_aborted(struct log *l, struct opening *op)
{
    char path[LOG_PATH_MAX];
    enum outcome o = OUT_OK;
    l->txn_known = MIN(op->recovered_from, op->end_offset);
    for (size_t i = 0; i < op->files.count[FILE_TXNINDEX] && o == OUT_OK; i++) {
        int64_t base = op->files.offsets[FILE_TXNINDEX][i];
        segment_path(path, l->path, base, FILE_TXNINDEX, "");
        if (base < l->txn_known || (base == l->txn_known && op->recovered_from == INT64_MAX))
            o = txnindex_read(&l->aborted, l->io, path);
        else if (l->io->unlink(path) != 0)
            errno = 0;
    }
    txnindex_cut(&l->aborted, atomic_load(&l->start_offset), INT64_MAX);
    return o;
}

/* Snapshots above the end lie; of the others those at a segment's base and the newest are kept. */
static void tidy_snapshots(struct log *l, struct opening *op)
{
    char path[LOG_PATH_MAX];
    size_t count = op->files.count[FILE_SNAPSHOT], kept = 0;
    int64_t *at = op->files.offsets[FILE_SNAPSHOT];
    while (count > 0 && at[count - 1] > op->end_offset)
        count--;
    for (size_t i = 0; i < op->files.count[FILE_SNAPSHOT]; i++) {
        bool keep = i + 1 == count;
        for (size_t k = 0; k < op->count && !keep && i < count; k++)
            keep = op->segments[k]->base_offset == at[i];
        segment_path(path, l->path, at[i], FILE_SNAPSHOT, "");
        if (keep)
            at[kept++] = at[i];
        else if (l->io->unlink(path) != 0)
            errno = 0;
    }
    op->files.count[FILE_SNAPSHOT] = kept;
}

static enum outcome recover_state(struct log *l, struct opening *op)
{
    enum outcome o = load_aborted(l, op);
    if (o != OUT_OK)
        return o;
    tidy_snapshots(l, op);
    /* Cuts need no saving: every open cuts again, and the next that is saved is saved whole. */
    bool found = l->epochs.differs;
    epochs_cut_start(&l->epochs, atomic_load(&l->start_offset));
    epochs_cut_end(&l->epochs, op->end_offset);
    if (op->recovered_from != INT64_MAX) /* what was read may not be on the disk */
        l->epochs.unsynced = l->epochs.count > 0 || l->epochs.differs;
    if (l->epochs.unsynced && found)
        o = epochs_save(&l->epochs, l->io, l->path);
    else if (l->epochs.unsynced && l->epochs.differs)
        epochs_save_later(&l->epochs, op->end_offset);
    if (o != OUT_OK)
        return o;
    int64_t limit = MIN(op->recovered_from, op->end_offset);
    o = recover_producers(l, &op->files, limit, op->what->now_ms);
    bool trusted = op->recovered_from == INT64_MAX && !l->changed;
    atomic_store(&l->flushed_offset, trusted ? op->end_offset : atomic_load(&l->start_offset));
    return o;
}

enum outcome recover_open(struct log *l, const struct log_open *what)
{
    struct opening op = {.what = what, .recovered_from = INT64_MAX};
    enum outcome o = listing_tidy(l->io, l->path, &op.files);
    if (o != OUT_OK)
        return o;
    op.segments = calloc(op.files.count[FILE_LOG] + 1, sizeof(struct segment *));
    if (op.segments == NULL)
        o = OUT_NO_MEMORY;
    if (o == OUT_OK)
        o = load_epochs(l);
    if (o == OUT_OK)
        o = open_segments(l, &op);
    if (o == OUT_OK)
        o = publish(l, &op);
    if (o == OUT_OK)
        o = recover_state(l, &op);
    for (size_t i = 0; op.segments != NULL && i < op.count; i++) {
        if (o == OUT_OK && op.segments[i] != l->active && !atomic_load(&op.segments[i]->unsynced))
            atomic_store(&op.segments[i]->used, false);
        store_hold_drop(&op.segments[i]->hold); /* the list has its own */
    }
    free(op.segments);
    listing_free(&op.files);
    return o;
}

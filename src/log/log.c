/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a partition, its options, and what can be asked of it. Happy path of an open:
 * the directory is listed, sealed segments are only noted, the active one is opened and its tail
 * walked; all else (verification, rebuilding) is recover.c's, after an unclean end.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define METADATA_NAME "partition.metadata"
#define NAME_ROOM 64 /* of a file in a partition's directory, with suffixes */

void log_options_default(struct log_options *o)
{
    *o = (struct log_options){
        .segment_bytes = (int64_t)GiB(1),
        .segment_ms = INT64_C(604800000),
        .index_interval_bytes = 4096,
        .segment_index_bytes = 10485760,
        .retention_ms = INT64_C(604800000),
        .retention_bytes = -1,
        .max_message_bytes = 1048588,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .cleanup_delete = true,
        .compression = LOG_CODEC_PRODUCER,
        .compression_level = INT32_MIN,
        .producer_expiration_ms = 86400000,
        .file_delete_delay_ms = 60000,
        .delete_retention_ms = 86400000,
        .max_compaction_lag_ms = INT64_MAX,
        .allocate_ahead_bytes = (int64_t)MiB(16),
    };
}

enum outcome log_configure(struct log *l, const struct log_options *o)
{
    struct options_box *box = malloc(sizeof *box);
    if (box == NULL)
        return OUT_NO_MEMORY;
    pthread_mutex_lock(&l->append_lock);
    box->options = *o;
    box->older = atomic_load(&l->options);
    atomic_store_explicit(&l->options, box, memory_order_release);
    pthread_mutex_unlock(&l->append_lock);
    return OUT_OK;
}

/* partition.metadata: read, or made when it is missing and the id is known. */
static enum outcome load_topic_id(struct log *l, struct uuid wanted)
{
    char path[LOG_PATH_MAX], *text, id[UUID_TEXT_SIZE], line[96];
    size_t size;
    io_path(path, l->path, METADATA_NAME);
    enum outcome o = io_read_all(l->io, path, KiB(4), &text, &size);
    if (o == OUT_OK) {
        const char *at = strstr(text, "topic_id: ");
        bool good = at != NULL &&
            uuid_parse(bytes_view(at + 10, MIN(strlen(at + 10), 22)), &l->topic_id);
        free(text);
        if (!good)
            return fail(OUT_CORRUPT, "%s has no topic id", path);
        if (!uuid_is_zero(&wanted) && !uuid_equal(&wanted, &l->topic_id))
            return fail(OUT_EXISTS, "%s belongs to another topic of this name", path);
        return OUT_OK;
    }
    errno = 0;
    l->topic_id = wanted;
    if (o != OUT_NOT_FOUND || uuid_is_zero(&wanted))
        return o == OUT_NOT_FOUND ? OUT_OK : o;
    uuid_print(&wanted, id);
    int used = snprintf(line, sizeof line, "version: 0\ntopic_id: %s", id);
    return logdir_file_write(l->path, METADATA_NAME, bytes_view(line, (size_t)used));
}

static void producer_op(struct store *store, int64_t id, struct store_producer *to)
{
    struct log *l = log_of(store);
    pthread_mutex_lock(&l->append_lock);
    producers_tell(&l->producers, id, to);
    pthread_mutex_unlock(&l->append_lock);
}

static void attempt_op(struct store *store, int64_t id, int32_t epoch, int32_t sequence)
{
    struct log *l = log_of(store);
    pthread_mutex_lock(&l->append_lock);
    attempts_note(&l->producers.attempts, id, epoch, sequence);
    pthread_mutex_unlock(&l->append_lock);
}

static const struct store_ops ops = {
    .append = log_append_op,
    .read = log_read_op,
    .seek = log_seek_op,
    .trim = log_trim_op,
    .flush = log_flush_op,
    .stat = log_stat_op,
    .producer = producer_op,
    .attempt = attempt_op,
};

static void release_lists(struct log *l)
{
    struct segments *list = atomic_load(&l->list);
    if (list != NULL) {
        list->retired = l->retired;
        l->retired = list;
        atomic_store(&l->list, NULL);
    }
    check(atomic_load(&l->readers) == 0);
    segments_reclaim(l);
}

static void log_free(struct log *l)
{
    release_lists(l);
    producers_fini(&l->producers);
    epochs_fini(&l->epochs);
    txnindex_fini(&l->aborted);
    struct options_box *box = atomic_load(&l->options);
    while (box != NULL) {
        struct options_box *older = box->older;
        free(box);
        box = older;
    }
    while (l->deleted != NULL) {
        struct deleted *next = l->deleted->next;
        free(l->deleted);
        l->deleted = next;
    }
    pthread_mutex_destroy(&l->append_lock);
    pthread_mutex_destroy(&l->open_lock);
    pthread_mutex_destroy(&l->flush_lock);
    pthread_mutex_destroy(&l->layout_lock);
    while (l->left != NULL) {
        struct left_path *next = l->left->next;
        free(l->left->path);
        free(l->left);
        l->left = next;
    }
    free(l->path);
    free(l);
}

static enum outcome log_new(const struct log_open *what, struct log **log)
{
    struct log *l;
    if (strlen(what->path) > LOG_PATH_MAX - NAME_ROOM)
        return fail(OUT_TOO_LARGE, "the path %s is too long", what->path);
    if (posix_memalign((void **)&l, CACHE_LINE, sizeof *l) != 0)
        return OUT_NO_MEMORY;
    memset(l, 0, sizeof *l);
    l->store.ops = &ops;
    l->io = what->io == NULL ? &log_io_kernel : what->io;
    l->failed = what->failed;
    l->failed_context = what->context;
    l->verified = what->verified;
    l->epochs.latest = -1;
    l->producers.first_open_offset = INT64_MAX;
    l->first_open_offset = INT64_MAX;
    l->snapshot_offset = -1;
    pthread_mutex_init(&l->append_lock, NULL);
    pthread_mutex_init(&l->open_lock, NULL);
    pthread_mutex_init(&l->flush_lock, NULL);
    pthread_mutex_init(&l->layout_lock, NULL);
    l->path = strdup(what->path);
    if (l->path == NULL || log_configure(l, &what->options) != OUT_OK) {
        log_free(l);
        return OUT_NO_MEMORY;
    }
    *log = l;
    return OUT_OK;
}

/* A new directory's name must not vanish with what is acknowledged in it. */
static enum outcome sync_parent(const struct log *l)
{
    char parent[LOG_PATH_MAX];
    const char *slash = strrchr(l->path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - l->path);
    memcpy(parent, l->path, size);
    parent[size] = '\0';
    return io_sync_dir(l->io, slash == NULL ? "." : size == 0 ? "/" : parent);
}

enum outcome log_open(const struct log_open *what, struct log **log)
{
    struct log *l = NULL;
    *log = NULL;
    enum outcome o = log_new(what, &l);
    if (o != OUT_OK)
        return o;
    if (mkdir(l->path, 0755) == 0)
        o = sync_parent(l);
    else if (errno != EEXIST)
        o = fail(outcome_of_errno(errno), "make directory %s", l->path);
    errno = 0;
    if (o == OUT_OK)
        o = load_topic_id(l, what->topic_id);
    if (o == OUT_OK)
        o = recover_open(l, what);
    if (o != OUT_OK) {
        log_free(l);
        return outcome_add(o, "open log %s", what->path);
    }
    l->verified = NULL;
    l->jitter_ms = log_jitter(l, l->active->base_offset);
    segment_note_ahead(l->active);
    segment_give_back(l->active);
    if (what->options.preallocate)
        segment_allocate(l->active, what->options.segment_bytes);
    *log = l;
    return OUT_OK;
}

/* Everything a clean start trusts: indexes, producers, data, names. */
static enum outcome save_all(struct log *l)
{
    char path[LOG_PATH_MAX];
    int64_t end = atomic_load(&l->end_offset), flushed;
    if (atomic_load(&l->offline))
        return OUT_OFFLINE;
    pthread_mutex_lock(&l->append_lock);
    const struct epochs *e = &l->epochs;
    bool without_records = e->unsaved && e->unsaved_from >= end;
    enum outcome o = l->changed && e->differs && !without_records ? log_save_epochs(l) : OUT_OK;
    pthread_mutex_unlock(&l->append_lock);
    if (o == OUT_OK)
        o = log_flush_op(&l->store, &flushed);
    if (o == OUT_OK)
        segment_give_back(l->active);
    if (o != OUT_OK || !l->changed)
        return o;
    segment_note_end(l->active);
    enum io_sync sync = l->io == &io_synced_later ? IO_NOT_SYNCED : IO_SYNCED;
    o = segment_save_indexes(l->active, sync);
    if (o == OUT_OK) {
        segment_path(path, l->path, end, FILE_SNAPSHOT, "");
        o = producers_save(&l->producers, l->io, path, sync);
    }
    if (o == OUT_OK)
        o = io_sync_dir(l->io, l->path);
    return o;
}

void log_sync_later(struct log *l)
{
    if (l->io == &log_io_kernel) /* the calls of a test stay as they are */
        l->io = &io_synced_later;
}

enum outcome log_close(struct log **log, enum log_shutdown how)
{
    struct log *l = *log;
    enum outcome o = OUT_OK;
    *log = NULL;
    if (how == LOG_CLEAN)
        o = save_all(l);
    log_free(l);
    return o;
}

void log_retire(struct log *l)
{
    pthread_mutex_lock(&l->flush_lock);
    pthread_mutex_lock(&l->layout_lock);
    pthread_mutex_lock(&l->append_lock); /* whoever writes now finishes first */
    atomic_store(&l->offline, true);
    pthread_mutex_unlock(&l->append_lock);
    pthread_mutex_unlock(&l->layout_lock);
    pthread_mutex_unlock(&l->flush_lock);
}

struct store *log_store(struct log *l)
{
    return &l->store;
}

struct uuid log_topic_id(const struct log *l)
{
    return l->topic_id;
}

const char *log_path(const struct log *l)
{
    return l->path;
}

void log_recovered(const struct log *l, struct log_recovered *r)
{
    *r = l->recovered;
}

enum outcome log_go_offline(struct log *l, enum outcome why)
{
    bool disk = why == OUT_IO || why == OUT_OFFLINE || why == OUT_NO_ACCESS;
    if (!atomic_exchange(&l->offline, true) && disk && l->failed != NULL)
        l->failed(l->failed_context);
    return OUT_OFFLINE;
}

void log_stat_op(struct store *s, struct store_stat *stat)
{
    struct log *l = log_of(s);
    stat->start_offset = atomic_load(&l->start_offset);
    int64_t open = atomic_load(&l->first_open_offset);
    stat->end_offset = atomic_load(&l->end_offset);
    stat->high_watermark = stat->end_offset;
    stat->stable_offset = MAX(MIN(open, stat->end_offset), stat->start_offset);
    stat->flushed_offset = atomic_load(&l->flushed_offset);
    stat->offline = atomic_load(&l->offline);
    struct segments *list = segments_enter(l);
    stat->segment_count = (int32_t)list->count;
    stat->size_bytes =
        atomic_load(&l->sealed_bytes) + (int64_t)atomic_load(&list->at[list->count - 1]->size);
    segments_leave(l);
}

size_t log_producers(struct log *l, struct log_producer *to, size_t room)
{
    pthread_mutex_lock(&l->append_lock);
    size_t count = producers_list(&l->producers, to, room);
    pthread_mutex_unlock(&l->append_lock);
    return count;
}


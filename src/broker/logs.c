/* SPDX-License-Identifier: MIT */
/*
 * The logs of the partitions: opened when a view first has them, configured, checkpointed, deleted,
 * closed. All on the control thread (main before it runs), but for the last drop of a deleted one.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TTL_FILE "fluxmq.ttl"
#define LOGS_ONE_BY_ONE 32 /* closed with a flush each; more: one of the whole file system */

static void partition_path(const struct partition *p, char *path)
{
    snprintf(path, LOG_PATH_MAX, "%s/%.*s-%d", p->dir->path, (int)p->topic.size,
             (const char *)p->topic.at, p->index);
}

void logs_report_recovery(struct broker *b)
{
    if (atomic_load(&b->config)->recovery_report)
        watch_log(WATCH_INFO, "broker",
                  "recovery: %lld segments of %lld bytes verified, %lld bytes cut off, "
                  "%d indexes made again", (long long)b->recovered.segments_scanned,
                  (long long)b->recovered.bytes_scanned, (long long)b->recovered.bytes_truncated,
                  (int)b->recovered.indexes_rebuilt);
}

/* A file of its own in the partition's directory, which Kafka passes over. */
static void ttl_path(const struct partition *p, char *path)
{
    partition_path(p, path);
    strncat(path, "/" TTL_FILE, LOG_PATH_MAX - strlen(path) - 1);
}

static void make_ttl_file(const struct partition *p)
{
    char path[LOG_PATH_MAX];
    ttl_path(p, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || fsync(fd) != 0)
        watch_log(WATCH_ERROR, "broker", "make %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    partition_path(p, path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        watch_log(WATCH_ERROR, "broker", "flush %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    errno = 0;
}

void partition_ttl(struct partition *p)
{
    if (atomic_load_explicit(&p->has_ttl, memory_order_relaxed))
        return;
    atomic_store(&p->has_ttl, true);
    if (p->log != NULL)
        make_ttl_file(p);
}

void partition_ttl_file(struct partition *p)
{
    if (atomic_load(&p->has_ttl))
        make_ttl_file(p);
}

static enum log_codec codec_of(const char *name)
{
    static const struct { const char *name; enum log_codec codec; } rows[] = {
        {"uncompressed", LOG_NONE}, {"gzip", LOG_GZIP}, {"snappy", LOG_SNAPPY}, {"lz4", LOG_LZ4},
        {"zstd", LOG_ZSTD},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].codec;
    }
    return LOG_CODEC_PRODUCER;
}

static int32_t level_of(enum log_codec codec, const struct topic_config *c)
{
    switch (codec) {
    case LOG_GZIP: return (int32_t)c->gzip_level;
    case LOG_LZ4: return (int32_t)c->lz4_level;
    case LOG_ZSTD: return (int32_t)c->zstd_level;
    case LOG_NONE:
    case LOG_SNAPPY:
    case LOG_CODEC_PRODUCER: break;
    }
    return INT32_MIN; /* the codec's own */
}

static void fill_options(const struct broker *b, const struct topic_config *c,
                         struct log_options *o)
{
    const struct config *config = atomic_load(&((struct broker *)(uintptr_t)b)->config);
    log_options_default(o);
    o->segment_bytes = c->segment_bytes;
    o->segment_ms = c->segment_ms;
    o->segment_jitter_ms = c->segment_jitter_ms;
    o->index_interval_bytes = (int32_t)c->index_interval_bytes;
    o->segment_index_bytes = (int32_t)c->segment_index_bytes;
    o->retention_ms = c->retention_ms;
    o->retention_bytes = c->retention_bytes;
    o->max_message_bytes = (int32_t)c->max_message_bytes;
    o->timestamp_type = c->append_time ? LOG_APPEND_TIME : LOG_CREATE_TIME;
    o->timestamp_before_max_ms = c->timestamp_before_max_ms;
    o->timestamp_after_max_ms = c->timestamp_after_max_ms;
    o->cleanup_delete = c->cleanup_delete;
    o->cleanup_compact = c->cleanup_compact;
    o->preallocate = c->preallocate;
    o->allocate_ahead_bytes = config->allocate_ahead_bytes;
    o->compression = codec_of(c->compression_type);
    o->validation = config->validation_full ? LOG_VALIDATE_FULL : LOG_VALIDATE_PLAIN;
    o->producer_expiration_ms = config->producer_id_expiration_ms;
    o->file_delete_delay_ms = c->file_delete_delay_ms;
    o->delete_retention_ms = c->delete_retention_ms;
    o->min_compaction_lag_ms = c->min_compaction_lag_ms;
    o->max_compaction_lag_ms = c->max_compaction_lag_ms;
    if (c->cleanup_compact) /* old records must get out of the active segment in time */
        o->segment_ms = MIN(o->segment_ms, c->max_compaction_lag_ms);
    o->compression_level = level_of(o->compression, c);
}

/* What was cut off is always said; the sum is for --recovery-mode. */
static void note_recovery(struct broker *b, const struct partition *p)
{
    struct log_recovered r;
    log_recovered(p->log, &r);
    b->recovered.segments_scanned += r.segments_scanned;
    b->recovered.bytes_scanned += r.bytes_scanned;
    b->recovered.bytes_truncated += r.bytes_truncated;
    b->recovered.indexes_rebuilt += r.indexes_rebuilt;
    if (r.bytes_truncated > 0)
        watch_log(WATCH_WARN, "broker", "recovery of %.*s-%d: %lld bytes cut off",
                  (int)p->topic.size, (const char *)p->topic.at, p->index,
                  (long long)r.bytes_truncated);
}

static struct stream_options stream_options(const struct broker *b, const struct topic_config *c)
{
    struct stream_options o = {.retention_records = c->retention_records};
    fill_options(b, c, &o.batches);
    if (o.batches.retention_bytes < 0)
        o.batches.retention_bytes =
            atomic_load(&((struct broker *)(uintptr_t)b)->config)->memory_retention_bytes;
    return o;
}

/* Each start begins with nothing, at offset 0. */
static enum outcome open_memory(const struct broker *b, struct partition *p,
                                const struct topic_config *config)
{
    struct stream_options o = stream_options(b, config);
    enum outcome out = stream_new(&o, &p->stream);
    if (out != OUT_OK)
        return out;
    p->store = stream_store(p->stream);
    atomic_store(&p->leader_epoch, -1);
    return OUT_OK;
}

/* Ids that Kafka keeps for itself say that nothing is known: not assigned, lost, from before. */
static bool id_is_known(const struct uuid *id)
{
    static const uint8_t none[15];
    return memcmp(id->b, none, sizeof none) != 0 || id->b[15] >= 100;
}

/* The directory of a partition: where it was found, else where the metadata wants it, else (it is
 * new) where there are fewest. One that is not there now may be on a disk that is not there. */
static enum outcome find_dir(struct broker *b, struct partition *p, const char *topic,
                             const struct meta_placement *placement)
{
    bool starting = b->view == NULL, known = false;
    p->dir = starting ? dirs_having(b, topic, p->index) : NULL;
    if (p->dir == NULL && placement != NULL && placement->directory_count > 0) {
        p->dir = dirs_by_id(b, &placement->directories[0]);
        known = id_is_known(&placement->directories[0]);
    }
    if (p->dir == NULL && starting && (known || dirs_any_offline(b)))
        return fail(OUT_OFFLINE, "it is in none of the log directories that can be used");
    if (p->dir == NULL)
        p->dir = dirs_emptiest(b);
    if (p->dir == NULL || atomic_load(&p->dir->offline))
        return fail(OUT_OFFLINE, "its log directory is offline");
    return OUT_OK;
}

/* Opens what `what` says; another topic's directory of this name is kept aside, as Kafka does. */
static enum outcome open_or_stray(struct log_open *what, struct log **log)
{
    char stray[LOG_PATH_MAX + 8];
    enum outcome o = log_open(what, log);
    if (o != OUT_EXISTS)
        return o;
    snprintf(stray, sizeof stray, "%s-stray", what->path);
    if (rename(what->path, stray) != 0)
        return o;
    watch_log(WATCH_WARN, "broker", "%s belongs to another topic id, renamed to %s", what->path,
              stray);
    what->recovery_point = what->start_offset = 0;
    return log_open(what, log);
}

enum outcome logs_place(struct broker *b, struct partition *p, const struct topic_config *config,
                        const struct meta_placement *placement)
{
    if (config->memory && !meta_topic_internal(p->topic))
        return open_memory(b, p, config);
    char topic[256];
    snprintf(topic, sizeof topic, "%.*s", (int)p->topic.size, (const char *)p->topic.at);
    enum outcome o = find_dir(b, p, topic, placement);
    if (o == OUT_OK)
        p->dir->logs++;
    return o;
}

enum outcome logs_load(const struct broker *b, struct partition *p,
                       const struct topic_config *config, _Atomic int64_t *verified)
{
    if (p->stream != NULL)
        return OUT_OK;
    char path[LOG_PATH_MAX], topic[256];
    const struct broker_dir *d = p->dir;
    snprintf(topic, sizeof topic, "%.*s", (int)p->topic.size, (const char *)p->topic.at);
    struct log_open what = {.path = path, .topic_id = p->topic_id, .was = d->was,
                            .now_ms = os_wall_ms(), .failed = dir_fails, .context = p->dir,
                            .verified = verified};
    partition_path(p, path);
    what.recovery_point = logdir_offset_of(d->recovery, d->recovery_count, topic, p->index, 0);
    what.start_offset = logdir_offset_of(d->starts, d->start_count, topic, p->index, 0);
    fill_options(b, config, &what.options);
    enum outcome o = open_or_stray(&what, &p->log);
    if (o != OUT_OK)
        return o;
    ttl_path(p, path);
    atomic_store(&p->has_ttl, access(path, F_OK) == 0);
    errno = 0;
    p->store = log_store(p->log);
    atomic_store(&p->leader_epoch, log_epoch_latest(p->log));
    return OUT_OK;
}

void logs_unique_path(const struct partition *p, const struct broker_dir *d, const char *suffix,
                      char path[static LOG_PATH_MAX])
{
    struct uuid id = uuid_random();
    snprintf(path, LOG_PATH_MAX, "%s/%.*s-%d.%02x%02x%02x%02x%s", d->path, (int)p->topic.size,
             (const char *)p->topic.at, (int)p->index, id.b[0], id.b[1], id.b[2], id.b[3], suffix);
}

enum outcome logs_open_copy(struct partition *p, struct broker_dir *d, const char *path,
                            struct log **copy)
{
    struct broker *b = p->broker;
    const struct topic *t = view_topic_by_id(b->view, &p->topic_id);
    struct log_open what = {.path = path, .topic_id = p->topic_id, .was = LOG_UNCLEAN,
                            .now_ms = os_wall_ms(), .failed = dir_fails, .context = d};
    if (t == NULL)
        return fail(OUT_NOT_FOUND, "the topic is gone");
    fill_options(b, &t->config, &what.options);
    return log_open(&what, copy);
}

void logs_loaded(struct broker *b, struct partition *p, enum outcome o, const char *trail)
{
    if (o == OUT_OK && p->log != NULL)
        note_recovery(b, p);
    if (o == OUT_OK)
        return;
    p->dir->logs--;
    watch_log(WATCH_ERROR, "broker", "partition %.*s-%d is offline: %s", (int)p->topic.size,
              (const char *)p->topic.at, p->index, trail);
}

/* A few hundred partitions in a commit. */
#define PLACES_AT_ONCE 500

enum outcome logs_tell_places(struct broker *b)
{
    struct meta_change change;
    enum outcome o = OUT_OK;
    bool more = b->data_dir_count > 1;
    while (more && o == OUT_OK) {
        const struct meta_image *image = meta_newest(b->meta);
        meta_change_init(&change);
        for (size_t i = 0; i < b->view->topic_count && o == OUT_OK; i++) {
            const struct topic *t = b->view->topics[i];
            const struct meta_topic *meta = meta_topic_by_id(image, &t->id);
            for (int32_t k = 0; meta != NULL && k < t->partition_count && o == OUT_OK &&
                                change.count < PLACES_AT_ONCE; k++) {
                if (t->partitions[k] != NULL && t->partitions[k]->dir != NULL)
                    o = meta_plan_directory(image, meta, k, &t->partitions[k]->dir->id, &change);
            }
        }
        more = change.count > 0;
        if (o == OUT_OK)
            o = broker_apply(b, &change);
        meta_change_fini(&change);
    }
    return o;
}

void logs_configure(struct broker *b, struct partition *p, const struct topic_config *config)
{
    struct log_options o;
    struct stream_options s = stream_options(b, config);
    fill_options(b, config, &o);
    if ((p->log != NULL ? log_configure(p->log, &o) : stream_configure(p->stream, &s)) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "configure a log: %s", outcome_trail());
}

/* The directory goes out of the way at once, so that a topic of the same name can be made; the
 * files go when the last reader has let go. */
void logs_delete(struct partition *p)
{
    char path[LOG_PATH_MAX], unique[33];
    struct uuid id = uuid_random();
    for (size_t i = 0; i < 16; i++)
        snprintf(unique + 2 * i, 3, "%02x", id.b[i]);
    if (p->stream != NULL) {
        stream_retire(p->stream);
        return;
    }
    partition_path(p, path);
    log_retire(p->log);
    cleaner_forget(p);
    p->gone = malloc(LOG_PATH_MAX);
    if (p->gone == NULL)
        return;
    p->dir->logs--;
    snprintf(p->gone, LOG_PATH_MAX, "%s/%.*s-%d.%s-delete", p->dir->path,
             (int)MIN(p->topic.size, 200), (const char *)p->topic.at, p->index, unique);
    if (rename(path, p->gone) != 0)
        watch_log(WATCH_ERROR, "broker", "rename %s for deletion: %s", path, strerror(errno));
    errno = 0;
}

void broker_log_gone(struct partition *p)
{
    if (p->stream != NULL)
        stream_free(p->stream);
    if (p->log == NULL)
        return;
    bool let_go = atomic_load(&p->deleted) || atomic_load(&p->dir->offline);
    enum outcome o = log_close(&p->log, let_go ? LOG_UNCLEAN : LOG_CLEAN);
    if (o != OUT_OK) {
        watch_log(WATCH_ERROR, "broker", "close a log: %s", outcome_trail());
        atomic_store(&p->dir->dirty, true); /* the next start must look at it */
    }
    if (p->gone != NULL && log_delete_finish(p->gone) != OUT_OK)
        watch_log(WATCH_WARN, "broker", "delete %s: %s", p->gone, outcome_trail());
    free(p->gone);
    p->gone = NULL;
}

/* Directories of partitions that no topic has: their topic was deleted while we were away. */
void logs_stray(struct broker *b)
{
    for (int i = 0; i < b->data_dir_count; i++) {
        const struct broker_dir *d = &b->dirs[i];
        for (size_t k = 0; k < d->found_count; k++) {
            const struct logdir_partition *f = &d->found[k];
            struct topic *t = view_topic(b->view, bytes_of(f->topic));
            char path[LOG_PATH_MAX], stray[LOG_PATH_MAX + 8];
            if (strcmp(f->topic, "__cluster_metadata") == 0 ||
                (t != NULL && !t->config.memory && f->partition < t->partition_count))
                continue;
            snprintf(path, sizeof path, "%s/%s-%d", d->path, f->topic, f->partition);
            snprintf(stray, sizeof stray, "%s-stray", path);
            if (rename(path, stray) == 0)
                watch_log(WATCH_WARN, "broker", "%s belongs to no topic, renamed to %s", path,
                          stray);
        }
    }
    errno = 0;
}

/* ---- what logs and streams have in common ---- */

enum outcome partition_epoch_begin(struct partition *p, int32_t epoch)
{
    return p->log != NULL ? log_epoch_begin(p->log, epoch) : stream_epoch_begin(p->stream, epoch);
}

void partition_epoch_end(struct partition *p, int32_t epoch, int32_t *found, int64_t *end_offset)
{
    if (p->log != NULL)
        log_epoch_end(p->log, epoch, found, end_offset);
    else
        stream_epoch_end(p->stream, epoch, found, end_offset);
}

enum outcome partition_aborted(struct partition *p, int64_t from, int64_t to, struct arena *arena,
                               struct log_aborted **list, size_t *count)
{
    if (p->log != NULL)
        return log_aborted(p->log, from, to, arena, list, count);
    return stream_aborted(p->stream, from, to, arena, list, count);
}

size_t partition_producers(struct partition *p, struct log_producer *to, size_t room)
{
    if (p->log != NULL)
        return log_producers(p->log, to, room);
    return stream_producers(p->stream, to, room);
}

enum outcome partition_retain(struct partition *p, int64_t now_ms, int32_t *deleted)
{
    *deleted = 0; /* segments are a disk's; what memory drops has its own clock */
    return p->log != NULL ? log_retain(p->log, now_ms, deleted) : OUT_OK;
}

/* ---- checkpoints ---- */

/* One line of each checkpoint file for a partition. */
static void note(const struct partition *p, struct logdir_offset *to, int64_t offset)
{
    snprintf(to->topic, sizeof to->topic, "%.*s", (int)p->topic.size, (const char *)p->topic.at);
    to->partition = p->index;
    to->offset = offset;
}

/* The checkpoints of one directory; `lists` has three times `room`. */
static enum outcome checkpoint_dir(struct broker *b, struct broker_dir *d,
                                   struct logdir_offset *lists, size_t room)
{
    size_t count = 0, starts = 0;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++) {
            const struct partition *p = t->partitions[k];
            struct store_stat stat;
            if (p == NULL || p->log == NULL || p->dir != d)
                continue;
            store_stat(p->store, &stat);
            note(p, &lists[count], stat.flushed_offset);
            note(p, &lists[room + count], stat.high_watermark);
            count++;
            if (stat.start_offset > 0)
                note(p, &lists[2 * room + starts++], stat.start_offset);
        }
    }
    enum outcome o = logdir_offsets_write(d->path, LOGDIR_RECOVERY_POINT, lists, count);
    if (o == OUT_OK)
        o = logdir_offsets_write(d->path, LOGDIR_HIGH_WATERMARK, lists + room, count);
    if (o == OUT_OK)
        o = logdir_offsets_write(d->path, LOGDIR_LOG_START, lists + 2 * room, starts);
    if (o == OUT_IO && b->data_dir_count > 1)
        dir_fails(d);
    return o;
}

enum outcome logs_checkpoint(struct broker *b)
{
    size_t room = 0;
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < b->view->topic_count; i++)
        room += (size_t)b->view->topics[i]->partition_count;
    struct logdir_offset *lists = calloc(3 * room + 1, sizeof *lists);
    if (lists == NULL)
        return fail(OUT_NO_MEMORY, "write the checkpoints");
    for (int i = 0; i < b->data_dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        enum outcome one = atomic_load(&d->offline) ? OUT_OK : checkpoint_dir(b, d, lists, room);
        if (o == OUT_OK)
            o = one;
    }
    free(lists);
    return o;
}

void broker_checkpoint_starts(struct broker *b)
{
    if (logs_checkpoint(b) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "write the checkpoints: %s", outcome_trail());
}

static size_t count_logs(const struct broker *b)
{
    size_t count = 0;
    for (size_t i = 0; i < b->view->topic_count; i++)
        count += (size_t)b->view->topics[i]->partition_count;
    return count;
}

/* At the end: everything flushed, then what says so. *together: there are so many logs that the
 * disk was waited for once for all, and has to be again when they are closed. */
enum outcome logs_close(struct broker *b, bool *together)
{
    enum outcome o = OUT_OK;
    *together = count_logs(b) > LOGS_ONE_BY_ONE;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++) {
            struct partition *p = t->partitions[k];
            int64_t flushed;
            if (p != NULL && p->log != NULL && *together)
                log_sync_later(p->log);
            if (p != NULL && store_flush(p->store, &flushed) != OUT_OK)
                o = OUT_OFFLINE;
        }
    }
    enum outcome written = *together ? dirs_sync(b) : OUT_OK;
    if (written == OUT_OK)
        written = logs_checkpoint(b);
    return o == OUT_OK ? written : o;
}

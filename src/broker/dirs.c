/* SPDX-License-Identifier: MIT */
/*
 * The log directories, one for each disk (KIP-112, KIP-858). Each has its lock, its identity, its
 * checkpoints and its partitions; one of them (or one of its own, metadata.log.dir) has the
 * metadata.
 *
 * A directory that can't be used at the start, or whose disk fails later, is offline until the next
 * start: its partitions answer with KAFKA_STORAGE_ERROR, the others are served. Without the
 * metadata's directory, or without any other, the broker stops.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- the start ---- */

static enum outcome take_one(struct broker_dir *d)
{
    struct stat there;
    if (mkdir(d->path, 0755) != 0 && errno != EEXIST)
        return fail(outcome_of_errno(errno), "make the data directory %s", d->path);
    errno = 0;
    if (stat(d->path, &there) != 0 || !S_ISDIR(there.st_mode))
        return fail(OUT_IO, "the data directory %s is no directory", d->path);
    enum outcome o = logdir_lock(d->path, &d->lock);
    if (o != OUT_IN_USE)
        return o;
    errno = 0;
    return fail(o, "the data directory %s is in use by another process: stop that one or "
                   "choose "
                "another --data-dir", d->path);
}

/* Whose it is; a directory without meta.properties is new and gets an id. */
static enum outcome identify(struct broker_dir *d)
{
    enum outcome o = logdir_meta_read(d->path, &d->properties);
    if (o == OUT_OK && d->properties.version == 1 &&
        uuid_parse(bytes_of(d->properties.directory_id), &d->id))
        return OUT_OK;
    if (o != OUT_OK && o != OUT_NOT_FOUND)
        return o;
    errno = 0;
    d->unnamed = true;
    d->id = uuid_random();
    return OUT_OK;
}

static bool disk_trouble(enum outcome o)
{
    return o == OUT_IO || o == OUT_NO_ACCESS || o == OUT_NOT_FOUND;
}

static void offline_at_start(struct broker_dir *d)
{
    atomic_store(&d->offline, true);
    count(log_dirs_failed, 1);
    watch_log(WATCH_ERROR, "broker", "the log directory %s can't be used and is offline until the "
              "next start: %s", d->path, outcome_trail());
    errno = 0;
}

/* The metadata's directory is meta/'s to identify. */
static enum outcome begin_one(struct broker *b, struct broker_dir *d)
{
    bool home = d == b->home;
    int64_t epoch;
    enum outcome o = take_one(d);
    if (o == OUT_OK && !home)
        o = identify(d);
    if (o == OUT_OK)
        o = logdir_clean_take(d->path, &d->was, &epoch);
    if (home || !disk_trouble(o))
        return o;
    offline_at_start(d);
    return OUT_OK;
}

/* All belong to one broker of one cluster; a lost metadata disk is not made anew. */
static enum outcome check_owners(struct broker *b)
{
    struct log_meta_properties home;
    enum outcome have = logdir_meta_read(b->home->path, &home);
    errno = 0;
    for (int i = 0; i < b->dir_count; i++) {
        const struct broker_dir *d = &b->dirs[i];
        const struct log_meta_properties *p = &d->properties;
        if (d == b->home || p->cluster_id[0] == '\0')
            continue;
        if (have == OUT_NOT_FOUND)
            return fail(OUT_INVALID, "the log directory %s belongs to cluster %s, but %s, where "
                        "its metadata should be, is new", d->path, p->cluster_id, b->home->path);
        if (have == OUT_OK && strcmp(p->cluster_id, home.cluster_id) != 0)
            return fail(OUT_INVALID, "the log directory %s belongs to cluster %s, %s to %s",
                        d->path, p->cluster_id, b->home->path, home.cluster_id);
        if (p->node_id != b->configs[0]->node_id)
            return fail(OUT_INVALID, "the log directory %s belongs to broker %d, not %d", d->path,
                        (int)p->node_id, (int)b->configs[0]->node_id);
        for (int k = 0; k < i; k++) {
            if (uuid_equal(&b->dirs[k].id, &d->id) && !atomic_load(&b->dirs[k].offline))
                return fail(OUT_INVALID, "the log directories %s and %s have the same directory.id",
                            b->dirs[k].path, d->path);
        }
    }
    return OUT_OK;
}

enum outcome dirs_take(struct broker *b)
{
    const struct config *c = b->configs[0];
    for (; b->dir_count < c->log_dir_count; b->dir_count++) {
        struct broker_dir *d = &b->dirs[b->dir_count];
        d->path = c->log_dirs[b->dir_count];
        if (strcmp(d->path, c->data_dir) == 0)
            b->home = d;
    }
    b->data_dir_count = b->dir_count;
    if (b->home == NULL) {
        b->home = &b->dirs[b->dir_count++];
        b->home->path = c->data_dir;
    }
    enum outcome o = OUT_OK;
    b->was = LOG_CLEAN;
    for (int i = 0; i < b->dir_count; i++) {
        b->dirs[i].broker = b;
        b->dirs[i].lock = -1;
        b->dirs[i].was = LOG_UNCLEAN;
        b->dirs[i].mail.deliver = dir_failed;
    }
    for (int i = 0; i < b->dir_count && o == OUT_OK; i++) {
        o = begin_one(b, &b->dirs[i]);
        if (b->dirs[i].was != LOG_CLEAN)
            b->was = LOG_UNCLEAN;
    }
    return o == OUT_OK ? check_owners(b) : o;
}

int32_t dirs_others(const struct broker *b, struct uuid *ids)
{
    int32_t count = 0;
    for (int i = 0; i < b->data_dir_count; i++) {
        if (&b->dirs[i] != b->home && !atomic_load(&b->dirs[i].offline))
            ids[count++] = b->dirs[i].id;
    }
    return count;
}

/* New directories are given to the cluster. */
static enum outcome name_one(struct broker *b, struct broker_dir *d)
{
    struct log_meta_properties *p = &d->properties;
    *p = (struct log_meta_properties){.node_id = b->configs[0]->node_id, .version = 1};
    snprintf(p->cluster_id, sizeof p->cluster_id, "%s", b->cluster_id);
    uuid_print(&d->id, p->directory_id);
    return logdir_meta_write(d->path, p);
}

/* Kafka's rule: it does not guess which of the two is the good one. */
static enum outcome check_doubles(const struct broker *b, const struct broker_dir *d)
{
    for (size_t k = 0; k < d->found_count; k++) {
        const struct logdir_partition *p = &d->found[k];
        const struct broker_dir *other = dirs_having(b, p->topic, p->partition);
        if (strcmp(p->topic, "__cluster_metadata") == 0 && d != b->home)
            return fail(OUT_INVALID, "there is metadata in %s, where it should not be: it is "
                        "expected in %s", d->path, b->home->path);
        if (other != NULL && other != d)
            return fail(OUT_CORRUPT, "%s-%d is in both %s and %s: remove the one that is not "
                        "wanted", p->topic, (int)p->partition, other->path, d->path);
    }
    return OUT_OK;
}

static enum outcome look_into(struct broker *b, struct broker_dir *d)
{
    enum outcome o = d->unnamed && d != b->home ? name_one(b, d) : OUT_OK;
    if (o == OUT_OK)
        o = logdir_partitions(d->path, &d->found, &d->found_count);
    if (o == OUT_OK)
        o = logdir_offsets_read(d->path, LOGDIR_RECOVERY_POINT, &d->recovery, &d->recovery_count);
    if (o == OUT_OK)
        o = logdir_offsets_read(d->path, LOGDIR_LOG_START, &d->starts, &d->start_count);
    return o;
}

/* Before anything is looked for. */
static enum outcome end_moves(struct broker *b)
{
    const char *paths[CONFIG_LOG_DIRS];
    size_t count = 0;
    for (int i = 0; i < b->data_dir_count; i++) {
        if (!atomic_load(&b->dirs[i].offline))
            paths[count++] = b->dirs[i].path;
    }
    return logdir_moves_end(paths, count, count == (size_t)b->data_dir_count);
}

enum outcome dirs_scan(struct broker *b)
{
    b->home->id = meta_directory_id(b->meta);
    int online = 0;
    enum outcome ended = end_moves(b);
    if (ended != OUT_OK && !disk_trouble(ended))
        return ended;
    for (int i = 0; i < b->data_dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        if (atomic_load(&d->offline))
            continue;
        enum outcome o = look_into(b, d);
        if (disk_trouble(o) && b->data_dir_count > 1 && d != b->home) {
            offline_at_start(d);
            continue;
        }
        if (o == OUT_OK)
            o = check_doubles(b, d);
        if (o != OUT_OK)
            return o;
        online++;
    }
    return online > 0 ? OUT_OK : fail(OUT_IO, "none of the log directories can be used");
}

void dirs_scanned(struct broker *b)
{
    for (int i = 0; i < b->dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        free(d->found);
        free(d->recovery);
        free(d->starts);
        d->found = NULL;
        d->recovery = d->starts = NULL;
        d->found_count = d->recovery_count = d->start_count = 0;
        d->was = LOG_UNCLEAN; /* from here on only new logs are opened */
    }
}

void dirs_release(struct broker *b)
{
    dirs_scanned(b);
    for (int i = 0; i < b->dir_count; i++) {
        if (b->dirs[i].lock >= 0)
            logdir_unlock(b->dirs[i].path, b->dirs[i].lock);
        b->dirs[i].lock = -1;
    }
}

enum outcome dirs_sync(struct broker *b)
{
    enum outcome o = OUT_OK;
    for (int i = 0; i < b->dir_count && o == OUT_OK; i++) {
        if (!atomic_load(&b->dirs[i].offline))
            o = logdir_sync(b->dirs[i].path);
    }
    return o;
}

enum outcome dirs_mark_clean(struct broker *b, int64_t epoch)
{
    enum outcome o = OUT_OK;
    for (int i = 0; i < b->dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        if (o == OUT_OK && !atomic_load(&d->offline) && !atomic_load(&d->failing) &&
            !atomic_load(&d->dirty))
            o = logdir_clean_write(d->path, epoch);
    }
    return o;
}

/* ---- where partitions are ---- */

static int by_name(const void *key, const void *item)
{
    const struct logdir_partition *a = key, *b = item;
    int order = strcmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

struct broker_dir *dirs_having(const struct broker *b, const char *topic, int32_t partition)
{
    struct logdir_partition key = {.partition = partition};
    snprintf(key.topic, sizeof key.topic, "%s", topic);
    for (int i = 0; i < b->data_dir_count; i++) {
        const struct broker_dir *d = &b->dirs[i];
        if (d->found_count > 0 &&
            bsearch(&key, d->found, d->found_count, sizeof *d->found, by_name) != NULL)
            return (struct broker_dir *)(uintptr_t)d;
    }
    return NULL;
}

struct broker_dir *dirs_by_id(struct broker *b, const struct uuid *id)
{
    for (int i = 0; i < b->data_dir_count; i++) {
        if (uuid_equal(&b->dirs[i].id, id))
            return &b->dirs[i];
    }
    return NULL;
}

struct broker_dir *dirs_by_path(struct broker *b, struct bytes path)
{
    for (int i = 0; i < b->data_dir_count; i++) {
        if (bytes_is(path, b->dirs[i].path))
            return &b->dirs[i];
    }
    return NULL;
}

struct broker_dir *dirs_emptiest(struct broker *b)
{
    struct broker_dir *best = NULL;
    for (int i = 0; i < b->data_dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        if (!atomic_load(&d->offline) &&
            (best == NULL || d->logs + d->planned < best->logs + best->planned))
            best = d;
    }
    return best;
}

struct uuid dirs_place(void *context)
{
    struct broker *b = context;
    struct broker_dir *d = dirs_emptiest(b);
    if (d == NULL)
        return b->home->id;
    d->planned++;
    return d->id;
}

void dirs_placed(struct broker *b)
{
    for (int i = 0; i < b->dir_count; i++)
        b->dirs[i].planned = 0;
}

bool dirs_any_offline(const struct broker *b)
{
    for (int i = 0; i < b->dir_count; i++) {
        if (atomic_load(&b->dirs[i].offline))
            return true;
    }
    return false;
}

/* ---- a disk that fails ---- */

void dir_fails(void *context)
{
    struct broker_dir *d = context;
    if (atomic_exchange(&d->failing, true))
        return;
    snprintf(d->why, sizeof d->why, "%s", outcome_trail());
    shard_post(&d->broker->control, &d->mail);
}

static int32_t retire_all(struct broker *b, const struct broker_dir *d)
{
    int32_t count = 0;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++) {
            struct partition *p = t->partitions[k];
            if (p == NULL || p->dir != d)
                continue;
            log_retire(p->log);
            partition_notify(p);
            count++;
        }
    }
    return count;
}

void dir_failed(struct mail *mail)
{
    struct broker_dir *d = container_of(mail, struct broker_dir, mail);
    struct broker *b = d->broker;
    struct view *v;
    bool others = false;
    atomic_store(&d->offline, true);
    for (int i = 0; i < b->data_dir_count; i++)
        others |= !atomic_load(&b->dirs[i].offline);
    int32_t lost = retire_all(b, d);
    count(log_dirs_failed, 1);
    watch_log(WATCH_ERROR, "broker", "the disk of log directory %s failed: it is offline until the "
              "next start, with %d partitions: %s", d->path, (int)lost, d->why);
    if (d == b->home || !others) {
        atomic_store(&b->failed, true);
        watch_log(WATCH_ERROR, "broker", "%s: the broker stops",
                  others ? "the metadata's directory has failed" : "no log directory is left");
        os_stop_self();
        return;
    }
    if (view_make(b, b->view, &v) == OUT_OK)
        view_publish(b, v);
    else
        watch_log(WATCH_ERROR, "broker", "partitions of a failed disk are still shown: %s",
                  outcome_trail());
}

/* ---- for those who look ---- */

int broker_dir_count(const struct broker *b)
{
    return b->data_dir_count;
}

const char *broker_dir_path(const struct broker *b, int i)
{
    return b->dirs[i].path;
}

bool broker_dir_offline(const struct broker *b, int i)
{
    return atomic_load(&b->dirs[i].offline);
}

int partition_dir(const struct partition *p)
{
    return p->dir == NULL ? -1 : (int)(p->dir - p->broker->dirs);
}

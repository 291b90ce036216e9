/* SPDX-License-Identifier: MIT */
/* The broker itself (private to broker/). */
#ifndef BROKER_PRIVATE_H
#define BROKER_PRIVATE_H

#include "broker/broker.h"

#define CONFIGS_KEPT 4096 /* old configs stay until the end: readers hold no reference */

struct flusher;
struct cleaner;
struct mover;

/* One log directory. */
struct broker_dir {
    struct broker *broker;
    const char *path;
    struct uuid id;
    int lock;                 /* -1: not held */
    struct log_meta_properties properties;
    bool unnamed;             /* no usable meta.properties yet */
    enum log_shutdown was;    /* how the last run ended */
    _Atomic bool failing;     /* its disk has failed, the control thread will hear of it */
    _Atomic bool offline;     /* its partitions are not served any more */
    _Atomic bool dirty;       /* a log was not closed clean: no clean mark then */
    struct mail mail;
    char why[256];            /* it failed; written before the mail */
    int32_t logs, planned;    /* control thread: partitions in it, and soon to be */
    /* while logs are opened at the start: what is there, and checkpoints */
    struct logdir_partition *found;
    struct logdir_offset *recovery, *starts;
    size_t found_count, recovery_count, start_count;
};

struct broker {
    _Atomic(const struct config *) config;
    const struct config *configs[CONFIGS_KEPT];
    size_t config_count;
    const struct config *base; /* the newest without dynamic values; the first is configs[0] */
    struct broker_settings_watch watch;
    struct mail reload;
    _Atomic bool reloading;
    struct broker_dir dirs[CONFIG_LOG_DIRS + 1];
    int data_dir_count;       /* those that have partitions come first */
    int dir_count;
    struct broker_dir *home;  /* has the metadata */
    _Atomic bool failed;      /* it stops because of its disks */
    int ports[CONFIG_LISTENERS]; /* of the listeners, as they were got */
    struct meta *meta;
    struct view *view;        /* the newest: control thread */
    struct shard **shards;
    int shard_count;
    struct shard control;
    pthread_t control_thread;
    bool started;
    _Atomic bool stopping;
    struct flusher *flusher;
    struct mover *mover;
    struct cleaner *cleaner;  /* NULL: log.cleaner.enable=false */
    struct shard_timer memory; /* retention of topics in memory */
    struct shard_timer retention, checkpoint, report, flush_due;
    uint64_t checkpointed;    /* fingerprint of what the checkpoints say */
    void *slots[BROKER_SLOT_COUNT];
    struct broker_follower follower; /* NULLs: none */
    enum log_shutdown was;    /* how the last run ended, in the worst of the directories */
    struct log_recovered recovered; /* sum of all logs opened */
    int64_t opened_ms;
    char cluster_id[64];

    pthread_mutex_t ack_lock; /* reactors taking over a view */
    pthread_cond_t ack;
    int ack_pending;

    pthread_mutex_t ids_lock; /* the granted block of producer ids */
    int64_t next_id, end_id;

    pthread_mutex_t creating_lock;
    struct list creating;     /* struct creation.node: topics on their way */
};

/* partition.c */
struct partition *partition_new(struct broker *b, struct bytes topic, const struct uuid *id,
                                int32_t index);

/* view.c: control thread (or main before it runs) */
MUST enum outcome view_make(struct broker *b, const struct view *from, struct view **view);
void view_free(struct view *v);
void view_publish(struct broker *b, struct view *v);

/* dirs.c: the start in the main thread, then the control thread */
MUST enum outcome dirs_take(struct broker *b);            /* before the metadata */
int32_t dirs_others(const struct broker *b, struct uuid *ids); /* ids of those without metadata */
MUST enum outcome dirs_scan(struct broker *b);            /* after it: what is in them */
void dirs_scanned(struct broker *b);                      /* forgets that */
void dirs_release(struct broker *b);
MUST enum outcome dirs_sync(struct broker *b);            /* each file system */
MUST enum outcome dirs_mark_clean(struct broker *b, int64_t epoch);
struct broker_dir *dirs_having(const struct broker *b, const char *topic, int32_t partition);
struct broker_dir *dirs_by_id(struct broker *b, const struct uuid *id);
struct broker_dir *dirs_by_path(struct broker *b, struct bytes path);
struct broker_dir *dirs_emptiest(struct broker *b);       /* NULL: all are offline */
struct uuid dirs_place(void *broker);                     /* of struct meta_rules */
void dirs_placed(struct broker *b);                       /* what was planned is there now */
bool dirs_any_offline(const struct broker *b);
void dir_fails(void *dir);                                /* any thread; of struct log_open */
void dir_failed(struct mail *mail);

/* logs.c */
void broker_log_gone(struct partition *p);
void logs_report_recovery(struct broker *b);
/* Of the partition's log or stream. */
MUST enum outcome partition_epoch_begin(struct partition *p, int32_t epoch);
MUST enum outcome partition_retain(struct partition *p, int64_t now_ms, int32_t *deleted);
/* A log is opened in three steps: its directory (a topic in memory is there then), the files (any
 * thread; `verified` as in struct log_open), and what came of it is told and counted. */
MUST enum outcome logs_place(struct broker *b, struct partition *p,
                             const struct topic_config *config,
                             const struct meta_placement *placement);
MUST enum outcome logs_load(const struct broker *b, struct partition *p,
                            const struct topic_config *config, _Atomic int64_t *verified);
void logs_loaded(struct broker *b, struct partition *p, enum outcome o, const char *trail);
/* At the start: the metadata is told where partitions really are. */
MUST enum outcome logs_tell_places(struct broker *b);
void logs_configure(struct broker *b, struct partition *p, const struct topic_config *config);
void logs_delete(struct partition *p);
/* A name of its own for the partition's directory in `d`. */
void logs_unique_path(const struct partition *p, const struct broker_dir *d, const char *suffix,
                      char path[static LOG_PATH_MAX]);
/* A second log of the partition, at a path in `d`. */
MUST enum outcome logs_open_copy(struct partition *p, struct broker_dir *d, const char *path,
                                 struct log **copy);
void partition_ttl_file(struct partition *p); /* made anew where the partition is now */
void logs_stray(struct broker *b);
MUST enum outcome logs_checkpoint(struct broker *b);
MUST enum outcome logs_close(struct broker *b, bool *together);

/* open.c: the start, of partitions that have been placed; those that can't be opened become NULL */
MUST enum outcome logs_open_all(struct broker *b, struct view *v);

/* control.c */
void control_reload(struct mail *mail); /* broker.reload */
/* The base with dynamic values over it, NULL: it can't be; and letting it take effect. */
struct config *control_config_over(struct broker *b);
void control_config_set(struct broker *b, struct config *c);
void control_refresh_config(struct broker *b); /* dynamic settings of the metadata take effect */
MUST enum outcome control_start(struct broker *b);
void control_stop(struct broker *b);

/* flush.c */
/* `busy_ns`: how long a thread without work looks for some before it sleeps. */
MUST enum outcome flusher_start(struct broker *b, int64_t busy_ns);
void flusher_stop(struct broker *b);
struct flusher *broker_flusher(struct broker *b);

/* flush_due.c: the timer of flush.ms and flush.messages, on the control thread */
void broker_flush_due(struct shard_timer *timer, int64_t now_ns);

/* clean.c: start and stop in the main thread, begin in the control thread */
MUST enum outcome cleaner_start(struct broker *b);
void cleaner_begin(struct broker *b);
/* Control thread: of a partition that is deleted; another one may have its name. */
void cleaner_forget(struct partition *p);
void cleaner_stop(struct broker *b);
bool cleaner_busy(const struct partition *p); /* control thread */

/* move.c: as the cleaner */
MUST enum outcome mover_start(struct broker *b);
void mover_stop(struct broker *b);

/* create.c */
void creations_free(struct broker *b);

#endif

/* SPDX-License-Identifier: MIT */
/* The broker itself (private to broker/). */
#ifndef BROKER_PRIVATE_H
#define BROKER_PRIVATE_H

#include "broker/broker.h"

#define CONFIGS_KEPT 4096 /* old configs stay until the end: readers hold no reference */

struct flusher;
struct cleaner;

struct broker {
    _Atomic(const struct config *) config;
    const struct config *configs[CONFIGS_KEPT];
    size_t config_count;
    const struct config *base; /* the newest without dynamic values; the first is configs[0] */
    struct mail reload;
    _Atomic bool reloading;
    const char *dir;
    int lock;                 /* of the data directory */
    int ports[CONFIG_LISTENERS]; /* of the listeners, as they were got */
    struct meta *meta;
    struct view *view;        /* the newest: control thread */
    struct shard **shards;
    int shard_count;
    struct shard control;
    pthread_t control_thread;
    bool started;
    _Atomic bool stopping;
    _Atomic bool dirty;       /* a log was not closed clean: no clean mark then */
    struct flusher *flusher;
    struct cleaner *cleaner;  /* NULL: log.cleaner.enable=false */
    struct shard_timer memory; /* retention of topics in memory */
    struct shard_timer retention, checkpoint, report, flush_due;
    uint64_t checkpointed;    /* fingerprint of what the checkpoints say */
    void *slots[BROKER_SLOT_COUNT];
    struct broker_follower follower; /* NULLs: none */
    enum log_shutdown was;    /* how the last run ended */
    struct logdir_offset *recovery, *starts; /* checkpoints, while logs are opened at the start */
    size_t recovery_count, start_count;
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

/* logs.c */
void broker_log_gone(struct partition *p);
MUST enum outcome logs_read_checkpoints(struct broker *b);
void logs_forget_checkpoints(struct broker *b);
/* Of the partition's log or stream. */
MUST enum outcome partition_epoch_begin(struct partition *p, int32_t epoch);
MUST enum outcome partition_retain(struct partition *p, int64_t now_ms, int32_t *deleted);
MUST enum outcome logs_open(struct broker *b, struct partition *p,
                            const struct topic_config *config);
void logs_configure(struct broker *b, struct partition *p, const struct topic_config *config);
void logs_delete(struct broker *b, struct partition *p);
void logs_stray(struct broker *b);
MUST enum outcome logs_checkpoint(struct broker *b);
MUST enum outcome logs_close(struct broker *b, bool *together);

/* control.c */
void control_reload(struct mail *mail); /* broker.reload */
/* The base with dynamic values over it, NULL: it can't be; and letting it take effect. */
struct config *control_config_over(struct broker *b);
void control_config_set(struct broker *b, struct config *c);
void control_refresh_config(struct broker *b); /* dynamic settings of the metadata take effect */
MUST enum outcome control_start(struct broker *b);
void control_stop(struct broker *b);

/* flush.c */
MUST enum outcome flusher_start(struct broker *b);
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

/* create.c */
void creations_free(struct broker *b);

#endif

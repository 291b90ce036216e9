/* SPDX-License-Identifier: MIT */
/*
 * The broker: topics and partitions by name and id, parked fetches, group commit, and the control
 * thread on which metadata changes. Shared by every door (kafka/ today).
 *
 * Threads. A reactor's shard reads the current `struct view` (broker_view): an immutable picture of
 * all topics, replaced whole by the control thread, valid until the end of the shard's turn. A
 * partition outlives the turn only through partition_hold(). Functions say which thread calls them;
 * "any" means any shard's thread (a reactor's or the control thread's).
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/check.h"
#include "base/list.h"
#include "base/outcome.h"
#include "broker/request.h"
#include "broker/shard.h"
#include "config/config.h"
#include "log/log.h"
#include "meta/meta.h"
#include "store/store.h"
#include "stream/stream.h"

#include <pthread.h>
#include <stdatomic.h>

struct broker;
struct broker_dir;

/* One partition of a topic, as the data path sees it. */
struct partition {
    struct bytes topic;        /* name, memory of the partition */
    struct uuid topic_id;
    int32_t index;
    struct log *log;           /* NULL: a partition in memory (storage.class) */
    struct stream *stream;     /* NULL: one on disk */
    struct store *store;       /* of either */
    struct broker *broker;
    _Atomic(struct broker_dir *) dir; /* where the log is; NULL: in memory */
    _Atomic int32_t leader_epoch;
    _Atomic bool has_ttl;      /* records with times of their own were stored; see partition_ttl */
    _Atomic bool deleted;      /* the topic is gone: requests answer "unknown" */
    _Atomic uint32_t holds;    /* the view's and every parked request's */
    _Atomic uint32_t watchers; /* count of `watching`, read without the lock after an append */
    pthread_mutex_t lock;      /* guards the three lists' fields below; never held across I/O */
    struct list watching;      /* struct watch.node: parked fetches */
    struct list unflushed;     /* struct flush_wait.node: replies that promise the disk */
    bool flush_queued;         /* in the flusher's queue or being flushed */
    struct list flush_node;    /* in the flusher's queue */
    _Atomic(void *) followed;  /* the follower's */
    _Atomic int64_t held_ns;   /* the follower's: see partition_held_ms */
    char *gone;                /* where the directory of a deleted one is now */
    int64_t unflushed_ms;      /* control thread: since when records wait for the disk, 0 none do */
    int64_t first_dirty;       /* control thread: compacted up to here */
    int32_t moves;             /* control thread: to other directories, under way */
    int64_t clean_after_ms;    /* compaction failed: not before this time again */
};

/* One topic, shared by the views between two changes of it. */
struct topic {
    const struct meta_topic *meta;   /* of the view's image */
    const struct meta_configs *overrides; /* or NULL */
    const struct config *base;       /* what `config` was made over */
    struct bytes name;
    struct uuid id;
    bool internal;
    struct topic_config config;      /* effective values */
    int32_t partition_count;
    struct partition **partitions;   /* NULL entries: offline */
    _Atomic uint32_t holds;
};

/* An immutable picture of all topics, by name and by id; the metadata image it was made from. */
struct view {
    const struct meta_image *image;
    size_t topic_count;
    struct topic **topics;           /* in order of name */
    size_t mask;
    uint32_t *by_name, *by_id;       /* open addressing: index + 1 into topics, 0 empty */
};

/* The view of the calling shard's turn. */
const struct view *broker_view(void);
struct topic *view_topic(const struct view *v, struct bytes name);       /* NULL: unknown */
struct topic *view_topic_by_id(const struct view *v, const struct uuid *id);
/* NULL when the index is out of range or its log directory is offline. */
struct partition *topic_partition(const struct topic *t, int32_t index);

/* Any, before a record with a header Nats-TTL is appended: from now on, and after a restart too,
 * fetches look for what is past its time. Writes a file, once in a partition's life. */
void partition_ttl(struct partition *p);

struct partition *partition_hold(struct partition *p);
void partition_drop(struct partition *p); /* closes the log with the last hold */

/* What disk and memory both have and store.h does not know; as log_epoch_end and log_aborted. */
void partition_epoch_end(struct partition *p, int32_t epoch, int32_t *found, int64_t *end_offset);
MUST enum outcome partition_aborted(struct partition *p, int64_t from, int64_t to,
                                    struct arena *arena, struct log_aborted **list,
                                    size_t *count);
size_t partition_producers(struct partition *p, struct log_producer *to, size_t room);

/* ---- long polls ---- */

/* One parked request's interest in one partition. Memory of the request. */
struct watch {
    struct list node;
    struct partition *partition; /* held while watching */
    struct watcher *watcher;
};

/* A parked request that waits for appends on any of several partitions. Memory of the request,
 * which must not end before watcher_idle(): a wake-up may still be in the home thread's mailbox,
 * and then `wake` runs once more. */
struct watcher {
    struct mail mail;
    struct request *request;
    void (*wake)(struct request *); /* on the request's home thread, once per arming */
    _Atomic bool fired;
    _Atomic bool in_flight;
};
void watcher_init(struct watcher *w, struct request *r, void (*wake)(struct request *));
void watcher_rearm(struct watcher *w);
/* Home thread, after every partition is unwatched. */
bool watcher_idle(struct watcher *w);

/* Home thread. Watches until partition_unwatch; an append calls watcher->wake at most once until
 * watcher_rearm. */
void partition_watch(struct partition *p, struct watch *w, struct watcher *by);
void partition_unwatch(struct watch *w);

/* Any thread, after an append or another change that readers wait for. */
void partition_notify(struct partition *p);

/* Any thread, after an append: as partition_notify, and tells the follower. */
void partition_appended(struct partition *p, int64_t base_offset);

/* A door that pushes follows all appends. `appended` runs on the appending thread, after each
 * append to any partition, and must be quick; `gone` when a partition is over, with what the door
 * left in its `followed`. One for the process, set before the reactors run. */
struct broker_follower {
    void (*appended)(struct partition *p, int64_t base_offset);
    void (*gone)(void *followed);
};
void broker_follow(struct broker *b, const struct broker_follower *f);

/* How long those who append shall wait before they go on; 0: not at all. While the follower has a
 * subscriber that may lose nothing and takes nothing (`held_ns`: monotonic, 0: it has none) it is
 * as long as that has lasted, a second at most. */
#define PARTITION_HELD_MS_MAX 1000
static inline int32_t partition_held_ms(const struct partition *p, int64_t now_ns)
{
    int64_t since = atomic_load_explicit(&p->held_ns, memory_order_relaxed);
    if (likely(since == 0))
        return 0;
    int64_t ms = (now_ns - since) / 1000000;
    return (int32_t)MIN(MAX(ms, 1), PARTITION_HELD_MS_MAX);
}

/* ---- group commit ---- */

/* One partition's part of a reply that promises the disk. Memory of the request. */
struct flush_wait {
    struct list node;
    struct partition *partition; /* held while waiting */
    int64_t offset;              /* flushed when the log is durable up to here (exclusive) */
    struct flush_set *set;
};

/* All flushes one request waits for. `then` runs once on the request's home thread. */
struct flush_set {
    struct request *request;
    void (*then)(struct request *);
    _Atomic uint32_t pending;
    _Atomic bool failed;         /* a log went offline: the promise can't be given */
};

/* Home thread: begin, add each partition (one in memory needs no flush), end. `then` never runs
 * before broker_flush_end. Returns false from end when nothing is pending: `then` will not run, and
 * `failed` says whether all is durable, or the flusher failed before we came here. */
void broker_flush_begin(struct flush_set *s, struct request *r, void (*then)(struct request *));
void broker_flush_add(struct flush_set *s, struct flush_wait *w, struct partition *p,
                      int64_t offset);
MUST bool broker_flush_end(struct flush_set *s);
/* Any thread: has a partition on disk flushed; nobody waits. */
void broker_flush_soon(struct partition *p);

/* Any: reads the file of settings again and lets it take effect, all or nothing; the log says
 * what came of it. */
void broker_reload(struct broker *b);
/* Before the start: `changed` runs at once, and on the control thread after each change of the
 * broker's settings. One for the process. */
struct broker_settings_watch {
    void (*changed)(void *context, const struct config *c);
    void *context;
};
void broker_watch_settings(struct broker *b, const struct broker_settings_watch *w);

/* ---- control thread ---- */

/* Any: runs `work` on the control thread with the request; it ends by request_return (at once or
 * after broker_apply). The request must be parked. */
void broker_control(struct request *r, void (*work)(struct request *));

/* Control thread: the newest view (newer than what reactors may have). */
const struct view *broker_newest(struct broker *b);

/* Control thread: commits the change, opens and closes logs accordingly, and returns when every
 * reactor uses the new view. On failure nothing has changed. */
MUST enum outcome broker_apply(struct broker *b, struct meta_change *change);

/* The rules for planning changes here (meta_plan_...). */
struct meta_rules broker_rules(struct broker *b);

/* Any thread: creates a topic with default settings (internal ones with theirs) behind the caller's
 * back; nothing when it exists. Requests for the same name within moments are one. */
void broker_create_topic(struct broker *b, struct bytes name);

/* ---- life ---- */

/* Main thread: takes the data directory, replays the metadata, recovers every log. `ports` are
 * those that config->listeners got, `shards` the reactors', not running yet. The sentence of a
 * failure is in outcome_trail(). */
MUST enum outcome broker_open(struct config *config, const int *ports, struct shard **shards,
                              int count, struct broker **broker);
/* Main thread: starts the control thread and the flushers. */
MUST enum outcome broker_start(struct broker *b);
/* Main thread, after the reactors have stopped: flushes, writes checkpoints and the clean mark. */
MUST enum outcome broker_stop(struct broker **broker);

/* What a door keeps for the process: set before the reactors run. */
enum broker_slot { BROKER_SLOT_FETCH_SESSIONS, BROKER_SLOT_COORDINATOR, BROKER_SLOT_COUNT };
void broker_slot_set(struct broker *b, enum broker_slot slot, void *value);
void *broker_slot(struct broker *b, enum broker_slot slot);

const struct config *broker_config(struct broker *b);
const char *broker_data_dir(const struct broker *b); /* where the metadata is */
/* The log directories that partitions are in; any thread. An offline one is not served. */
int broker_dir_count(const struct broker *b);
const char *broker_dir_path(const struct broker *b, int i);
bool broker_dir_offline(const struct broker *b, int i);
int partition_dir(const struct partition *p); /* -1: none, in memory */

/* Control thread: the partition moves to that directory, in the background. OUT_NOT_FOUND: there is
 * none of that path. */
MUST enum outcome broker_move(struct partition *p, struct bytes path);
/* Any: whether it is moving, and how far it is. */
struct broker_moving {
    int dir;
    int64_t bytes, lag; /* copied; records that are missing */
};
bool broker_moving(struct partition *p, struct broker_moving *to);

struct broker *broker_self(void); /* the broker of the calling shard */
int32_t broker_node_id(const struct broker *b);
/* The metadata log, whose only voter this broker is: the view's. */
struct broker_quorum {
    struct uuid directory_id;
    int32_t epoch;
    int64_t end_offset;
};
struct broker_quorum broker_quorum(const struct broker *b);
/* What clients that came in on a listener (NULL: the first) are told to connect to. */
struct broker_address {
    const char *host;
    int32_t port;
};
struct broker_address broker_address(const struct broker *b, const char *listener);
const char *broker_cluster_id(struct broker *b); /* good while the broker runs */

/* What is stored; any thread, it looks at every partition. */
struct broker_figures {
    int64_t topics, partitions, messages, bytes, free_bytes;
    int32_t offline;
};
void broker_figures(struct broker *b, struct broker_figures *f);

/* A consumer group, for people who look. */
struct broker_group_member {
    struct bytes member_id, client_id, client_host;
};
struct broker_group_offset {
    struct bytes topic;
    int32_t partition;
    int64_t committed, end; /* end -1: there is no such partition */
};
struct broker_group {
    struct bytes id, protocol_type, protocol;
    const char *state;
    const struct broker_group_member *members;
    size_t member_count;
    const struct broker_group_offset *offsets;
    size_t offset_count, offset_total; /* how many are told, and there are */
    int64_t lag;            /* over all offsets */
};
/* No shard's thread, while the reactors run: copies of the groups into the arena, of the first
 * 1000, with numbers only; if `only` is not null of that one, with its members and some of its
 * offsets, in any order. Waits for the reactors. OUT_NO_MEMORY. */
MUST enum outcome broker_groups(struct broker *b, struct bytes only, struct arena *arena,
                                struct broker_group **groups, size_t *count);

struct shard *broker_shard(struct broker *b, int index); /* a reactor's */
int broker_shard_count(const struct broker *b);

/* Any: a fresh producer id from the granted block; false when it is used up. */
MUST bool broker_producer_id(struct broker *b, int64_t *id);
/* Control thread: has the metadata log grant another block, and takes the first id of it. */
MUST enum outcome broker_producer_block(struct broker *b, int64_t *id);

/* Control thread: writes the checkpoint of log start offsets. */
void broker_checkpoint_starts(struct broker *b);

#include "broker/coordinator.h" /* the part of the door that groups use */

#endif

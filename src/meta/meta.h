/* SPDX-License-Identifier: MIT */
/*
 * The cluster's metadata: an immutable image of topics, configs and features, and the log it is
 * made from, Kafka's own __cluster_metadata-0 (KIP-500, KIP-630). A change is planned (pure
 * functions over the image), committed (appended, flushed, applied) and gives a new image; the old
 * one stays good for whoever holds it.
 *
 * Threads: meta_open, meta_commit, planners: the control thread (or main before it). Images may be
 * read by any thread that holds them.
 */
#ifndef META_META_H
#define META_META_H

#include "base/arena.h"
#include "base/outcome.h"

#include <stdatomic.h>

/* ---- the image ---- */

/* Where a partition lives. Shared by all partitions that live at the same place; immutable. */
struct meta_placement {
    _Atomic uint32_t holds;
    int32_t replica_count, isr_count, removing_count, adding_count;
    int32_t elr_count, last_elr_count; /* eligible leader replicas (KIP-966) */
    int32_t directory_count;           /* one for each replica, or 0 */
    const int32_t *replicas, *isr, *removing, *adding, *elr, *last_elr;
    const struct uuid *directories;
};

#define META_PARTITIONS_MAX 1000000 /* of one topic */

struct meta_partition {
    int32_t leader;          /* -1: none */
    int32_t leader_epoch, partition_epoch;
    int8_t recovery_state;   /* 1: elected unclean, still recovering */
    struct meta_placement *placement; /* NULL: the log has skipped this partition */
};

/* Shared by images; immutable once in one. */
struct meta_topic {
    _Atomic uint32_t holds;
    struct bytes name;
    struct uuid id;
    int32_t partition_count;
    struct meta_partition *partitions;
    int32_t room;            /* private: partitions there is memory for */
    uint64_t maker;          /* private: the draft that may still change it */
};

struct meta_endpoint {
    struct bytes name, host;
    uint16_t port;
    int16_t security_protocol;
};

/* A registered broker. Shared by images; immutable once in one. */
struct meta_broker {
    _Atomic uint32_t holds;
    int32_t id;
    int64_t epoch;
    struct uuid incarnation;
    bool fenced, in_controlled_shutdown;
    struct bytes rack;       /* may be null */
    size_t endpoint_count;
    struct meta_endpoint *endpoints;
    struct bytes framed;     /* the newest registration record */
};

/* A record that means nothing here but must not be lost: users, quotas, access rules,
 * controllers and types that nobody knows yet. Shared by images. */
struct meta_kept {
    _Atomic uint32_t holds;
    uint32_t type;
    uint64_t hash;           /* of the key */
    struct bytes key;        /* a later record replaces or removes it by this; empty: none does */
    struct bytes framed;
};

struct meta_pair {
    struct bytes name, value;
};

/* The settings of one resource (config_resource numbers of Kafka's protocol). */
struct meta_configs {
    _Atomic uint32_t holds;
    int8_t type;
    struct bytes name;
    size_t count;
    struct meta_pair *pairs; /* in order of name */
};

struct meta_feature {
    struct bytes name;
    int16_t level;
};

/* Hash of pointers, open addressing; private to meta/. */
struct meta_table {
    size_t mask;              /* slots - 1; no slots: 0 and NULL */
    size_t count;
    void **slots;
};

struct meta_image {
    _Atomic uint32_t holds;
    uint64_t serial;          /* private: one for each draft of the process */
    uint32_t inserted;        /* private: topics put into a draft */
    bool stale;               /* private: `topics` of a draft is to be made anew */
    struct meta_placement *recent; /* private: the last one made */
    int64_t offset;           /* of the last record in it, -1: none */
    struct bytes cluster_id;
    size_t topic_count;
    struct meta_topic **topics;    /* in order of name */
    size_t config_count;
    struct meta_configs **configs; /* in order of (type, name) */
    size_t broker_count;
    struct meta_broker **brokers;  /* in order of id */
    size_t kept_count;
    struct meta_kept **kept;       /* in order of arrival */
    struct meta_table by_name, by_id, by_folded_name; /* private */
    size_t feature_count;
    struct meta_feature features[16];
    char feature_names[16][48];
    int64_t features_epoch;
    int64_t next_producer_id;
    int32_t node_id;          /* ours */
    int64_t broker_epoch;     /* of our registration, -1: none */
    char cluster_id_text[64];
};

const struct meta_image *meta_image_hold(const struct meta_image *i);
void meta_image_drop(const struct meta_image *i);
const struct meta_topic *meta_topic(const struct meta_image *i, struct bytes name); /* or NULL */
const struct meta_topic *meta_topic_by_id(const struct meta_image *i, const struct uuid *id);
const struct meta_broker *meta_broker(const struct meta_image *i, int32_t id); /* or NULL */
/* The settings of a resource, NULL: none. */
const struct meta_configs *meta_configs(const struct meta_image *i, int8_t type, struct bytes name);

/* Kafka's rule: 1 to 249 of letters, digits, '.', '_', '-'; not "." or "..". */
bool meta_topic_name_valid(struct bytes name);
bool meta_topic_internal(struct bytes name);

struct meta_supported_feature {
    const char *name;
    int16_t min, max;
};
const struct meta_supported_feature *meta_supported_features(size_t *count);

/* ---- changes ---- */

struct wire_message;

/* A list of metadata records to commit together. Bytes live in the change's own arena. */
struct meta_change {
    struct arena arena;
    struct meta_record *first, **end;
    size_t count;
};
struct meta_record {
    struct meta_record *next;
    struct bytes framed;
};
void meta_change_init(struct meta_change *c);
void meta_change_fini(struct meta_change *c);
/* Encodes one record (struct of wire/messages.h) into the change. */
MUST enum outcome meta_change_add(struct meta_change *c, const struct wire_message *m,
                                  int16_t version, const void *record);
/* A record as it stands in the log. */
MUST enum outcome meta_change_add_framed(struct meta_change *c, struct bytes framed);

/* Whether a config value fits: handed in by config/. `message` has 256 bytes. */
typedef bool meta_config_check(int8_t type, struct bytes name, struct bytes value, char *message);

/* `from` (NULL: nothing) with the records of a change, the first of which has offset
 * `base_offset`. The caller owns the new image; unchanged topics are shared. OUT_CORRUPT:
 * records that contradict the image or each other; OUT_UNSUPPORTED, OUT_NO_MEMORY. */
MUST enum outcome meta_image_apply(const struct meta_image *from, const struct meta_change *change,
                                   int64_t base_offset, const struct meta_image **to);

struct meta_new_topic {
    struct bytes name;
    int32_t partition_count;     /* -1: the default */
    int16_t replication_factor;  /* -1: the default */
    size_t assignment_count;     /* manual assignment: one entry a partition */
    const struct meta_assignment {
        int32_t index;
        const int32_t *brokers;
        int32_t broker_count;
    } *assignments;
    size_t config_count;
    const struct meta_pair *configs;
    bool internal;               /* made by the broker itself */
};

struct meta_rules {
    int32_t node_id;
    struct uuid directory_id;
    struct uuid (*place)(void *context); /* the next partition's directory; NULL: directory_id */
    void *context;
    int32_t default_partitions;
    meta_config_check *config_check;
};

/* Plans one topic on top of `image`; its records go into `change`. A refusal's outcome is one of
 * EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR,
 * INVALID_REPLICA_ASSIGNMENT, INVALID_CONFIG, INVALID (request), with the sentence in
 * outcome_trail(). */
MUST enum outcome meta_plan_topic(const struct meta_image *image, const struct meta_rules *rules,
                                  const struct meta_new_topic *t, struct meta_change *change,
                                  struct uuid *id);
MUST enum outcome meta_plan_delete(const struct meta_topic *t, struct meta_change *change);
/* `count`: partitions in all. */
MUST enum outcome meta_plan_partitions(const struct meta_image *image,
                                       const struct meta_rules *rules, const struct meta_topic *t,
                                       int32_t count,
                                       const struct meta_assignment *assignments,
                                       int32_t assignment_count, struct meta_change *change);
/* Sets (value) or deletes (value null) one key. */
MUST enum outcome meta_plan_config(int8_t type, struct bytes resource, struct bytes name,
                                   struct bytes value, struct meta_change *change);
/* The log directory that a partition is in (KIP-858). Changes nothing when the metadata says so, or
 * is too old to. */
MUST enum outcome meta_plan_directory(const struct meta_image *image, const struct meta_topic *t,
                                      int32_t index, const struct uuid *directory,
                                      struct meta_change *change);
MUST enum outcome meta_plan_producer_ids(const struct meta_image *image, int32_t node_id,
                                         int64_t count, struct meta_change *change);

/* ---- the store ---- */

struct meta;
struct log_io;

#define META_DIRECTORIES_MAX 40
struct meta_options {
    const char *dir;          /* the log directory; its lock is the caller's */
    int32_t node_id;
    const char *cluster_id;   /* of a new cluster; "" : a random one */
    const char *host;         /* of our registration */
    int32_t port;
    bool flush;               /* a commit is on disk before it counts */
    bool clean;               /* the last stop was clean: leader epochs stay, but for topics whose
                                 storage.class is memory */
    int64_t now_ms;
    const struct uuid *directories; /* ids of the other log directories of this broker */
    int32_t directory_count;
    void (*failed)(void *context);  /* as in struct log_open */
    void *context;
    int64_t snapshot_bytes;   /* growth of the log after which a snapshot is written; 0: 20 MiB */
    const struct log_io *io;  /* the kernel's calls of the log; NULL: the kernel's own */
};

/* Opens the metadata of a log directory, FluxMQ's or a stopped single-node Kafka's, or makes a new
 * one. OUT_INVALID (a foreign directory), OUT_CORRUPT, OUT_IO with the sentence. */
MUST enum outcome meta_open(const struct meta_options *o, struct meta **meta);
MUST enum outcome meta_close(struct meta **meta);

/* The newest image, held by the meta itself until the next commit. */
const struct meta_image *meta_newest(struct meta *m);
struct uuid meta_directory_id(const struct meta *m);
int32_t meta_node_id(const struct meta *m);
int32_t meta_epoch(const struct meta *m); /* of this leader of the metadata log: this start's */

/* Appends, flushes, applies. On failure nothing has changed. An empty change is done at once. */
MUST enum outcome meta_commit(struct meta *m, struct meta_change *change, int64_t now_ms);

#endif

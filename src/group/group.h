/* SPDX-License-Identifier: MIT */
/*
 * Kafka's classic consumer groups and committed offsets: a pure step machine.
 *
 * One group_shard holds all groups of one partition of __consumer_offsets. Its owner feeds it
 * events and does what the todo says: append the records, complete the replies, come back at the
 * deadline. Nothing in here reads a clock, does I/O, calls back or makes up numbers, so that the
 * same events give the same todos, and the records alone give the same durable state.
 *
 * One thread at a time, the owner's. Views in an event are only read during the step; views in a
 * todo live until the next step or until its arena is reset, whichever comes first.
 */
#ifndef GROUP_GROUP_H
#define GROUP_GROUP_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/outcome.h"
#include "base/step.h"

struct group_options {
    int32_t session_min_ms, session_max_ms; /* bounds of a member's session timeout */
    int32_t initial_delay_ms;               /* how long an empty group waits for more members */
    int32_t members_max;
    int32_t metadata_max;                   /* of a commit, in UTF-16 units */
    int64_t retention_ms;                   /* of offsets nobody uses */
};

/* Kafka's defaults. */
void group_options_default(struct group_options *o);

enum group_event_kind {
    /* requests: each is answered once, in this step or in a later one */
    GROUP_JOIN, GROUP_SYNC, GROUP_HEARTBEAT, GROUP_LEAVE, GROUP_OFFSET_COMMIT, GROUP_OFFSET_FETCH,
    GROUP_OFFSET_DELETE, GROUP_DESCRIBE, GROUP_LIST, GROUP_DELETE,
    GROUP_TXN_COMMIT,    /* offsets that count when their transaction does; see group_commit */
    GROUP_TXN_END,       /* the marker of a transaction */
    /* the rest has no reply of its own */
    GROUP_TIMER,         /* the deadline has come */
    GROUP_LOAD,          /* one record of the log, in order of offset */
    GROUP_LOADED,        /* the log's end: sessions of loaded members begin */
    GROUP_CANCEL,        /* the token's join or sync waits no more: it is answered OUT_CLOSED */
    GROUP_TOPIC_DELETED, /* its offsets go */
    GROUP_EXPIRE,        /* the sweep: offsets and empty groups past their retention go */
    GROUP_STOP,          /* answers all that waits with OUT_CLOSED */
    GROUP_EVENT_KINDS
};

struct group_protocol {
    struct bytes name, metadata;
};

struct group_join {
    struct bytes member_id;      /* empty: a new member */
    struct bytes instance_id;    /* null: a dynamic member */
    struct bytes client_id, client_host;
    struct bytes protocol_type;
    const struct group_protocol *protocols; /* in order of preference */
    size_t protocol_count;
    int32_t session_ms;
    int32_t rebalance_ms;        /* below 0: the session's */
    struct uuid fresh;           /* random; what a new member id is made of */
    bool id_required;            /* KIP-394: a new member has to come back with its id (v4+) */
    bool can_skip_assignment;    /* KIP-814: v9+ */
};

struct group_assignment {
    struct bytes member_id, assignment;
};

struct group_sync {
    struct bytes member_id, instance_id;
    struct bytes protocol_type, protocol_name; /* null: not compared */
    int32_t generation;
    const struct group_assignment *assignments;
    size_t assignment_count;
};

struct group_heartbeat {
    struct bytes member_id, instance_id;
    int32_t generation;
};

struct group_leaver {
    struct bytes member_id, instance_id;
};

struct group_leave {
    const struct group_leaver *leavers;
    size_t leaver_count;
};

/* A committed offset, on its way in or out. */
struct group_offset {
    struct bytes topic;
    int32_t partition;
    int32_t leader_epoch; /* -1: unknown */
    int64_t offset;       /* fetched: -1 when there is none */
    struct bytes metadata; /* null reads as "" */
    struct uuid topic_id; /* commits: zero when unknown */
    int64_t commit_ms;    /* commits: what old clients say, 0: now */
    bool unstable;        /* fetched: an open transaction may change it; offset -1 */
};

struct group_commit {
    struct bytes member_id, instance_id; /* empty and null: not a member */
    int32_t generation;                  /* below 0: none */
    enum outcome if_unknown; /* for a generation in an unknown group; depends on the version */
    int64_t producer_id;     /* TXN_COMMIT */
    int32_t producer_epoch;
    uint32_t guard;          /* the owner's, see store_producer; not looked at */
    const struct group_offset *offsets;
    size_t offset_count;
};

struct group_place {
    struct bytes topic;
    int32_t partition;
};

struct group_places {
    const struct group_place *places;
    size_t count;
    bool all; /* fetch: whatever there is, `places` is not looked at */
    size_t from, most; /* fetch of all, in pieces: where the last one ended, and about how many;
                          in no order then. 0: all at once */
    bool stable; /* fetch: nothing that an open transaction may still change */
};

struct group_load {
    struct bytes key, value; /* value null: a tombstone */
    bool transactional;      /* counts when the producer's marker comes */
    int64_t producer_id;
};

struct group_txn_end {
    int64_t producer_id;
    int32_t producer_epoch, coordinator_epoch;
    int32_t partition;       /* of __consumer_offsets, for who finds the shard; not looked at */
    bool commit;
};

struct group_event {
    enum group_event_kind kind;
    int64_t now_ms;        /* monotonic: timeouts; never moves back */
    int64_t wall_ms;       /* since 1970: what records carry, retention */
    void *token;           /* of the request; CANCEL: the one to cancel. Not NULL there */
    struct bytes group_id; /* TOPIC_DELETED: the topic's name */
    union {
        struct group_join join;
        struct group_sync sync;
        struct group_heartbeat heartbeat;
        struct group_leave leave;
        struct group_commit commit;
        struct group_places places; /* offset fetch and delete */
        struct group_load load;
        struct group_txn_end end;
    };
};

/* ---- what is to do ---- */

struct group_joined_member {
    struct bytes member_id, instance_id, metadata;
};

struct group_joined {
    int32_t generation; /* -1 with an error */
    struct bytes protocol_type, protocol_name, leader, member_id;
    bool skip_assignment;
    const struct group_joined_member *members; /* the leader's reply only */
    size_t member_count;
};

struct group_synced {
    struct bytes protocol_type, protocol_name, assignment;
};

struct group_described_member {
    struct bytes member_id, instance_id, client_id, client_host, metadata, assignment;
};

struct group_described {
    const char *state; /* "Stable"; an unknown group is "Dead" with OUT_GROUP_ID_NOT_FOUND */
    struct bytes protocol_type, protocol_name;
    const struct group_described_member *members;
    size_t member_count;
};

struct group_listed {
    struct bytes group_id, protocol_type;
    const char *state;
};

struct group_reply {
    struct group_reply *next;
    void *token;
    enum group_event_kind kind; /* of the request; says which result there is */
    enum outcome outcome;       /* of the request as a whole */
    bool after_records;         /* leaves only when this step's records are durable */
    union {
        struct group_joined joined;
        struct group_synced synced;
        struct group_described described;
        struct {
            const enum outcome *each; /* as the leavers, offsets or places of the request */
            size_t each_count;
        };
        struct {
            const struct group_offset *offsets; /* fetch; in order of topic when all were asked */
            size_t offset_count;
            size_t rest;  /* fetch of all in pieces: `from` of the next one, 0: that was the last */
        };
        struct {
            const struct group_listed *groups;
            size_t group_count;
        };
    };
};

struct group_todo {
    struct arena *arena; /* the caller's; everything below lives in it */
    struct step_record *records, **records_end; /* to append as one batch, in this order */
    size_t record_count;
    int64_t producer_id; /* of a transaction that the records are part of; -1: of none */
    int32_t producer_epoch;
    const struct group_txn_end *marker; /* to append instead of records; NULL: none */
    struct group_reply *replies, **replies_end;
    /* the event's own reply, so that it never fails; in the list if given */
    struct group_reply own;
    int64_t deadline_ms; /* when a TIMER event is due (now_ms), INT64_MAX: never */
    /* OUT_NO_MEMORY: the shard broke off in the middle of a step. Its records are void, its replies
     * are not (but those marked after_records are to be failures): send STOP with an arena that has
     * room, deliver that, free the shard and load a new one. */
    enum outcome outcome;
};

struct group_shard;

/* NULL: out of memory. */
MUST struct group_shard *group_shard_new(const struct group_options *o);
void group_shard_free(struct group_shard *s); /* NULL is fine; nothing may wait any more */

/* One step. `todo` needs only its arena to be set. */
void group_step(struct group_shard *s, const struct group_event *e, struct group_todo *todo);

/* The group's partition of __consumer_offsets: the absolute value of Java's String.hashCode of its
 * id (UTF-8; anything else counts byte by byte) mod `partitions`. */
int32_t group_partition(struct bytes group_id, int32_t partitions);

/* For the console and the metrics. */
struct group_counts {
    size_t groups, members, offsets, waiting;
    uint64_t rebalances;
};
void group_count(const struct group_shard *s, struct group_counts *counts);

#endif

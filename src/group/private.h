/* SPDX-License-Identifier: MIT */
/*
 * What the files of group/ share. All memory of groups is malloc's; a failure marks the shard
 * failed (the step's todo says so) and leaves null views behind, which every reader here bears.
 */
#ifndef GROUP_PRIVATE_H
#define GROUP_PRIVATE_H

#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "group/group.h"

enum group_state {
    STATE_EMPTY,      /* no members; perhaps offsets */
    STATE_PREPARING,  /* members are joining */
    STATE_COMPLETING, /* the generation is set, the leader's assignment is awaited */
    STATE_STABLE,
    STATE_DEAD,       /* gone: being freed */
    STATES
};

enum timer_kind { TIMER_SESSION, TIMER_PENDING, TIMER_JOIN, TIMER_SYNC };

struct timer {
    struct heap_node node; /* key: deadline in ms */
    enum timer_kind kind;
};

struct member {
    struct list node; /* in its group, in order of joining */
    struct group *group;
    uint64_t id_hash;
    struct bytes id, instance_id, client_id, client_host;
    struct group_protocol *protocols; /* in order of preference */
    size_t protocol_count;
    struct bytes assignment;  /* never null */
    int32_t session_ms, rebalance_ms;
    void *join_token, *sync_token; /* the requests that wait; NULL: none */
    bool is_new;              /* has not had an answer to its first join */
    bool owes_sync;           /* has not asked for its assignment in this generation */
    struct timer session;
};

/* A member id that was given out and has not come back yet (KIP-394). */
struct pending {
    struct list node;
    struct group *group;
    struct bytes id;
    struct timer timer;
};

struct committed {
    struct committed *next; /* in its slot */
    uint64_t hash;
    struct bytes topic, metadata;
    struct uuid topic_id;
    int64_t offset, commit_ms;
    int64_t expire_ms;      /* of old records, -1: none */
    int32_t partition, leader_epoch;
    uint64_t order;         /* of the commit among all of the shard */
};

/* An offset of an open transaction. */
struct promised {
    struct group_offset offset; /* views are malloc's */
    int64_t commit_ms;
    uint64_t order;
};

/* What an open transaction has committed in one group. */
struct open_txn {
    struct list node;      /* in its shard */
    struct list of_group;
    struct group *group;
    int64_t producer_id;
    struct promised *list; /* in order of arrival */
    size_t count, room;
};

struct group {
    struct group *next; /* in its slot */
    uint64_t hash;
    struct group_shard *shard;
    struct bytes id;
    enum group_state state, previous;
    int32_t generation;
    int64_t state_since_ms;             /* wall clock; -1: unknown (old records) */
    struct bytes protocol_type;         /* null: offsets only */
    struct bytes protocol_name;         /* null: none chosen */
    struct member *leader;              /* NULL: none */
    struct list members, pendings;
    size_t member_count, joining, pending_count;
    bool member_added;                  /* since the initial delay was last looked at */
    bool initial;                       /* join_timer is the initial delay */
    int32_t delay_ms, remaining_ms;     /* of it */
    struct timer join_timer, sync_timer;
    bool topics_known;                  /* of this generation's subscriptions */
    struct bytes *topics;
    size_t topic_count;
    struct committed **slots;           /* offsets; a power of two, or NULL */
    size_t slot_count, offset_count;
    struct list open_txns;
};

struct group_shard {
    struct group_options options;
    struct group **slots;
    size_t slot_count, group_count, waiting;
    uint64_t rebalances;
    struct heap timers;
    struct list open_txns;
    uint64_t order;       /* of the last commit */
    /* of the current step */
    const struct group_event *event;
    struct group_todo *todo;
    struct arena *arena;
    struct group_reply *own; /* the todo's, NULL: the event has no reply */
    bool own_used, own_waits, failed;
    struct group_txn_end marker;
};

/* ---- shard.c: the step's tools */
void *take(struct group_shard *s, size_t count, size_t size); /* of the arena, zeroed */
#define take_array(s, type, count) ((type *)take((s), (count), sizeof(type)))
struct bytes keep(struct group_shard *s, struct bytes b);  /* malloc's copy; null stays null */
void let_go(struct bytes *b);
/* The reply for a token; NULL: out of memory, the token is still owed its reply. */
struct group_reply *reply(struct group_shard *s, void *token, enum group_event_kind kind,
                          enum outcome o);
void record(struct group_shard *s, struct bytes key, struct bytes value);
void timer_set(struct group_shard *s, struct timer *t, enum timer_kind kind, int64_t ms_from_now);
void timer_cancel(struct group_shard *s, struct timer *t);

/* ---- table.c: groups by id */
struct group *group_find(const struct group_shard *s, struct bytes id);
struct group *group_make(struct group_shard *s, struct bytes id); /* Empty; NULL: out of memory */
void group_remove(struct group *g); /* and frees it; nobody waits */
void group_set_state(struct group *g, enum group_state to);
const char *group_state_name(enum group_state state);
typedef void group_visit(struct group *g, void *context); /* may remove `g` */
void group_each(struct group_shard *s, group_visit *visit, void *context);

/* ---- member.c */
struct member *member_find(const struct group *g, struct bytes id);
struct member *member_of_instance(const struct group *g, struct bytes instance_id);
struct pending *pending_find(const struct group *g, struct bytes id);
void pending_add(struct group *g, struct bytes id, int32_t session_ms);
void pending_remove(struct pending *p);
struct member *member_add(struct group *g, struct bytes id, const struct group_join *j);
/* Takes over what a join brings; false: out of memory, nothing changed. */
bool member_update(struct member *m, const struct group_join *j);
/* Answers what waits with `o`, moves the leadership on, frees it. */
void member_remove(struct member *m, enum outcome o);
void member_rename(struct member *m, struct bytes id);
void member_wait_join(struct member *m, void *token); /* an older waiting join is answered */
void member_wait_sync(struct member *m, void *token);
void member_end_join(struct member *m, enum outcome o); /* o OK: with the generation's data */
void member_end_sync(struct member *m, enum outcome o);
void member_alive(struct member *m); /* its session begins anew */
/* The checks that every request of a member begins with. */
enum outcome member_check(const struct group *g, struct bytes id, struct bytes instance_id);

/* ---- protocol.c */
#define PROTOCOLS_MAX 256 /* of one member; clients have one or two */
bool protocols_match(const struct member *m, const struct group_join *j);
bool protocols_supported(const struct group *g, const struct group_join *j);
struct bytes protocol_vote(const struct group *g); /* a view into a member; null: none */
struct bytes protocol_metadata(const struct member *m, struct bytes protocol);
void subscription_refresh(struct group *g);
void subscription_forget(struct group *g);
bool subscribed(const struct group *g, struct bytes topic);

/* ---- join.c, rebalance.c */
void joined_fill(struct group_reply *r, const struct member *m, bool with_members);
void step_join(struct group_shard *s);
void rebalance_begin(struct group *g);
void rebalance_or_complete(struct group *g); /* begins one, or ends it when all have joined */
void rebalance_complete_if_joined(struct group *g);
void rebalance_timer(struct group_shard *s, struct timer *t);
int32_t group_rebalance_ms(const struct group *g); /* the members' largest */

/* ---- member_requests.c */
void step_sync(struct group_shard *s);
void step_heartbeat(struct group_shard *s);
void step_leave(struct group_shard *s);
void step_cancel(struct group_shard *s);
void step_stop(struct group_shard *s);

/* ---- offset.c: the table of one group */
struct committed *offset_find(const struct group *g, struct bytes topic, int32_t partition);
/* NULL: out of memory, nothing changed. */
struct committed *offset_put(struct group *g, const struct group_offset *o);
void offset_remove(struct group *g, struct committed *c);
void offsets_free(struct group *g);
typedef bool offset_test(const struct group *g, const struct committed *c, void *context);
/* Removes those that pass, each with a tombstone. */
void offsets_remove_if(struct group *g, offset_test *test, void *context);

/* ---- txn.c: offsets of open transactions */
void step_txn_commit(struct group_shard *s);
void step_txn_end(struct group_shard *s);
void load_promised(struct group *g, int64_t producer_id, const struct group_offset *o,
                   int64_t commit_ms);
bool offset_promised(const struct group *g, struct bytes topic, int32_t partition);
void open_txns_free(struct group *g);
/* Offsets that open transactions have promised, of a partition or (-1) of a whole topic. Whether
 * there were any. */
bool open_txns_forget(struct group *g, struct bytes topic, int32_t partition);

/* ---- offset_requests.c, admin.c */
/* Sets the outcome of each offset; returns how many are good. */
size_t commit_judge(const struct group_shard *s, const struct group_commit *c, enum outcome *each);
void step_commit(struct group_shard *s);
void step_fetch(struct group_shard *s);
void step_offset_delete(struct group_shard *s);
void step_topic_deleted(struct group_shard *s);
void step_expire(struct group_shard *s);
void step_describe(struct group_shard *s);
void step_list(struct group_shard *s);
void step_delete(struct group_shard *s);

/* ---- record.c, load.c */
struct bytes record_group_key(struct group_shard *s, struct bytes group_id);
struct bytes record_offset_key(struct group_shard *s, struct bytes group_id, struct bytes topic,
                               int32_t partition);
void record_group(struct group *g);       /* with members only when the group is Stable */
void record_group_gone(struct group *g);
void record_offset(struct group *g, const struct committed *c);
void record_offset_gone(struct group *g, struct bytes topic, int32_t partition);
void step_load(struct group_shard *s);
void step_loaded(struct group_shard *s);

#endif

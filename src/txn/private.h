/* SPDX-License-Identifier: MIT */
/*
 * What the files of txn/ share. All memory of ids is malloc's; a failure marks the shard failed
 * (the step's todo says so).
 */
#ifndef TXN_PRIVATE_H
#define TXN_PRIVATE_H

#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "txn/txn.h"

#define NO_ID (-1)
#define NO_EPOCH (-1)
#define EPOCH_LAST (INT16_MAX - 1) /* a producer never sees the one above it */

/* Numbers of Kafka's records. */
enum txn_state {
    STATE_EMPTY,
    STATE_ONGOING,
    STATE_PREPARE_COMMIT,
    STATE_PREPARE_ABORT,
    STATE_COMPLETE_COMMIT,
    STATE_COMPLETE_ABORT,
    STATES
};

/* A set of partitions, in order of arrival, found by a table of index + 1. */
struct places {
    struct txn_place *list; /* topics are malloc's */
    size_t count, room;
    uint32_t *table;        /* 2 * room, 0: free */
};

/* A request that waits until the transaction before it is completed. */
struct waiter {
    struct list node;
    struct heap_node timer;
    void *token;
    enum txn_event_kind kind;
};

struct txn {
    struct txn *next;       /* in its slot */
    uint64_t hash;
    struct bytes id;
    enum txn_state state;
    int64_t producer_id, previous_id, next_id; /* next: from when the epochs are used up */
    int32_t epoch, last_epoch;
    int32_t timeout_ms;
    int version;            /* transaction.version of the client */
    int64_t start_ms, update_ms; /* wall clock; start -1: none */
    struct places places;
    struct heap_node timer; /* ONGOING: it times out; PREPARE: markers are tried again */
    struct list waiters;
};

struct txn_shard {
    struct txn_options options;
    struct txn **slots;
    size_t slot_count, count, waiting;
    struct heap timers, patience; /* of txns, of waiters */
    /* of the current step */
    const struct txn_event *event;
    struct txn_todo *todo;
    struct txn_reply *own;  /* the todo's, NULL: the event has no reply */
    bool own_used, own_waits, failed;
};

/* ---- shard.c: the step's tools */
void *txn_take(struct txn_shard *s, size_t count, size_t size); /* of the arena, zeroed */
#define take_array(s, type, count) ((type *)txn_take((s), (count), sizeof(type)))
/* The reply for a token; NULL: out of memory. */
struct txn_reply *txn_reply_to(struct txn_shard *s, void *token, enum txn_event_kind kind,
                        enum outcome o);
struct txn_reply *txn_reply_own(struct txn_shard *s, enum outcome o);
void txn_record(struct txn_shard *s, struct bytes key, struct bytes value);

/* ---- table.c: transactional ids */
struct txn *txn_find(const struct txn_shard *s, struct bytes id);
struct txn *txn_make(struct txn_shard *s, struct bytes id); /* Empty, epoch -1; NULL: no memory */
void txn_remove(struct txn_shard *s, struct txn *t);
typedef void txn_visit(struct txn_shard *s, struct txn *t, void *context); /* may remove it */
void txn_each(struct txn_shard *s, txn_visit *visit, void *context);
const char *txn_state_name(enum txn_state state);
static inline bool txn_prepared(const struct txn *t)
{
    return t->state == STATE_PREPARE_COMMIT || t->state == STATE_PREPARE_ABORT;
}
/* Any earlier one is replaced. */
void txn_timer_set(struct txn_shard *s, struct txn *t, int64_t ms_from_now);

/* ---- places.c */
bool txn_places_have(const struct places *p, const struct txn_place *one);
MUST bool txn_places_add(struct places *p, const struct txn_place *one); /* false: no memory */
void txn_places_clear(struct places *p);
/* Sorted copy in the arena; NULL: no memory. */
struct txn_place *txn_places_sorted(struct txn_shard *s, const struct places *p);

/* ---- init.c, add.c, end.c */
void txn_on_init(struct txn_shard *s);
void txn_on_add(struct txn_shard *s);
void txn_on_verify(struct txn_shard *s);
void txn_on_end(struct txn_shard *s);
void txn_on_marked(struct txn_shard *s);
/* The timer of a transaction is due: it is aborted, or its markers are tried again. */
void txn_due(struct txn_shard *s, struct txn *t);
/* Nobody of an older epoch may go on: the epoch is raised and the open transaction aborted. */
void txn_fence(struct txn_shard *s, struct txn *t);
void txn_time(struct txn_shard *s, struct txn *t); /* an open one: sets its timer */
void txn_markers_send(struct txn_shard *s, struct txn *t);
void txn_waiters_answer(struct txn_shard *s, struct txn *t, enum outcome o);
void txn_waiter_due(struct txn_shard *s, struct waiter *w);
void txn_on_stop(struct txn_shard *s);

/* ---- record.c, load.c */
void txn_record_state(struct txn_shard *s, const struct txn *t);
void txn_record_gone(struct txn_shard *s, const struct txn *t);
void txn_on_load(struct txn_shard *s);
void txn_on_loaded(struct txn_shard *s);

/* ---- admin.c */
void txn_on_describe(struct txn_shard *s);
void txn_on_list(struct txn_shard *s);
void txn_on_expire(struct txn_shard *s);

#endif

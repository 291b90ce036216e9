/* SPDX-License-Identifier: MIT */
/*
 * Kafka's transactional producers and their transactions: a pure step machine, twin of group/.
 *
 * One txn_shard holds all transactional ids of one partition of __transaction_state. Its owner
 * feeds it events and does what the todo says: append the records, complete the replies, have the
 * markers written once the records are durable (and say so with TXN_MARKED), come back at the
 * deadline. Nothing in here reads a clock, does I/O, calls back or makes up numbers: the records
 * alone give the same durable state.
 *
 * One thread at a time, the owner's. Views in an event are only read during the step; views in a
 * todo live until the next step or until its arena is reset, whichever comes first.
 */
#ifndef TXN_TXN_H
#define TXN_TXN_H

#include "base/arena.h"
#include "base/outcome.h"
#include "base/step.h"

struct txn_options {
    int32_t max_timeout_ms;   /* what a client may ask for */
    int64_t expiration_ms;    /* of ids nobody uses */
    int32_t retry_ms;         /* between attempts to write markers */
    int32_t value_version;    /* of the records: 0 or 1 (transaction.version 1 and up) */
};

/* Kafka's defaults. */
void txn_options_default(struct txn_options *o);

enum txn_event_kind {
    /* requests: each is answered once, in this step or in a later one */
    TXN_INIT,      /* InitProducerId */
    TXN_ADD,       /* partitions (of topics, or of __consumer_offsets) become part of it */
    TXN_VERIFY,    /* are they part of it? */
    TXN_END,
    TXN_DESCRIBE,
    TXN_LIST,
    /* the rest has no reply of its own */
    TXN_MARKED,    /* the markers of a todo are durable, or could not be written */
    TXN_TIMER,     /* the deadline has come */
    TXN_LOAD,      /* one record of the log, in order of offset */
    TXN_LOADED,    /* the log's end: what was prepared goes on */
    TXN_EXPIRE,    /* the sweep: ids past their expiration go */
    TXN_STOP,      /* answers all that waits with OUT_CLOSED */
    TXN_EVENT_KINDS
};

struct txn_place {
    struct bytes topic;
    int32_t partition;
};

struct txn_event {
    enum txn_event_kind kind;
    int64_t now_ms;       /* monotonic: timeouts; never moves back */
    int64_t wall_ms;      /* since 1970: what records carry */
    void *token;          /* of the request */
    struct bytes id;      /* transactional; LIST, TIMER, LOAD... none */
    int64_t producer_id;  /* INIT: -1 none given */
    int32_t epoch;        /* INIT: -1 none given */
    int64_t fresh_id;     /* INIT, END: a producer id never used before; -1 none: the answer may be
                             OUT_NO_PRODUCER_ID, then ask again with one */
    int version;          /* ADD, END: the client's transaction.version, 0 or 2 */
    union {
        int32_t timeout_ms;   /* INIT */
        struct {              /* ADD, VERIFY */
            const struct txn_place *places;
            size_t place_count;
            /* While the last transaction is being completed: waits so long, and is answered
             * OUT_AGAIN when it is over (to be asked again); 0: OUT_CONCURRENT_TRANSACTIONS now. */
            int32_t patience_ms;
        };
        bool commit;          /* END */
        bool done;            /* MARKED, with producer id and epoch of the markers */
        struct {              /* LOAD; value null: a tombstone */
            struct bytes key, value;
        };
    };
};

/* ---- what is to do ---- */

struct txn_described {
    struct bytes id;
    const char *state;        /* "Ongoing" */
    int32_t timeout_ms;
    int64_t start_ms;         /* -1: none is open */
    int64_t producer_id;
    int32_t epoch;
    const struct txn_place *places; /* in order of topic and partition */
    size_t place_count;
};

struct txn_reply {
    struct txn_reply *next;
    void *token;
    enum txn_event_kind kind;
    enum outcome outcome;
    bool after_records;       /* leaves only when this step's records are durable */
    int64_t producer_id;      /* INIT, END: -1 with an error */
    int32_t epoch;
    union {
        struct {
            const enum outcome *each; /* VERIFY: as the places of the request */
            size_t each_count;
        };
        struct {
            const struct txn_described *described; /* DESCRIBE: one; LIST: all, without places */
            size_t described_count;
        };
    };
};

/* Markers to write into each place, after this step's records are durable. */
struct txn_markers {
    struct txn_markers *next;
    struct bytes id;
    int64_t producer_id;
    int32_t epoch;
    bool commit;
    int version;
    const struct txn_place *places;
    size_t place_count;
};

struct txn_todo {
    struct arena *arena; /* the caller's; everything below lives in it */
    struct step_record *records, **records_end; /* to append as one batch, in this order */
    size_t record_count;
    struct txn_reply *replies, **replies_end;
    struct txn_reply own; /* the event's own reply, so that it never fails */
    struct txn_markers *markers, **markers_end;
    int64_t deadline_ms;  /* when a TIMER event is due (now_ms), INT64_MAX: never */
    /* OUT_NO_MEMORY: broke off in the middle. Records and markers are void, replies are not (but
     * those marked after_records are to be failures): send STOP, free the shard, load a new one. */
    enum outcome outcome;
};

struct txn_shard;

/* NULL: out of memory. */
MUST struct txn_shard *txn_shard_new(const struct txn_options *o);
void txn_shard_free(struct txn_shard *s); /* NULL is fine; nothing may wait any more */

/* One step. `todo` needs only its arena to be set. */
void txn_step(struct txn_shard *s, const struct txn_event *e, struct txn_todo *todo);

/* The name of a state, and whether a filter's word is one. */
bool txn_state_known(struct bytes name);

struct txn_counts {
    size_t ids, open, completing, waiting;
};
void txn_count(const struct txn_shard *s, struct txn_counts *counts);

#endif

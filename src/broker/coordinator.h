/* SPDX-License-Identifier: MIT */
/*
 * The coordinators: they drive the step machines of group/ and txn/. Each partition of
 * __consumer_offsets and of __transaction_state, and so each group and each transactional id,
 * belongs to one reactor's shard (partition mod reactors); requests go there as mail, wait there if
 * they have to, and come home with their reply filled in. What a reply promises is in the log, and
 * on disk unless flush.mode=none, before it leaves.
 *
 * They are loaded from the log when the broker starts, or when a partition is first needed. A log
 * that can't be written or read makes them unavailable (NOT_COORDINATOR), not lost.
 */
#ifndef BROKER_COORDINATOR_H
#define BROKER_COORDINATOR_H

#include "broker/broker.h"
#include "group/group.h"
#include "txn/txn.h"

#define OFFSETS_TOPIC "__consumer_offsets"
#define TXN_TOPIC "__transaction_state"

enum coordinator_kind { COORDINATOR_GROUPS, COORDINATOR_TXNS, COORDINATOR_KINDS };

union coordinator_event {
    struct group_event *group;
    struct txn_event *txn;
};

/* What a request wants: some events, one after the other. Memory of the request; the handler fills
 * the upper part, kind, group_id and details of each event included (its views have to live as long
 * as the request). */
struct coordinator_work {
    struct request *request;
    enum coordinator_kind kind;
    struct group_event *events;   /* of groups */
    struct txn_event *txn_events; /* of transactional ids */
    size_t event_count;
    bool everywhere;  /* one event, for every partition: `answer` runs for each */
    /* Fills the response of event `index`: on the owner's thread, or at home. The reply's views end
     * with the call. May run again with another outcome when the disk failed. */
    void (*answer)(struct coordinator_work *w, size_t index, const struct group_reply *reply);
    void (*txn_answer)(struct coordinator_work *w, size_t index, const struct txn_reply *reply);
    void (*done)(struct request *r); /* home thread, at last */

    /* the coordinator's */
    struct coordinator *coordinator;
    size_t at;               /* the event that is on its way; everywhere: the shard */
    int32_t index;           /* the partition of it */
    bool answered, returned, cancelling;
    struct mail cancel;
    struct flush_set flush;
    struct flush_wait *waits;
    struct partition **partitions; /* held, to be flushed up to `offsets` */
    int64_t *offsets;
    size_t wait_count;
    void *context;           /* the handler's */
};

/* Main thread, before the reactors run and after they have ended. */
MUST enum outcome coordinator_open(struct broker *b);
void coordinator_close(struct broker *b);

/* Home thread: sends the work on its way. REQ_PARKED; or REQ_DONE when every event was answered at
 * once, because there is no topic for it yet; REQ_CLOSE: no memory. */
MUST enum verdict coordinator_submit(struct coordinator_work *w);

/* No shard's thread, while the reactors run: has the events run by their owners and waits. Events
 * with a group go to its partition, others to all; only kinds that are answered at once. The work
 * has `events`, `everywhere`, `answer` and `context`, and no request; a partition that can't be
 * served gives no answer. */
void coordinator_visit(struct broker *b, struct coordinator_work *w);

/* Any shard: a topic is gone, its offsets go too. */
void coordinator_topic_deleted(struct broker *b, struct bytes topic);

/* Home thread: whether groups, or transactional ids, can be served; asks for the topic when it is
 * missing. */
MUST bool coordinator_ready(struct broker *b);
MUST bool coordinator_txn_ready(struct broker *b);

/* Home thread: the partition of __consumer_offsets that a group belongs to; NULL: not there. */
struct partition *coordinator_group_partition(struct bytes group_id);

/* ---- markers of transactions ---- */

/* Writes the markers of one transaction into its partitions and has them flushed. Memory of the
 * request, the upper part is the caller's. */
struct marking {
    struct request *request;
    int64_t producer_id;
    int32_t epoch, coordinator_epoch;
    bool commit;
    bool raised; /* the epoch has to be above that of the transaction (KIP-890) */
    const struct txn_place *places;
    size_t place_count;
    enum outcome *each;       /* of the places; NOT_FOUND: no such partition */
    void (*done)(struct request *r); /* home thread, at last */

    /* the marking's */
    void *context;            /* the caller's */
    struct coordinator_work work;
    size_t *indexes;          /* of the work's events among the places */
    struct flush_set flush;
    struct flush_wait *waits;
};
/* Home thread. False: no memory (nothing is written); `done` never runs before it returns. */
MUST bool marking_begin(struct marking *m);

#endif

/* SPDX-License-Identifier: MIT */
/* What the handlers of transactional requests share (private to kafka/). */
#ifndef KAFKA_TXNS_H
#define KAFKA_TXNS_H

#include "kafka/call.h"

/* How long a request waits for the transaction before it to be completed. */
#define TXN_PATIENCE_MS 100
/* The first versions whose clients know PRODUCER_FENCED. */
#define FENCED_SINCE_INIT 4
#define FENCED_SINCE 2

typedef void txn_answer(struct coordinator_work *w, size_t index, const struct txn_reply *r);

/* Work with room for `events`; NULL: no memory. */
struct coordinator_work *txn_work(struct call *c, size_t events, txn_answer *answer);

/* PRODUCER_FENCED as clients of before `since` know it. */
int16_t txn_error(const struct call *c, enum outcome o, int since);

/* ---- partitions that a request writes to, and their transaction (KIP-890) ---- */

struct txn_entry {
    struct bytes id;
    int64_t producer_id;
    int32_t epoch;
    struct txn_place *places;
    size_t place_count;
    bool add;                 /* they become part of it; else they have to be */
    bool abortable;           /* the client knows TRANSACTION_ABORTABLE */
    int16_t *errors;          /* of the places, as Produce and TxnOffsetCommit say them */
    void (*then)(struct request *r); /* home thread, with the errors filled */
};

/* Asks the coordinator. REQ_PARKED, `then` comes; REQ_DONE: `then` does not come, the errors are
 * filled; REQ_CLOSE: no memory. */
MUST enum verdict txn_enter(struct call *c, struct txn_entry *e);

#endif

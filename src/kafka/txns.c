/* SPDX-License-Identifier: MIT */
/* See txns.h. */
#include "kafka/txns.h"

struct coordinator_work *txn_work(struct call *c, size_t events, txn_answer *answer)
{
    struct coordinator_work *w = arena_new(c->arena, struct coordinator_work);
    struct txn_event *list = arena_array(c->arena, struct txn_event, events);
    if (w == NULL || list == NULL)
        return NULL;
    w->request = c->request;
    w->kind = COORDINATOR_TXNS;
    w->txn_events = list;
    w->event_count = events;
    w->txn_answer = answer;
    w->done = call_finish_request;
    w->context = c;
    return w;
}

int16_t txn_error(const struct call *c, enum outcome o, int since)
{
    if (o == OUT_PRODUCER_FENCED && c->version < since)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    return error_of(o);
}

/* What a producer is told in a reply of Produce or TxnOffsetCommit. */
static int16_t entry_error(const struct txn_entry *e, enum outcome o)
{
    if (o == OUT_PRODUCER_FENCED)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    if (o == OUT_TXN_ABORTABLE && !e->abortable)
        return KAFKA_INVALID_TXN_STATE;
    /* Clients that don't know why this could be try again when replicas are missing. */
    if ((o == OUT_CONCURRENT_TRANSACTIONS && !e->add) || o == OUT_NOT_COORDINATOR ||
        o == OUT_COORDINATOR_NOT_AVAILABLE)
        return KAFKA_NOT_ENOUGH_REPLICAS;
    return error_of(o);
}

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct txn_entry *e = w->context;
    (void)index;
    for (size_t i = 0; i < e->place_count; i++) {
        enum outcome o = r->outcome;
        if (o == OUT_OK && r->kind == TXN_VERIFY)
            o = r->each[i];
        e->errors[i] = entry_error(e, o);
    }
}

enum verdict txn_enter(struct call *c, struct txn_entry *e)
{
    struct coordinator_work *w = txn_work(c, 1, answer);
    if (w == NULL)
        return REQ_CLOSE;
    w->context = e;
    w->done = e->then;
    w->txn_events[0] = (struct txn_event){
        .kind = e->add ? TXN_ADD : TXN_VERIFY, .id = e->id, .producer_id = e->producer_id,
        .epoch = e->epoch, .version = 2, .places = e->places, .place_count = e->place_count,
        .patience_ms = TXN_PATIENCE_MS};
    return coordinator_submit(w);
}

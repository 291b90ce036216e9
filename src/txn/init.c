/* SPDX-License-Identifier: MIT */
/*
 * InitProducerId: a producer begins, or goes on after an error (KIP-360), under its transactional
 * id. Whoever had the id before is fenced by a higher epoch, and what it left open is aborted.
 */
#include "txn/private.h"

static bool exhausted(int32_t epoch)
{
    return epoch >= EPOCH_LAST;
}

static void answer(struct txn_shard *s, const struct txn *t, bool recorded)
{
    struct txn_reply *r = txn_reply_own(s, OUT_OK);
    r->producer_id = t->producer_id;
    r->epoch = t->epoch;
    r->after_records = recorded;
}

/* The transaction that was is over, the id belongs to whoever asked. */
static void begin(struct txn_shard *s, struct txn *t)
{
    t->state = STATE_EMPTY;
    t->timeout_ms = s->event->timeout_ms;
    t->start_ms = -1;
    t->update_ms = s->event->wall_ms;
    t->next_id = NO_ID;
    txn_places_clear(&t->places);
    txn_record_state(s, t);
    answer(s, t, true);
}

/* Epochs are used up: a new producer id. */
static void rotate(struct txn_shard *s, struct txn *t)
{
    const struct txn_event *e = s->event;
    if (e->fresh_id < 0) {
        (void)txn_reply_own(s, OUT_NO_PRODUCER_ID);
        return;
    }
    t->previous_id = t->producer_id;
    t->producer_id = e->fresh_id;
    t->last_epoch = e->producer_id >= 0 ? t->epoch : NO_EPOCH;
    t->epoch = 0;
    begin(s, t);
}

static void raise_epoch(struct txn_shard *s, struct txn *t)
{
    const struct txn_event *e = s->event;
    bool expects = e->producer_id >= 0;
    if (expects && t->epoch != NO_EPOCH && e->epoch != t->epoch) {
        /* A repetition of what succeeded gets the same answer; anything else is a zombie. */
        if (e->epoch != t->last_epoch) {
            (void)txn_reply_own(s, OUT_PRODUCER_FENCED);
            return;
        }
    } else {
        t->last_epoch = expects ? t->epoch : NO_EPOCH;
        t->epoch++;
    }
    begin(s, t);
}

static bool knows_producer(const struct txn_event *e, const struct txn *t)
{
    if (e->producer_id < 0 || t->epoch == NO_EPOCH || e->producer_id == t->producer_id)
        return true;
    return e->producer_id == t->previous_id && exhausted(e->epoch);
}

static void make(struct txn_shard *s)
{
    if (s->event->fresh_id < 0) {
        (void)txn_reply_own(s, OUT_NO_PRODUCER_ID);
        return;
    }
    struct txn *t = txn_make(s, s->event->id);
    if (t == NULL)
        return;
    t->producer_id = s->event->fresh_id;
    raise_epoch(s, t);
}

void txn_on_init(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    if (e->timeout_ms <= 0 || e->timeout_ms > s->options.max_timeout_ms) {
        (void)txn_reply_own(s, OUT_INVALID_TXN_TIMEOUT);
        return;
    }
    struct txn *t = txn_find(s, e->id);
    if (t == NULL) {
        make(s);
        return;
    }
    if (!knows_producer(e, t)) {
        (void)txn_reply_own(s, OUT_PRODUCER_FENCED);
    } else if (txn_prepared(t)) {
        (void)txn_reply_own(s, OUT_CONCURRENT_TRANSACTIONS);
    } else if (t->state == STATE_ONGOING) {
        txn_fence(s, t);
        (void)txn_reply_own(s, OUT_CONCURRENT_TRANSACTIONS);
    } else if (exhausted(t->epoch) && (e->producer_id < 0 || e->epoch == t->epoch)) {
        rotate(s, t);
    } else {
        raise_epoch(s, t);
    }
}

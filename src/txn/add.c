/* SPDX-License-Identifier: MIT */
/*
 * Partitions become part of a transaction, which begins with the first; and the question whether
 * they are part of it. Who asks while the last transaction is being completed may wait for that.
 */
#include "txn/private.h"

#include <stdlib.h>

/* Remembers the request; false: no memory, it is answered at once. */
static bool wait(struct txn_shard *s, struct txn *t)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    w->token = s->event->token;
    w->kind = s->event->kind;
    if (heap_add(&s->patience, &w->timer, s->event->now_ms + s->event->patience_ms) != OUT_OK) {
        free(w);
        return false;
    }
    list_push(&t->waiters, &w->node);
    s->waiting++;
    s->own_waits = true;
    return true;
}

static void waiter_end(struct txn_shard *s, struct waiter *w, enum outcome o)
{
    if (txn_reply_to(s, w->token, w->kind, o) == NULL)
        return; /* STOP answers it */
    heap_remove(&s->patience, &w->timer);
    list_remove(&w->node);
    s->waiting--;
    free(w);
}

void txn_waiter_due(struct txn_shard *s, struct waiter *w)
{
    waiter_end(s, w, OUT_CONCURRENT_TRANSACTIONS);
}

void txn_waiters_answer(struct txn_shard *s, struct txn *t, enum outcome o)
{
    list_each_safe(node, after, &t->waiters)
        waiter_end(s, container_of(node, struct waiter, node), o);
}

/* What both begin with; NULL: answered, or it waits. */
static struct txn *judge(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    struct txn *t = txn_find(s, e->id);
    enum outcome o = OUT_OK;
    if (t == NULL || t->producer_id != e->producer_id)
        o = OUT_INVALID_PRODUCER_ID_MAPPING;
    else if (t->epoch != e->epoch)
        o = OUT_PRODUCER_FENCED;
    else if (txn_prepared(t))
        o = OUT_CONCURRENT_TRANSACTIONS;
    if (o == OUT_CONCURRENT_TRANSACTIONS && e->patience_ms > 0 && wait(s, t))
        return NULL;
    if (o == OUT_OK)
        return t;
    (void)txn_reply_own(s, o);
    return NULL;
}

static bool has_all(const struct txn *t, const struct txn_event *e)
{
    for (size_t i = 0; i < e->place_count; i++) {
        if (!txn_places_have(&t->places, &e->places[i]))
            return false;
    }
    return true;
}

void txn_on_add(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    struct txn *t = judge(s);
    if (t == NULL)
        return;
    if (t->state == STATE_ONGOING && has_all(t, e)) {
        (void)txn_reply_own(s, OUT_OK);
        return;
    }
    for (size_t i = 0; i < e->place_count; i++) {
        if (!txn_places_add(&t->places, &e->places[i])) {
            s->failed = true;
            return;
        }
    }
    if (t->state != STATE_ONGOING) {
        t->state = STATE_ONGOING;
        t->start_ms = e->wall_ms;
        txn_time(s, t);
    }
    t->version = e->version;
    t->update_ms = e->wall_ms;
    txn_record_state(s, t);
    txn_reply_own(s, OUT_OK)->after_records = true;
}

void txn_on_verify(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    struct txn *t = judge(s);
    if (t == NULL)
        return;
    enum outcome *each = take_array(s, enum outcome, e->place_count);
    if (each == NULL)
        return;
    for (size_t i = 0; i < e->place_count; i++)
        each[i] = txn_places_have(&t->places, &e->places[i]) ? OUT_OK : OUT_TXN_ABORTABLE;
    struct txn_reply *r = txn_reply_own(s, OUT_OK);
    r->each = each;
    r->each_count = e->place_count;
}

static void stop(struct txn_shard *s, struct txn *t, void *context)
{
    (void)context;
    txn_waiters_answer(s, t, OUT_CLOSED);
}

void txn_on_stop(struct txn_shard *s)
{
    txn_each(s, stop, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The shard: one step at a time. An event goes to its function, which changes ids and notes
 * replies, records and markers in the todo; due timers are looked at by TIMER events only. Running
 * out of memory marks the step as failed; the event's own token is answered even then.
 */
#include "txn/private.h"

#include <stdlib.h>

#define SLOTS_MIN 16

void txn_options_default(struct txn_options *o)
{
    *o = (struct txn_options){
        .max_timeout_ms = 900000,
        .expiration_ms = INT64_C(7) * 24 * 3600 * 1000,
        .retry_ms = 1000,
        .value_version = 1,
    };
}

struct txn_shard *txn_shard_new(const struct txn_options *o)
{
    struct txn_shard *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *o;
    s->slot_count = SLOTS_MIN;
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    if (s->slots == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

static void remove_one(struct txn_shard *s, struct txn *t, void *context)
{
    (void)context;
    txn_remove(s, t);
}

void txn_shard_free(struct txn_shard *s)
{
    if (s == NULL)
        return;
    check(s->waiting == 0);
    txn_each(s, remove_one, NULL);
    heap_fini(&s->timers);
    heap_fini(&s->patience);
    free(s->slots);
    free(s);
}

void txn_count(const struct txn_shard *s, struct txn_counts *counts)
{
    *counts = (struct txn_counts){.ids = s->count, .waiting = s->waiting};
    for (size_t i = 0; i < s->slot_count; i++) {
        for (const struct txn *t = s->slots[i]; t != NULL; t = t->next) {
            counts->open += t->state == STATE_ONGOING;
            counts->completing += txn_prepared(t);
        }
    }
}

/* ---- the step's tools ---- */

void *txn_take(struct txn_shard *s, size_t count, size_t size)
{
    void *at = arena_take_zeroed(s->todo->arena, count, size);
    if (at == NULL)
        s->failed = true;
    return at;
}

struct txn_reply *txn_reply_to(struct txn_shard *s, void *token, enum txn_event_kind kind,
                        enum outcome o)
{
    struct txn_reply *r;
    if (s->own != NULL && token == s->event->token && !s->own_used) {
        r = s->own;
        s->own_used = true;
    } else {
        r = take_array(s, struct txn_reply, 1);
        if (r == NULL)
            return NULL;
    }
    *r = (struct txn_reply){.token = token, .kind = kind, .outcome = o, .producer_id = NO_ID,
                            .epoch = NO_EPOCH};
    *s->todo->replies_end = r;
    s->todo->replies_end = &r->next;
    return r;
}

struct txn_reply *txn_reply_own(struct txn_shard *s, enum outcome o)
{
    return txn_reply_to(s, s->event->token, s->event->kind, o);
}

void txn_record(struct txn_shard *s, struct bytes key, struct bytes value)
{
    struct step_record *r = take_array(s, struct step_record, 1);
    if (r == NULL)
        return;
    r->key = key;
    r->value = value;
    *s->todo->records_end = r;
    s->todo->records_end = &r->next;
    s->todo->record_count++;
}

/* ---- steps ---- */

static void txn_on_timer(struct txn_shard *s)
{
    struct heap_node *n;
    while ((n = heap_first(&s->patience)) != NULL && n->key <= s->event->now_ms && !s->failed)
        txn_waiter_due(s, container_of(n, struct waiter, timer));
    while ((n = heap_first(&s->timers)) != NULL && n->key <= s->event->now_ms && !s->failed) {
        heap_remove(&s->timers, n);
        txn_due(s, container_of(n, struct txn, timer));
    }
}

static void (*const steps[TXN_EVENT_KINDS])(struct txn_shard *) = {
    [TXN_INIT] = txn_on_init,
    [TXN_ADD] = txn_on_add,
    [TXN_VERIFY] = txn_on_verify,
    [TXN_END] = txn_on_end,
    [TXN_DESCRIBE] = txn_on_describe,
    [TXN_LIST] = txn_on_list,
    [TXN_MARKED] = txn_on_marked,
    [TXN_TIMER] = txn_on_timer,
    [TXN_LOAD] = txn_on_load,
    [TXN_LOADED] = txn_on_loaded,
    [TXN_EXPIRE] = txn_on_expire,
    [TXN_STOP] = txn_on_stop,
};

/* The request's own answer when the step could not give it: only for want of memory. */
static void answer_own(struct txn_shard *s)
{
    if (s->own == NULL || s->own_used || s->own_waits)
        return;
    check(s->failed);
    (void)txn_reply_own(s, OUT_NO_MEMORY);
}

static int64_t first_of(const struct heap *h)
{
    const struct heap_node *n = heap_first(h);
    return n == NULL ? INT64_MAX : n->key;
}

void txn_step(struct txn_shard *s, const struct txn_event *e, struct txn_todo *todo)
{
    check(e->kind < TXN_EVENT_KINDS);
    todo->records = NULL;
    todo->records_end = &todo->records;
    todo->record_count = 0;
    todo->replies = NULL;
    todo->replies_end = &todo->replies;
    todo->markers = NULL;
    todo->markers_end = &todo->markers;
    s->event = e;
    s->todo = todo;
    s->own = NULL;
    s->own_used = s->own_waits = s->failed = false;
    if (e->kind <= TXN_LIST) {
        check(e->token != NULL);
        s->own = &todo->own;
    }
    steps[e->kind](s);
    answer_own(s);
    todo->deadline_ms = MIN(first_of(&s->timers), first_of(&s->patience));
    todo->outcome = s->failed ? OUT_NO_MEMORY : OUT_OK;
    s->event = NULL;
    s->todo = NULL;
}

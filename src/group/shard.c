/* SPDX-License-Identifier: MIT */
/*
 * The shard: one step at a time. An event goes to its function, which changes groups and notes
 * replies and records in the todo; due timers are looked at by TIMER events only. Running out of
 * memory marks the step as failed; the event's own token is answered even then.
 */
#include "group/private.h"

#include <stdlib.h>

#define SLOTS_MIN 16

void group_options_default(struct group_options *o)
{
    *o = (struct group_options){
        .session_min_ms = 6000,
        .session_max_ms = 1800000,
        .initial_delay_ms = 3000,
        .members_max = INT32_MAX,
        .metadata_max = 4096,
        .retention_ms = INT64_C(7) * 24 * 3600 * 1000,
    };
}

struct group_shard *group_shard_new(const struct group_options *o)
{
    struct group_shard *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *o;
    s->slot_count = SLOTS_MIN;
    list_init(&s->open_txns);
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    if (s->slots == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

static void remove_one(struct group *g, void *context)
{
    (void)context;
    group_remove(g);
}

void group_shard_free(struct group_shard *s)
{
    if (s == NULL)
        return;
    check(s->waiting == 0);
    group_each(s, remove_one, NULL);
    heap_fini(&s->timers);
    free(s->slots);
    free(s);
}

void group_count(const struct group_shard *s, struct group_counts *counts)
{
    *counts = (struct group_counts){.groups = s->group_count, .waiting = s->waiting,
                                    .rebalances = s->rebalances};
    for (size_t i = 0; i < s->slot_count; i++) {
        for (const struct group *g = s->slots[i]; g != NULL; g = g->next) {
            counts->members += g->member_count;
            counts->offsets += g->offset_count;
        }
    }
}

/* ---- the step's tools ---- */

void *take(struct group_shard *s, size_t count, size_t size)
{
    void *at = arena_take_zeroed(s->arena, count, size);
    if (at == NULL)
        s->failed = true;
    return at;
}

struct bytes keep(struct group_shard *s, struct bytes b)
{
    if (b.at == NULL)
        return b;
    uint8_t *at = malloc(b.size + 1);
    if (at == NULL) {
        s->failed = true;
        return (struct bytes){0};
    }
    if (b.size > 0)
        memcpy(at, b.at, b.size);
    at[b.size] = 0;
    return bytes_view(at, b.size);
}

void let_go(struct bytes *b)
{
    free((void *)(uintptr_t)b->at);
    *b = (struct bytes){0};
}

struct group_reply *reply(struct group_shard *s, void *token, enum group_event_kind kind,
                          enum outcome o)
{
    struct group_reply *r;
    if (s->own != NULL && token == s->event->token && !s->own_used) {
        r = s->own;
        s->own_used = true;
    } else {
        r = take_array(s, struct group_reply, 1);
        if (r == NULL)
            return NULL;
    }
    *r = (struct group_reply){.token = token, .kind = kind, .outcome = o};
    if (kind == GROUP_JOIN)
        r->joined.generation = -1;
    *s->todo->replies_end = r;
    s->todo->replies_end = &r->next;
    return r;
}

void record(struct group_shard *s, struct bytes key, struct bytes value)
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

void timer_set(struct group_shard *s, struct timer *t, enum timer_kind kind, int64_t ms_from_now)
{
    heap_remove(&s->timers, &t->node);
    t->kind = kind;
    if (heap_add(&s->timers, &t->node, s->event->now_ms + ms_from_now) != OUT_OK)
        s->failed = true;
}

void timer_cancel(struct group_shard *s, struct timer *t)
{
    heap_remove(&s->timers, &t->node);
}

/* ---- steps ---- */

static void step_timer(struct group_shard *s)
{
    for (;;) {
        struct heap_node *n = heap_first(&s->timers);
        if (n == NULL || n->key > s->event->now_ms || s->failed)
            return;
        heap_remove(&s->timers, n);
        rebalance_timer(s, container_of(n, struct timer, node));
    }
}

static void (*const steps[GROUP_EVENT_KINDS])(struct group_shard *) = {
    [GROUP_JOIN] = step_join,
    [GROUP_SYNC] = step_sync,
    [GROUP_HEARTBEAT] = step_heartbeat,
    [GROUP_LEAVE] = step_leave,
    [GROUP_OFFSET_COMMIT] = step_commit,
    [GROUP_OFFSET_FETCH] = step_fetch,
    [GROUP_OFFSET_DELETE] = step_offset_delete,
    [GROUP_DESCRIBE] = step_describe,
    [GROUP_LIST] = step_list,
    [GROUP_DELETE] = step_delete,
    [GROUP_TXN_COMMIT] = step_txn_commit,
    [GROUP_TXN_END] = step_txn_end,
    [GROUP_TIMER] = step_timer,
    [GROUP_LOAD] = step_load,
    [GROUP_LOADED] = step_loaded,
    [GROUP_CANCEL] = step_cancel,
    [GROUP_TOPIC_DELETED] = step_topic_deleted,
    [GROUP_EXPIRE] = step_expire,
    [GROUP_STOP] = step_stop,
};

/* The request's own answer when the step could not give it: only for want of memory. */
static void answer_own(struct group_shard *s)
{
    if (s->own == NULL || s->own_used || s->own_waits)
        return;
    check(s->failed);
    (void)reply(s, s->event->token, s->event->kind, OUT_NO_MEMORY);
}

void group_step(struct group_shard *s, const struct group_event *e, struct group_todo *todo)
{
    check(e->kind < GROUP_EVENT_KINDS);
    todo->records = NULL;
    todo->records_end = &todo->records;
    todo->record_count = 0;
    todo->producer_id = -1;
    todo->producer_epoch = -1;
    todo->marker = NULL;
    todo->replies = NULL;
    todo->replies_end = &todo->replies;
    s->event = e;
    s->todo = todo;
    s->arena = todo->arena;
    s->own = NULL;
    s->own_used = s->own_waits = s->failed = false;
    if (e->kind <= GROUP_TXN_END) {
        check(e->token != NULL);
        s->own = &todo->own;
    }
    steps[e->kind](s);
    answer_own(s);
    const struct heap_node *first = heap_first(&s->timers);
    todo->deadline_ms = first == NULL ? INT64_MAX : first->key;
    todo->outcome = s->failed ? OUT_NO_MEMORY : OUT_OK;
    s->event = NULL;
    s->todo = NULL;
}

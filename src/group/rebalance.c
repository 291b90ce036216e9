/* SPDX-License-Identifier: MIT */
/*
 * The rebalance: members join until all have, or the largest rebalance timeout is over; then the
 * next generation begins, joins are answered, and the leader's assignment is awaited. An empty
 * group waits a moment for more members first (group.initial.rebalance.delay.ms), again while more
 * come.
 */
#include "group/private.h"

#define MEMBER_OF(n) container_of(n, struct member, node)

int32_t group_rebalance_ms(const struct group *g)
{
    int32_t most = 0;
    list_each(node, &g->members)
        most = MAX(most, MEMBER_OF(node)->rebalance_ms);
    return most;
}

static bool all_joined(const struct group *g)
{
    return g->joining == g->member_count && g->pending_count == 0;
}

static struct member *first_joined(const struct group *g)
{
    list_each(node, &g->members) {
        if (MEMBER_OF(node)->join_token != NULL)
            return MEMBER_OF(node);
    }
    return NULL;
}

/* The leader has to be one that has joined; false: nobody has. */
static bool elect(struct group *g)
{
    if (g->leader != NULL && g->leader->join_token != NULL)
        return true;
    struct member *m = first_joined(g);
    if (m != NULL)
        g->leader = m;
    return m != NULL;
}

static void drop_absent(struct group *g)
{
    list_each_safe(node, after, &g->members) {
        struct member *m = MEMBER_OF(node);
        if (m->join_token == NULL && m->instance_id.at == NULL)
            member_remove(m, OUT_UNKNOWN_MEMBER);
    }
}

static void next_generation(struct group *g)
{
    struct group_shard *s = g->shard;
    g->generation++;
    let_go(&g->protocol_name);
    if (g->member_count > 0) {
        g->protocol_name = keep(s, protocol_vote(g));
        group_set_state(g, STATE_COMPLETING);
    } else {
        group_set_state(g, STATE_EMPTY);
    }
    subscription_refresh(g);
}

/* Ends the joining. Static members that are absent keep their place until their session ends. */
static void complete(struct group *g)
{
    struct group_shard *s = g->shard;
    timer_cancel(s, &g->join_timer);
    g->initial = g->member_added = false;
    drop_absent(g);
    if (g->member_count > 0 && !elect(g)) {
        timer_set(s, &g->join_timer, TIMER_JOIN, MAX(group_rebalance_ms(g), 1));
        return;
    }
    next_generation(g);
    if (g->state == STATE_EMPTY) {
        record_group(g);
        return;
    }
    list_each(node, &g->members) {
        struct member *m = MEMBER_OF(node);
        member_end_join(m, OUT_OK);
        member_alive(m);
        m->is_new = false;
        m->owes_sync = true;
    }
    timer_set(s, &g->sync_timer, TIMER_SYNC, MAX(group_rebalance_ms(g), 1));
}

static void complete_or_wait(struct group *g)
{
    if (all_joined(g))
        complete(g);
    else
        timer_set(g->shard, &g->join_timer, TIMER_JOIN, MAX(group_rebalance_ms(g), 1));
}

/* Those that wait for an assignment have to join again. */
static void reset_assignments(struct group *g)
{
    list_each(node, &g->members) {
        struct member *m = MEMBER_OF(node);
        let_go(&m->assignment);
        m->assignment = keep(g->shard, bytes_of(""));
        if (m->sync_token != NULL) {
            member_end_sync(m, OUT_REBALANCE_IN_PROGRESS);
            member_alive(m);
        }
    }
}

void rebalance_begin(struct group *g)
{
    struct group_shard *s = g->shard;
    if (g->state == STATE_COMPLETING)
        reset_assignments(g);
    timer_cancel(s, &g->sync_timer);
    bool initial = g->state == STATE_EMPTY;
    group_set_state(g, STATE_PREPARING);
    if (!initial) {
        complete_or_wait(g);
        return;
    }
    g->initial = true;
    g->member_added = false;
    g->delay_ms = s->options.initial_delay_ms;
    g->remaining_ms = MAX(group_rebalance_ms(g) - g->delay_ms, 0);
    timer_set(s, &g->join_timer, TIMER_JOIN, g->delay_ms);
}

void rebalance_complete_if_joined(struct group *g)
{
    if (g->state == STATE_PREPARING && g->previous != STATE_EMPTY && all_joined(g))
        complete(g);
}

void rebalance_or_complete(struct group *g)
{
    if (g->state == STATE_PREPARING)
        rebalance_complete_if_joined(g);
    else
        rebalance_begin(g);
}

/* ---- timers ---- */

static void join_over(struct group *g)
{
    if (g->initial && g->member_added && g->remaining_ms > 0) {
        int32_t delay = MIN(g->shard->options.initial_delay_ms, g->remaining_ms);
        g->member_added = false;
        g->remaining_ms = MAX(g->remaining_ms - g->delay_ms, 0);
        g->delay_ms = delay;
        timer_set(g->shard, &g->join_timer, TIMER_JOIN, delay);
        return;
    }
    complete(g);
}

/* Who has not asked for its assignment in time is out. */
static void sync_over(struct group *g)
{
    bool late = false;
    list_each_safe(node, after, &g->members) {
        struct member *m = MEMBER_OF(node);
        if (m->owes_sync) {
            late = true;
            member_remove(m, OUT_UNKNOWN_MEMBER);
        }
    }
    if (late)
        rebalance_begin(g);
}

static void session_over(struct member *m)
{
    struct group *g = m->group;
    /* Waiting for the others is as good as a heartbeat, but for a new member see NEW_MEMBER_MS. */
    if (!m->is_new && (m->join_token != NULL || m->sync_token != NULL))
        return;
    member_remove(m, OUT_UNKNOWN_MEMBER);
    rebalance_or_complete(g);
}

void rebalance_timer(struct group_shard *s, struct timer *t)
{
    (void)s;
    struct group *g;
    struct pending *p;
    switch (t->kind) {
    case TIMER_SESSION:
        session_over(container_of(t, struct member, session));
        break;
    case TIMER_PENDING:
        p = container_of(t, struct pending, timer);
        g = p->group;
        pending_remove(p);
        rebalance_complete_if_joined(g);
        break;
    case TIMER_JOIN:
        join_over(container_of(t, struct group, join_timer));
        break;
    case TIMER_SYNC:
        sync_over(container_of(t, struct group, sync_timer));
        break;
    }
}

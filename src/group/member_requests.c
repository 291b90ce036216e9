/* SPDX-License-Identifier: MIT */
/*
 * What members say once they are in: SyncGroup, Heartbeat, LeaveGroup; and requests that wait no
 * more.
 */
#include "group/private.h"

#define MEMBER_OF(n) container_of(n, struct member, node)

static void answer(struct group_shard *s, enum outcome o)
{
    (void)reply(s, s->event->token, s->event->kind, o);
}

/* ---- sync ---- */

static bool differ(struct bytes asked, struct bytes is)
{
    return asked.at != NULL && is.at != NULL && !bytes_equal(asked, is);
}

static struct bytes assignment_of(const struct group_sync *sync, struct bytes member_id)
{
    for (size_t i = 0; i < sync->assignment_count; i++) {
        if (bytes_equal(sync->assignments[i].member_id, member_id))
            return sync->assignments[i].assignment;
    }
    return bytes_of("");
}

/* The leader's assignment: everybody's share is set and recorded, all that wait are answered when
 * the record is durable. Members it does not name get nothing. */
static void assign(struct group *g, const struct group_sync *sync)
{
    struct group_shard *s = g->shard;
    list_each(node, &g->members) {
        struct member *m = MEMBER_OF(node);
        struct bytes share = assignment_of(sync, m->id);
        let_go(&m->assignment);
        m->assignment = keep(s, share.at == NULL ? bytes_of("") : share);
    }
    group_set_state(g, STATE_STABLE);
    record_group(g);
    struct group_reply **from = s->todo->replies_end;
    list_each(node, &g->members) {
        struct member *m = MEMBER_OF(node);
        if (m->sync_token == NULL)
            continue;
        member_end_sync(m, OUT_OK);
        member_alive(m);
    }
    for (struct group_reply *r = *from; r != NULL; r = r->next)
        r->after_records = true;
}

static enum outcome sync_check(const struct group *g, const struct group_sync *sync)
{
    if (g == NULL)
        return OUT_UNKNOWN_MEMBER;
    enum outcome o = member_check(g, sync->member_id, sync->instance_id);
    if (o != OUT_OK)
        return o;
    if (sync->generation != g->generation)
        return OUT_ILLEGAL_GENERATION;
    if (differ(sync->protocol_type, g->protocol_type) ||
        differ(sync->protocol_name, g->protocol_name))
        return OUT_INCONSISTENT_PROTOCOL;
    return g->state == STATE_PREPARING ? OUT_REBALANCE_IN_PROGRESS : OUT_OK;
}

void step_sync(struct group_shard *s)
{
    const struct group_sync *sync = &s->event->sync;
    struct group *g = group_find(s, s->event->group_id);
    enum outcome o = s->event->group_id.size == 0 ? OUT_INVALID_GROUP_ID : sync_check(g, sync);
    if (o != OUT_OK) {
        answer(s, o);
        return;
    }
    struct member *m = member_find(g, sync->member_id);
    m->owes_sync = false;
    member_wait_sync(m, s->event->token);
    if (g->state == STATE_STABLE) {
        member_end_sync(m, OUT_OK);
        member_alive(m);
    } else if (g->leader == m) {
        assign(g, sync);
    }
}

/* ---- heartbeat ---- */

static enum outcome heartbeat(struct group *g, const struct group_heartbeat *h)
{
    if (g == NULL)
        return OUT_UNKNOWN_MEMBER;
    enum outcome o = member_check(g, h->member_id, h->instance_id);
    if (o != OUT_OK)
        return o;
    if (h->generation != g->generation)
        return OUT_ILLEGAL_GENERATION;
    member_alive(member_find(g, h->member_id));
    return g->state == STATE_PREPARING ? OUT_REBALANCE_IN_PROGRESS : OUT_OK;
}

void step_heartbeat(struct group_shard *s)
{
    if (s->event->group_id.size == 0)
        answer(s, OUT_INVALID_GROUP_ID);
    else
        answer(s, heartbeat(group_find(s, s->event->group_id), &s->event->heartbeat));
}

/* ---- leave ---- */

/* One leaver. An administrator may name an instance id alone. */
static enum outcome leave(struct group *g, const struct group_leaver *l, bool *left)
{
    if (l->member_id.size == 0) {
        struct member *m = member_of_instance(g, l->instance_id);
        if (m == NULL)
            return OUT_UNKNOWN_MEMBER;
        member_remove(m, OUT_UNKNOWN_MEMBER);
        *left = true;
        return OUT_OK;
    }
    struct pending *p = pending_find(g, l->member_id);
    if (p != NULL) {
        pending_remove(p);
        rebalance_complete_if_joined(g);
        return OUT_OK;
    }
    enum outcome o = member_check(g, l->member_id, l->instance_id);
    if (o != OUT_OK)
        return o;
    member_remove(member_find(g, l->member_id), OUT_UNKNOWN_MEMBER);
    *left = true;
    return OUT_OK;
}

void step_leave(struct group_shard *s)
{
    const struct group_leave *asked = &s->event->leave;
    struct group *g = group_find(s, s->event->group_id);
    if (s->event->group_id.size == 0) {
        answer(s, OUT_INVALID_GROUP_ID);
        return;
    }
    enum outcome *each = take_array(s, enum outcome, asked->leaver_count);
    struct group_reply *r = each == NULL ? NULL : reply(s, s->event->token, GROUP_LEAVE, OUT_OK);
    if (r == NULL)
        return;
    r->each = each;
    r->each_count = asked->leaver_count;
    bool left = false;
    for (size_t i = 0; i < asked->leaver_count; i++)
        each[i] = g == NULL ? OUT_UNKNOWN_MEMBER : leave(g, &asked->leavers[i], &left);
    if (left && g->state != STATE_EMPTY)
        rebalance_or_complete(g);
}

/* ---- requests that wait no more ---- */

struct ending {
    void *token; /* NULL: all of them */
};

/* The member stays: its session ends by itself if it is gone. That of a new member begins here,
 * too: the others wait for it, and not for as long as it might have waited for them. */
static void end_waits(struct group *g, void *context)
{
    const struct ending *ending = context;
    list_each(node, &g->members) {
        struct member *m = MEMBER_OF(node);
        if (ending->token == NULL || m->join_token == ending->token) {
            bool waited = m->join_token != NULL;
            member_end_join(m, OUT_CLOSED);
            if (waited)
                member_alive(m);
        }
        if (ending->token == NULL || m->sync_token == ending->token) {
            bool waited = m->sync_token != NULL;
            member_end_sync(m, OUT_CLOSED);
            if (waited)
                member_alive(m);
        }
    }
}

void step_cancel(struct group_shard *s)
{
    struct ending ending = {.token = s->event->token};
    check(ending.token != NULL);
    struct group *g = group_find(s, s->event->group_id);
    if (g != NULL)
        end_waits(g, &ending);
}

void step_stop(struct group_shard *s)
{
    struct ending ending = {0};
    group_each(s, end_waits, &ending);
}

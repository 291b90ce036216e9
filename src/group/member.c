/* SPDX-License-Identifier: MIT */
/*
 * Members of a group: who is in, who waits for what, and the end of their sessions. A member that
 * goes takes its waiting requests with it: each is answered.
 */
#include "group/private.h"

#include <stdlib.h>

/* A new member can't send heartbeats before its first join is answered, and its connection is mute
 * meanwhile: without a limit every retry of a client that went away would leave a ghost. */
#define NEW_MEMBER_MS (5 * 60 * 1000)

struct member *member_find(const struct group *g, struct bytes id)
{
    uint64_t hash = bytes_hash(id);
    list_each(node, &g->members) {
        struct member *m = container_of(node, struct member, node);
        if (m->id_hash == hash && bytes_equal(m->id, id))
            return m;
    }
    return NULL;
}

struct member *member_of_instance(const struct group *g, struct bytes instance_id)
{
    if (instance_id.at == NULL)
        return NULL;
    list_each(node, &g->members) {
        struct member *m = container_of(node, struct member, node);
        if (bytes_equal(m->instance_id, instance_id))
            return m;
    }
    return NULL;
}

struct pending *pending_find(const struct group *g, struct bytes id)
{
    list_each(node, &g->pendings) {
        struct pending *p = container_of(node, struct pending, node);
        if (bytes_equal(p->id, id))
            return p;
    }
    return NULL;
}

void pending_add(struct group *g, struct bytes id, int32_t session_ms)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL) {
        g->shard->failed = true;
        return;
    }
    p->id = keep(g->shard, id);
    p->group = g;
    list_push(&g->pendings, &p->node);
    g->pending_count++;
    timer_set(g->shard, &p->timer, TIMER_PENDING, session_ms);
}

void pending_remove(struct pending *p)
{
    timer_cancel(p->group->shard, &p->timer);
    list_remove(&p->node);
    p->group->pending_count--;
    let_go(&p->id);
    free(p);
}

static void protocols_free(struct group_protocol *protocols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        let_go(&protocols[i].name);
        let_go(&protocols[i].metadata);
    }
    free(protocols);
}

/* Copies of a join's protocols; NULL: out of memory. */
static struct group_protocol *protocols_keep(struct group_shard *s, const struct group_join *j)
{
    struct group_protocol *kept = calloc(j->protocol_count + 1, sizeof *kept);
    if (kept == NULL) {
        s->failed = true;
        return NULL;
    }
    bool good = true;
    for (size_t i = 0; i < j->protocol_count; i++) {
        kept[i].name = keep(s, j->protocols[i].name);
        kept[i].metadata = keep(s, j->protocols[i].metadata);
        good = good && kept[i].name.at != NULL && kept[i].metadata.at != NULL;
    }
    if (good)
        return kept;
    s->failed = true;
    protocols_free(kept, j->protocol_count);
    return NULL;
}

static void member_free(struct member *m)
{
    protocols_free(m->protocols, m->protocol_count);
    let_go(&m->assignment);
    let_go(&m->client_host);
    let_go(&m->client_id);
    let_go(&m->instance_id);
    let_go(&m->id);
    free(m);
}

struct member *member_add(struct group *g, struct bytes id, const struct group_join *j)
{
    struct group_shard *s = g->shard;
    struct member *m = calloc(1, sizeof *m);
    if (m == NULL) {
        s->failed = true;
        return NULL;
    }
    m->id = keep(s, id);
    m->instance_id = keep(s, j->instance_id);
    m->client_id = keep(s, j->client_id.at == NULL ? bytes_of("") : j->client_id);
    m->client_host = keep(s, j->client_host.at == NULL ? bytes_of("") : j->client_host);
    m->assignment = keep(s, bytes_of(""));
    m->protocols = protocols_keep(s, j);
    if (g->member_count == 0) {
        let_go(&g->protocol_type);
        g->protocol_type = keep(s, j->protocol_type);
    }
    if (s->failed) {
        member_free(m);
        return NULL;
    }
    m->group = g;
    m->id_hash = bytes_hash(id);
    m->protocol_count = j->protocol_count;
    m->session_ms = j->session_ms;
    m->rebalance_ms = j->rebalance_ms < 0 ? j->session_ms : j->rebalance_ms;
    m->is_new = true;
    list_push(&g->members, &m->node);
    g->member_count++;
    if (g->leader == NULL)
        g->leader = m;
    return m;
}

bool member_update(struct member *m, const struct group_join *j)
{
    struct group_protocol *protocols = protocols_keep(m->group->shard, j);
    if (protocols == NULL)
        return false;
    protocols_free(m->protocols, m->protocol_count);
    m->protocols = protocols;
    m->protocol_count = j->protocol_count;
    m->session_ms = j->session_ms;
    m->rebalance_ms = j->rebalance_ms < 0 ? j->session_ms : j->rebalance_ms;
    return true;
}

void member_remove(struct member *m, enum outcome o)
{
    struct group *g = m->group;
    member_end_join(m, o);
    member_end_sync(m, o);
    timer_cancel(g->shard, &m->session);
    list_remove(&m->node);
    g->member_count--;
    if (g->leader == m) {
        g->leader = list_empty(&g->members)
                        ? NULL : container_of(g->members.next, struct member, node);
    }
    member_free(m);
}

void member_rename(struct member *m, struct bytes id)
{
    struct bytes kept = keep(m->group->shard, id);
    if (kept.at == NULL)
        return;
    let_go(&m->id);
    m->id = kept;
    m->id_hash = bytes_hash(id);
}

/* Notes that the event's request waits. */
static void wait_for(struct group_shard *s, void *token)
{
    check(token == s->event->token);
    s->own_waits = true;
    s->waiting++;
}

void member_wait_join(struct member *m, void *token)
{
    /* The client gave up on the earlier request and asks again: that answer is of no use, but
     * every request gets one. */
    member_end_join(m, OUT_REBALANCE_IN_PROGRESS);
    wait_for(m->group->shard, token);
    m->join_token = token;
    m->group->joining++;
    if (m->is_new)
        timer_set(m->group->shard, &m->session, TIMER_SESSION, NEW_MEMBER_MS);
}

void member_wait_sync(struct member *m, void *token)
{
    member_end_sync(m, OUT_REBALANCE_IN_PROGRESS);
    wait_for(m->group->shard, token);
    m->sync_token = token;
}

/* A request that waited in this very step is answered in it after all. */
static struct group_reply *end_wait(struct group_shard *s, void *token,
                                    enum group_event_kind kind, enum outcome o)
{
    struct group_reply *r = reply(s, token, kind, o);
    if (r == NULL)
        return NULL;
    s->waiting--;
    if (token == s->event->token)
        s->own_waits = false;
    return r;
}

void member_end_join(struct member *m, enum outcome o)
{
    struct group *g = m->group;
    if (m->join_token == NULL)
        return;
    struct group_reply *r = end_wait(g->shard, m->join_token, GROUP_JOIN, o);
    if (r == NULL)
        return;
    m->join_token = NULL;
    g->joining--;
    if (o == OUT_OK)
        joined_fill(r, m, g->leader == m);
    else if (o != OUT_UNKNOWN_MEMBER)
        r->joined.member_id = arena_copy(g->shard->arena, m->id);
}

void member_end_sync(struct member *m, enum outcome o)
{
    struct group *g = m->group;
    if (m->sync_token == NULL)
        return;
    struct group_reply *r = end_wait(g->shard, m->sync_token, GROUP_SYNC, o);
    if (r == NULL)
        return;
    m->sync_token = NULL;
    if (o != OUT_OK)
        return;
    r->synced.protocol_type = arena_copy(g->shard->arena, g->protocol_type);
    r->synced.protocol_name = arena_copy(g->shard->arena, g->protocol_name);
    r->synced.assignment = arena_copy(g->shard->arena, m->assignment);
}

void member_alive(struct member *m)
{
    timer_set(m->group->shard, &m->session, TIMER_SESSION, m->session_ms);
}

enum outcome member_check(const struct group *g, struct bytes id, struct bytes instance_id)
{
    if (instance_id.at != NULL) {
        const struct member *m = member_of_instance(g, instance_id);
        if (m == NULL)
            return OUT_UNKNOWN_MEMBER;
        if (!bytes_equal(m->id, id))
            return OUT_FENCED_INSTANCE;
    }
    return member_find(g, id) == NULL ? OUT_UNKNOWN_MEMBER : OUT_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * JoinGroup. The happy path: a member comes (with the id it was given, KIP-394), is added, a
 * rebalance begins or goes on, and rebalance.c answers when everybody has joined. A static member
 * (KIP-345) that comes back under a new id takes over its old place without a rebalance.
 */
#include "group/private.h"

static void refuse(struct group_shard *s, enum outcome o, struct bytes member_id)
{
    struct group_reply *r = reply(s, s->event->token, GROUP_JOIN, o);
    if (r != NULL)
        r->joined.member_id = arena_copy(s->arena, member_id);
}

static void members_fill(struct group_reply *r, const struct group *g)
{
    struct group_joined_member *out = take_array(g->shard, struct group_joined_member,
                                                 g->member_count);
    if (out == NULL)
        return;
    r->joined.members = out;
    list_each(node, &g->members) {
        const struct member *m = container_of(node, struct member, node);
        *out++ = (struct group_joined_member){
            .member_id = arena_copy(g->shard->arena, m->id),
            .instance_id = arena_copy(g->shard->arena, m->instance_id),
            .metadata = arena_copy(g->shard->arena, protocol_metadata(m, g->protocol_name)),
        };
    }
    r->joined.member_count = g->member_count;
}

void joined_fill(struct group_reply *r, const struct member *m, bool with_members)
{
    const struct group *g = m->group;
    struct arena *a = g->shard->arena;
    r->joined.generation = g->generation;
    r->joined.protocol_type = arena_copy(a, g->protocol_type);
    r->joined.protocol_name = arena_copy(a, g->protocol_name);
    r->joined.leader = arena_copy(a, g->leader == NULL ? bytes_of("") : g->leader->id);
    r->joined.member_id = arena_copy(a, m->id);
    if (with_members)
        members_fill(r, g);
}

/* Answers a join that changes nothing with the generation that is. */
static void answer_current(struct member *m, bool with_members)
{
    struct group_shard *s = m->group->shard;
    struct group_reply *r = reply(s, s->event->token, GROUP_JOIN, OUT_OK);
    if (r != NULL)
        joined_fill(r, m, with_members);
}

/* Kafka's form of a member id: client or instance id, and a UUID in Java's text. */
static struct bytes fresh_id(struct group_shard *s, const struct group_join *j)
{
    struct bytes prefix = j->instance_id.at != NULL ? j->instance_id : j->client_id;
    const uint8_t *b = j->fresh.b;
    struct bytes id = arena_print(
        s->arena, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        (int)MIN(prefix.size, (size_t)INT16_MAX), prefix.at == NULL ? "" : (const char *)prefix.at,
        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15]);
    if (id.at == NULL)
        s->failed = true;
    return id;
}

/* Whether the group has room for this member. While members are joining, those that have done so
 * count: the others may never come back. */
static bool room_for(const struct group *g, struct bytes member_id)
{
    size_t most = (size_t)MAX(g->shard->options.members_max, 0);
    const struct member *m = member_find(g, member_id);
    if (g->state == STATE_EMPTY)
        return true;
    if (g->state == STATE_PREPARING)
        return (m != NULL && m->join_token != NULL) || g->joining < most;
    return m != NULL || g->member_count < most;
}

static void add_and_rebalance(struct group *g, struct bytes id, const struct group_join *j)
{
    struct group_shard *s = g->shard;
    if (g->state == STATE_PREPARING && g->previous == STATE_EMPTY)
        g->member_added = true;
    struct pending *p = pending_find(g, id);
    struct member *m = member_add(g, id, j);
    if (m == NULL)
        return;
    if (p != NULL)
        pending_remove(p);
    member_wait_join(m, s->event->token);
    rebalance_or_complete(g);
}

static void update_and_rebalance(struct member *m, const struct group_join *j)
{
    struct group *g = m->group;
    if (!member_update(m, j))
        return;
    member_wait_join(m, g->shard->event->token);
    rebalance_or_complete(g);
}

/* The old holder of an instance id is replaced: whatever it waits for is fenced. */
static void replace_static(struct member *m, struct bytes id, const struct group_join *j)
{
    struct group *g = m->group;
    struct group_shard *s = g->shard;
    bool leads = g->leader == m;
    struct bytes old_leader = arena_copy(s->arena,
                                         g->leader == NULL ? bytes_of("") : g->leader->id);
    member_end_join(m, OUT_FENCED_INSTANCE);
    member_end_sync(m, OUT_FENCED_INSTANCE);
    if (!member_update(m, j))
        return;
    member_rename(m, id);
    member_alive(m);
    if (g->state == STATE_STABLE && bytes_equal(protocol_vote(g), g->protocol_name)) {
        struct group_reply *r = reply(s, s->event->token, GROUP_JOIN, OUT_OK);
        record_group(g);
        if (r == NULL)
            return;
        r->after_records = true;
        joined_fill(r, m, leads && j->can_skip_assignment);
        r->joined.skip_assignment = leads && j->can_skip_assignment;
        /* An older client must not think that it leads: it would assign anew. */
        if (!j->can_skip_assignment)
            r->joined.leader = old_leader;
        return;
    }
    member_wait_join(m, s->event->token);
    rebalance_or_complete(g);
}

static void join_new(struct group *g, const struct group_join *j)
{
    struct group_shard *s = g->shard;
    if (!protocols_supported(g, j)) {
        refuse(s, OUT_INCONSISTENT_PROTOCOL, bytes_of(""));
        return;
    }
    struct bytes id = fresh_id(s, j);
    if (s->failed)
        return;
    struct member *old = member_of_instance(g, j->instance_id);
    if (old != NULL) {
        replace_static(old, id, j);
    } else if (j->instance_id.at == NULL && j->id_required) {
        pending_add(g, id, j->session_ms);
        refuse(s, OUT_MEMBER_ID_REQUIRED, id);
    } else {
        add_and_rebalance(g, id, j);
    }
}

/* A member of the group joins again. */
static void rejoin(struct member *m, const struct group_join *j)
{
    struct group *g = m->group;
    bool same = protocols_match(m, j);
    switch (g->state) {
    case STATE_PREPARING:
        update_and_rebalance(m, j);
        break;
    case STATE_COMPLETING:
        /* With the same metadata it only missed the answer. */
        if (same)
            answer_current(m, g->leader == m);
        else
            update_and_rebalance(m, j);
        break;
    case STATE_STABLE:
        /* The leader may know of a change that only it sees (topic metadata). */
        if (g->leader == m || !same)
            update_and_rebalance(m, j);
        else
            answer_current(m, false);
        break;
    case STATE_EMPTY:
    case STATE_DEAD:
    case STATES:
        impossible("a member of a group that has none");
    }
}

static void join_known(struct group *g, const struct group_join *j)
{
    struct group_shard *s = g->shard;
    if (!protocols_supported(g, j)) {
        refuse(s, OUT_INCONSISTENT_PROTOCOL, j->member_id);
        return;
    }
    if (pending_find(g, j->member_id) != NULL && j->instance_id.at == NULL) {
        add_and_rebalance(g, j->member_id, j);
        return;
    }
    enum outcome o = member_check(g, j->member_id, j->instance_id);
    if (o != OUT_OK)
        refuse(s, o, j->member_id);
    else
        rejoin(member_find(g, j->member_id), j);
}

void step_join(struct group_shard *s)
{
    const struct group_event *e = s->event;
    const struct group_join *j = &e->join;
    struct group *g = group_find(s, e->group_id);
    bool fresh = g == NULL;
    if (e->group_id.size == 0) {
        refuse(s, OUT_INVALID_GROUP_ID, j->member_id);
        return;
    }
    if (j->session_ms < s->options.session_min_ms || j->session_ms > s->options.session_max_ms) {
        refuse(s, OUT_INVALID_SESSION_TIMEOUT, j->member_id);
        return;
    }
    if (g == NULL && j->member_id.size > 0) {
        refuse(s, OUT_UNKNOWN_MEMBER, j->member_id);
        return;
    }
    if (g == NULL)
        g = group_make(s, e->group_id);
    if (g == NULL)
        return;
    if (fresh)
        record_group(g); /* so that it exists after a restart, as Kafka writes it */
    if (!room_for(g, j->member_id)) {
        struct pending *p = pending_find(g, j->member_id);
        if (p != NULL)
            pending_remove(p);
        refuse(s, OUT_GROUP_MAX_SIZE, bytes_of(""));
    } else if (j->member_id.size == 0) {
        join_new(g, j);
    } else {
        join_known(g, j);
    }
}

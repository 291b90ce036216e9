/* SPDX-License-Identifier: MIT */
/*
 * Loading: the records of the log, in order, make the groups. A group with members is Stable: they
 * kept their assignments while the broker was away, and have a session's time to come back. Records
 * of other kinds (new-protocol groups, share groups, ...) are left alone.
 */
#include "group/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#define OFFSET_KEY_LAST 1 /* 0 is the oldest form of the same */
#define GROUP_KEY 2

/* The int16 that keys and values begin with; false: too short. */
static bool split(struct bytes *b, int *prefix)
{
    if (b->size < 2)
        return false;
    *prefix = (int16_t)get_be16(b->at);
    *b = bytes_view(b->at + 2, b->size - 2);
    return true;
}

/* Decodes the value of a record; false: it cannot be read (then it counts as not there). */
static bool decode(struct group_shard *s, const struct wire_message *message, struct bytes b,
                   void *out)
{
    int version;
    if (!split(&b, &version) || !wire_has_version(message, version))
        return false;
    enum outcome o = wire_decode(message, version, b, s->arena, out, NULL);
    if (o == OUT_NO_MEMORY)
        s->failed = true;
    return o == OUT_OK;
}

static void load_offset(struct group_shard *s, struct bytes key, struct bytes value)
{
    struct offset_commit_key k;
    struct offset_commit_value v;
    if (wire_decode(&wire_offset_commit_key, 0, key, s->arena, &k, NULL) != OUT_OK)
        return;
    struct group *g = group_find(s, k.group);
    if (value.at == NULL) {
        struct committed *c = g == NULL ? NULL : offset_find(g, k.topic, k.partition);
        if (g != NULL)
            (void)open_txns_forget(g, k.topic, k.partition);
        if (c != NULL)
            offset_remove(g, c);
        return;
    }
    if (!decode(s, &wire_offset_commit_value, value, &v))
        return;
    if (g == NULL)
        g = group_make(s, k.group);
    if (g == NULL)
        return;
    struct group_offset o = {.topic = k.topic, .partition = k.partition, .offset = v.offset,
                             .leader_epoch = v.leader_epoch, .metadata = v.metadata,
                             .topic_id = v.topic_id};
    if (s->event->load.transactional) {
        load_promised(g, s->event->load.producer_id, &o, v.commit_timestamp);
        return;
    }
    struct committed *c = offset_put(g, &o);
    if (c == NULL)
        return;
    c->commit_ms = v.commit_timestamp;
    c->expire_ms = v.expire_timestamp;
}

/* Back to a group that only holds offsets. */
static void reset(struct group *g)
{
    list_each_safe(node, after, &g->members)
        member_remove(container_of(node, struct member, node), OUT_UNKNOWN_MEMBER);
    subscription_forget(g);
    let_go(&g->protocol_type);
    let_go(&g->protocol_name);
    g->generation = 0;
    g->state = g->previous = STATE_EMPTY;
}

static void load_member(struct group *g, const struct group_metadata_value *v,
                        const struct group_metadata_value_members *in)
{
    struct group_protocol protocol = {
        .name = v->protocol.at == NULL ? bytes_of("") : v->protocol, .metadata = in->subscription};
    struct group_join j = {
        .instance_id = in->group_instance_id,
        .client_id = in->client_id,
        .client_host = in->client_host,
        .protocol_type = v->protocol_type,
        .protocols = &protocol,
        .protocol_count = 1,
        .session_ms = in->session_timeout,
        .rebalance_ms = in->rebalance_timeout,
    };
    struct member *m = member_add(g, in->member_id, &j);
    if (m == NULL)
        return;
    let_go(&m->assignment);
    m->assignment = keep(g->shard, in->assignment.at == NULL ? bytes_of("") : in->assignment);
    m->is_new = false;
    if (bytes_equal(in->member_id, v->leader))
        g->leader = m;
}

static void load_group(struct group_shard *s, struct bytes key, struct bytes value)
{
    struct group_metadata_key k;
    struct group_metadata_value v;
    if (wire_decode(&wire_group_metadata_key, 0, key, s->arena, &k, NULL) != OUT_OK)
        return;
    struct group *g = group_find(s, k.group);
    if (value.at != NULL && !decode(s, &wire_group_metadata_value, value, &v))
        return;
    if (g != NULL)
        reset(g);
    if (value.at == NULL) {
        if (g != NULL && g->offset_count == 0)
            group_remove(g);
        return;
    }
    if (g == NULL)
        g = group_make(s, k.group);
    if (g == NULL)
        return;
    g->generation = v.generation;
    g->state_since_ms = v.current_state_timestamp;
    if (v.protocol_type.size > 0)
        g->protocol_type = keep(s, v.protocol_type);
    g->protocol_name = keep(s, v.protocol);
    for (int32_t i = 0; i < v.members_count && !s->failed; i++)
        load_member(g, &v, &v.members[i]);
    g->state = g->member_count > 0 ? STATE_STABLE : STATE_EMPTY;
    subscription_refresh(g);
}

void step_load(struct group_shard *s)
{
    struct bytes key = s->event->load.key;
    int type;
    if (!split(&key, &type))
        return;
    if (type >= 0 && type <= OFFSET_KEY_LAST)
        load_offset(s, key, s->event->load.value);
    else if (type == GROUP_KEY)
        load_group(s, key, s->event->load.value);
}

static void begin_sessions(struct group *g, void *context)
{
    (void)context;
    list_each(node, &g->members)
        member_alive(container_of(node, struct member, node));
}

void step_loaded(struct group_shard *s)
{
    group_each(s, begin_sessions, NULL);
}

/* SPDX-License-Identifier: MIT */
/* DescribeGroups, ListGroups, DeleteGroups. */
#include "group/private.h"

static void describe_members(struct group_reply *r, const struct group *g)
{
    struct group_described_member *out =
        take_array(g->shard, struct group_described_member, g->member_count);
    if (out == NULL)
        return;
    r->described.members = out;
    list_each(node, &g->members) {
        const struct member *m = container_of(node, struct member, node);
        *out++ = (struct group_described_member){
            .member_id = m->id,
            .instance_id = m->instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .metadata = g->state == STATE_STABLE ? protocol_metadata(m, g->protocol_name)
                                                 : bytes_of(""),
            .assignment = m->assignment,
        };
    }
    r->described.member_count = g->member_count;
}

void step_describe(struct group_shard *s)
{
    const struct group *g = group_find(s, s->event->group_id);
    struct group_reply *r = reply(s, s->event->token, GROUP_DESCRIBE,
                                  g == NULL ? OUT_GROUP_ID_NOT_FOUND : OUT_OK);
    r->described.protocol_type = r->described.protocol_name = bytes_of("");
    r->described.state = group_state_name(g == NULL ? STATE_DEAD : g->state);
    if (g == NULL)
        return;
    if (g->protocol_type.at != NULL)
        r->described.protocol_type = g->protocol_type;
    if (g->state == STATE_STABLE)
        r->described.protocol_name = g->protocol_name;
    describe_members(r, g);
}

struct listing {
    struct group_listed *at;
};

static void list_one(struct group *g, void *context)
{
    struct listing *listing = context;
    *listing->at++ = (struct group_listed){
        .group_id = g->id,
        .protocol_type = g->protocol_type.at == NULL ? bytes_of("") : g->protocol_type,
        .state = group_state_name(g->state),
    };
}

void step_list(struct group_shard *s)
{
    struct group_listed *out = take_array(s, struct group_listed, s->group_count);
    if (out == NULL)
        return;
    struct group_reply *r = reply(s, s->event->token, GROUP_LIST, OUT_OK);
    r->groups = out;
    r->group_count = s->group_count;
    struct listing listing = {.at = out};
    group_each(s, list_one, &listing);
}

static bool any(const struct group *g, const struct committed *c, void *context)
{
    (void)g;
    (void)c;
    (void)context;
    return true;
}

void step_delete(struct group_shard *s)
{
    struct group *g = group_find(s, s->event->group_id);
    enum outcome o = g == NULL                   ? OUT_GROUP_ID_NOT_FOUND
                     : g->state != STATE_EMPTY ? OUT_NON_EMPTY_GROUP
                                               : OUT_OK;
    struct group_reply *r = reply(s, s->event->token, GROUP_DELETE, o);
    if (o != OUT_OK)
        return;
    r->after_records = true;
    offsets_remove_if(g, any, NULL);
    record_group_gone(g);
    group_set_state(g, STATE_DEAD);
    group_remove(g);
}

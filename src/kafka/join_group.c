/* SPDX-License-Identifier: MIT */
/* JoinGroup: parked until the group's rebalance is complete. */
#include "kafka/groups.h"

#define ID_REQUIRED_SINCE 4 /* KIP-394 */
#define SKIP_SINCE 9        /* KIP-814 */
#define NULL_NAME_SINCE 7   /* KIP-559 */

static void fill_members(struct call *c, const struct group_joined *j)
{
    struct join_group_response *out = c->out;
    out->members = arena_array(c->arena, struct join_group_response_members, j->member_count);
    if (out->members == NULL)
        return;
    for (size_t i = 0; i < j->member_count; i++)
        out->members[i] = (struct join_group_response_members){
            .member_id = group_text(c, j->members[i].member_id),
            .group_instance_id = arena_copy(c->arena, j->members[i].instance_id),
            .metadata = group_text(c, j->members[i].metadata),
        };
    out->members_count = (int32_t)j->member_count;
}

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    (void)index;
    struct call *c = group_call(w);
    const struct join_group_request *in = c->in;
    struct join_group_response *out = c->out;
    wire_defaults(c->api->response, out);
    out->error_code = error_of(r->outcome);
    out->leader = bytes_of("");
    out->protocol_name = c->version < NULL_NAME_SINCE ? bytes_of("") : bytes_of(NULL);
    out->member_id = r->joined.member_id.at == NULL ? in->member_id
                                                    : arena_copy(c->arena, r->joined.member_id);
    if (r->outcome != OUT_OK)
        return;
    out->generation_id = r->joined.generation;
    out->protocol_type = group_text(c, r->joined.protocol_type);
    out->protocol_name = group_text(c, r->joined.protocol_name);
    out->leader = group_text(c, r->joined.leader);
    out->skip_assignment = r->joined.skip_assignment;
    fill_members(c, &r->joined);
}

enum verdict join_group_handle(struct call *c)
{
    const struct join_group_request *in = c->in;
    struct coordinator_work *w = group_work(c, 1, answer);
    size_t count = (size_t)MAX(in->protocols_count, 0);
    struct group_protocol *protocols = arena_array(c->arena, struct group_protocol, count);
    if (w == NULL || protocols == NULL)
        return REQ_CLOSE;
    for (size_t i = 0; i < count; i++)
        protocols[i] = (struct group_protocol){in->protocols[i].name, in->protocols[i].metadata};
    w->events[0] = (struct group_event){
        .kind = GROUP_JOIN,
        .group_id = in->group_id,
        .join = {.member_id = in->member_id,
                 .instance_id = in->group_instance_id,
                 .client_id = c->client_id,
                 .client_host = group_host(c),
                 .protocol_type = in->protocol_type,
                 .protocols = protocols,
                 .protocol_count = count,
                 .session_ms = in->session_timeout_ms,
                 .rebalance_ms = in->rebalance_timeout_ms,
                 .fresh = uuid_random(),
                 .id_required = c->version >= ID_REQUIRED_SINCE,
                 .can_skip_assignment = c->version >= SKIP_SINCE},
    };
    return coordinator_submit(w);
}

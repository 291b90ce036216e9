/* SPDX-License-Identifier: MIT */
/* SyncGroup: the leader brings the assignments, everybody gets theirs. */
#include "kafka/groups.h"

#define NAMES_SINCE 5 /* KIP-559: protocol type and name have to be there */

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    (void)index;
    struct call *c = group_call(w);
    struct sync_group_response *out = c->out;
    wire_defaults(c->api->response, out);
    out->error_code = error_of(r->outcome);
    out->assignment = bytes_of("");
    if (r->outcome != OUT_OK)
        return;
    out->protocol_type = arena_copy(c->arena, r->synced.protocol_type);
    out->protocol_name = arena_copy(c->arena, r->synced.protocol_name);
    out->assignment = group_text(c, r->synced.assignment);
}

enum verdict sync_group_handle(struct call *c)
{
    const struct sync_group_request *in = c->in;
    struct sync_group_response *out = c->out;
    struct coordinator_work *w = group_work(c, 1, answer);
    size_t count = (size_t)MAX(in->assignments_count, 0);
    struct group_assignment *shares = arena_array(c->arena, struct group_assignment, count);
    if (w == NULL || shares == NULL)
        return REQ_CLOSE;
    if (c->version >= NAMES_SINCE &&
        (in->protocol_type.at == NULL || in->protocol_name.at == NULL)) {
        out->error_code = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        out->assignment = bytes_of("");
        return REQ_DONE;
    }
    for (size_t i = 0; i < count; i++)
        shares[i] = (struct group_assignment){in->assignments[i].member_id,
                                              in->assignments[i].assignment};
    w->events[0] = (struct group_event){
        .kind = GROUP_SYNC,
        .group_id = in->group_id,
        .sync = {.member_id = in->member_id,
                 .instance_id = in->group_instance_id,
                 .protocol_type = in->protocol_type,
                 .protocol_name = in->protocol_name,
                 .generation = in->generation_id,
                 .assignments = shares,
                 .assignment_count = count},
    };
    return coordinator_submit(w);
}

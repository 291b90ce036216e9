/* SPDX-License-Identifier: MIT */
/* LeaveGroup: one member (versions 0 to 2), or several, each with its own result. */
#include "kafka/groups.h"

#define MANY_SINCE 3 /* KIP-345 */

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    struct leave_group_response *out = c->out;
    const struct group_leave *asked = &w->events[index].leave;
    wire_defaults(c->api->response, out);
    out->error_code = error_of(r->outcome);
    if (r->outcome != OUT_OK)
        return;
    if (c->version < MANY_SINCE) {
        out->error_code = error_of(r->each[0]);
        return;
    }
    out->members = arena_array(c->arena, struct leave_group_response_members, asked->leaver_count);
    if (out->members == NULL)
        return;
    for (size_t i = 0; i < asked->leaver_count; i++)
        out->members[i] = (struct leave_group_response_members){
            .member_id = asked->leavers[i].member_id,
            .group_instance_id = asked->leavers[i].instance_id,
            .error_code = error_of(r->each[i]),
        };
    out->members_count = (int32_t)asked->leaver_count;
}

enum verdict leave_group_handle(struct call *c)
{
    const struct leave_group_request *in = c->in;
    bool many = c->version >= MANY_SINCE;
    size_t count = many ? (size_t)MAX(in->members_count, 0) : 1;
    struct coordinator_work *w = group_work(c, 1, answer);
    struct group_leaver *leavers = arena_array(c->arena, struct group_leaver, count);
    if (w == NULL || leavers == NULL)
        return REQ_CLOSE;
    for (size_t i = 0; i < count; i++) {
        if (many)
            leavers[i] = (struct group_leaver){in->members[i].member_id,
                                               in->members[i].group_instance_id};
        else
            leavers[i].member_id = in->member_id;
    }
    w->events[0] = (struct group_event){.kind = GROUP_LEAVE,
                                        .group_id = in->group_id,
                                        .leave = {.leavers = leavers, .leaver_count = count}};
    return coordinator_submit(w);
}

/* SPDX-License-Identifier: MIT */
/* Heartbeat: a member says that it lives. */
#include "kafka/groups.h"

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    (void)index;
    struct heartbeat_response *out = group_call(w)->out;
    out->error_code = error_of(r->outcome);
}

enum verdict heartbeat_handle(struct call *c)
{
    const struct heartbeat_request *in = c->in;
    struct coordinator_work *w = group_work(c, 1, answer);
    if (w == NULL)
        return REQ_CLOSE;
    w->events[0] = (struct group_event){
        .kind = GROUP_HEARTBEAT,
        .group_id = in->group_id,
        .heartbeat = {.member_id = in->member_id,
                      .instance_id = in->group_instance_id,
                      .generation = in->generation_id},
    };
    return coordinator_submit(w);
}

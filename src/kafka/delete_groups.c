/* SPDX-License-Identifier: MIT */
/* DeleteGroups: groups without members, with their offsets. */
#include "kafka/groups.h"

#define RESULT struct delete_groups_response_results

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    const struct delete_groups_request *in = c->in;
    struct delete_groups_response *out = c->out;
    out->results[index] = (RESULT){.group_id = in->groups_names[index],
                                   .error_code = error_of(r->outcome)};
}

enum verdict delete_groups_handle(struct call *c)
{
    const struct delete_groups_request *in = c->in;
    struct delete_groups_response *out = c->out;
    size_t count = (size_t)MAX(in->groups_names_count, 0);
    struct coordinator_work *w = group_work(c, count, answer);
    out->results = arena_array(c->arena, RESULT, count);
    if (w == NULL || out->results == NULL)
        return REQ_CLOSE;
    out->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        w->events[i] = (struct group_event){.kind = GROUP_DELETE, .group_id = in->groups_names[i]};
    return coordinator_submit(w);
}

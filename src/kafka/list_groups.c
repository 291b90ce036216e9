/* SPDX-License-Identifier: MIT */
/* ListGroups: the groups of every offsets partition, filtered by state and type. */
#include "kafka/groups.h"

#define TYPE "classic"
#define GROUP struct list_groups_response_groups

/* Room for `more` groups; the array doubles. */
static bool grow(struct call *c, size_t more)
{
    struct list_groups_response *out = c->out;
    size_t *room = c->state, have = (size_t)out->groups_count;
    if (have + more <= *room)
        return true;
    size_t bigger = MAX(have + more, *room * 2);
    GROUP *groups = arena_array(c->arena, GROUP, bigger);
    if (groups == NULL)
        return false;
    if (have > 0)
        memcpy(groups, out->groups, have * sizeof *groups);
    out->groups = groups;
    *room = bigger;
    return true;
}

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    (void)index;
    struct call *c = group_call(w);
    const struct list_groups_request *in = c->in;
    struct list_groups_response *out = c->out;
    if (r->outcome != OUT_OK) {
        out->error_code = error_of(r->outcome);
        return;
    }
    if (!group_filter(in->types_filter, in->types_filter_count, TYPE) || !grow(c, r->group_count))
        return;
    for (size_t i = 0; i < r->group_count; i++) {
        const struct group_listed *g = &r->groups[i];
        if (!group_filter(in->states_filter, in->states_filter_count, g->state))
            continue;
        out->groups[out->groups_count++] = (GROUP){
            .group_id = group_text(c, g->group_id),
            .protocol_type = group_text(c, g->protocol_type),
            .group_state = bytes_of(g->state),
            .group_type = bytes_of(TYPE),
        };
    }
}

enum verdict list_groups_handle(struct call *c)
{
    struct coordinator_work *w = group_work(c, 1, answer);
    c->state = arena_new(c->arena, size_t);
    if (w == NULL || c->state == NULL)
        return REQ_CLOSE;
    w->everywhere = true;
    w->events[0].kind = GROUP_LIST;
    return coordinator_submit(w);
}

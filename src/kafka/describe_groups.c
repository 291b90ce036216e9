/* SPDX-License-Identifier: MIT */
/* DescribeGroups: state, protocol and members of classic groups. */
#include "kafka/groups.h"

#define NOT_FOUND_SINCE 6 /* before, an unknown group is Dead without an error */

#define GROUP struct describe_groups_response_groups
#define MEMBER struct describe_groups_response_groups_members

static void fill_members(struct call *c, GROUP *out, const struct group_described *d)
{
    out->members = arena_array(c->arena, MEMBER, d->member_count);
    for (size_t i = 0; out->members != NULL && i < d->member_count; i++) {
        const struct group_described_member *m = &d->members[i];
        out->members[out->members_count++] = (MEMBER){
            .member_id = group_text(c, m->member_id),
            .group_instance_id = arena_copy(c->arena, m->instance_id),
            .client_id = group_text(c, m->client_id),
            .client_host = group_text(c, m->client_host),
            .member_metadata = group_text(c, m->metadata),
            .member_assignment = group_text(c, m->assignment),
        };
    }
}

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    const struct describe_groups_request *in = c->in;
    struct describe_groups_response *out = c->out;
    GROUP *group = &out->groups[index];
    *group = (GROUP){
        .group_id = in->groups[index],
        .error_code = error_of(r->outcome),
        .group_state = bytes_of(r->described.state == NULL ? "" : r->described.state),
        .protocol_type = group_text(c, r->described.protocol_type),
        .protocol_data = group_text(c, r->described.protocol_name),
        .authorized_operations = in->include_authorized_operations ? GROUP_OPERATIONS
                                                                   : NO_OPERATIONS,
    };
    if (r->outcome == OUT_OK)
        fill_members(c, group, &r->described);
    else if (r->outcome == OUT_GROUP_ID_NOT_FOUND && c->version < NOT_FOUND_SINCE)
        group->error_code = KAFKA_NONE;
    else if (r->outcome == OUT_GROUP_ID_NOT_FOUND)
        group->error_message = arena_print(c->arena, "Group %.*s not found.",
                                           (int)in->groups[index].size,
                                           (const char *)in->groups[index].at);
}

enum verdict describe_groups_handle(struct call *c)
{
    const struct describe_groups_request *in = c->in;
    struct describe_groups_response *out = c->out;
    size_t count = (size_t)MAX(in->groups_count, 0);
    struct coordinator_work *w = group_work(c, count, answer);
    out->groups = arena_array(c->arena, GROUP, count);
    if (w == NULL || out->groups == NULL)
        return REQ_CLOSE;
    out->groups_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        w->events[i] = (struct group_event){.kind = GROUP_DESCRIBE, .group_id = in->groups[i]};
    return coordinator_submit(w);
}

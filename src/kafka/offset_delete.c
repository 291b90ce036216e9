/* SPDX-License-Identifier: MIT */
/* OffsetDelete: forgets offsets of topics that the group is not subscribed to. */
#include "kafka/groups.h"

#define RESULT struct offset_delete_response_topics_partitions

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    struct offset_delete_response *out = c->out;
    RESULT **results = c->state;
    out->error_code = error_of(r->outcome);
    if (r->outcome != OUT_OK) {
        out->topics_count = 0;
        return;
    }
    for (size_t i = 0; i < w->events[index].places.count; i++)
        results[i]->error_code = error_of(r->each[i]);
}

static bool sort_topic(struct call *c, const struct offset_delete_request_topics *asked,
                       struct group_place *places, size_t *count)
{
    struct offset_delete_response *out = c->out;
    RESULT **results = c->state;
    struct offset_delete_response_topics *to = &out->topics[out->topics_count++];
    const struct topic *t = view_topic(broker_view(), asked->name);
    to->name = asked->name;
    to->partitions = arena_array(c->arena, RESULT, (size_t)MAX(asked->partitions_count, 0));
    if (to->partitions == NULL)
        return false;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        RESULT *result = &to->partitions[to->partitions_count++];
        int32_t index = asked->partitions[i].partition_index;
        *result = (RESULT){.partition_index = index};
        if (t == NULL || index < 0 || index >= t->partition_count) {
            result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        results[*count] = result;
        places[(*count)++] = (struct group_place){asked->name, index};
    }
    return true;
}

enum verdict offset_delete_handle(struct call *c)
{
    const struct offset_delete_request *in = c->in;
    struct offset_delete_response *out = c->out;
    size_t most = 0, count = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        most += (size_t)MAX(in->topics[i].partitions_count, 0);
    struct coordinator_work *w = group_work(c, 1, answer);
    struct group_place *places = arena_array(c->arena, struct group_place, most);
    c->state = arena_array(c->arena, RESULT *, most);
    out->topics = arena_array(c->arena, struct offset_delete_response_topics,
                              (size_t)MAX(in->topics_count, 0));
    if (w == NULL || places == NULL || c->state == NULL || out->topics == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!sort_topic(c, &in->topics[i], places, &count))
            return REQ_CLOSE;
    }
    w->events[0] = (struct group_event){.kind = GROUP_OFFSET_DELETE,
                                        .group_id = in->group_id,
                                        .places = {.places = places, .count = count}};
    return coordinator_submit(w);
}

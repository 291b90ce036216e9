/* SPDX-License-Identifier: MIT */
/*
 * OffsetFetch of one group (versions 0 to 7) or several. The answers are built in the form of
 * version 8 and up; older versions get them rewritten at the end. Version 0 meant ZooKeeper: it
 * reads the group's offsets like the others, and a place without one is an error in it.
 */
#include "kafka/groups.h"

#define GROUPS_SINCE 8
#define IDS_SINCE 10

#define GROUP struct offset_fetch_response_groups
#define TOPIC struct offset_fetch_response_groups_topics
#define RESULT struct offset_fetch_response_groups_topics_partitions

static RESULT result_of(struct call *c, const struct group_offset *o)
{
    return (RESULT){.partition_index = o->partition,
                    .committed_offset = o->offset,
                    .committed_leader_epoch = o->leader_epoch,
                    .metadata = group_text(c, o->metadata),
                    .error_code = o->unstable ? KAFKA_UNSTABLE_OFFSET_COMMIT : KAFKA_NONE};
}

static RESULT no_result(int32_t partition, int16_t error)
{
    return (RESULT){.partition_index = partition, .committed_offset = -1,
                    .committed_leader_epoch = -1, .metadata = bytes_of(""), .error_code = error};
}

/* Whether the topic was asked for by an id that nobody has: it is not part of the event. */
static bool unknown_id(const struct call *c, const struct offset_fetch_request_groups_topics *t)
{
    return c->version >= IDS_SINCE && t->name.at == NULL;
}

/* Fills what was asked for, in its order. `r` NULL: with an error instead. */
static void fill_asked(struct call *c, const struct offset_fetch_request_groups *asked, GROUP *out,
                       const struct group_reply *r, int16_t error)
{
    size_t at = 0;
    out->topics = arena_array(c->arena, TOPIC, (size_t)MAX(asked->topics_count, 0));
    for (int32_t i = 0; out->topics != NULL && i < asked->topics_count; i++) {
        const struct offset_fetch_request_groups_topics *t = &asked->topics[i];
        TOPIC *to = &out->topics[out->topics_count++];
        to->name = t->name;
        to->topic_id = t->topic_id;
        to->partitions = arena_array(c->arena, RESULT, (size_t)MAX(t->partition_indexes_count, 0));
        for (int32_t j = 0; to->partitions != NULL && j < t->partition_indexes_count; j++) {
            RESULT *p = &to->partitions[to->partitions_count++];
            if (unknown_id(c, t))
                *p = no_result(t->partition_indexes[j], KAFKA_UNKNOWN_TOPIC_ID);
            else if (r == NULL)
                *p = no_result(t->partition_indexes[j], error);
            else
                *p = result_of(c, &r->offsets[at++]);
        }
    }
}

/* Fills whatever there is: runs of one topic. Since topics go by id only those that still are can
 * be shown. */
static void fill_all(struct call *c, GROUP *out, const struct group_reply *r)
{
    out->topics = arena_array(c->arena, TOPIC, r->offset_count);
    for (size_t i = 0, next; out->topics != NULL && i < r->offset_count; i = next) {
        const struct group_offset *first = &r->offsets[i];
        for (next = i + 1; next < r->offset_count; next++) {
            if (!bytes_equal(r->offsets[next].topic, first->topic))
                break;
        }
        const struct topic *t = view_topic(broker_view(), first->topic);
        if (t == NULL && c->version >= IDS_SINCE)
            continue;
        TOPIC *to = &out->topics[out->topics_count++];
        to->name = group_text(c, first->topic);
        to->topic_id = t == NULL ? (struct uuid){{0}} : t->id;
        to->partitions = arena_array(c->arena, RESULT, next - i);
        for (size_t j = i; to->partitions != NULL && j < next; j++)
            to->partitions[to->partitions_count++] = result_of(c, &r->offsets[j]);
    }
}

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    const struct offset_fetch_request *in = c->in;
    struct offset_fetch_response *out = c->out;
    GROUP *group = &out->groups[index];
    *group = (GROUP){.group_id = in->groups[index].group_id, .error_code = error_of(r->outcome)};
    if (r->outcome != OUT_OK) {
        if (c->version < GROUPS_SINCE)
            fill_asked(c, &in->groups[index], group, NULL, group->error_code);
    } else if (w->events[index].places.all) {
        fill_all(c, group, r);
    } else {
        fill_asked(c, &in->groups[index], group, r, KAFKA_NONE);
    }
}

/* ---- versions 0 to 7 ---- */

/* The request as one of version 8. */
static bool wrap_request(struct call *c)
{
    struct offset_fetch_request *in = c->in;
    size_t count = (size_t)MAX(in->topics_count, 0);
    struct offset_fetch_request_groups *group = arena_new(c->arena,
                                                          struct offset_fetch_request_groups);
    if (group == NULL)
        return false;
    group->group_id = in->group_id;
    group->topics_count = in->topics_count;
    group->topics = arena_array(c->arena, struct offset_fetch_request_groups_topics, count);
    if (group->topics == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        group->topics[i].name = in->topics[i].name;
        group->topics[i].partition_indexes = in->topics[i].partition_indexes;
        group->topics[i].partition_indexes_count = in->topics[i].partition_indexes_count;
    }
    in->groups = group;
    in->groups_count = 1;
    return true;
}

static void unwrap_topic(struct call *c, const TOPIC *from, struct offset_fetch_response_topics *to)
{
    size_t count = (size_t)from->partitions_count;
    to->name = from->name;
    to->partitions = arena_array(c->arena, struct offset_fetch_response_topics_partitions, count);
    for (size_t i = 0; to->partitions != NULL && i < count; i++) {
        const RESULT *p = &from->partitions[i];
        bool none = c->version == 0 && p->committed_offset < 0 && p->error_code == KAFKA_NONE;
        to->partitions[to->partitions_count++] = (struct offset_fetch_response_topics_partitions){
            .partition_index = p->partition_index, .committed_offset = p->committed_offset,
            .committed_leader_epoch = p->committed_leader_epoch, .metadata = p->metadata,
            .error_code = none ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : p->error_code};
    }
}

static void unwrap_response(struct request *r)
{
    struct call *c = call_of(r);
    struct offset_fetch_response *out = c->out;
    const GROUP *group = out->groups;
    size_t count = (size_t)group->topics_count;
    out->error_code = group->error_code;
    out->topics = arena_array(c->arena, struct offset_fetch_response_topics, count);
    for (size_t i = 0; out->topics != NULL && i < count; i++)
        unwrap_topic(c, &group->topics[i], &out->topics[out->topics_count++]);
    out->groups = NULL;
    out->groups_count = 0;
}

static void finish_old(struct request *r)
{
    unwrap_response(r);
    call_finish_request(r);
}

/* ---- the request ---- */

/* The event of one group. False: no memory. */
static bool fill_event(struct call *c, struct offset_fetch_request_groups *asked,
                       struct group_event *e)
{
    const struct offset_fetch_request *in = c->in;
    size_t count = 0;
    *e = (struct group_event){.kind = GROUP_OFFSET_FETCH, .group_id = asked->group_id,
                              .places = {.all = asked->topics_count < 0,
                                         .stable = in->require_stable}};
    for (int32_t i = 0; i < asked->topics_count; i++)
        count += (size_t)MAX(asked->topics[i].partition_indexes_count, 0);
    struct group_place *places = arena_array(c->arena, struct group_place, count);
    if (places == NULL)
        return false;
    e->places.places = places;
    for (int32_t i = 0; i < asked->topics_count; i++) {
        struct offset_fetch_request_groups_topics *t = &asked->topics[i];
        if (c->version >= IDS_SINCE) {
            const struct topic *known = view_topic_by_id(broker_view(), &t->topic_id);
            t->name = known == NULL ? bytes_of(NULL) : arena_copy(c->arena, known->name);
        }
        for (int32_t j = 0; j < t->partition_indexes_count && !unknown_id(c, t); j++)
            places[e->places.count++] = (struct group_place){t->name, t->partition_indexes[j]};
    }
    return !c->arena->failed;
}

enum verdict offset_fetch_handle(struct call *c)
{
    struct offset_fetch_request *in = c->in;
    struct offset_fetch_response *out = c->out;
    bool old = c->version < GROUPS_SINCE;
    if (old && !wrap_request(c))
        return REQ_CLOSE;
    size_t count = (size_t)MAX(in->groups_count, 0);
    struct coordinator_work *w = group_work(c, count, answer);
    out->groups = arena_array(c->arena, GROUP, count);
    if (w == NULL || out->groups == NULL)
        return REQ_CLOSE;
    out->groups_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!fill_event(c, &in->groups[i], &w->events[i]))
            return REQ_CLOSE;
    }
    if (old)
        w->done = finish_old;
    if (c->version == 0 && !coordinator_ready(c->broker)) {
        /* No FindCoordinator came before, which would have made the topic: that is done now. */
        fill_asked(c, &in->groups[0], &out->groups[0], NULL, KAFKA_NOT_COORDINATOR);
        unwrap_response(c->request);
        return REQ_DONE;
    }
    enum verdict v = coordinator_submit(w);
    if (v == REQ_DONE && old)
        unwrap_response(c->request);
    return v;
}

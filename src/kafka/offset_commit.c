/* SPDX-License-Identifier: MIT */
/*
 * OffsetCommit. Topics and partitions that do not exist are refused here, the rest goes to the
 * group's coordinator as one event. Version 0, which meant ZooKeeper, is stored in the group too:
 * its fields are those of a client that is not a member. Version 1 says when it was committed.
 */
#include "kafka/groups.h"

#define IDS_SINCE 10
#define UNKNOWN_GROUP_SINCE 9 /* from here on the error says what is unknown */

#define RESULT struct offset_commit_response_topics_partitions

/* Where the coordinator's outcomes go, in the order of the event's offsets. */
struct commit {
    RESULT **results;
};

static void answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct call *c = group_call(w);
    const struct commit *commit = c->state;
    size_t count = w->events[index].commit.offset_count;
    for (size_t i = 0; i < count; i++)
        commit->results[i]->error_code = error_of(r->outcome != OUT_OK ? r->outcome : r->each[i]);
}

static size_t count_partitions(const struct offset_commit_request *in)
{
    size_t count = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        count += (size_t)MAX(in->topics[i].partitions_count, 0);
    return count;
}

/* One topic's results; those that go on are added to `offsets`. False: no memory. */
static bool sort_topic(struct call *c, const struct offset_commit_request_topics *asked,
                       struct group_offset *offsets, size_t *count)
{
    struct offset_commit_response *out = c->out;
    const struct commit *commit = c->state;
    struct offset_commit_response_topics *to = &out->topics[out->topics_count++];
    int16_t error;
    const struct topic *t = call_topic(broker_view(), asked->name, &asked->topic_id,
                                       c->version >= IDS_SINCE, &error);
    struct bytes name = t == NULL ? asked->name : arena_copy(c->arena, t->name);
    to->name = asked->name;
    to->topic_id = asked->topic_id;
    to->partitions = arena_array(c->arena, RESULT, (size_t)MAX(asked->partitions_count, 0));
    if (to->partitions == NULL || c->arena->failed)
        return false;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        const struct offset_commit_request_topics_partitions *p = &asked->partitions[i];
        RESULT *result = &to->partitions[to->partitions_count++];
        *result = (RESULT){.partition_index = p->partition_index, .error_code = error};
        if (t == NULL)
            continue;
        if (p->partition_index < 0 || p->partition_index >= t->partition_count) {
            result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        commit->results[*count] = result;
        offsets[(*count)++] = (struct group_offset){
            .topic = name, .partition = p->partition_index, .offset = p->committed_offset,
            .leader_epoch = p->committed_leader_epoch, .metadata = p->committed_metadata,
            .topic_id = t->id, .commit_ms = MAX(p->commit_timestamp, 0)};
    }
    return true;
}

enum verdict offset_commit_handle(struct call *c)
{
    const struct offset_commit_request *in = c->in;
    struct offset_commit_response *out = c->out;
    size_t count = 0, most = count_partitions(in);
    struct coordinator_work *w = group_work(c, 1, answer);
    struct commit *commit = arena_new(c->arena, struct commit);
    struct group_offset *offsets = arena_array(c->arena, struct group_offset, most);
    out->topics = arena_array(c->arena, struct offset_commit_response_topics,
                              (size_t)MAX(in->topics_count, 0));
    if (w == NULL || commit == NULL || offsets == NULL || out->topics == NULL)
        return REQ_CLOSE;
    commit->results = arena_array(c->arena, RESULT *, most);
    if (commit->results == NULL)
        return REQ_CLOSE;
    c->state = commit;
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!sort_topic(c, &in->topics[i], offsets, &count))
            return REQ_CLOSE;
    }
    if (count == 0)
        return REQ_DONE;
    if (c->version == 0 && !coordinator_ready(c->broker)) {
        /* No FindCoordinator came before, which would have made the topic: that is done now. */
        for (size_t i = 0; i < count; i++)
            commit->results[i]->error_code = KAFKA_NOT_COORDINATOR;
        return REQ_DONE;
    }
    w->events[0] = (struct group_event){
        .kind = GROUP_OFFSET_COMMIT,
        .group_id = in->group_id,
        .commit = {.member_id = in->member_id,
                   .instance_id = in->group_instance_id,
                   .generation = in->generation_id_or_member_epoch,
                   .if_unknown = c->version >= UNKNOWN_GROUP_SINCE ? OUT_GROUP_ID_NOT_FOUND
                                                                   : OUT_ILLEGAL_GENERATION,
                   .offsets = offsets,
                   .offset_count = count},
    };
    return coordinator_submit(w);
}

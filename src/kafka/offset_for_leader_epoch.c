/* SPDX-License-Identifier: MIT */
/* OffsetForLeaderEpoch: where a leader epoch ended, for truncation detection (KIP-101, KIP-320). */
#include "kafka/call.h"

#define RESULT struct offset_for_leader_epoch_response_topics_partitions

static void answer(struct topic *t,
                   const struct offset_for_leader_epoch_request_topics_partitions *asked,
                   RESULT *out)
{
    *out = (RESULT){.partition = asked->partition, .leader_epoch = -1, .end_offset = -1};
    struct partition *p = t == NULL ? NULL : topic_partition(t, asked->partition);
    if (t == NULL || asked->partition < 0 || asked->partition >= t->partition_count)
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (p == NULL)
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else
        out->error_code = check_leader_epoch(p, asked->current_leader_epoch);
    if (out->error_code == KAFKA_NONE)
        partition_epoch_end(p, asked->leader_epoch, &out->leader_epoch, &out->end_offset);
}

enum verdict offset_for_leader_epoch_handle(struct call *c)
{
    const struct offset_for_leader_epoch_request *in = c->in;
    struct offset_for_leader_epoch_response *out = c->out;
    out->topics = arena_array(c->arena, struct offset_for_leader_epoch_response_topics,
                              (size_t)in->topics_count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct offset_for_leader_epoch_request_topics *asked = &in->topics[i];
        struct offset_for_leader_epoch_response_topics *t = &out->topics[out->topics_count++];
        t->topic = asked->topic;
        t->partitions = arena_array(c->arena, RESULT, (size_t)asked->partitions_count);
        if (t->partitions == NULL)
            return REQ_CLOSE;
        struct topic *topic = view_topic(broker_view(), asked->topic);
        for (int32_t j = 0; j < asked->partitions_count; j++)
            answer(topic, &asked->partitions[j], &t->partitions[t->partitions_count++]);
    }
    return REQ_DONE;
}

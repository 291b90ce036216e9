/* SPDX-License-Identifier: MIT */
/* DescribeQuorum: the metadata log has one voter, which leads (KIP-595, KIP-853). */
#include "kafka/call.h"

#define ASKED struct describe_quorum_request_topics
#define TOPIC struct describe_quorum_response_topics
#define PART struct describe_quorum_response_topics_partitions
#define VOTER struct describe_quorum_response_topics_partitions_current_voters
#define NODE struct describe_quorum_response_nodes
#define SINCE_NODES 2

static bool fill(struct call *c, PART *out)
{
    struct broker_quorum q = broker_quorum(c->broker);
    VOTER *voter = arena_new(c->arena, VOTER);
    if (voter == NULL)
        return false;
    *voter = (VOTER){.replica_id = broker_node_id(c->broker),
                     .replica_directory_id = q.directory_id, .log_end_offset = q.end_offset,
                     .last_fetch_timestamp = c->request->home->wall_ms,
                     .last_caught_up_timestamp = c->request->home->wall_ms};
    out->leader_id = voter->replica_id;
    out->leader_epoch = q.epoch;
    out->high_watermark = q.end_offset;
    out->current_voters = voter;
    out->current_voters_count = 1;
    return true;
}

static bool describe(struct call *c, const ASKED *asked, TOPIC *out)
{
    bool metadata = bytes_is(asked->topic_name, "__cluster_metadata");
    out->topic_name = asked->topic_name;
    out->partitions = arena_array(c->arena, PART, (size_t)asked->partitions_count);
    if (out->partitions == NULL)
        return false;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        PART *part = &out->partitions[out->partitions_count++];
        *part = (PART){.partition_index = asked->partitions[i].partition_index,
                       .error_message = bytes_of("")};
        if (!metadata || part->partition_index != 0) {
            part->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            part->error_message = bytes_of("This server does not host this topic-partition.");
        } else if (!fill(c, part)) {
            return false;
        }
    }
    return true;
}

enum verdict describe_quorum_handle(struct call *c)
{
    const struct describe_quorum_request *in = c->in;
    struct describe_quorum_response *out = c->out;
    bool any = false;
    out->error_message = bytes_of("");
    out->topics = arena_array(c->arena, TOPIC, (size_t)in->topics_count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!describe(c, &in->topics[i], &out->topics[out->topics_count++]))
            return REQ_CLOSE;
        any |= bytes_is(in->topics[i].topic_name, "__cluster_metadata");
    }
    if (c->version < SINCE_NODES || !any)
        return REQ_DONE;
    out->nodes = arena_new(c->arena, NODE); /* without a listener: nobody else votes */
    if (out->nodes == NULL)
        return REQ_CLOSE;
    out->nodes->node_id = broker_node_id(c->broker);
    out->nodes_count = 1;
    return REQ_DONE;
}

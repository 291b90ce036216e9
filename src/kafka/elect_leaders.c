/* SPDX-License-Identifier: MIT */
/* ElectLeaders: with one replica the leader is the preferred one already (KIP-183, KIP-460). */
#include "kafka/call.h"

#define ASKED struct elect_leaders_request_topic_partitions
#define RESULT struct elect_leaders_response_replica_election_results
#define PART struct elect_leaders_response_replica_election_results_partition_result

enum { PREFERRED, UNCLEAN };

static void answer(struct call *c, const struct topic *t, const ASKED *asked, bool known, PART *out)
{
    if (!known) {
        out->error_code = KAFKA_INVALID_REQUEST;
        out->error_message = bytes_of("Unknown election type.");
    } else if (t == NULL) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = arena_print(c->arena, "No such topic as %.*s", (int)asked->topic.size,
                                         (const char *)asked->topic.at);
    } else if (out->partition_id < 0 || out->partition_id >= t->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = arena_print(c->arena, "No such partition as %.*s-%d",
                                         (int)asked->topic.size, (const char *)asked->topic.at,
                                         (int)out->partition_id);
    } else if (topic_partition(t, out->partition_id) == NULL) {
        out->error_code = KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE;
        out->error_message = bytes_of("Its log directory is offline.");
    } else {
        out->error_code = KAFKA_ELECTION_NOT_NEEDED;
        out->error_message = bytes_of("The leader is the only replica.");
    }
}

/* No topics: all of them, of which those are told whose leader changed: none. */
enum verdict elect_leaders_handle(struct call *c)
{
    const struct elect_leaders_request *in = c->in;
    struct elect_leaders_response *out = c->out;
    bool known = in->election_type == PREFERRED || in->election_type == UNCLEAN;
    out->error_code = known ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
    out->replica_election_results =
        arena_array(c->arena, RESULT, (size_t)MAX(in->topic_partitions_count, 0));
    if (out->replica_election_results == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topic_partitions_count; i++) {
        const ASKED *asked = &in->topic_partitions[i];
        RESULT *result = &out->replica_election_results[out->replica_election_results_count++];
        size_t count = (size_t)asked->partitions_count;
        *result = (RESULT){.topic = asked->topic,
                           .partition_result = arena_array(c->arena, PART, count)};
        if (result->partition_result == NULL)
            return REQ_CLOSE;
        const struct topic *t = view_topic(broker_view(), asked->topic);
        for (size_t k = 0; k < count; k++) {
            PART *part = &result->partition_result[result->partition_result_count++];
            part->partition_id = asked->partitions[k];
            answer(c, t, asked, known, part);
        }
    }
    return REQ_DONE;
}

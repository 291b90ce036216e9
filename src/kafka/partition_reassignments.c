/* SPDX-License-Identifier: MIT */
/*
 * AlterPartitionReassignments and ListPartitionReassignments (KIP-455). One node is the only place
 * for a replica: what is asked for is there already, or can't be.
 */
#include "kafka/call.h"

#define ASKED struct alter_partition_reassignments_request_topics_partitions
#define TOPIC struct alter_partition_reassignments_response_responses
#define PART struct alter_partition_reassignments_response_responses_partitions

static void refuse(struct call *c, PART *out, int16_t error, const char *format, int32_t number)
{
    out->error_code = error;
    out->error_message = arena_print(c->arena, "%s%d", format, (int)number);
}

static void alter(struct call *c, const struct topic *t, const ASKED *asked, PART *out)
{
    int32_t node = broker_node_id(c->broker);
    *out = (PART){.partition_index = asked->partition_index};
    if (t == NULL || asked->partition_index < 0 || asked->partition_index >= t->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = bytes_of("Unable to find such a partition.");
    } else if (asked->replicas_count < 0) {
        out->error_code = KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
    } else if (asked->replicas_count == 0) {
        out->error_code = KAFKA_INVALID_REPLICA_ASSIGNMENT;
        out->error_message = bytes_of("The manual partition assignment includes an empty replica "
                                      "list.");
    }
    for (int32_t i = 0; out->error_code == KAFKA_NONE && i < asked->replicas_count; i++) {
        if (asked->replicas[i] != node)
            refuse(c, out, KAFKA_INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment "
                   "includes a broker that is not there: ", asked->replicas[i]);
        else if (i > 0)
            refuse(c, out, KAFKA_INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment "
                   "includes a broker more than once: ", node);
    }
}

enum verdict alter_partition_reassignments_handle(struct call *c)
{
    const struct alter_partition_reassignments_request *in = c->in;
    struct alter_partition_reassignments_response *out = c->out;
    out->error_message = bytes_of(NULL);
    out->allow_replication_factor_change = in->allow_replication_factor_change;
    out->responses = arena_array(c->arena, TOPIC, (size_t)in->topics_count);
    if (out->responses == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct alter_partition_reassignments_request_topics *asked = &in->topics[i];
        TOPIC *result = &out->responses[out->responses_count++];
        const struct topic *t = view_topic(broker_view(), asked->name);
        result->name = asked->name;
        result->partitions = arena_array(c->arena, PART, (size_t)asked->partitions_count);
        if (result->partitions == NULL)
            return REQ_CLOSE;
        for (int32_t k = 0; k < asked->partitions_count; k++)
            alter(c, t, &asked->partitions[k], &result->partitions[result->partitions_count++]);
    }
    return REQ_DONE;
}

/* There are never any. */
enum verdict list_partition_reassignments_handle(struct call *c)
{
    struct list_partition_reassignments_response *out = c->out;
    out->error_message = bytes_of(NULL);
    return REQ_DONE;
}

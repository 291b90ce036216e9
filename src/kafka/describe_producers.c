/* SPDX-License-Identifier: MIT */
/* DescribeProducers: who writes to a partition, and since where its open transaction goes. */
#include "kafka/call.h"

#define RESULT struct describe_producers_response_topics_partitions
#define PRODUCER struct describe_producers_response_topics_partitions_active_producers

static void fill(struct call *c, struct partition *p, RESULT *out)
{
    size_t room = partition_producers(p, NULL, 0) + 16; /* some may come meanwhile */
    struct log_producer *list = arena_array(c->arena, struct log_producer, room);
    out->active_producers = arena_array(c->arena, PRODUCER, room);
    if (list == NULL || out->active_producers == NULL)
        return;
    size_t count = MIN(partition_producers(p, list, room), room);
    for (size_t i = 0; i < count; i++)
        out->active_producers[i] = (PRODUCER){
            .producer_id = list[i].producer_id, .producer_epoch = list[i].epoch,
            .last_sequence = list[i].last_sequence, .last_timestamp = list[i].last_timestamp,
            .coordinator_epoch = list[i].coordinator_epoch,
            .current_txn_start_offset = list[i].txn_start_offset};
    out->active_producers_count = (int32_t)count;
}

static void describe(struct call *c, const struct topic *t, struct bytes name, RESULT *out)
{
    struct partition *p = t == NULL ? NULL : topic_partition(t, out->partition_index);
    if (t == NULL)
        out->error_message = bytes_of("This server does not host this topic-partition.");
    if (t == NULL && !meta_topic_name_valid(name))
        out->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    else if (t == NULL || out->partition_index < 0 || out->partition_index >= t->partition_count)
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (p == NULL)
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else
        fill(c, p, out);
}

enum verdict describe_producers_handle(struct call *c)
{
    const struct describe_producers_request *in = c->in;
    struct describe_producers_response *out = c->out;
    out->topics = arena_array(c->arena, struct describe_producers_response_topics,
                              (size_t)MAX(in->topics_count, 0));
    if (out->topics == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        struct describe_producers_response_topics *t = &out->topics[out->topics_count++];
        size_t count = (size_t)MAX(in->topics[i].partition_indexes_count, 0);
        t->name = in->topics[i].name;
        t->partitions = arena_array(c->arena, RESULT, count);
        if (t->partitions == NULL)
            return REQ_CLOSE;
        for (size_t j = 0; j < count; j++) {
            RESULT *r = &t->partitions[t->partitions_count++];
            r->partition_index = in->topics[i].partition_indexes[j];
            describe(c, view_topic(broker_view(), t->name), t->name, r);
        }
    }
    return REQ_DONE;
}

/* SPDX-License-Identifier: MIT */
/*
 * DeleteRecords: moves the start of logs up (-1: to the high watermark). Done on the control
 * thread, since deleting segments and writing the checkpoint may wait for the disk.
 */
#include "kafka/call.h"

#define RESULT struct delete_records_response_topics_partitions

static void trim(struct topic *t, const struct delete_records_request_topics_partitions *asked,
                 RESULT *out)
{
    *out = (RESULT){.partition_index = asked->partition_index, .low_watermark = -1};
    struct partition *p = t == NULL ? NULL : topic_partition(t, asked->partition_index);
    if (t != NULL && t->internal) {
        out->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    } else if (t == NULL || asked->partition_index < 0 ||
               asked->partition_index >= t->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (p == NULL) {
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    } else if (!t->config.cleanup_delete) {
        out->error_code = KAFKA_POLICY_VIOLATION;
    } else {
        struct store_stat stat;
        store_stat(p->store, &stat);
        int64_t to = asked->offset == -1 ? stat.high_watermark : asked->offset;
        enum outcome o = store_trim(p->store, to, &out->low_watermark);
        out->error_code = error_of(o);
        if (o != OUT_OK)
            out->low_watermark = -1;
        partition_notify(p);
    }
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct delete_records_request *in = c->in;
    struct delete_records_response *out = c->out;
    const struct view *v = broker_newest(c->broker);
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct delete_records_request_topics *asked = &in->topics[i];
        struct delete_records_response_topics *t = &out->topics[out->topics_count++];
        t->name = asked->name;
        t->partitions = arena_array(c->arena, RESULT, (size_t)asked->partitions_count);
        if (t->partitions == NULL)
            break;
        for (int32_t j = 0; j < asked->partitions_count; j++)
            trim(view_topic(v, asked->name), &asked->partitions[j],
                 &t->partitions[t->partitions_count++]);
    }
    broker_checkpoint_starts(c->broker);
    request_return(r, call_finish_request);
}

enum verdict delete_records_handle(struct call *c)
{
    const struct delete_records_request *in = c->in;
    struct delete_records_response *out = c->out;
    out->topics = arena_array(c->arena, struct delete_records_response_topics,
                              (size_t)in->topics_count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

/* SPDX-License-Identifier: MIT */
/* AlterReplicaLogDirs: partitions move to other log directories, in the background (KIP-113). The
 * reply says what was begun; DescribeLogDirs shows how far it is. */
#include "kafka/call.h"

#define TOPIC struct alter_replica_log_dirs_response_results
#define PART struct alter_replica_log_dirs_response_results_partitions

static bool is_dir(const struct broker *b, struct bytes path)
{
    for (int i = 0; i < broker_dir_count(b); i++) {
        if (bytes_is(path, broker_dir_path(b, i)))
            return true;
    }
    return false;
}

static int16_t begin(const struct broker *b, struct topic *t, int32_t index, struct bytes path)
{
    struct partition *p = t == NULL ? NULL : topic_partition(t, index);
    if (!is_dir(b, path))
        return KAFKA_LOG_DIR_NOT_FOUND;
    if (t == NULL || index < 0 || index >= t->partition_count)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (p == NULL)
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (p->log == NULL)
        return KAFKA_INVALID_REQUEST; /* in memory */
    return error_of(broker_move(p, path));
}

static TOPIC *result_of(struct alter_replica_log_dirs_response *out, struct bytes name)
{
    for (int32_t i = 0; i < out->results_count; i++) {
        if (bytes_equal(out->results[i].topic_name, name))
            return &out->results[i];
    }
    return NULL;
}

static bool answer(struct call *c, const struct view *v,
                   const struct alter_replica_log_dirs_request_dirs *dir)
{
    struct alter_replica_log_dirs_response *out = c->out;
    for (int32_t i = 0; i < dir->topics_count; i++) {
        const struct alter_replica_log_dirs_request_dirs_topics *asked = &dir->topics[i];
        TOPIC *result = result_of(out, asked->name);
        int32_t before = result == NULL ? 0 : result->partitions_count;
        PART *all = arena_array(c->arena, PART, (size_t)before + (size_t)asked->partitions_count);
        if (all == NULL)
            return false;
        if (result == NULL) {
            result = &out->results[out->results_count++];
            *result = (TOPIC){.topic_name = asked->name};
        }
        if (before > 0)
            memcpy(all, result->partitions, (size_t)before * sizeof *all);
        result->partitions = all;
        struct topic *t = view_topic(v, asked->name);
        for (int32_t k = 0; k < asked->partitions_count; k++)
            all[result->partitions_count++] =
                (PART){.partition_index = asked->partitions[k],
                       .error_code = begin(c->broker, t, asked->partitions[k],
                                             dir->path)};
    }
    return true;
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct alter_replica_log_dirs_request *in = c->in;
    for (int32_t i = 0; i < in->dirs_count; i++) {
        if (!answer(c, broker_newest(c->broker), &in->dirs[i]))
            break;
    }
    request_return(r, call_finish_request);
}

enum verdict alter_replica_log_dirs_handle(struct call *c)
{
    const struct alter_replica_log_dirs_request *in = c->in;
    struct alter_replica_log_dirs_response *out = c->out;
    size_t topics = 0;
    for (int32_t i = 0; i < in->dirs_count; i++)
        topics += (size_t)in->dirs[i].topics_count;
    out->results = arena_array(c->arena, TOPIC, topics);
    if (out->results == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

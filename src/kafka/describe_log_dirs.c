/* SPDX-License-Identifier: MIT */
/*
 * DescribeLogDirs: sizes of partitions by log directory (KIP-113, KIP-827). A directory whose disk
 * failed is there with an error and nothing in it.
 */
#include "kafka/call.h"

#include <errno.h>
#include <sys/statvfs.h>

#define RESULT struct describe_log_dirs_response_results
#define TOPIC struct describe_log_dirs_response_results_topics
#define PART struct describe_log_dirs_response_results_topics_partitions

/* One that moves to this directory. */
static void add_future(TOPIC *out, struct partition *p, int dir)
{
    struct broker_moving to;
    if (broker_moving(p, &to) && to.dir == dir)
        out->partitions[out->partitions_count++] =
            (PART){.partition_index = p->index, .partition_size = to.bytes,
                   .offset_lag = to.lag, .is_future_key = true};
}

static void add_part(TOPIC *out, const struct topic *t, int32_t index, int dir)
{
    struct store_stat stat;
    struct partition *p = topic_partition(t, index);
    if (p != NULL && p->log != NULL && partition_dir(p) != dir)
        add_future(out, p, dir);
    if (p == NULL || partition_dir(p) != dir) /* those in memory are in no directory */
        return;
    store_stat(p->store, &stat);
    out->partitions[out->partitions_count++] =
        (PART){.partition_index = index, .partition_size = stat.size_bytes};
}

static bool add_topic(struct call *c, TOPIC *out, const struct topic *t, const int32_t *indexes,
                      int32_t count, int dir)
{
    int32_t room = indexes == NULL ? t->partition_count : count;
    out->name = t->name;
    out->partitions = arena_array(c->arena, PART, (size_t)room);
    if (out->partitions == NULL)
        return false;
    for (int32_t i = 0; i < room; i++)
        add_part(out, t, indexes == NULL ? i : indexes[i], dir);
    return true;
}

static bool fill_dir(struct call *c, RESULT *out, int dir)
{
    const struct describe_log_dirs_request *in = c->in;
    const struct view *v = broker_view();
    bool all = in->topics_count < 0;
    size_t most = all ? v->topic_count : (size_t)in->topics_count;
    out->log_dir = bytes_of(broker_dir_path(c->broker, dir));
    out->total_bytes = out->usable_bytes = -1;
    struct statvfs space;
    if (broker_dir_offline(c->broker, dir)) {
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
        return true;
    }
    if (statvfs(broker_dir_path(c->broker, dir), &space) == 0) {
        out->total_bytes = (int64_t)(space.f_blocks * space.f_frsize);
        out->usable_bytes = (int64_t)(space.f_bavail * space.f_frsize);
    }
    errno = 0;
    out->topics = arena_array(c->arena, TOPIC, most);
    if (out->topics == NULL)
        return false;
    for (size_t i = 0; i < most; i++) {
        const struct topic *t = all ? v->topics[i] : view_topic(v, in->topics[i].topic);
        if (t == NULL)
            continue;
        TOPIC *entry = &out->topics[out->topics_count];
        *entry = (TOPIC){.partitions_count = 0};
        if (!add_topic(c, entry, t, all ? NULL : in->topics[i].partitions,
                       all ? 0 : in->topics[i].partitions_count, dir))
            return false;
        out->topics_count += entry->partitions_count > 0;
    }
    return true;
}

enum verdict describe_log_dirs_handle(struct call *c)
{
    struct describe_log_dirs_response *out = c->out;
    int count = broker_dir_count(c->broker);
    out->results = arena_array(c->arena, RESULT, (size_t)count);
    if (out->results == NULL)
        return REQ_CLOSE;
    for (int i = 0; i < count; i++) {
        if (!fill_dir(c, &out->results[out->results_count++], i))
            return REQ_CLOSE;
    }
    return REQ_DONE;
}

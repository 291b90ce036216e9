/* SPDX-License-Identifier: MIT */
/* DescribeLogDirs: sizes of partitions in the log directory (KIP-113, KIP-827). */
#include "kafka/call.h"

#include <sys/statvfs.h>

#define TOPIC struct describe_log_dirs_response_results_topics
#define PART struct describe_log_dirs_response_results_topics_partitions

static void fill_part(PART *out, const struct partition *p)
{
    struct store_stat stat;
    store_stat(p->store, &stat);
    *out = (PART){.partition_index = p->index, .partition_size = stat.size_bytes};
}

static bool add_topic(struct call *c, TOPIC *out, const struct topic *t, const int32_t *indexes,
                      int32_t count)
{
    out->name = t->name;
    out->partitions = arena_array(c->arena, PART, (size_t)MAX(count, t->partition_count));
    if (out->partitions == NULL)
        return false;
    for (int32_t i = 0; i < (indexes == NULL ? t->partition_count : count); i++) {
        const struct partition *p = topic_partition(t, indexes == NULL ? i : indexes[i]);
        if (p != NULL && p->log != NULL) /* those in memory are in no directory */
            fill_part(&out->partitions[out->partitions_count++], p);
    }
    return true;
}

enum verdict describe_log_dirs_handle(struct call *c)
{
    const struct describe_log_dirs_request *in = c->in;
    struct describe_log_dirs_response *out = c->out;
    const struct view *v = broker_view();
    bool all = in->topics_count < 0;
    size_t most = all ? v->topic_count : (size_t)in->topics_count;
    struct describe_log_dirs_response_results *dir =
        arena_new(c->arena, struct describe_log_dirs_response_results);
    TOPIC *topics = arena_array(c->arena, TOPIC, most);
    if (dir == NULL || topics == NULL)
        return REQ_CLOSE;
    dir->log_dir = bytes_of(broker_data_dir(c->broker));
    dir->topics = topics;
    dir->total_bytes = dir->usable_bytes = -1;
    struct statvfs space;
    if (statvfs(broker_data_dir(c->broker), &space) == 0) {
        dir->total_bytes = (int64_t)(space.f_blocks * space.f_frsize);
        dir->usable_bytes = (int64_t)(space.f_bavail * space.f_frsize);
    }
    for (size_t i = 0; i < most; i++) {
        const struct topic *t = all ? v->topics[i] : view_topic(v, in->topics[i].topic);
        if (t == NULL)
            continue;
        TOPIC *entry = &topics[dir->topics_count];
        if (!add_topic(c, entry, t, all ? NULL : in->topics[i].partitions,
                       all ? 0 : in->topics[i].partitions_count))
            return REQ_CLOSE;
        dir->topics_count += entry->partitions_count > 0;
    }
    out->results = dir;
    out->results_count = 1;
    return REQ_DONE;
}

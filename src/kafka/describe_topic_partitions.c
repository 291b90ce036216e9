/* SPDX-License-Identifier: MIT */
/*
 * DescribeTopicPartitions: topics in order of name, a page at a time (KIP-966). The cursor names
 * the partition that comes next.
 */
#include "kafka/call.h"

#include <stdlib.h>

#define TOPIC struct describe_topic_partitions_response_topics
#define PART struct describe_topic_partitions_response_topics_partitions

static int by_name(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    return bytes_compare(*x, *y);
}

/* The names asked for (all when none is named), sorted, each once, from the cursor's topic on. */
static struct bytes *names(struct call *c, size_t *count)
{
    const struct describe_topic_partitions_request *in = c->in;
    const struct view *v = broker_view();
    bool all = in->topics_count == 0;
    size_t most = all ? v->topic_count : (size_t)in->topics_count;
    struct bytes *list = arena_array(c->arena, struct bytes, most);
    *count = 0;
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < most; i++) {
        struct bytes name = all ? v->topics[i]->name : in->topics[i].name;
        if (in->cursor != NULL && bytes_compare(name, in->cursor->topic_name) < 0)
            continue;
        if (!seen_before(c, name, 0))
            list[(*count)++] = name;
    }
    if (*count > 1)
        qsort(list, *count, sizeof *list, by_name);
    return list;
}

static int32_t fill(struct call *c, TOPIC *out, const struct topic *t, int32_t first, int32_t room)
{
    int32_t count = MIN(room, MAX(t->partition_count - first, 0));
    int32_t *node = arena_new(c->arena, int32_t);
    out->partitions = arena_array(c->arena, PART, (size_t)count);
    out->topic_id = t->id;
    out->is_internal = t->internal;
    if (out->partitions == NULL || node == NULL)
        return 0;
    *node = broker_node_id(c->broker);
    out->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct partition *p = t->partitions[first + i];
        out->partitions[i] = (PART){
            .partition_index = first + i,
            .error_code = p == NULL ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE,
            .leader_id = p == NULL ? -1 : *node,
            .leader_epoch = p == NULL
                                ? t->meta->partitions[first + i].leader_epoch
                                : atomic_load_explicit(&p->leader_epoch, memory_order_relaxed),
            .replica_nodes = node, .replica_nodes_count = 1,
            .isr_nodes = node, .isr_nodes_count = p != NULL,
            .offline_replicas = node, .offline_replicas_count = p == NULL,
            .eligible_leader_replicas = node, .last_known_elr = node,
        };
    }
    return count;
}

static bool next_page(struct call *c, struct bytes name, int32_t index)
{
    struct describe_topic_partitions_response *out = c->out;
    out->next_cursor = arena_take_zeroed(c->arena, 1, sizeof *out->next_cursor);
    if (out->next_cursor == NULL)
        return false;
    out->next_cursor->topic_name = name;
    out->next_cursor->partition_index = index;
    return true;
}

static bool page(struct call *c, const struct bytes *list, size_t count)
{
    const struct describe_topic_partitions_request *in = c->in;
    struct describe_topic_partitions_response *out = c->out;
    int32_t room = MAX(1, MIN(in->response_partition_limit,
                              c->config->max_request_partition_size_limit));
    for (size_t i = 0; i < count; i++) {
        const struct topic *t = view_topic(broker_view(), list[i]);
        bool here = in->cursor != NULL && bytes_equal(list[i], in->cursor->topic_name);
        int32_t first = here ? in->cursor->partition_index : 0;
        if (room == 0)
            return next_page(c, list[i], first);
        TOPIC *entry = &out->topics[out->topics_count++];
        *entry = (TOPIC){.name = list[i], .topic_authorized_operations = TOPIC_OPERATIONS};
        if (t == NULL) {
            entry->error_code = meta_topic_name_valid(list[i]) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                               : KAFKA_INVALID_TOPIC_EXCEPTION;
            continue;
        }
        int32_t given = fill(c, entry, t, first, room);
        room -= given;
        if (first + given < t->partition_count)
            return next_page(c, list[i], first + given);
    }
    return true;
}

enum verdict describe_topic_partitions_handle(struct call *c)
{
    const struct describe_topic_partitions_request *in = c->in;
    struct describe_topic_partitions_response *out = c->out;
    size_t count;
    struct bytes *list = names(c, &count);
    out->topics = arena_array(c->arena, TOPIC, count);
    if (list == NULL || out->topics == NULL)
        return REQ_CLOSE;
    if (in->cursor != NULL && in->cursor->partition_index < 0) {
        for (size_t i = 0; i < count; i++)
            out->topics[out->topics_count++] = (TOPIC){
                .name = list[i], .error_code = KAFKA_INVALID_REQUEST,
                .topic_authorized_operations = NO_OPERATIONS};
        return REQ_DONE;
    }
    return page(c, list, count) ? REQ_DONE : REQ_CLOSE;
}

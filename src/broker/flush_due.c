/* SPDX-License-Identifier: MIT */
/*
 * flush.ms and flush.messages: logs whose records wait for the disk too long, or too many of them,
 * are flushed though nobody waits for it. A producer that crosses flush.messages waits itself
 * (kafka/produce.c); here it is for everybody else who appends.
 */
#include "broker/private.h"

#include "watch/watch.h"

#define NS_PER_MS INT64_C(1000000)
#define LOOK_MS 1000
#define LOOK_LEAST_MS 10

static void look_at(struct partition *p, const struct topic_config *c, int64_t now_ms)
{
    struct store_stat stat;
    store_stat(p->store, &stat);
    int64_t waiting = stat.end_offset - stat.flushed_offset;
    if (waiting <= 0 || stat.offline) {
        p->unflushed_ms = 0;
        return;
    }
    if (p->unflushed_ms == 0)
        p->unflushed_ms = now_ms;
    if (waiting < c->flush_messages && now_ms - p->unflushed_ms < c->flush_ms)
        return;
    p->unflushed_ms = 0;
    broker_flush_soon(p);
}

void broker_flush_due(struct shard_timer *timer, int64_t now_ns)
{
    struct broker *b = container_of(timer, struct broker, flush_due);
    int64_t again_ms = LOOK_MS;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        const struct topic_config *c = &t->config;
        if (c->flush_ms == INT64_MAX && c->flush_messages == INT64_MAX)
            continue;
        again_ms = MIN(again_ms, MAX(c->flush_ms / 2, LOOK_LEAST_MS));
        for (int32_t k = 0; k < t->partition_count; k++)
            if (t->partitions[k] != NULL && t->partitions[k]->log != NULL)
                look_at(t->partitions[k], c, timer->shard->wall_ms);
    }
    if (shard_timer_set(timer->shard, timer, now_ns + again_ms * NS_PER_MS) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "a timer is lost: out of memory");
}

/* SPDX-License-Identifier: MIT */
/* Opening the door with the broker's settings and reactors. */
#include "nats/consumer.h"

#include <stdlib.h>

static_assert((int)LIVE_DISCONNECT == (int)NATS_OVERFLOW_DISCONNECT &&
                  (int)LIVE_DROP_OLDEST == (int)NATS_OVERFLOW_DROP_OLDEST &&
                  (int)LIVE_DROP_NEWEST == (int)NATS_OVERFLOW_DROP_NEWEST &&
                  (int)LIVE_BLOCK == (int)NATS_OVERFLOW_BLOCK,
              "the setting names live's policies in their order");

enum outcome nats_open(struct broker *b)
{
    struct shard *shards[LIVE_SHARDS_MAX];
    const struct config *c = broker_config(b);
    int count = broker_shard_count(b);
    if (c->nats_port == 0)
        return OUT_OK;
    if (count > LIVE_SHARDS_MAX)
        return fail(OUT_INVALID, "the NATS door works with at most %d reactors", LIVE_SHARDS_MAX);
    for (int i = 0; i < count; i++)
        shards[i] = broker_shard(b, i);
    struct nats_options o = {
        .host = c->listeners[0].host, .port = c->nats_port, .server_name = c->nats_server_name,
        .shards = shards, .shard_count = count, .max_payload = c->nats_max_payload,
        .max_control_line = c->nats_max_control_line,
        .max_connections = c->nats_max_connections, .ping_max = c->nats_ping_max,
        .max_subscriptions = c->nats_max_subscriptions, .max_pending = c->nats_max_pending,
        .ping_interval_ms = c->nats_ping_interval_ms,
        .write_deadline_ms = c->nats_write_deadline_ms,
        .auth_timeout_ms = c->nats_auth_timeout_ms, .lame_duck_ms = c->nats_lame_duck_ms,
        .overflow = (enum live_overflow)c->nats_overflow,
        .overflow_messages = (uint32_t)c->nats_overflow_messages,
        .users_file = c->nats_users_file};
    enum outcome out = nats_start(&o);
    if (out == OUT_OK) {
        nats_door_open->broker = b;
        nats_door_open->publish_topic = nats_topic_publish;
        nats_door_open->service_queue = consumer_queue;
        nats_door_open->subscribed = consumer_subscribed;
        nats_tap_open(b);
    }
    return out;
}

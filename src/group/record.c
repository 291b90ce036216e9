/* SPDX-License-Identifier: MIT */
/*
 * Records of __consumer_offsets, byte for byte as Kafka 4.3 writes them. Key and value begin with
 * an int16: the key's says what it is (0 and 1 an offset, 2 a classic group), the value's its
 * version.
 */
#include "group/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#define OFFSET_KEY 1
#define GROUP_KEY 2
#define OFFSET_VALUE_VERSION 4 /* the first with the topic's id */
#define GROUP_VALUE_VERSION 3

static struct bytes encode(struct group_shard *s, const struct wire_message *message,
                           int16_t prefix, int version, const void *in)
{
    size_t size;
    uint8_t *at = NULL;
    if (wire_measure(message, version, in, &size) == OUT_OK)
        at = take(s, 1, size + 2);
    if (at == NULL || wire_encode(message, version, in, at + 2, size, NULL, NULL) != OUT_OK) {
        s->failed = true;
        return (struct bytes){0};
    }
    put_be16(at, (uint16_t)prefix);
    return bytes_view(at, size + 2);
}

struct bytes record_group_key(struct group_shard *s, struct bytes group_id)
{
    struct group_metadata_key key = {.group = group_id};
    return encode(s, &wire_group_metadata_key, GROUP_KEY, 0, &key);
}

struct bytes record_offset_key(struct group_shard *s, struct bytes group_id, struct bytes topic,
                               int32_t partition)
{
    struct offset_commit_key key = {.group = group_id, .topic = topic, .partition = partition};
    return encode(s, &wire_offset_commit_key, OFFSET_KEY, 0, &key);
}

static void fill_members(const struct group *g, struct group_metadata_value *value)
{
    value->members = take_array(g->shard, struct group_metadata_value_members, g->member_count);
    if (value->members == NULL)
        return;
    list_each(node, &g->members) {
        const struct member *m = container_of(node, struct member, node);
        value->members[value->members_count++] = (struct group_metadata_value_members){
            .member_id = m->id,
            .group_instance_id = m->instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .rebalance_timeout = m->rebalance_ms,
            .session_timeout = m->session_ms,
            .subscription = protocol_metadata(m, g->protocol_name),
            .assignment = m->assignment,
        };
    }
}

void record_group(struct group *g)
{
    struct group_shard *s = g->shard;
    struct group_metadata_value value;
    wire_defaults(&wire_group_metadata_value, &value);
    value.protocol_type = g->protocol_type.at == NULL ? bytes_of("") : g->protocol_type;
    value.generation = g->generation;
    value.protocol = g->protocol_name;
    value.leader = g->leader == NULL ? (struct bytes){0} : g->leader->id;
    value.current_state_timestamp = g->state_since_ms;
    value.members_count = 0;
    if (g->state == STATE_STABLE)
        fill_members(g, &value);
    if (!s->failed)
        record(s, record_group_key(s, g->id),
               encode(s, &wire_group_metadata_value, GROUP_VALUE_VERSION, GROUP_VALUE_VERSION,
                      &value));
}

void record_group_gone(struct group *g)
{
    record(g->shard, record_group_key(g->shard, g->id), (struct bytes){0});
}

void record_offset(struct group *g, const struct committed *c)
{
    struct group_shard *s = g->shard;
    struct offset_commit_value value;
    wire_defaults(&wire_offset_commit_value, &value);
    value.offset = c->offset;
    value.leader_epoch = c->leader_epoch;
    value.metadata = c->metadata.at == NULL ? bytes_of("") : c->metadata;
    value.commit_timestamp = c->commit_ms;
    value.topic_id = c->topic_id;
    record(s, record_offset_key(s, g->id, c->topic, c->partition),
           encode(s, &wire_offset_commit_value, OFFSET_VALUE_VERSION, OFFSET_VALUE_VERSION,
                  &value));
}

void record_offset_gone(struct group *g, struct bytes topic, int32_t partition)
{
    record(g->shard, record_offset_key(g->shard, g->id, topic, partition), (struct bytes){0});
}

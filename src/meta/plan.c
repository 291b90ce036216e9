/* SPDX-License-Identifier: MIT */
/*
 * Planning changes: pure functions from an image and a wish to records, with Kafka's rules about
 * names, counts, replicas and configs. A refusal leaves its sentence in the trail.
 */
#include "base/check.h"
#include "base/varint.h"
#include "meta/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <errno.h>

#define NAME_MAX_BYTES 249
#define CHANGE_MAX MiB(256)
enum { RESOURCE_TOPIC = 2 };
enum { TOPIC_VERSION = 0, CONFIG_VERSION = 0, IDS_VERSION = 0 };

bool meta_topic_name_valid(struct bytes name)
{
    if (name.size == 0 || name.size > NAME_MAX_BYTES || bytes_is(name, ".") || bytes_is(name, ".."))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!good)
            return false;
    }
    return true;
}

bool meta_topic_internal(struct bytes name)
{
    return bytes_is(name, "__consumer_offsets") || bytes_is(name, "__transaction_state") ||
           bytes_is(name, "__share_group_state");
}

const struct meta_supported_feature *meta_supported_features(size_t *count)
{
    static const struct meta_supported_feature rows[] = {
        {"eligible.leader.replicas.version", 0, 1}, {"group.version", 0, 1},
        {"kraft.version", 0, 1}, {"metadata.version", 7, 30}, {"share.version", 0, 1},
        {"streams.version", 0, 1}, {"transaction.version", 0, 2},
    };
    *count = COUNT_OF(rows);
    return rows;
}

/* ---- a change ---- */

void meta_change_init(struct meta_change *c)
{
    *c = (struct meta_change){0};
    arena_init(&c->arena, CHANGE_MAX);
    c->end = &c->first;
}

void meta_change_fini(struct meta_change *c)
{
    arena_fini(&c->arena);
}

enum outcome meta_change_add(struct meta_change *c, const struct wire_message *m, int16_t version,
                             const void *record)
{
    size_t body;
    enum outcome o = wire_measure(m, version, record, &body);
    if (o != OUT_OK)
        return o;
    uint8_t *at = arena_take(&c->arena, body + 3 * VARINT32_MAX);
    struct meta_record *r = arena_new(&c->arena, struct meta_record);
    if (at == NULL || r == NULL)
        return fail(OUT_NO_MEMORY, "plan a metadata change");
    size_t size = uvarint_put(at, 1);
    size += uvarint_put(at + size, (uint32_t)m->key);
    size += uvarint_put(at + size, (uint32_t)version);
    o = wire_encode(m, version, record, at + size, body, NULL, NULL);
    if (o != OUT_OK)
        return o;
    r->framed = bytes_view(at, size + body);
    *c->end = r;
    c->end = &r->next;
    c->count++;
    return OUT_OK;
}

enum outcome meta_change_add_framed(struct meta_change *c, struct bytes framed)
{
    struct meta_record *r = arena_new(&c->arena, struct meta_record);
    if (r == NULL)
        return fail(OUT_NO_MEMORY, "plan a metadata change");
    r->framed = arena_copy(&c->arena, framed);
    if (r->framed.at == NULL)
        return fail(OUT_NO_MEMORY, "plan a metadata change");
    *c->end = r;
    c->end = &r->next;
    c->count++;
    return OUT_OK;
}

/* ---- topics ---- */

static enum outcome check_name(const struct meta_image *image, const struct meta_new_topic *t)
{
    errno = 0;
    if (bytes_is(t->name, "__cluster_metadata"))
        return fail(OUT_INVALID, "Creation of internal topic __cluster_metadata is prohibited.");
    if (!meta_topic_name_valid(t->name))
        return fail(OUT_INVALID_TOPIC, "The topic name is invalid: 1 to 249 of letters, digits, "
                                       "'.', '_' and '-', not \".\" or \"..\".");
    if (meta_topic(image, t->name) != NULL)
        return fail(OUT_EXISTS, "Topic '%.*s' already exists.", (int)t->name.size,
                    (const char *)t->name.at);
    const struct meta_topic *other = topic_colliding(image, t->name);
    if (other != NULL)
        return fail(OUT_INVALID_TOPIC, "Topic '%.*s' collides with existing topic: %.*s",
                    (int)t->name.size, (const char *)t->name.at, (int)other->name.size,
                    (const char *)other->name.at);
    return OUT_OK;
}

static enum outcome check_replicas(const struct meta_rules *rules, const struct meta_assignment *a)
{
    if (a->broker_count == 0)
        return fail(OUT_INVALID_REPLICA_ASSIGNMENT,
                    "The manual partition assignment includes an empty replica list.");
    for (int32_t i = 0; i < a->broker_count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (a->brokers[i] == a->brokers[j])
                return fail(OUT_INVALID_REPLICA_ASSIGNMENT,
                            "The manual partition assignment includes the broker %d more than "
                            "once.",
                            a->brokers[i]);
        }
        if (a->brokers[i] != rules->node_id)
            return fail(OUT_INVALID_REPLICA_ASSIGNMENT,
                        "The manual partition assignment includes broker %d, but no such broker is "
                        "registered.", a->brokers[i]);
    }
    return OUT_OK;
}

/* Manual assignment: partitions 0 to n-1, each once. *count: how many. */
static enum outcome check_assignments(const struct meta_rules *rules,
                                      const struct meta_new_topic *t, struct arena *arena,
                                      int32_t *count)
{
    if (t->replication_factor != -1)
        return fail(OUT_INVALID, "A manual partition assignment was specified, but replication "
                                 "factor was not set to -1.");
    if (t->partition_count != -1)
        return fail(OUT_INVALID, "A manual partition assignment was specified, but numPartitions "
                                 "was not set to -1.");
    bool *there = arena_array(arena, bool, t->assignment_count);
    if (there == NULL)
        return fail(OUT_NO_MEMORY, "check a partition assignment");
    for (size_t i = 0; i < t->assignment_count; i++) {
        const struct meta_assignment *a = &t->assignments[i];
        enum outcome o = check_replicas(rules, a);
        if (o != OUT_OK)
            return o;
        if (a->index < 0 || (size_t)a->index >= t->assignment_count)
            return fail(OUT_INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive "
                                                        "0-based integer sequence");
        if (there[a->index])
            return fail(OUT_INVALID_REPLICA_ASSIGNMENT,
                        "Found multiple manual partition assignments for partition %d", a->index);
        there[a->index] = true;
    }
    *count = (int32_t)t->assignment_count;
    return OUT_OK;
}

static enum outcome check_counts(const struct meta_rules *rules, const struct meta_new_topic *t,
                                 struct arena *arena, int32_t *count)
{
    errno = 0;
    if (t->assignment_count > 0)
        return check_assignments(rules, t, arena, count);
    if (t->replication_factor < -1 || t->replication_factor == 0)
        return fail(OUT_INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0, or "
                                                    "-1 to use the default value.");
    if (t->partition_count < -1 || t->partition_count == 0)
        return fail(OUT_INVALID_PARTITIONS, "Number of partitions was set to an invalid "
                                            "non-positive value.");
    if (t->replication_factor > 1)
        return fail(OUT_INVALID_REPLICATION_FACTOR, "Unable to replicate the partition %d time(s): "
                    "The target replication factor of %d cannot be reached because only 1 "
                    "broker(s) are registered.", t->replication_factor, t->replication_factor);
    *count = t->partition_count == -1 ? rules->default_partitions : t->partition_count;
    if (*count > META_PARTITIONS_MAX)
        return fail(OUT_INVALID_PARTITIONS, "A topic has at most %d partitions.",
                    META_PARTITIONS_MAX);
    return OUT_OK;
}

static enum outcome add_partitions(const struct meta_image *image, const struct meta_rules *rules,
                                   const struct uuid *topic, int32_t from, int32_t to,
                                   struct meta_change *change)
{
    int16_t version = versions_of(image).partition;
    int32_t node = rules->node_id;
    for (int32_t i = from; i < to; i++) {
        struct uuid directory = rules->place == NULL ? rules->directory_id
                                                     : rules->place(rules->context);
        struct partition_record r;
        wire_defaults(&wire_partition_record, &r);
        r.partition_id = i;
        r.topic_id = *topic;
        r.replicas = r.isr = &node;
        r.replicas_count = r.isr_count = 1;
        r.leader = node;
        r.leader_epoch = 0;
        r.partition_epoch = 0;
        if (version >= 1) {
            r.directories = &directory;
            r.directories_count = 1;
        }
        enum outcome o = meta_change_add(change, &wire_partition_record, version, &r);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

/* The settings that count: of a key that is given more than once the last, as in Kafka. Peers
 * decide how many there are, so names are hashed. */
static enum outcome last_of_each(const struct meta_new_topic *t, struct arena *arena, bool **counts)
{
    size_t slots = 16;
    while (slots < 2 * t->config_count)
        slots *= 2;
    size_t *table = arena_array(arena, size_t, slots); /* index + 1, 0 empty */
    *counts = arena_array(arena, bool, t->config_count);
    if (table == NULL || *counts == NULL)
        return fail(OUT_NO_MEMORY, "check the settings of a topic");
    for (size_t i = t->config_count; i-- > 0;) {
        size_t at = bytes_hash(t->configs[i].name) & (slots - 1);
        while (table[at] != 0 && !bytes_equal(t->configs[table[at] - 1].name, t->configs[i].name))
            at = (at + 1) & (slots - 1);
        (*counts)[i] = table[at] == 0;
        if (table[at] == 0)
            table[at] = i + 1;
    }
    return OUT_OK;
}

static enum outcome check_configs(const struct meta_rules *rules, const struct meta_new_topic *t,
                                  struct arena *arena, bool **counts)
{
    char message[256] = "";
    enum outcome o = last_of_each(t, arena, counts);
    errno = 0;
    for (size_t i = 0; i < t->config_count && o == OUT_OK; i++) {
        const struct meta_pair *p = &t->configs[i];
        if (p->value.at == NULL)
            return fail(OUT_INVALID_CONFIG, "Null value not supported for topic configs: %.*s",
                        (int)MIN(p->name.size, 100), (const char *)p->name.at);
        if ((*counts)[i] && !rules->config_check(RESOURCE_TOPIC, p->name, p->value, message))
            return fail(OUT_INVALID_CONFIG, "%s", message);
    }
    return o;
}

/* Where a change stands, to come back to when one part of it is refused. */
struct mark {
    struct meta_record **end;
    size_t count;
};

static void take_back(struct meta_change *change, const struct mark *mark)
{
    *mark->end = NULL;
    change->end = mark->end;
    change->count = mark->count;
}

static enum outcome add_topic(const struct meta_new_topic *t, const bool *counts,
                              const struct uuid *id, struct meta_change *change)
{
    struct topic_record topic;
    wire_defaults(&wire_topic_record, &topic);
    topic.name = t->name;
    topic.topic_id = *id;
    enum outcome o = meta_change_add(change, &wire_topic_record, TOPIC_VERSION, &topic);
    for (size_t i = 0; i < t->config_count && o == OUT_OK; i++) {
        const struct meta_pair *p = &t->configs[i];
        if (counts[i])
            o = meta_plan_config(RESOURCE_TOPIC, t->name, p->name, p->value, change);
    }
    return o;
}

/* Kafka's order of checks: name, settings, counts. */
enum outcome meta_plan_topic(const struct meta_image *image, const struct meta_rules *rules,
                             const struct meta_new_topic *t, struct meta_change *change,
                             struct uuid *id)
{
    int32_t count = 0;
    bool *counts = NULL;
    struct mark mark = {change->end, change->count};
    enum outcome o = check_name(image, t);
    if (o == OUT_OK)
        o = check_configs(rules, t, &change->arena, &counts);
    if (o == OUT_OK)
        o = check_counts(rules, t, &change->arena, &count);
    if (o != OUT_OK)
        return o;
    *id = uuid_random();
    o = add_topic(t, counts, id, change);
    if (o == OUT_OK)
        o = add_partitions(image, rules, id, 0, count, change);
    if (o != OUT_OK)
        take_back(change, &mark);
    return o;
}

enum outcome meta_plan_delete(const struct meta_topic *t, struct meta_change *change)
{
    struct remove_topic_record r;
    wire_defaults(&wire_remove_topic_record, &r);
    r.topic_id = t->id;
    return meta_change_add(change, &wire_remove_topic_record, 0, &r);
}

enum outcome meta_plan_partitions(const struct meta_image *image, const struct meta_rules *rules,
                                  const struct meta_topic *t, int32_t count,
                                  const struct meta_assignment *assignments,
                                  int32_t assignment_count, struct meta_change *change)
{
    struct mark mark = {change->end, change->count};
    errno = 0;
    if (count == t->partition_count)
        return fail(OUT_INVALID_PARTITIONS, "Topic already has %d partition(s).", count);
    if (count < t->partition_count)
        return fail(OUT_INVALID_PARTITIONS, "The topic %.*s currently has %d partition(s); %d "
                    "would not be an increase.", (int)t->name.size, (const char *)t->name.at,
                    t->partition_count, count);
    if (count > META_PARTITIONS_MAX)
        return fail(OUT_INVALID_PARTITIONS, "A topic has at most %d partitions.",
                    META_PARTITIONS_MAX);
    if (assignments != NULL) {
        if (assignment_count != count - t->partition_count)
            return fail(OUT_INVALID_REPLICA_ASSIGNMENT,
                        "Attempted to add %d additional partition(s), but only %d "
                        "assignment(s) were specified.", count - t->partition_count,
                        assignment_count);
        for (int32_t i = 0; i < assignment_count; i++) {
            enum outcome o = check_replicas(rules, &assignments[i]);
            if (o != OUT_OK)
                return o;
        }
    }
    enum outcome o = add_partitions(image, rules, &t->id, t->partition_count, count, change);
    if (o != OUT_OK)
        take_back(change, &mark);
    return o;
}

enum outcome meta_plan_config(int8_t type, struct bytes resource, struct bytes name,
                              struct bytes value, struct meta_change *change)
{
    struct config_record r;
    wire_defaults(&wire_config_record, &r);
    r.resource_type = type;
    r.resource_name = resource;
    r.name = name;
    r.value = value;
    return meta_change_add(change, &wire_config_record, CONFIG_VERSION, &r);
}

enum outcome meta_plan_producer_ids(const struct meta_image *image, int32_t node_id, int64_t count,
                                    struct meta_change *change)
{
    struct producer_ids_record r;
    wire_defaults(&wire_producer_ids_record, &r);
    r.broker_id = node_id;
    r.broker_epoch = image->broker_epoch;
    r.next_producer_id = image->next_producer_id + count;
    return meta_change_add(change, &wire_producer_ids_record, IDS_VERSION, &r);
}

enum outcome meta_plan_directory(const struct meta_image *image, const struct meta_topic *t,
                                 int32_t index, const struct uuid *directory,
                                 struct meta_change *change)
{
    const struct meta_placement *at = t->partitions[index].placement;
    struct uuid id = *directory;
    int16_t version = versions_of(image).partition_change;
    struct partition_change_record r;
    if (version < 1 || at == NULL ||
        (at->directory_count == 1 && uuid_equal(&at->directories[0], directory)))
        return OUT_OK;
    wire_defaults(&wire_partition_change_record, &r);
    r.partition_id = index;
    r.topic_id = t->id;
    r.directories = &id;
    r.directories_count = 1;
    return meta_change_add(change, &wire_partition_change_record, version, &r);
}

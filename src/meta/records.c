/* SPDX-License-Identifier: MIT */
/* From an image back to the records that make it, for snapshots; and which versions of them to
 * write. */
#include "meta/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <errno.h>

/* Levels of metadata.version from which on a record version is known (Kafka's MetadataVersion). */
enum {
    LEVEL_CONTROLLED_SHUTDOWN = 7,
    LEVEL_MIGRATION = 8,
    LEVEL_DIRECTORIES = 17,
    LEVEL_ELR = 23,
    LEVEL_CORDONED = 30,
};

struct meta_versions versions_of(const struct meta_image *image)
{
    int16_t level = LEVEL_CORDONED;
    for (size_t i = 0; i < image->feature_count; i++) {
        if (bytes_is(image->features[i].name, "metadata.version"))
            level = image->features[i].level;
    }
    struct meta_versions v = {0};
    v.partition = v.partition_change = level >= LEVEL_ELR ? 2 : level >= LEVEL_DIRECTORIES ? 1 : 0;
    v.register_broker = level >= LEVEL_CORDONED ? 4 : level >= LEVEL_DIRECTORIES ? 3
        : level >= LEVEL_MIGRATION ? 2 : level >= LEVEL_CONTROLLED_SHUTDOWN ? 1 : 0;
    return v;
}

/* metadata.version comes first: it says how the rest is to be read. */
static enum outcome feature_records(const struct meta_image *image, struct meta_change *change)
{
    enum outcome o = OUT_OK;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < image->feature_count && o == OUT_OK; i++) {
            struct feature_level_record r;
            if (bytes_is(image->features[i].name, "metadata.version") != (pass == 0))
                continue;
            wire_defaults(&wire_feature_level_record, &r);
            r.name = image->features[i].name;
            r.feature_level = image->features[i].level;
            o = meta_change_add(change, &wire_feature_level_record, 0, &r);
        }
    }
    return o;
}

static enum outcome broker_record(const struct meta_broker *b, struct meta_change *change)
{
    struct register_broker_record r;
    uint32_t type, version;
    struct bytes body;
    enum outcome o = frame_read(b->framed, &type, &version, &body);
    if (o == OUT_OK)
        o = wire_decode(&wire_register_broker_record, (int)version, body, &change->arena, &r, NULL);
    if (o != OUT_OK)
        return o;
    r.fenced = b->fenced;
    r.in_controlled_shutdown = version >= 1 && b->in_controlled_shutdown;
    return meta_change_add(change, &wire_register_broker_record, (int16_t)version, &r);
}

static enum outcome partition_record_of(const struct meta_topic *t, int32_t index, int16_t version,
                                        struct meta_change *change)
{
    const struct meta_partition *p = &t->partitions[index];
    const struct meta_placement *at = p->placement;
    struct partition_record r;
    wire_defaults(&wire_partition_record, &r);
    r.partition_id = index;
    r.topic_id = t->id;
    r.leader = p->leader;
    r.leader_epoch = p->leader_epoch;
    r.partition_epoch = p->partition_epoch;
    r.leader_recovery_state = p->recovery_state;
    /* The encoder only reads these. */
    r.replicas = (int32_t *)(uintptr_t)at->replicas;
    r.replicas_count = at->replica_count;
    r.isr = (int32_t *)(uintptr_t)at->isr;
    r.isr_count = at->isr_count;
    r.removing_replicas = (int32_t *)(uintptr_t)at->removing;
    r.removing_replicas_count = at->removing_count;
    r.adding_replicas = (int32_t *)(uintptr_t)at->adding;
    r.adding_replicas_count = at->adding_count;
    if (version >= 1) {
        r.directories = (struct uuid *)(uintptr_t)at->directories;
        r.directories_count = at->directory_count;
    }
    if (version >= 2 && at->elr_count > 0) {
        r.eligible_leader_replicas = (int32_t *)(uintptr_t)at->elr;
        r.eligible_leader_replicas_count = at->elr_count;
    }
    if (version >= 2 && at->last_elr_count > 0) {
        r.last_known_elr = (int32_t *)(uintptr_t)at->last_elr;
        r.last_known_elr_count = at->last_elr_count;
    }
    return meta_change_add(change, &wire_partition_record, version, &r);
}

static enum outcome topic_records(const struct meta_topic *t, int16_t version,
                                  struct meta_change *change)
{
    struct topic_record r;
    wire_defaults(&wire_topic_record, &r);
    r.name = t->name;
    r.topic_id = t->id;
    enum outcome o = meta_change_add(change, &wire_topic_record, 0, &r);
    for (int32_t i = 0; i < t->partition_count && o == OUT_OK; i++) {
        if (t->partitions[i].placement != NULL)
            o = partition_record_of(t, i, version, change);
    }
    return o;
}

static enum outcome config_records(const struct meta_configs *c, struct meta_change *change)
{
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < c->count && o == OUT_OK; i++)
        o = meta_plan_config(c->type, c->name, c->pairs[i].name, c->pairs[i].value, change);
    return o;
}

static enum outcome producer_ids(const struct meta_image *image, struct meta_change *change)
{
    struct producer_ids_record r;
    if (image->next_producer_id == 0)
        return OUT_OK;
    wire_defaults(&wire_producer_ids_record, &r);
    r.broker_id = image->node_id;
    r.broker_epoch = image->broker_epoch;
    r.next_producer_id = image->next_producer_id;
    return meta_change_add(change, &wire_producer_ids_record, 0, &r);
}

enum outcome image_records(const struct meta_image *image, struct meta_change *change)
{
    int16_t version = versions_of(image).partition;
    enum outcome o = feature_records(image, change);
    for (size_t i = 0; i < image->broker_count && o == OUT_OK; i++)
        o = broker_record(image->brokers[i], change);
    for (size_t i = 0; i < image->topic_count && o == OUT_OK; i++)
        o = topic_records(image->topics[i], version, change);
    for (size_t i = 0; i < image->config_count && o == OUT_OK; i++)
        o = config_records(image->configs[i], change);
    if (o == OUT_OK)
        o = producer_ids(image, change);
    for (size_t i = 0; i < image->kept_count && o == OUT_OK; i++)
        o = meta_change_add_framed(change, image->kept[i]->framed);
    return o;
}

/* SPDX-License-Identifier: MIT */
/*
 * Images and how records change them. Topics and configs are shared between images by reference
 * count: a change copies two arrays of pointers and the one topic it touches.
 */
#include "meta/image.h"

#include "base/check.h"
#include "base/varint.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <stdlib.h>

#define PARTITIONS_MAX 1000000

static void topic_drop(struct meta_topic *t)
{
    if (atomic_fetch_sub_explicit(&t->holds, 1, memory_order_acq_rel) == 1)
        free(t);
}

static void configs_drop(struct meta_configs *c)
{
    if (atomic_fetch_sub_explicit(&c->holds, 1, memory_order_acq_rel) == 1)
        free(c);
}

const struct meta_image *meta_image_hold(const struct meta_image *i)
{
    atomic_fetch_add_explicit(&((struct meta_image *)(uintptr_t)i)->holds, 1, memory_order_relaxed);
    return i;
}

void meta_image_drop(const struct meta_image *image)
{
    struct meta_image *i = (struct meta_image *)(uintptr_t)image;
    if (i == NULL || atomic_fetch_sub_explicit(&i->holds, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t k = 0; k < i->topic_count; k++)
        topic_drop(i->topics[k]);
    for (size_t k = 0; k < i->config_count; k++)
        configs_drop(i->configs[k]);
    free(i->topics);
    free(i->configs);
    free(i);
}

struct meta_image *image_draft(const struct meta_image *from)
{
    struct meta_image *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    if (from != NULL)
        memcpy(d, from, sizeof *d);
    atomic_init(&d->holds, 1);
    d->cluster_id = bytes_of(d->cluster_id_text);
    for (size_t i = 0; i < d->feature_count; i++)
        d->features[i].name = bytes_of(d->feature_names[i]);
    d->topics = malloc((d->topic_count + 1) * sizeof(struct meta_topic *));
    d->configs = malloc((d->config_count + 1) * sizeof(struct meta_configs *));
    if (d->topics == NULL || d->configs == NULL) {
        free(d->topics);
        free(d->configs);
        free(d);
        return NULL;
    }
    for (size_t i = 0; i < d->topic_count; i++) {
        d->topics[i] = from->topics[i];
        atomic_fetch_add_explicit(&d->topics[i]->holds, 1, memory_order_relaxed);
    }
    for (size_t i = 0; i < d->config_count; i++) {
        d->configs[i] = from->configs[i];
        atomic_fetch_add_explicit(&d->configs[i]->holds, 1, memory_order_relaxed);
    }
    return d;
}

/* ---- topics ---- */

/* Where a name is or would be. */
static size_t topic_place(const struct meta_image *i, struct bytes name, bool *found)
{
    size_t low = 0, high = i->topic_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(i->topics[middle]->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

const struct meta_topic *meta_topic(const struct meta_image *i, struct bytes name)
{
    bool found;
    size_t at = topic_place(i, name, &found);
    return found ? i->topics[at] : NULL;
}

static int find_by_id(const struct meta_image *i, const struct uuid *id, size_t *at)
{
    for (*at = 0; *at < i->topic_count; ++*at) {
        if (uuid_equal(&i->topics[*at]->id, id))
            return 1;
    }
    return 0;
}

const struct meta_topic *meta_topic_by_id(const struct meta_image *i, const struct uuid *id)
{
    size_t at;
    return find_by_id(i, id, &at) ? i->topics[at] : NULL;
}

/* A topic in one piece of memory: itself, its partitions, its name. */
static struct meta_topic *topic_new(struct bytes name, const struct uuid *id, int32_t partitions)
{
    size_t tables = (size_t)partitions * sizeof(struct meta_partition);
    struct meta_topic *t = calloc(1, sizeof *t + tables + name.size);
    if (t == NULL)
        return NULL;
    atomic_init(&t->holds, 1);
    t->id = *id;
    t->partition_count = partitions;
    t->partitions = (struct meta_partition *)(void *)(t + 1);
    uint8_t *text = (uint8_t *)(t + 1) + tables;
    memcpy(text, name.at, name.size);
    t->name = bytes_view(text, name.size);
    return t;
}

/* A copy of a topic of the draft with room for `partitions`, put in its place. */
static struct meta_topic *topic_change(struct meta_image *d, size_t at, int32_t partitions)
{
    struct meta_topic *old = d->topics[at];
    struct meta_topic *t = topic_new(old->name, &old->id, MAX(partitions, old->partition_count));
    if (t == NULL)
        return NULL;
    for (int32_t i = 0; i < old->partition_count; i++)
        t->partitions[i] = old->partitions[i];
    d->topics[at] = t;
    topic_drop(old);
    return t;
}

static enum outcome apply_topic(struct meta_image *d, const struct topic_record *r)
{
    bool found;
    size_t at = topic_place(d, r->name, &found);
    if (found)
        return fail(OUT_CORRUPT, "the metadata creates a topic twice");
    struct meta_topic *t = topic_new(r->name, &r->topic_id, 0);
    struct meta_topic **grown = realloc(d->topics, (d->topic_count + 2) * sizeof *grown);
    if (grown != NULL)
        d->topics = grown;
    if (t == NULL || grown == NULL) {
        free(t);
        return OUT_NO_MEMORY;
    }
    memmove(&d->topics[at + 1], &d->topics[at], (d->topic_count - at) * sizeof *grown);
    d->topics[at] = t;
    d->topic_count++;
    return OUT_OK;
}

static enum outcome apply_partition(struct meta_image *d, const struct partition_record *r)
{
    size_t at;
    if (!find_by_id(d, &r->topic_id, &at) || r->partition_id < 0 || r->partition_id >= PARTITIONS_MAX)
        return fail(OUT_CORRUPT, "the metadata has a partition of an unknown topic");
    struct meta_topic *t = topic_change(d, at, r->partition_id + 1);
    if (t == NULL)
        return OUT_NO_MEMORY;
    t->partitions[r->partition_id] = (struct meta_partition){
        .leader = r->leader, .leader_epoch = r->leader_epoch, .partition_epoch = r->partition_epoch};
    return OUT_OK;
}

#define LEADER_UNCHANGED (-2)

static enum outcome apply_partition_change(struct meta_image *d,
                                           const struct partition_change_record *r)
{
    size_t at;
    if (!find_by_id(d, &r->topic_id, &at))
        return OUT_OK; /* of a topic that is gone */
    if (r->partition_id < 0 || r->partition_id >= d->topics[at]->partition_count)
        return fail(OUT_CORRUPT, "the metadata changes a partition that is not there");
    struct meta_topic *t = topic_change(d, at, 0);
    if (t == NULL)
        return OUT_NO_MEMORY;
    struct meta_partition *p = &t->partitions[r->partition_id];
    p->partition_epoch++;
    if (r->leader != LEADER_UNCHANGED) {
        p->leader = r->leader;
        p->leader_epoch++;
    }
    return OUT_OK;
}

/* ---- configs ---- */

static size_t configs_place(const struct meta_image *i, int8_t type, struct bytes name, bool *found)
{
    size_t low = 0, high = i->config_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct meta_configs *c = i->configs[middle];
        int order = c->type != type ? (c->type < type ? -1 : 1) : bytes_compare(c->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

const struct meta_configs *meta_configs(const struct meta_image *i, int8_t type, struct bytes name)
{
    bool found;
    size_t at = configs_place(i, type, name, &found);
    return found ? i->configs[at] : NULL;
}

static struct bytes keep(uint8_t **at, struct bytes b)
{
    if (b.size > 0)
        memcpy(*at, b.at, b.size);
    struct bytes kept = {*at, b.size};
    *at += b.size;
    return kept;
}

/* A copy of `old` (NULL: empty) in one piece, with one key set or (value null) deleted. */
static struct meta_configs *configs_with(const struct meta_configs *old, int8_t type,
                                         struct bytes resource, struct bytes name,
                                         struct bytes value)
{
    size_t count = old == NULL ? 0 : old->count, text = resource.size + name.size + value.size;
    for (size_t i = 0; i < count; i++)
        text += old->pairs[i].name.size + old->pairs[i].value.size;
    size_t table = (count + 1) * sizeof(struct meta_pair);
    struct meta_configs *c = calloc(1, sizeof *c + table + text + 1);
    if (c == NULL)
        return NULL;
    atomic_init(&c->holds, 1);
    c->type = type;
    c->pairs = (struct meta_pair *)(void *)(c + 1);
    uint8_t *at = (uint8_t *)(c + 1) + table;
    c->name = keep(&at, resource);
    bool done = value.at == NULL;
    for (size_t i = 0; i < count; i++) {
        const struct meta_pair *p = &old->pairs[i];
        int order = bytes_compare(p->name, name);
        if (!done && order >= 0) {
            c->pairs[c->count++] = (struct meta_pair){keep(&at, name), keep(&at, value)};
            done = true;
        }
        if (order != 0)
            c->pairs[c->count++] = (struct meta_pair){keep(&at, p->name), keep(&at, p->value)};
    }
    if (!done)
        c->pairs[c->count++] = (struct meta_pair){keep(&at, name), keep(&at, value)};
    return c;
}

static void configs_remove(struct meta_image *d, size_t at)
{
    configs_drop(d->configs[at]);
    d->config_count--;
    memmove(&d->configs[at], &d->configs[at + 1], (d->config_count - at) * sizeof *d->configs);
}

static enum outcome apply_config(struct meta_image *d, const struct config_record *r)
{
    bool found;
    size_t at = configs_place(d, r->resource_type, r->resource_name, &found);
    struct meta_configs *old = found ? d->configs[at] : NULL;
    struct meta_configs *c = configs_with(old, r->resource_type, r->resource_name, r->name, r->value);
    struct meta_configs **grown = realloc(d->configs, (d->config_count + 2) * sizeof *grown);
    if (grown != NULL)
        d->configs = grown;
    if (c == NULL || grown == NULL) {
        free(c);
        return OUT_NO_MEMORY;
    }
    if (found) {
        configs_drop(old);
        d->configs[at] = c;
        if (c->count == 0)
            configs_remove(d, at);
        return OUT_OK;
    }
    if (c->count == 0) {
        configs_drop(c);
        return OUT_OK;
    }
    memmove(&d->configs[at + 1], &d->configs[at], (d->config_count - at) * sizeof *grown);
    d->configs[at] = c;
    d->config_count++;
    return OUT_OK;
}

static enum outcome apply_remove_topic(struct meta_image *d, const struct remove_topic_record *r)
{
    enum { TOPIC_RESOURCE = 2 };
    size_t at;
    if (!find_by_id(d, &r->topic_id, &at))
        return OUT_OK;
    struct meta_topic *t = d->topics[at];
    bool found;
    size_t configs = configs_place(d, TOPIC_RESOURCE, t->name, &found);
    if (found)
        configs_remove(d, configs);
    d->topic_count--;
    memmove(&d->topics[at], &d->topics[at + 1], (d->topic_count - at) * sizeof *d->topics);
    topic_drop(t);
    return OUT_OK;
}

/* ---- the rest ---- */

static enum outcome apply_feature(struct meta_image *d, const struct feature_level_record *r,
                                  int64_t offset)
{
    size_t at = 0;
    while (at < d->feature_count && !bytes_equal(d->features[at].name, r->name))
        at++;
    if (at == COUNT_OF(d->features) || r->name.size >= sizeof d->feature_names[0])
        return fail(OUT_CORRUPT, "the metadata has too many features");
    if (at == d->feature_count) {
        memcpy(d->feature_names[at], r->name.at, r->name.size);
        d->features[at].name = bytes_of(d->feature_names[at]);
        d->feature_count++;
    }
    d->features[at].level = r->feature_level;
    d->features_epoch = offset;
    return OUT_OK;
}

enum outcome frame_read(struct bytes framed, uint32_t *type, uint32_t *version, struct bytes *body)
{
    const uint8_t *at = framed.at, *end = framed.at + framed.size;
    uint32_t frame = 0;
    size_t size = uvarint_get(at, end, &frame);
    at += size;
    size_t type_size = size == 0 ? 0 : uvarint_get(at, end, type);
    at += type_size;
    size_t version_size = type_size == 0 ? 0 : uvarint_get(at, end, version);
    at += version_size;
    if (version_size == 0 || frame != 1)
        return fail(OUT_CORRUPT, "a metadata record has no valid frame");
    *body = bytes_view(at, (size_t)(end - at));
    return OUT_OK;
}

static enum outcome apply_decoded(struct meta_image *d, uint32_t type, const void *record,
                                  int64_t offset)
{
    const struct producer_ids_record *ids;
    switch (type) {
    case METADATA_REGISTER_BROKER_RECORD:
        d->broker_epoch = ((const struct register_broker_record *)record)->broker_epoch;
        return OUT_OK;
    case METADATA_TOPIC_RECORD: return apply_topic(d, record);
    case METADATA_PARTITION_RECORD: return apply_partition(d, record);
    case METADATA_CONFIG_RECORD: return apply_config(d, record);
    case METADATA_PARTITION_CHANGE_RECORD: return apply_partition_change(d, record);
    case METADATA_REMOVE_TOPIC_RECORD: return apply_remove_topic(d, record);
    case METADATA_FEATURE_LEVEL_RECORD: return apply_feature(d, record, offset);
    case METADATA_PRODUCER_IDS_RECORD:
        ids = record;
        d->next_producer_id = MAX(d->next_producer_id, ids->next_producer_id);
        return OUT_OK;
    default: return OUT_OK; /* kept in the log, means nothing here */
    }
}

enum outcome image_apply(struct meta_image *d, int64_t offset, struct bytes framed,
                         struct arena *scratch)
{
    uint32_t type, version;
    struct bytes body;
    enum outcome o = frame_read(framed, &type, &version, &body);
    if (o != OUT_OK)
        return o;
    d->offset = offset;
    const struct wire_message *m = wire_metadata_record((int)type);
    if (m == NULL)
        return OUT_OK;
    if (!wire_has_version(m, (int)version))
        return fail(OUT_CORRUPT, "%s has version %u, which is not known", m->name, version);
    void *record = arena_take(scratch, m->size);
    if (record == NULL)
        return OUT_NO_MEMORY;
    if (wire_decode(m, (int)version, body, scratch, record, NULL) != OUT_OK)
        return fail(OUT_CORRUPT, "%s at offset %lld can't be decoded", m->name, (long long)offset);
    return apply_decoded(d, type, record, offset);
}

/* SPDX-License-Identifier: MIT */
/*
 * Images: making, sharing and dropping them, and one metadata record applied to a draft. Each kind
 * of thing in an image has its own file (topics.c, configs.c, brokers.c, kept.c).
 */
#include "meta/image.h"

#include "base/varint.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <stdlib.h>

static struct meta_image *mutable(const struct meta_image *i)
{
    return (struct meta_image *)(uintptr_t)i;
}

const struct meta_image *meta_image_hold(const struct meta_image *i)
{
    atomic_fetch_add_explicit(&mutable(i)->holds, 1, memory_order_relaxed);
    return i;
}

void meta_image_drop(const struct meta_image *image)
{
    struct meta_image *i = mutable(image);
    if (i == NULL || atomic_fetch_sub_explicit(&i->holds, 1, memory_order_acq_rel) != 1)
        return;
    topics_fini(i);
    configs_fini(i);
    brokers_fini(i);
    kept_fini(i);
    free(i);
}

/* Each draft's own number: what it made itself it may change. */
static uint64_t next_serial(void)
{
    static _Atomic uint64_t serial;
    return 1 + atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
}

struct meta_image *image_draft(const struct meta_image *from)
{
    static const struct meta_image nothing = {.offset = -1, .broker_epoch = -1};
    struct meta_image *d = malloc(sizeof *d);
    if (d == NULL)
        return NULL;
    if (from == NULL)
        from = &nothing;
    *d = (struct meta_image){
        .serial = next_serial(), .offset = from->offset, .feature_count = from->feature_count,
        .features_epoch = from->features_epoch, .next_producer_id = from->next_producer_id,
        .broker_epoch = from->broker_epoch, .node_id = from->node_id};
    atomic_init(&d->holds, 1);
    memcpy(d->cluster_id_text, from->cluster_id_text, sizeof d->cluster_id_text);
    d->cluster_id = bytes_of(d->cluster_id_text);
    memcpy(d->feature_names, from->feature_names, sizeof d->feature_names);
    for (size_t i = 0; i < d->feature_count; i++)
        d->features[i] = (struct meta_feature){bytes_of(d->feature_names[i]),
                                               from->features[i].level};
    if (topics_share(d, from) && configs_share(d, from) && brokers_share(d, from) &&
        kept_share(d, from))
        return d;
    meta_image_drop(d);
    return NULL;
}

enum outcome image_finish(struct meta_image *draft)
{
    return topics_finish(draft);
}

/* Level 0 takes a feature back. */
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
        d->feature_names[at][r->name.size] = '\0';
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

static enum outcome apply_own(struct meta_image *d, const struct register_broker_record *r,
                              struct bytes framed)
{
    if (r->broker_id == d->node_id)
        d->broker_epoch = r->broker_epoch;
    return apply_broker(d, r, framed);
}

static enum outcome apply_fencing(struct meta_image *d, uint32_t type, const void *record)
{
    const struct fence_broker_record *fence = record;
    const struct unfence_broker_record *unfence = record;
    const struct broker_registration_change_record *change = record;
    struct broker_mark mark;
    if (type == METADATA_FENCE_BROKER_RECORD)
        mark = (struct broker_mark){fence->id, fence->epoch, 1, 0};
    else if (type == METADATA_UNFENCE_BROKER_RECORD)
        mark = (struct broker_mark){unfence->id, unfence->epoch, -1, 0};
    else
        mark = (struct broker_mark){change->broker_id, change->broker_epoch, change->fenced,
                                    change->in_controlled_shutdown};
    return apply_broker_mark(d, &mark);
}

static enum outcome apply_decoded(struct meta_image *d, uint32_t type, const void *record,
                                  struct bytes framed, struct arena *scratch)
{
    const struct producer_ids_record *ids = record;
    switch (type) {
    case METADATA_REGISTER_BROKER_RECORD: return apply_own(d, record, framed);
    case METADATA_UNREGISTER_BROKER_RECORD:
        apply_unregister_broker(d, ((const struct unregister_broker_record *)record)->broker_id);
        return OUT_OK;
    case METADATA_FENCE_BROKER_RECORD:
    case METADATA_UNFENCE_BROKER_RECORD:
    case METADATA_BROKER_REGISTRATION_CHANGE_RECORD: return apply_fencing(d, type, record);
    case METADATA_TOPIC_RECORD: return apply_topic(d, record);
    case METADATA_PARTITION_RECORD: return apply_partition(d, record);
    case METADATA_CONFIG_RECORD: return apply_config(d, record);
    case METADATA_PARTITION_CHANGE_RECORD: return apply_partition_change(d, record);
    case METADATA_REMOVE_TOPIC_RECORD: return apply_remove_topic(d, record);
    case METADATA_CLEAR_ELR_RECORD: return apply_clear_elr(d, record);
    case METADATA_FEATURE_LEVEL_RECORD: return apply_feature(d, record, d->offset);
    case METADATA_PRODUCER_IDS_RECORD:
        d->next_producer_id = MAX(d->next_producer_id, ids->next_producer_id);
        return OUT_OK;
    case METADATA_NO_OP_RECORD:
    case METADATA_BEGIN_TRANSACTION_RECORD: /* what belongs together is the business of who reads */
    case METADATA_END_TRANSACTION_RECORD:
    case METADATA_ABORT_TRANSACTION_RECORD: return OUT_OK;
    default: return apply_kept(d, type, record, framed, scratch);
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
    const struct wire_message *m = type > INT16_MAX ? NULL : wire_metadata_record((int)type);
    if (m == NULL)
        return apply_kept(d, type, NULL, framed, scratch);
    if (version > INT16_MAX || !wire_has_version(m, (int)version))
        return fail(OUT_UNSUPPORTED, "the metadata has version %u of %s, newer than is known here",
                    version, m->name);
    void *record = arena_take(scratch, m->size);
    if (record == NULL)
        return fail(OUT_NO_MEMORY, "read a metadata record");
    o = wire_decode(m, (int)version, body, scratch, record, NULL);
    if (o != OUT_OK)
        return fail(o == OUT_NO_MEMORY ? o : OUT_CORRUPT, "%s at offset %lld can't be decoded",
                    m->name, (long long)offset);
    return apply_decoded(d, type, record, framed, scratch);
}

enum outcome meta_image_apply(const struct meta_image *from, const struct meta_change *change,
                              int64_t base_offset, const struct meta_image **to)
{
    struct arena scratch;
    struct meta_image *draft = image_draft(from);
    if (draft == NULL)
        return fail(OUT_NO_MEMORY, "apply a metadata change");
    arena_init(&scratch, MiB(64));
    enum outcome o = OUT_OK;
    for (const struct meta_record *r = change->first; r != NULL && o == OUT_OK; r = r->next) {
        o = image_apply(draft, base_offset++, r->framed, &scratch);
        arena_reset(&scratch);
    }
    arena_fini(&scratch);
    if (o == OUT_OK)
        o = image_finish(draft);
    if (o == OUT_OK)
        *to = draft;
    else
        meta_image_drop(draft);
    return o;
}

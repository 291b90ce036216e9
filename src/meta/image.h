/* SPDX-License-Identifier: MIT */
/*
 * Making images (private to meta/). A draft is an image that only its maker sees: records are
 * applied to it one after the other, then image_finish puts the topics in order and it may be
 * published.
 */
#ifndef META_IMAGE_H
#define META_IMAGE_H

#include "meta/meta.h"

/* A copy that shares topics, configs, ... with `from` (NULL: an empty image). NULL: out of
 * memory. */
struct meta_image *image_draft(const struct meta_image *from);
/* After the last record. OUT_NO_MEMORY. */
MUST enum outcome image_finish(struct meta_image *draft);

/* Applies one framed record. Types that mean nothing here are kept. OUT_CORRUPT: it can't be
 * decoded or contradicts what is there; OUT_UNSUPPORTED: a newer version than is known;
 * OUT_NO_MEMORY. The draft is then only good for dropping. */
MUST enum outcome image_apply(struct meta_image *draft, int64_t offset, struct bytes framed,
                              struct arena *scratch);

/* Frame of a metadata record: version 1, type, record version, body. */
MUST enum outcome frame_read(struct bytes framed, uint32_t *type, uint32_t *version,
                             struct bytes *body);

/* ---- parts of a draft, one file each ---- */

struct topic_record;
struct partition_record;
struct partition_change_record;
struct remove_topic_record;
struct clear_elr_record;
struct config_record;
struct register_broker_record;

/* topics.c */
void topic_drop(struct meta_topic *t);
void topics_fini(struct meta_image *i);
MUST bool topics_share(struct meta_image *draft, const struct meta_image *from);
MUST enum outcome topics_finish(struct meta_image *draft);
MUST enum outcome apply_topic(struct meta_image *d, const struct topic_record *r);
MUST enum outcome apply_partition(struct meta_image *d, const struct partition_record *r);
MUST enum outcome apply_partition_change(struct meta_image *d,
                                         const struct partition_change_record *r);
MUST enum outcome apply_remove_topic(struct meta_image *d, const struct remove_topic_record *r);
MUST enum outcome apply_clear_elr(struct meta_image *d, const struct clear_elr_record *r);
/* A topic whose name is the same once '.' counts as '_', but is not `name`; NULL: none. */
const struct meta_topic *topic_colliding(const struct meta_image *i, struct bytes name);

/* configs.c */
void configs_fini(struct meta_image *i);
MUST bool configs_share(struct meta_image *draft, const struct meta_image *from);
MUST enum outcome apply_config(struct meta_image *d, const struct config_record *r);
void configs_forget_topic(struct meta_image *d, struct bytes name);

/* brokers.c */
void brokers_fini(struct meta_image *i);
MUST bool brokers_share(struct meta_image *draft, const struct meta_image *from);
MUST enum outcome apply_broker(struct meta_image *d, const struct register_broker_record *r,
                               struct bytes framed);
/* Fencing and shutdown marks: -1, 0 as it is, 1; for a registration of that epoch only. */
struct broker_mark {
    int32_t id;
    int64_t epoch;
    int8_t fenced, in_controlled_shutdown;
};
MUST enum outcome apply_broker_mark(struct meta_image *d, const struct broker_mark *mark);
void apply_unregister_broker(struct meta_image *d, int32_t id);

/* kept.c */
void kept_fini(struct meta_image *i);
MUST bool kept_share(struct meta_image *draft, const struct meta_image *from);
/* A record that means nothing to an image; `record` is NULL for a type that is not known. */
MUST enum outcome apply_kept(struct meta_image *d, uint32_t type, const void *record,
                             struct bytes framed, struct arena *scratch);

#endif

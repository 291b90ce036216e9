/* SPDX-License-Identifier: MIT */
/* Making images (private to meta/): a draft is an image that only its maker sees. */
#ifndef META_IMAGE_H
#define META_IMAGE_H

#include "meta/meta.h"

/* A copy that shares topics and configs with `from` (NULL: an empty image). NULL: out of memory. */
struct meta_image *image_draft(const struct meta_image *from);

/* Applies one framed record. Types that mean nothing here change nothing. OUT_CORRUPT: it can't be
 * decoded; OUT_NO_MEMORY. */
MUST enum outcome image_apply(struct meta_image *draft, int64_t offset, struct bytes framed,
                              struct arena *scratch);

/* Frame of a metadata record: version 1, type, record version, body. */
MUST enum outcome frame_read(struct bytes framed, uint32_t *type, uint32_t *version,
                             struct bytes *body);

#endif

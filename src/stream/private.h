/* SPDX-License-Identifier: MIT */
/*
 * Inside of a stream. Who writes what:
 *   lock      slabs' contents, the list, the ledger, head
 *   atomics   read by anybody; end_offset is published after the bytes and the slab's `used`
 */
#ifndef STREAM_PRIVATE_H
#define STREAM_PRIVATE_H

#include "stream/stream.h"

#include <pthread.h>

#define SLAB_MIN KiB(64)
#define SLAB_MAX MiB(2) /* and what one slow reader can hold back; a larger batch has its own */
#define SLAB_SHARE 16  /* a slab is about this part of what is kept */
#define SLAB_HUGE MiB(2) /* from here on in huge pages: small ones cost more than the copy */
#define SLAB_STEP 4096 /* bytes between two marks of a slab's index */

/* Where a batch begins, for finding one by offset. Behind a gap that does not fit there is none. */
struct mark {
    uint32_t delta;    /* its base offset, from the slab's */
    uint32_t position;
};

/* Batches one behind the other. The bytes are a mapping of their own: untouched pages cost
 * nothing, and all go back to the system with the last hold. */
struct slab {
    struct store_hold hold;
    int64_t base_offset;
    size_t room;             /* of `bytes` */
    uint8_t *bytes;
    _Atomic size_t used;     /* published bytes: whole batches */
    _Atomic uint32_t mark_count;
    _Atomic int64_t max_timestamp; /* -1: none has one */
    struct mark marks[];     /* one for each SLAB_STEP bytes at most; [0] is the first batch */
};

/* An immutable list, ascending; appends go to the last. Holds each slab. Never empty. */
struct slabs {
    struct slabs *retired; /* next of those readers may still look at */
    size_t count;
    struct slab *at[];
};

struct options_box {
    struct options_box *older;
    struct stream_options options;
};

struct stream {
    struct store store;
    _Atomic(struct options_box *) options;
    _Atomic(struct slabs *) list;  /* NULL: no records */
    atomic_uint_fast32_t readers;  /* looking at a list right now */
    atomic_bool offline;
    _Atomic int64_t start_offset, end_offset;
    _Atomic int64_t first_open_offset; /* of the oldest open transaction, INT64_MAX: none */
    _Atomic int64_t bytes;         /* of batches from the head on */
    pthread_mutex_t lock;
    struct slabs *retired;
    struct log_ledger *ledger;
    struct head {                  /* the oldest kept batch; size 0: there is none */
        size_t slab;               /* in the list; not 0 when a shorter list had no memory */
        size_t position, size;
        int64_t last_offset, max_timestamp;
    } head;
};

static inline struct stream *stream_of(struct store *s)
{
    return container_of(s, struct stream, store);
}

static inline const struct stream_options *stream_opts(const struct stream *s)
{
    return &atomic_load_explicit(&s->options, memory_order_acquire)->options;
}

/* ---- slab.c ---- */

/* One count, the caller's. OUT_NO_MEMORY; OUT_TOO_LARGE: positions in a slab have 32 bits. */
MUST enum outcome slab_new(size_t room, int64_t base_offset, struct slab **slab);
/* The batch at `position`, which is published. */
void slab_batch(const struct slab *b, size_t position, struct log_batch *batch);
/* Under the lock: takes a copied batch (offsets assigned) into index and times; then publishes. */
void slab_note(struct slab *b, const struct log_batch *batch, size_t position);
/* Position of the first batch that ends at or behind `offset`, in the first `size` bytes.
 * OUT_END: there is none. */
MUST enum outcome slab_find(const struct slab *b, size_t size, int64_t offset, size_t *position,
                            struct log_batch *batch);

/* Between enter and leave the list (NULL: empty) and its slabs stay. As log/'s segments_enter. */
static inline struct slabs *slabs_enter(struct stream *s)
{
    atomic_fetch_add(&s->readers, 1);
    return atomic_load(&s->list);
}

static inline void slabs_leave(struct stream *s)
{
    atomic_fetch_sub(&s->readers, 1);
}

/* The last slab with a base at or below `offset`, and the first with one above it; held; NULL: no
 * such one. */
struct slab *slabs_hold_at(struct stream *s, int64_t offset);
struct slab *slabs_hold_after(struct stream *s, int64_t offset);
/* Under the lock: a new list without the slabs in front of the head, and with `fresh` (held by the
 * list from then on) at the end if it is not NULL. */
MUST enum outcome slabs_publish(struct stream *s, struct slab *fresh);
/* Under the lock: old lists that nobody looks at; to be freed, best after it. */
struct slabs *slabs_detach(struct stream *s);
void slabs_free(struct slabs *chain);

/* ---- retain.c: under the lock ---- */

/* Looks at the batch that is the oldest now; the head's position has been set. */
void head_look(struct stream *s);
/* Moves the start up to `offset` and forgets batches that end below it. */
void stream_cut(struct stream *s, int64_t offset);
/* Applies the bounds; true when the start moved. */
bool stream_bound(struct stream *s, int64_t now_ms);

/* ---- the store's calls ---- */

MUST enum outcome stream_append_op(struct store *s, const struct store_append *a,
                                   struct store_appended *done);
MUST enum outcome stream_read_op(struct store *s, const struct store_read *r,
                                 struct store_view *view);
MUST enum outcome stream_seek_op(struct store *s, int64_t timestamp, struct store_place *place);
MUST enum outcome stream_trim_op(struct store *s, int64_t offset, int64_t *start_offset);

#endif

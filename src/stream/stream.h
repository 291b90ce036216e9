/* SPDX-License-Identifier: MIT */
/*
 * A partition in memory (storage.class=memory): record batches as they came, bounded by bytes,
 * records and age; the oldest go. A stream is a `struct store` (store/store.h) with a disk log's
 * answers: the same checks, offsets, idempotent producers, epochs and transactions. It survives
 * nothing: who opens it begins at offset 0, and store_flush says at once that all there is to
 * promise is kept.
 *
 * Memory comes in slabs, from the first record on, and goes back with the last. A view has fd -1
 * and `at` pointing into a slab that its hold keeps, whatever retention does meanwhile.
 *
 * Threads: as store.h says: appends lock inside, for offsets and the copy; reads take no lock.
 * stream_configure and stream_retain may run beside them. stream_new and stream_free: nobody else
 * uses the stream; views that are held stay good after it.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "log/log.h"
#include "store/store.h"

struct stream;

struct stream_options {
    struct log_options batches; /* checks, compression, timestamps, retention_ms, retention_bytes,
                                   producer expiration; the rest is of disks and means nothing.
                                   retention_bytes -1: no limit */
    int64_t retention_records;  /* offsets kept; -1: no limit */
};

/* OUT_NO_MEMORY. */
MUST enum outcome stream_new(const struct stream_options *o, struct stream **stream);
void stream_free(struct stream *s);

struct store *stream_store(struct stream *s);

/* For appends that begin after it, and the next retention; the old options live until the end.
 * OUT_NO_MEMORY. */
MUST enum outcome stream_configure(struct stream *s, const struct stream_options *o);

/* The topic is gone: appends and reads answer OUT_OFFLINE from now on, the memory goes as soon as
 * no view holds it. */
void stream_retire(struct stream *s);

/* Drops what is too old, too much or too many, and silent producers; an append does the same but
 * for the producers. True when the start moved. */
bool stream_retain(struct stream *s, int64_t now_ms);

/* As log_epoch_... and log_aborted. */
MUST enum outcome stream_epoch_begin(struct stream *s, int32_t epoch);
void stream_epoch_end(struct stream *s, int32_t epoch, int32_t *found, int64_t *end_offset);
MUST enum outcome stream_aborted(struct stream *s, int64_t from, int64_t to, struct arena *arena,
                                 struct log_aborted **list, size_t *count);

size_t stream_producers(struct stream *s, struct log_producer *to, size_t room);

/* Bytes of memory taken: slabs whole, their indexes, the stream itself. */
size_t stream_memory(struct stream *s);

#endif

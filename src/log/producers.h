/* SPDX-License-Identifier: MIT */
/*
 * What a partition remembers of its producers: the last five batches of each (duplicates and gaps
 * are told from them), open transactions, and the snapshot files that carry it across restarts. All
 * calls under the partition's append lock.
 */
#ifndef LOG_PRODUCERS_H
#define LOG_PRODUCERS_H

#include "log/attempts.h"
#include "log/batch.h"
#include "log/io.h"

#define PRODUCER_BATCHES 5

struct producer_batch {
    int32_t first_sequence, last_sequence;
    int64_t last_offset, timestamp;
    int32_t offset_delta;
};

struct producer {
    int64_t id; /* -1: free place */
    int64_t last_timestamp;
    int64_t txn_start_offset; /* -1: none open */
    int32_t epoch;            /* -1: none yet */
    int32_t coordinator_epoch;
    uint32_t batch_count;
    uint32_t ended; /* markers since it is known, in memory only */
    struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};

struct producers {
    struct producer *table; /* open addressing, a power of two */
    size_t room, count;
    int64_t first_open_offset; /* of the oldest open transaction, INT64_MAX: none */
    struct attempts attempts;
};

/* A transaction that a marker ended. */
struct producer_ended {
    int64_t producer_id;
    int64_t first_offset; /* -1: the producer had none open */
    int64_t last_offset;
    enum log_marker type;
};

/* Whether what ended was a transaction, by abort. */
static inline bool producer_aborted(const struct producer_ended *e)
{
    return e->producer_id >= 0 && e->first_offset >= 0 && e->type == LOG_MARKER_ABORT;
}

void producers_fini(struct producers *p);
void producers_clear(struct producers *p);

/* NULL: not known. */
struct producer *producers_find(const struct producers *p, int64_t id);

int32_t producer_last_sequence(const struct producer *at); /* -1: no batch is known */

/* Whether the batch may follow. OUT_OK with *twin: it is a duplicate of that one. Otherwise
 * OUT_OUT_OF_ORDER_SEQUENCE, OUT_INVALID_PRODUCER_EPOCH, OUT_INVALID_TXN_STATE. */
MUST enum outcome producers_check(const struct producers *p, const struct log_batch *b,
                                  const struct producer_batch **twin);

/* Before a numbered batch is written: room for its producer, then sequence and epoch. A duplicate
 * is answered from the producer's state, in `done`. */
MUST enum outcome producers_admit(struct producers *p, const struct log_batch *b,
                                  const struct store_append *a, struct store_appended *done);
/* Copies up to `room`, returns how many there are. */
size_t producers_list(const struct producers *p, struct log_producer *to, size_t room);
void producers_tell(const struct producers *p, int64_t id, struct store_producer *to);

/* Room for one more producer, so that the update after a write cannot fail. */
MUST enum outcome producers_reserve(struct producers *p);

/* Takes a written batch (offsets assigned) into account; batches without producer id are
 * ignored. For control batches `ended` is filled (producer_id -1 when it was no transaction
 * marker). */
void producers_update(struct producers *p, const struct log_batch *b, struct producer_ended *ended);

/* Whether a marker's coordinator epoch is acceptable: OUT_TXN_COORDINATOR_FENCED, and
 * OUT_INVALID_PRODUCER_EPOCH for an older producer epoch. */
MUST enum outcome producers_check_marker(const struct producers *p, const struct log_batch *b);

void producers_expire(struct producers *p, int64_t now_ms, int64_t expiration_ms);

MUST enum outcome producers_save(const struct producers *p, const struct log_io *io,
                                 const char *path, enum io_sync sync);
/* OUT_CORRUPT: not a whole snapshot; the state is empty then. */
MUST enum outcome producers_load(struct producers *p, const struct log_io *io, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The storage interface: what cursors, retention, groups and the doors above know of a log, be it
 * on disk (log/) or in memory. Records go in as Kafka record batches and come out as views of
 * bytes.
 *
 * Threads: store_append may be called by any thread (it locks inside, for offset assignment and the
 * write only); store_read, store_seek and store_stat take no lock; store_flush, store_trim may
 * block on the disk and belong into background threads. A view holds what it points to until it is
 * dropped: retention may delete the segment meanwhile.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/outcome.h"

#include <stdatomic.h>

/* Who wrote a batch: only what comes from a client is validated. */
enum store_origin {
    STORE_CLIENT,      /* Produce: every check; base offset and leader epoch are assigned */
    STORE_COORDINATOR, /* built by us: offset and leader epoch are assigned, nothing is checked */
    STORE_RAFT,        /* metadata log: as coordinator, but the leader epoch in the batch is kept */
    STORE_REPLICA,     /* copied from a leader: offsets and epoch are kept, the CRC is checked */
};

/* A record that a batch was refused for (Kafka's record_errors). */
struct store_record_error {
    int32_t index;       /* of the record in its batch */
    const char *message; /* static text */
};

struct store_append {
    uint8_t *at; /* one batch (replica: any number), patched in place */
    size_t size;
    int32_t leader_epoch;
    enum store_origin origin;
    int64_t now_ms;      /* wall clock of the request */
    struct arena *arena; /* for `errors` of a refused batch; NULL: none are listed */
    bool zstd_refused;   /* the client's request version predates zstd (Produce below 7) */
    bool from_zero;      /* a transaction's first batch of a producer that is not known has
                          * sequence 0 (KIP-890): nothing before it can have been refused */
    uint32_t txn_guard;  /* of a transactional batch: what store_producer gave before its
                            transaction was looked up; OUT_INVALID_TXN_STATE if one has ended since.
                            0: not looked up */
};

/* What became of it. Fields are -1 where they make no sense. */
struct store_appended {
    int64_t base_offset;        /* of a duplicate: the offset it got the first time */
    int64_t last_offset;
    int64_t log_append_time_ms; /* -1 with CreateTime; a duplicate: its batch's largest timestamp */
    int64_t log_start_offset;   /* -1 when refused before the log was reached */
    bool duplicate;             /* of one of the producer's last five: nothing was written */
    struct store_record_error *errors;
    size_t error_count;
    const char *error_text;     /* sentence for the refusal as a whole, static, or NULL */
};

/* What keeps bytes readable. Embedded in the owner's object; `release` runs at the last drop. */
struct store_hold {
    atomic_uint_fast32_t count;
    void (*release)(struct store_hold *);
};

static inline void store_hold_take(struct store_hold *h)
{
    atomic_fetch_add(&h->count, 1);
}

static inline void store_hold_drop(struct store_hold *h)
{
    if (h != NULL && atomic_fetch_sub(&h->count, 1) == 1)
        h->release(h);
}

enum store_map { STORE_UNMAPPED, STORE_MAPPED };
enum store_least { STORE_WHOLE_BATCH, STORE_CUT };

struct store_read {
    int64_t offset;       /* the batch holding this offset comes first, whole */
    int64_t limit_offset; /* records from here on are not given: high watermark, last stable offset;
                             INT64_MAX for none */
    size_t max_bytes;     /* behind the first batch bytes are cut here, in mid-batch if need be */
    enum store_least least; /* whether max_bytes yields to the first batch */
    enum store_map map;   /* whether `at` is wanted */
};

/* Bytes of one segment, [position, position + size) of `fd`. size 0: nothing there (yet). */
struct store_view {
    int fd;            /* -1: not a file, or size 0 */
    uint64_t position;
    size_t size;
    size_t first_size; /* of the first batch, which a STORE_CUT view may cut */
    const uint8_t *at; /* the same bytes in memory when asked for */
    struct store_hold *hold; /* drop when done; NULL when size is 0 */
    bool segment_done; /* it ends where its segment does, and a later segment has begun: the same
                          read will not give more by waiting */
};

#define STORE_LATEST (-1)
#define STORE_EARLIEST (-2)
#define STORE_MAX_TIMESTAMP (-3)

/* Result of a seek; offset -1: no such record. leader_epoch -1: unknown. */
struct store_place {
    int64_t offset;
    int64_t timestamp;
    int32_t leader_epoch;
};

struct store_stat {
    int64_t start_offset;
    int64_t end_offset;
    int64_t high_watermark;  /* the end, on one node */
    int64_t stable_offset;   /* start of the oldest open transaction, else high watermark */
    int64_t flushed_offset;  /* everything below survives a power cut */
    int64_t size_bytes;
    int32_t segment_count;
    bool offline;
};

/* What a store knows of a transactional producer. */
struct store_producer {
    int32_t epoch;   /* -1: nothing is known */
    int32_t coordinator_epoch; /* of its last marker, -1: none */
    bool open;       /* it has a transaction open here */
    uint32_t guard;  /* changes when one ends; never 0 */
};

struct store;

struct store_ops {
    enum outcome (*append)(struct store *, const struct store_append *, struct store_appended *);
    enum outcome (*read)(struct store *, const struct store_read *, struct store_view *);
    enum outcome (*seek)(struct store *, int64_t timestamp, struct store_place *);
    enum outcome (*trim)(struct store *, int64_t offset, int64_t *start_offset);
    enum outcome (*flush)(struct store *, int64_t *flushed_offset);
    void (*stat)(struct store *, struct store_stat *);
    void (*producer)(struct store *, int64_t producer_id, struct store_producer *);
    void (*attempt)(struct store *, int64_t producer_id, int32_t epoch, int32_t sequence);
};

struct store {
    const struct store_ops *ops;
};

/* Writes one batch. On failure nothing was written and `done` tells what a Produce reply needs. */
MUST static inline enum outcome store_append(struct store *s, const struct store_append *what,
                                             struct store_appended *done)
{
    return s->ops->append(s, what, done);
}

/* OUT_OK with size 0 at the end or when the limit is reached; OUT_OFFSET_OUT_OF_RANGE outside
 * [start, end]; OUT_OFFLINE, OUT_IO. */
MUST static inline enum outcome store_read(struct store *s, const struct store_read *what,
                                           struct store_view *view)
{
    return s->ops->read(s, what, view);
}

/* First record at or after a timestamp, or one of the STORE_ places. Offsets stop at the end of the
 * log: the caller bounds them by the high watermark or the last stable offset. Reads the disk. */
MUST static inline enum outcome store_seek(struct store *s, int64_t timestamp,
                                           struct store_place *place)
{
    return s->ops->seek(s, timestamp, place);
}

/* Moves the start of the log up to `offset` (Kafka's DeleteRecords); below the start nothing
 * happens. OUT_OFFSET_OUT_OF_RANGE above the high watermark or negative. The caller checkpoints
 * the start. */
MUST static inline enum outcome store_trim(struct store *s, int64_t offset, int64_t *start_offset)
{
    return s->ops->trim(s, offset, start_offset);
}

/* Blocks until everything appended before the call is on disk. A failure is final: OUT_OFFLINE from
 * then on; only after OUT_NO_SPACE (nothing is lost, the flushed offset stays) may one try again.
 */
MUST static inline enum outcome store_flush(struct store *s, int64_t *flushed_offset)
{
    return s->ops->flush(s, flushed_offset);
}

static inline void store_stat(struct store *s, struct store_stat *stat)
{
    s->ops->stat(s, stat);
}

/* Any thread: a transactional batch has come and waits for its transaction to be looked up. Until
 * the producer has one open here, batches behind the least sequence of its epoch are refused. */
static inline void store_attempt(struct store *s, int64_t producer_id, int32_t epoch,
                                 int32_t sequence)
{
    s->ops->attempt(s, producer_id, epoch, sequence);
}

/* Any thread; takes the lock of appends for a look-up. */
static inline void store_producer(struct store *s, int64_t producer_id, struct store_producer *p)
{
    s->ops->producer(s, producer_id, p);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Inside of a log. Who writes what:
 *   append_lock  active segment, producers, epochs, the segment list, retired lists
 *   open_lock    opening and closing the bodies of sealed segments
 *   flush_lock   one flush at a time
 *   layout_lock  which files the directory has: retention, the swap of a compaction, truncation;
 *                the list of deleted files
 *   atomics      read by anybody; end_offset is published after the bytes and the segment's size
 * Order: flush_lock, layout_lock, append_lock, open_lock.
 */
#ifndef LOG_PARTITION_H
#define LOG_PARTITION_H

#include "log/epochs.h"
#include "log/producers.h"
#include "log/segment.h"
#include "log/txnindex.h"

#include <pthread.h>

/* An immutable list of segments, ascending; the last one is active. Holds each of them. */
struct segments {
    struct segments *retired; /* next in the list of those readers may still look at */
    size_t count;
    struct segment *at[];
};

struct options_box {
    struct options_box *older;
    struct log_options options;
};

/* Files renamed to .deleted, to be unlinked. */
struct deleted {
    struct deleted *next;
    int64_t base_offset;
    int64_t at_ms;
};

/* A directory that the log was in; segments that readers hold may point to its name. */
struct left_path {
    struct left_path *next;
    char *path;
};

struct log {
    struct store store;
    const struct log_io *io;
    char *path;
    struct left_path *left;
    void (*failed)(void *context); /* NULL: nobody is told */
    void *failed_context;
    _Atomic int64_t *verified;     /* while it is opened */
    struct uuid topic_id;
    struct log_recovered recovered;
    pthread_mutex_t append_lock, open_lock, flush_lock, layout_lock;
    struct deleted *deleted;        /* under layout_lock */
    _Atomic(struct options_box *) options;

    struct CACHE_ALIGNED {          /* under append_lock */
        struct segment *active;
        struct producers producers;
        struct epochs epochs;
        struct txnindex aborted;
        struct segments *retired;
        int64_t jitter_ms;          /* this segment's share of segment_jitter_ms */
        int64_t snapshot_offset;    /* of the newest snapshot file, -1 none */
        bool changed;               /* since open: a clean close has something to write */
        bool dir_unsynced;          /* files were made or renamed */
        int64_t txn_known;          /* markers below are in the transaction index already */
    };
    struct CACHE_ALIGNED {          /* readers' side */
        atomic_uint_fast32_t readers; /* looking at a list right now */
        _Atomic(struct segments *) list;
        _Atomic int64_t start_offset, end_offset, flushed_offset;
        _Atomic uint64_t publishing;  /* odd while a segment's size and the end grow */
        _Atomic int64_t first_open_offset; /* of the oldest open transaction, INT64_MAX: none */
        _Atomic int64_t sealed_bytes; /* of all segments but the active one */
        atomic_bool offline;
    };
};

#define LOG_WRITE_BACK MiB(4) /* worth starting write-back for */

static inline const struct log_options *log_opts(const struct log *l)
{
    return &atomic_load_explicit(&l->options, memory_order_acquire)->options;
}

/* Between enter and leave the list and its segments stay. Short visits only; hold a segment to
 * keep it for longer. The counter goes up before the list is looked at, and whoever replaces the
 * list looks at the counter after that: both in the one order of sequentially consistent
 * operations. */
static inline struct segments *segments_enter(struct log *l)
{
    atomic_fetch_add(&l->readers, 1);
    return atomic_load(&l->list);
}

static inline void segments_leave(struct log *l)
{
    atomic_fetch_sub(&l->readers, 1);
}

/* Number of the last segment with a base at or below `offset`; false: the log begins later. */
bool segments_at(const struct segments *list, int64_t offset, size_t *i);
struct segment *segments_hold_at(struct log *l, int64_t offset); /* NULL: none */
/* The first segment with a base above `offset`, held; NULL: none. */
struct segment *segments_hold_after(struct log *l, int64_t offset);
/* The one to go on with behind `s`, which the caller holds and has read up to `offset`: the next in
 * the list, or, where a compaction replaced `s` meanwhile, what has taken its place. */
struct segment *segments_hold_next(struct log *l, const struct segment *s, int64_t offset);

/* Publishes a new list of `count` segments (their holds are the list's own: taken here) and retires
 * the old one. Under append_lock. */
MUST enum outcome segments_publish(struct log *l, struct segment *const *at, size_t count);
void segments_reclaim(struct log *l); /* frees retired lists that nobody looks at */
/* The same in two steps: only the first needs the lock, the second may close deleted files. */
struct segments *segments_unused(struct log *l);
void segments_free(struct segments *list);

/* A segment's share of the jitter: spreads the rolls of a topic's partitions. */
int64_t log_jitter(const struct log *l, int64_t base);

/* Under append_lock: seals the active segment and begins one at the end of the log. */
MUST enum outcome log_roll_locked(struct log *l, int64_t now_ms);

/* Trouble that can't be undone: nothing more is written. Whether it is the disk's and not only this
 * log's depends on the outcome. Returns OUT_OFFLINE. */
enum outcome log_go_offline(struct log *l, enum outcome why);

/* Under append_lock: what a batch in the log (offsets assigned) means to producers, transactions
 * and epochs. OUT_NO_MEMORY, or trouble with the files of these. */
MUST enum outcome log_account(struct log *l, const struct log_batch *b);
/* Saves the epochs; failure takes the log offline. */
MUST enum outcome log_save_epochs(struct log *l);

MUST enum outcome log_append_op(struct store *s, const struct store_append *a,
                                struct store_appended *done);
MUST enum outcome log_read_op(struct store *s, const struct store_read *r, struct store_view *view);
MUST enum outcome log_seek_op(struct store *s, int64_t timestamp, struct store_place *place);
MUST enum outcome log_trim_op(struct store *s, int64_t offset, int64_t *start_offset);
MUST enum outcome log_flush_op(struct store *s, int64_t *flushed_offset);
void log_stat_op(struct store *s, struct store_stat *stat);

/* Largest timestamp of a segment, -1 none; from its time index when it is not known yet. */
MUST enum outcome log_segment_newest(struct log *l, struct segment *s, int64_t *timestamp);

static inline struct log *log_of(struct store *s)
{
    return container_of(s, struct log, store);
}

/* Segments and state from the files in the directory: everything that log_open promises. */
MUST enum outcome recover_open(struct log *l, const struct log_open *what);
/* Rebuilds indexes of `s` from its file, cuts the file behind the last good batch. */
MUST enum outcome recover_segment(struct log *l, struct segment *s, int64_t *next_offset);
/* The files of a partition, by kind, offsets ascending. */
struct listing {
    int64_t *offsets[FILE_KINDS];
    size_t count[FILE_KINDS];
};
MUST enum outcome listing_read(const struct log_io *io, const char *dir, struct listing *to);
void listing_free(struct listing *f);
/* Producers as of the log's end: newest snapshot at or below `limit` of those listed, then the
 * batches behind it. */
MUST enum outcome recover_producers(struct log *l, const struct listing *files, int64_t limit,
                                    int64_t now_ms);
/* Deletes the partition's leftovers: what was being deleted or cleaned; ends interrupted swaps.
 * Then as listing_read. */
MUST enum outcome listing_tidy(const struct log_io *io, const char *dir, struct listing *to);

#endif

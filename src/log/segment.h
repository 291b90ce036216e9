/* SPDX-License-Identifier: MIT */
/*
 * One segment: a .log file, its indexes, and what is open of them. The active segment is appended
 * to under the partition's lock; everything else may be read by anybody who holds the segment.
 */
#ifndef LOG_SEGMENT_H
#define LOG_SEGMENT_H

#include "log/batch.h"
#include "log/index.h"

/* What of a segment is open, published whole; closed when idle (sealed segments only). */
struct body {
    int fd;
    struct index offsets, times;
    _Atomic(const uint8_t *) map; /* of map_size bytes, made at the first wish */
    size_t map_size;
};

#define TIME_UNKNOWN INT64_MIN

/* Where a batch begins. Written by who appends, read by anybody: no offset while it changes. */
struct recent {
    _Atomic int64_t offset;
    atomic_uint_fast64_t position;
};

struct segment {
    struct store_hold hold;       /* one by the log, one by each view or visit */
    const struct log_io *io;
    const char *dir;              /* of the log; not used once the log let go */
    int64_t base_offset;
    _Atomic(struct body *) body;  /* NULL: closed */
    atomic_uint_fast64_t size;    /* of good bytes */
    _Atomic int64_t max_timestamp; /* TIME_UNKNOWN until somebody asked the index */
    int64_t max_timestamp_offset; /* last offset of the batch that has it; active segment only */
    int64_t first_timestamp;      /* largest of the first batch, -1 none; active segment only */
    int64_t created_ms;
    uint64_t since_index;         /* bytes since the last index entry */
    uint64_t ahead;               /* up to here space is taken, or was asked for; who appends */
    uint64_t written_back;        /* write-back was started up to here; under flush_lock */
    atomic_bool unsaved;          /* indexes in memory are ahead of their files */
    atomic_bool unsynced;         /* data was written since the last flush */
    atomic_bool txn_unsynced;     /* its .txnindex was written since the last flush */
    atomic_bool txn_unsaved;      /* the disk was full: the next flush writes it anew */
    atomic_bool used;             /* since the last idle pass */
    uint32_t recent_next;         /* the oldest of: */
    struct recent recent[8];      /* the newest batches: what readers at the end ask for */
};

/* Everything of it is on disk. */
static inline bool segment_saved(const struct segment *s)
{
    return !atomic_load(&s->unsynced) && !atomic_load(&s->unsaved) &&
           !atomic_load(&s->txn_unsynced) && !atomic_load(&s->txn_unsaved);
}

enum segment_file { FILE_LOG, FILE_INDEX, FILE_TIMEINDEX, FILE_TXNINDEX, FILE_SNAPSHOT,
                   FILE_KINDS };
void segment_path(char to[static LOG_PATH_MAX], const char *dir, int64_t offset,
                  enum segment_file kind, const char *suffix);

/* A segment that exists with `size` good bytes; nothing is opened. */
MUST enum outcome segment_new(const struct log_io *io, const char *dir, int64_t base_offset,
                              uint64_t size, struct segment **segment);
/* Makes the files of an empty segment and opens it for appending. */
MUST enum outcome segment_create(const struct log_io *io, const char *dir, int64_t base_offset,
                                 int64_t now_ms, struct segment **segment);
/* Makes the .log.cleaned of a compaction's result: a body with indexes in memory, empty. */
MUST enum outcome segment_create_cleaned(const struct log_io *io, const char *dir,
                                         int64_t base_offset, struct segment **segment);
/* Takes the disk's space up to `size` bytes from the segment's begin, as far as there is. This and
 * what follows: only for who appends. */
void segment_allocate(struct segment *s, int64_t size);
/* Space for what will be written behind the next `size` bytes, in steps of an eighth of what is
 * there: `most` bytes at once, and never more than a whole segment has. */
void segment_allocate_ahead(struct segment *s, uint64_t size, int64_t most, int64_t segment_bytes);
/* Whether a process that did not come to its end has left it with more space than it needs. */
void segment_note_ahead(struct segment *s);
/* What was taken and is not needed. */
void segment_give_back(struct segment *s);
/* Opens for appending: a body with indexes in memory, empty; load them or scan. */
MUST enum outcome segment_open_active(struct segment *s);

/* The body, opened read-only when it is not. `lock` guards opening. */
struct log;
MUST enum outcome segment_body(struct log *l, struct segment *s, struct body **body);
/* Closes the body when nobody else holds the segment. Under the log's open lock. */
void segment_close_idle(struct segment *s);

/* Adds index entries for a batch that was just put at `position`. */
void segment_note_batch(struct segment *s, const struct log_batch *b, uint64_t position,
                        int32_t interval_bytes);
/* Last time entry, as at a roll or a clean stop. */
void segment_note_end(struct segment *s);
/* Writes both index files. */
MUST enum outcome segment_save_indexes(struct segment *s, enum io_sync sync);

/* With a suffix behind their names. */
MUST enum outcome segment_save_indexes_as(struct segment *s, const char *suffix, enum io_sync sync);

/* Finds the first batch whose last offset is at or above `offset` in the first `size` bytes.
 * OUT_END: none. `header` gets its fields; `at` in it is not valid. */
MUST enum outcome segment_find(struct body *body, const struct log_io *io, const struct segment *s,
                               uint64_t size, int64_t offset, uint64_t *position,
                               struct log_batch *header);

/* The same in the segment's memory: for those who read there anyway, without a system call. */
MUST enum outcome segment_find_mapped(const struct body *body, const uint8_t *map,
                                      const struct segment *s, uint64_t size, int64_t offset,
                                      uint64_t *position, struct log_batch *header);

/* A walk over the batches of a file range, each whole in memory. */
struct scan {
    const struct log_io *io;
    int fd;
    uint64_t position, end; /* of the next batch; of the good bytes */
    uint8_t *buffer;        /* file bytes [from, from + held) */
    size_t room, held;
    uint64_t from;
};
void scan_init(struct scan *s, const struct log_io *io, int fd, uint64_t from, uint64_t end);
/* OUT_END; OUT_MORE: a batch is cut by the end; OUT_CORRUPT_MESSAGE, OUT_INVALID_RECORD: bad
 * header; OUT_IO, OUT_NO_MEMORY. The batch stays until the next call. */
MUST enum outcome scan_next(struct scan *s, struct log_batch *b);
void scan_fini(struct scan *s);

#endif

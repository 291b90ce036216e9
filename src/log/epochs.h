/* SPDX-License-Identifier: MIT */
/*
 * Which leader epoch began at which offset, and its file leader-epoch-checkpoint. Guarded by the
 * partition's append lock; `latest` may be read by anybody.
 */
#ifndef LOG_EPOCHS_H
#define LOG_EPOCHS_H

#include "log/io.h"

struct epoch {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epoch *list; /* ascending in both */
    size_t count, room;
    atomic_int latest;  /* -1: none */
    bool differs;       /* from what was last read or written */
    bool unsynced;      /* the file was written but not flushed */
    bool unsaved;         /* not all is in the file ... */
    int64_t unsaved_from; /* ... which a flush of records from here on writes: without records an
                           * epoch is nothing, and the next open cuts it off */
};

void epochs_fini(struct epochs *e);

/* Notes that `epoch` begins at `offset`: entries at or above either go. *changed: needs saving. */
MUST enum outcome epochs_assign(struct epochs *e, int32_t epoch, int64_t offset, bool *changed);

/* What changed from `offset` on is written with the first records there. */
void epochs_save_later(struct epochs *e, int64_t offset);

/* The log begins / ends at `offset` now. */
bool epochs_cut_start(struct epochs *e, int64_t offset);
bool epochs_cut_end(struct epochs *e, int64_t offset);

/* Index of the last entry at or below, -1 none. */
ptrdiff_t epochs_at_offset(const struct epochs *e, int64_t offset);

/* OffsetForLeaderEpoch in a log that ends at `log_end`; (-1, -1): unknown. */
void epochs_end_of(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found,
                   int64_t *end_offset);

MUST enum outcome epochs_save(struct epochs *e, const struct log_io *io, const char *dir);
/* A missing file is no epochs; OUT_CORRUPT: build anew from the batches. */
MUST enum outcome epochs_load(struct epochs *e, const struct log_io *io, const char *dir);

#endif

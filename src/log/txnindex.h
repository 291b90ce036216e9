/* SPDX-License-Identifier: MIT */
/*
 * Aborted transactions of a partition, in memory and in the .txnindex files of its segments (34
 * bytes an entry: int16 version 0, producer id, first offset, last offset, last stable offset). An
 * entry is in the file of the segment that holds the abort marker. Under the partition's append
 * lock.
 */
#ifndef LOG_TXNINDEX_H
#define LOG_TXNINDEX_H

#include "log/io.h"
#include "log/producers.h"

#define TXNINDEX_ENTRY 34

struct txnindex {
    struct log_aborted *list; /* ascending by last offset */
    size_t count, room;
};

/* What stands of an aborted transaction; first_open: of the oldest that is still open. */
struct log_aborted txnindex_entry(const struct producer_ended *ended, int64_t first_open);

void txnindex_fini(struct txnindex *t);
MUST enum outcome txnindex_add(struct txnindex *t, const struct log_aborted *a);
/* Those overlapping [from, to), ascending by first offset, in the arena. */
MUST enum outcome txnindex_overlapping(const struct txnindex *t, int64_t from, int64_t to,
                                       struct arena *arena, struct log_aborted **list,
                                       size_t *count);
/* Forgets what ends before `start` or at and after `end`. */
void txnindex_cut(struct txnindex *t, int64_t start, int64_t end);
/* Appends one entry to a segment's file, which comes into being with it. */
MUST enum outcome txnindex_write(const struct log_io *io, const char *path,
                                 const struct log_aborted *a);
/* Replaces a file by the entries whose last offset is in [from, to). */
MUST enum outcome txnindex_rewrite(const struct txnindex *t, const struct log_io *io,
                                   const char *path, int64_t from, int64_t to);
/* Adds the entries of a file; a missing one has none. OUT_CORRUPT. */
MUST enum outcome txnindex_read(struct txnindex *t, const struct log_io *io, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The sparse indexes of a segment in the format of their files: 8-byte entries (relative offset,
 * position) and 12-byte ones (timestamp, relative offset), big-endian, ascending. An index is
 * either growing in memory (the active segment: one writer, any readers) or a read-only map of its
 * file.
 */
#ifndef LOG_INDEX_H
#define LOG_INDEX_H

#include "log/io.h"

#define INDEX_FIRST 16 /* entries of the first chunk; each further one has twice as many */
#define INDEX_CHUNKS 22

enum index_kind { INDEX_OFFSETS = 8, INDEX_TIMES = 12 }; /* the value is the entry's size */

struct index {
    enum index_kind kind;
    atomic_uint count;
    const uint8_t *flat; /* mapped file, NULL: chunks */
    size_t flat_size;
    uint8_t *_Atomic chunks[INDEX_CHUNKS];
};

void index_init(struct index *ix, enum index_kind kind);
void index_fini(struct index *ix);

static inline uint32_t index_count(const struct index *ix)
{
    return atomic_load_explicit(&ix->count, memory_order_acquire);
}

/* Entry i below the count read before. */
const uint8_t *index_at(const struct index *ix, uint32_t i);

static inline int32_t index_relative(const struct index *ix, uint32_t i)
{
    return (int32_t)get_be32(index_at(ix, i) + (ix->kind == INDEX_TIMES ? 8 : 0));
}

static inline uint32_t index_position(const struct index *ix, uint32_t i)
{
    return get_be32(index_at(ix, i) + 4);
}

static inline int64_t index_time(const struct index *ix, uint32_t i)
{
    return (int64_t)get_be64(index_at(ix, i));
}

/* Appends, in order. Out of memory: the entry is left out, which a sparse index allows. */
void index_add_offset(struct index *ix, int32_t relative, uint32_t position);
/* Only when the time is above the last one's. */
void index_add_time(struct index *ix, int64_t timestamp, int32_t relative);

/* The largest entry at or below, as number; false: none. */
bool index_find_offset(const struct index *ix, int64_t relative, uint32_t *i);
bool index_find_time(const struct index *ix, int64_t timestamp, uint32_t *i);

/* Maps `path` when it is sane for a segment of `log_size` bytes (whole entries, ascending at
 * both ends, inside the segment), trailing zero entries left out. OUT_CORRUPT or OUT_NOT_FOUND:
 * rebuild. */
MUST enum outcome index_map(struct index *ix, const struct log_io *io, const char *path,
                            uint64_t log_size);
/* The same into memory, to go on appending. */
MUST enum outcome index_load(struct index *ix, const struct log_io *io, const char *path,
                             uint64_t log_size);
MUST enum outcome index_save(const struct index *ix, const struct log_io *io, const char *path,
                             enum io_sync sync);

#endif

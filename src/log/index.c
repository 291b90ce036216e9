/* SPDX-License-Identifier: MIT */
/*
 * Sparse indexes. Growing: chunks of doubling size, so that entries never move and readers need no
 * lock; the count is published after the entry. Mapped: the file as it is. A file that does not
 * look right is not repaired here: its segment is scanned again.
 */
#include "log/index.h"

#include "base/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#define INDEX_FILE_MAX MiB(512)

void index_init(struct index *ix, enum index_kind kind)
{
    memset(ix, 0, sizeof *ix);
    ix->kind = kind;
}

void index_fini(struct index *ix)
{
    if (ix->flat != NULL)
        munmap((void *)(uintptr_t)ix->flat, ix->flat_size);
    for (int k = 0; k < INDEX_CHUNKS; k++)
        free(atomic_load_explicit(&ix->chunks[k], memory_order_relaxed));
    index_init(ix, ix->kind);
}

/* Chunk k begins at entry 16 * (2^k - 1). */
static int chunk_of(uint32_t i, uint32_t *within)
{
    int k = 31 - __builtin_clz(i / INDEX_FIRST + 1);
    *within = i - INDEX_FIRST * ((1u << k) - 1);
    return k;
}

const uint8_t *index_at(const struct index *ix, uint32_t i)
{
    if (ix->flat != NULL)
        return ix->flat + (size_t)i * ix->kind;
    uint32_t within;
    int k = chunk_of(i, &within);
    return atomic_load_explicit(&ix->chunks[k], memory_order_relaxed) + (size_t)within * ix->kind;
}

/* Place for the next entry, NULL when out of memory or full. */
static uint8_t *next_place(struct index *ix, uint32_t count)
{
    check(ix->flat == NULL);
    uint32_t within;
    int k = chunk_of(count, &within);
    if (k >= INDEX_CHUNKS)
        return NULL;
    uint8_t *chunk = atomic_load_explicit(&ix->chunks[k], memory_order_relaxed);
    if (chunk == NULL) {
        chunk = malloc(((size_t)INDEX_FIRST << k) * ix->kind);
        if (chunk == NULL)
            return NULL;
        atomic_store_explicit(&ix->chunks[k], chunk, memory_order_release);
    }
    return chunk + (size_t)within * ix->kind;
}

void index_add_offset(struct index *ix, int32_t relative, uint32_t position)
{
    uint32_t count = atomic_load_explicit(&ix->count, memory_order_relaxed);
    uint8_t *to = next_place(ix, count);
    if (to == NULL)
        return;
    put_be32(to, (uint32_t)relative);
    put_be32(to + 4, position);
    atomic_store_explicit(&ix->count, count + 1, memory_order_release);
}

void index_add_time(struct index *ix, int64_t timestamp, int32_t relative)
{
    uint32_t count = atomic_load_explicit(&ix->count, memory_order_relaxed);
    if (timestamp < 0 || (count > 0 && index_time(ix, count - 1) >= timestamp))
        return;
    uint8_t *to = next_place(ix, count);
    if (to == NULL)
        return;
    put_be64(to, (uint64_t)timestamp);
    put_be32(to + 8, (uint32_t)relative);
    atomic_store_explicit(&ix->count, count + 1, memory_order_release);
}

bool index_find_offset(const struct index *ix, int64_t relative, uint32_t *i)
{
    uint32_t low = 0, high = index_count(ix); /* entries below `low` are at or below the target */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index_relative(ix, middle) <= relative)
            low = middle + 1;
        else
            high = middle;
    }
    *i = low - 1;
    return low > 0;
}

bool index_find_time(const struct index *ix, int64_t timestamp, uint32_t *i)
{
    uint32_t low = 0, high = index_count(ix);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index_time(ix, middle) <= timestamp)
            low = middle + 1;
        else
            high = middle;
    }
    *i = low - 1;
    return low > 0;
}

static bool entry_is_zero(const uint8_t *at, size_t size)
{
    static const uint8_t zero[12];
    return memcmp(at, zero, size) == 0;
}

/* Drops the zeros of a preallocated file, then looks at the last entry. */
static bool sane(struct index *ix, uint64_t log_size)
{
    uint32_t count = ix->count;
    while (count > 0 && entry_is_zero(index_at(ix, count - 1), ix->kind))
        count--;
    ix->count = count;
    if (count == 0)
        return true;
    if (index_relative(ix, count - 1) < 0 || index_relative(ix, 0) > index_relative(ix, count - 1))
        return false;
    return ix->kind == INDEX_TIMES || index_position(ix, count - 1) < log_size;
}

enum outcome index_map(struct index *ix, const struct log_io *io, const char *path,
                       uint64_t log_size)
{
    int fd;
    uint64_t size = 0;
    enum outcome o = io_open(io, path, O_RDONLY, &fd);
    if (o != OUT_OK)
        return o;
    o = io_size(fd, &size);
    if (o == OUT_OK && (size % ix->kind != 0 || size > INDEX_FILE_MAX))
        o = OUT_CORRUPT;
    if (o == OUT_OK && size > 0) {
        void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) {
            o = OUT_NO_MEMORY;
        } else {
            ix->flat = at;
            ix->flat_size = size;
            ix->count = (uint32_t)(size / ix->kind);
        }
    }
    io_close(io, fd);
    if (o == OUT_OK && size > 0 && !sane(ix, log_size)) {
        index_fini(ix);
        o = OUT_CORRUPT;
    }
    return o;
}

enum outcome index_load(struct index *ix, const struct log_io *io, const char *path,
                        uint64_t log_size)
{
    struct index file;
    index_init(&file, ix->kind);
    enum outcome o = index_map(&file, io, path, log_size);
    for (uint32_t i = 0; o == OUT_OK && i < file.count; i++) {
        uint8_t *to = next_place(ix, i);
        if (to == NULL)
            o = OUT_NO_MEMORY;
        else
            memcpy(to, index_at(&file, i), ix->kind);
        ix->count = i + 1;
    }
    index_fini(&file);
    if (o != OUT_OK)
        index_fini(ix);
    return o;
}

enum outcome index_save(const struct index *ix, const struct log_io *io, const char *path,
                        enum io_sync sync)
{
    int fd;
    uint32_t count = index_count(ix);
    enum outcome o = io_open(io, path, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    if (o != OUT_OK)
        return o;
    for (uint32_t i = 0; o == OUT_OK && i < count;) {
        uint32_t within;
        int k = chunk_of(i, &within);
        uint32_t part = MIN(((uint32_t)INDEX_FIRST << k) - within, count - i);
        if (ix->flat != NULL)
            part = count;
        o = io_write(io, fd, index_at(ix, i), (size_t)part * ix->kind, (uint64_t)i * ix->kind);
        i += part;
    }
    if (o == OUT_OK && sync == IO_SYNCED && io->fdatasync(fd) != 0)
        o = fail(OUT_IO, "fdatasync");
    io_close(io, fd);
    return o == OUT_OK ? o : outcome_add(o, "write %s", path);
}

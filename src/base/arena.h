/* SPDX-License-Identifier: MIT */
/*
 * An arena: memory that lives as long as one request (or one turn) and is given back at once.
 *
 * Chunks come from malloc, doubling up to 64 KiB (larger for a larger piece); reset keeps the first
 * chunk. One thread at a time; an arena may travel with its request to another thread. A limit
 * bounds the total: past it, and when malloc fails, arena_take returns NULL and the arena is marked
 * `failed` for one test at the end.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *at, *end;          /* free part of the newest chunk */
    size_t total_bytes;         /* taken from malloc */
    size_t limit_bytes;
    bool failed;
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_reset(struct arena *a); /* keeps one chunk */
void arena_fini(struct arena *a);  /* gives everything back */

/* `size` bytes aligned to 16, not cleared; NULL when over the limit or out of memory. size may be
 * 0: a valid pointer then. */
MUST void *arena_take(struct arena *a, size_t size);
MUST void *arena_take_zeroed(struct arena *a, size_t count, size_t size);

/* A copy of a view that lives in the arena; null stays null; at NULL with size > 0 never happens:
 * on failure the copy is null and the arena is marked failed. */
struct bytes arena_copy(struct arena *a, struct bytes b);

/* printf into the arena; null view on failure. The bytes are also NUL-terminated. */
struct bytes arena_print(struct arena *a, const char *format, ...) PRINTF(2, 3);

#define arena_new(a, type) ((type *)arena_take_zeroed((a), 1, sizeof(type)))
#define arena_array(a, type, count) ((type *)arena_take_zeroed((a), (count), sizeof(type)))

#endif

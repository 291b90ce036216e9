/* SPDX-License-Identifier: MIT */
/* Arenas: bump allocation in malloc'ed chunks. Fails by returning NULL and marking the arena. */
#include "base/arena.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16
#define FIRST_CHUNK KiB(2)
#define LARGEST_STEP KiB(64)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes behind this header */
} __attribute__((aligned(ALIGN)));

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit_bytes = limit_bytes};
}

static void open_chunk(struct arena *a, struct arena_chunk *c)
{
    a->at = (uint8_t *)(c + 1);
    a->end = a->at + c->size;
}

void arena_reset(struct arena *a)
{
    while (a->chunks != NULL && a->chunks->next != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    a->failed = false;
    a->total_bytes = 0;
    a->at = a->end = NULL;
    if (a->chunks != NULL && a->chunks->size > LARGEST_STEP) {
        free(a->chunks);
        a->chunks = NULL;
    }
    if (a->chunks != NULL) {
        a->total_bytes = a->chunks->size;
        open_chunk(a, a->chunks);
    }
}

void arena_fini(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    *a = (struct arena){.limit_bytes = a->limit_bytes};
}

COLD static void *take_slow(struct arena *a, size_t size)
{
    size_t chunk_size = a->chunks == NULL ? FIRST_CHUNK : MIN(a->chunks->size * 2, LARGEST_STEP);
    if (chunk_size < size)
        chunk_size = size;
    if (a->total_bytes + chunk_size > a->limit_bytes && a->total_bytes + size <= a->limit_bytes)
        chunk_size = size;
    struct arena_chunk *c = NULL;
    if (a->total_bytes + chunk_size <= a->limit_bytes)
        c = malloc(sizeof *c + chunk_size);
    if (c == NULL) {
        a->failed = true;
        return NULL;
    }
    c->size = chunk_size;
    c->next = a->chunks;
    a->chunks = c;
    a->total_bytes += chunk_size;
    open_chunk(a, c);
    void *piece = a->at;
    a->at += size;
    return piece;
}

void *arena_take(struct arena *a, size_t size)
{
    if (unlikely(size > SIZE_MAX - ALIGN)) {
        a->failed = true;
        return NULL;
    }
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (unlikely(a->at == NULL || (size_t)(a->end - a->at) < size))
        return take_slow(a, size);
    void *piece = a->at;
    a->at += size;
    return piece;
}

void *arena_take_zeroed(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        a->failed = true;
        return NULL;
    }
    void *piece = arena_take(a, total);
    if (piece != NULL)
        memset(piece, 0, total);
    return piece;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    if (b.at == NULL)
        return b;
    uint8_t *copy = arena_take(a, b.size);
    if (copy == NULL)
        return (struct bytes){NULL, 0};
    if (b.size > 0)
        memcpy(copy, b.at, b.size);
    return (struct bytes){copy, b.size};
}

struct bytes arena_print(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : arena_take(a, (size_t)size + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return (struct bytes){(uint8_t *)text, text == NULL ? 0 : (size_t)size};
}

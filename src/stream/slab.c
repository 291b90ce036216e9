/* SPDX-License-Identifier: MIT */
/*
 * Slabs and their list. The list is immutable and replaced whole when a slab comes or goes, some
 * dozens of pointers; an old list is freed when no reader looks at any. A list holds each of its
 * slabs once; a view has a hold of its own.
 */
#include "stream/private.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static void slab_release(struct store_hold *h)
{
    struct slab *b = container_of(h, struct slab, hold);
    munmap(b->bytes, b->room);
    free(b);
}

/* Fresh zeroed pages, aligned for huge ones if there is room for any. MAP_FAILED. */
static void *take_pages(size_t room)
{
    size_t more = room >= SLAB_HUGE ? SLAB_HUGE - SLAB_STEP : 0;
    uint8_t *at = mmap(NULL, room + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    if (at == MAP_FAILED || more == 0)
        return at;
    size_t before = -(uintptr_t)at % SLAB_HUGE;
    if (before > 0)
        munmap(at, before);
    if (before < more)
        munmap(at + before + room, more - before);
    madvise(at + before, room, MADV_HUGEPAGE); /* a wish */
    errno = 0;
    return at + before;
}

enum outcome slab_new(size_t room, int64_t base_offset, struct slab **slab)
{
    if (room > UINT32_MAX - SLAB_HUGE)
        return OUT_TOO_LARGE;
    size_t page = room >= SLAB_HUGE ? SLAB_HUGE : SLAB_STEP;
    room = (room + page - 1) / page * page;
    struct slab *b = malloc(sizeof *b + (room / SLAB_STEP + 1) * sizeof b->marks[0]);
    if (b == NULL)
        return OUT_NO_MEMORY;
    void *at = take_pages(room);
    if (at == MAP_FAILED) {
        free(b);
        return fail(OUT_NO_MEMORY, "take %zu bytes for a topic in memory", room);
    }
    b->hold.release = slab_release;
    atomic_init(&b->hold.count, 1);
    b->base_offset = base_offset;
    b->room = room;
    b->bytes = at;
    atomic_init(&b->used, 0);
    atomic_init(&b->mark_count, 0);
    atomic_init(&b->max_timestamp, -1);
    *slab = b;
    return OUT_OK;
}

void slab_batch(const struct slab *b, size_t position, struct log_batch *batch)
{
    struct bytes rest = {b->bytes + position, b->room - position};
    check(log_batch_next(&rest, batch) == OUT_OK);
}

void slab_note(struct slab *b, const struct log_batch *batch, size_t position)
{
    uint32_t marks = atomic_load_explicit(&b->mark_count, memory_order_relaxed);
    int64_t delta = batch->base_offset - b->base_offset;
    if (delta <= UINT32_MAX &&
        (marks == 0 || position >= b->marks[marks - 1].position + SLAB_STEP)) {
        b->marks[marks] = (struct mark){(uint32_t)delta, (uint32_t)position};
        atomic_store_explicit(&b->mark_count, marks + 1, memory_order_release);
    }
    if (batch->max_timestamp > atomic_load_explicit(&b->max_timestamp, memory_order_relaxed))
        atomic_store_explicit(&b->max_timestamp, batch->max_timestamp, memory_order_relaxed);
    atomic_store_explicit(&b->used, position + batch->size, memory_order_release);
}

enum outcome slab_find(const struct slab *b, size_t size, int64_t offset, size_t *position,
                       struct log_batch *batch)
{
    uint32_t low = 0, high = atomic_load_explicit(&b->mark_count, memory_order_acquire);
    int64_t delta = offset - b->base_offset;
    while (low < high) { /* the first mark above the offset, or behind the bytes */
        uint32_t middle = low + (high - low) / 2;
        if ((int64_t)b->marks[middle].delta <= delta && b->marks[middle].position < size)
            low = middle + 1;
        else
            high = middle;
    }
    size_t at = low == 0 ? 0 : b->marks[low - 1].position;
    for (; at < size; at += batch->size) {
        slab_batch(b, at, batch);
        if (batch->last_offset >= offset) {
            *position = at;
            return OUT_OK;
        }
    }
    return OUT_END;
}

/* ---- the list ---- */

/* How many slabs begin at or below the offset. */
static size_t count_upto(const struct slabs *list, int64_t offset)
{
    size_t low = 0, high = list == NULL ? 0 : list->count;
    if (high > 0 && list->at[high - 1]->base_offset <= offset)
        return high; /* most reads are at the end */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->at[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct slab *hold(struct slab *b)
{
    store_hold_take(&b->hold);
    return b;
}

struct slab *slabs_hold_at(struct stream *s, int64_t offset)
{
    struct slabs *list = slabs_enter(s);
    size_t count = count_upto(list, offset);
    struct slab *b = count > 0 ? hold(list->at[count - 1]) : NULL;
    slabs_leave(s);
    return b;
}

struct slab *slabs_hold_after(struct stream *s, int64_t offset)
{
    struct slabs *list = slabs_enter(s);
    size_t count = count_upto(list, offset);
    struct slab *b = list != NULL && count < list->count ? hold(list->at[count]) : NULL;
    slabs_leave(s);
    return b;
}

enum outcome slabs_publish(struct stream *s, struct slab *fresh)
{
    struct slabs *old = atomic_load(&s->list), *list = NULL;
    size_t from = s->head.slab, kept = old == NULL ? 0 : old->count - from;
    size_t count = kept + (fresh != NULL);
    if (count > 0) {
        list = malloc(sizeof *list + count * sizeof list->at[0]);
        if (list == NULL)
            return OUT_NO_MEMORY;
        list->retired = NULL;
        list->count = count;
        for (size_t i = 0; i < kept; i++)
            list->at[i] = hold(old->at[from + i]);
        if (fresh != NULL)
            list->at[kept] = hold(fresh);
    }
    atomic_store(&s->list, list);
    s->head.slab = 0;
    if (old != NULL) {
        old->retired = s->retired;
        s->retired = old;
    }
    return OUT_OK;
}

/* The list was replaced before the counter is looked at, a reader counts itself before it looks at
 * the list, all in one order: with a count of 0 nobody has an old one. */
struct slabs *slabs_detach(struct stream *s)
{
    if (s->retired == NULL || atomic_load(&s->readers) != 0)
        return NULL;
    struct slabs *chain = s->retired;
    s->retired = NULL;
    return chain;
}

void slabs_free(struct slabs *chain)
{
    while (chain != NULL) {
        struct slabs *next = chain->retired;
        for (size_t i = 0; i < chain->count; i++)
            store_hold_drop(&chain->at[i]->hold);
        free(chain);
        chain = next;
    }
}

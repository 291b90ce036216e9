/* SPDX-License-Identifier: MIT */
/*
 * The immutable list of segments: found by offset, replaced whole, freed when no reader looks at
 * it. A list holds each of its segments once; readers take holds of their own for what they keep.
 */
#include "log/partition.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/stat.h>

bool segments_at(const struct segments *list, int64_t offset, size_t *i)
{
    size_t low = 0, high = list->count;
    if (high > 0 && list->at[high - 1]->base_offset <= offset) {
        *i = high - 1; /* most reads are at the end */
        return true;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->at[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    *i = low - 1;
    return low > 0;
}

static struct segment *hold(struct segment *s)
{
    store_hold_take(&s->hold);
    if (!atomic_load_explicit(&s->used, memory_order_relaxed))
        atomic_store_explicit(&s->used, true, memory_order_relaxed);
    return s;
}

struct segment *segments_hold_at(struct log *l, int64_t offset)
{
    size_t i;
    struct segments *list = segments_enter(l);
    struct segment *s = segments_at(list, offset, &i) ? hold(list->at[i]) : NULL;
    segments_leave(l);
    return s;
}

struct segment *segments_hold_after(struct log *l, int64_t offset)
{
    size_t i;
    struct segments *list = segments_enter(l);
    i = segments_at(list, offset, &i) ? i + 1 : 0;
    struct segment *s = i < list->count ? hold(list->at[i]) : NULL;
    segments_leave(l);
    return s;
}

struct segment *segments_hold_next(struct log *l, const struct segment *s, int64_t offset)
{
    size_t i;
    struct segments *list = segments_enter(l);
    if (segments_at(list, s->base_offset, &i) && list->at[i] == s)
        i++;
    else if (!segments_at(list, MAX(offset, s->base_offset), &i))
        i = 0; /* retention was faster */
    struct segment *next = i < list->count ? hold(list->at[i]) : NULL;
    segments_leave(l);
    return next;
}

struct segments *segments_unused(struct log *l)
{
    struct segments *list = l->retired;
    if (list == NULL || atomic_load(&l->readers) != 0)
        return NULL;
    l->retired = NULL;
    return list;
}

void segments_free(struct segments *list)
{
    while (list != NULL) {
        struct segments *next = list->retired;
        for (size_t i = 0; i < list->count; i++)
            store_hold_drop(&list->at[i]->hold);
        free(list);
        list = next;
    }
}

void segments_reclaim(struct log *l)
{
    segments_free(segments_unused(l));
}

enum outcome segments_publish(struct log *l, struct segment *const *at, size_t count)
{
    check(count > 0);
    struct segments *list = malloc(sizeof *list + count * sizeof list->at[0]);
    if (list == NULL)
        return OUT_NO_MEMORY;
    list->retired = NULL;
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        check(i == 0 || at[i - 1]->base_offset < at[i]->base_offset);
        list->at[i] = at[i];
        store_hold_take(&at[i]->hold);
    }
    struct segments *old = atomic_exchange(&l->list, list);
    if (old != NULL) {
        old->retired = l->retired;
        l->retired = old;
    }
    segments_reclaim(l);
    return OUT_OK;
}

size_t log_pieces(struct log *l, struct log_piece *to, size_t room)
{
    char path[LOG_PATH_MAX];
    struct segments *list = segments_enter(l);
    size_t count = list->count;
    for (size_t i = 0; i < MIN(count, room); i++) {
        struct stat st;
        segment_path(path, list->at[i]->dir, list->at[i]->base_offset, FILE_LOG, "");
        bool there = stat(path, &st) == 0; /* or deleted this very moment */
        to[i] = (struct log_piece){list->at[i]->base_offset, 0};
        if (there)
            to[i].modified_ms = st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    }
    segments_leave(l);
    return count;
}

/* SPDX-License-Identifier: MIT */
/*
 * The timer wheel. A deadline stands on the level of the highest group of six bits in which it
 * differs from the current tick, in the slot of that group's value: level 0 holds the very
 * millisecond, level 1 blocks of 64, and so on. When time reaches a block its timers move down.
 * One bit for each slot says whether it holds any, so that idle time costs nothing.
 */
#include "base/wheel.h"

#include "base/check.h"

#define LEVEL_BITS 6

void wheel_init(struct wheel *w, int64_t now_ms)
{
    check(now_ms >= 0);
    w->tick_ms = now_ms;
    w->count = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        w->used[level] = 0;
        for (int i = 0; i < 64; i++)
            list_init(&w->slots[level][i]);
    }
}

static void place(struct wheel *w, struct wheel_timer *t)
{
    uint64_t at = (uint64_t)MAX(t->deadline_ms, w->tick_ms);
    uint64_t differs = (at ^ (uint64_t)w->tick_ms) | 1;
    unsigned level = (63u - (unsigned)__builtin_clzll(differs)) / LEVEL_BITS;
    unsigned slot = (unsigned)(at >> (level * LEVEL_BITS)) & 63u;
    w->used[level] |= (uint64_t)1 << slot;
    list_push(&w->slots[level][slot], &t->in_slot);
    t->slot = (uint16_t)(level * 64 + slot + 1);
}

void wheel_add(struct wheel *w, struct wheel_timer *t, int64_t deadline_ms)
{
    check(t->slot == 0);
    t->deadline_ms = deadline_ms;
    place(w, t);
    w->count++;
}

/* Off its list; the slot's bit goes with the last one. */
static void unplace(struct wheel *w, struct wheel_timer *t)
{
    unsigned level = (t->slot - 1u) / 64, slot = (t->slot - 1u) % 64;
    list_remove(&t->in_slot);
    t->slot = 0;
    if (list_empty(&w->slots[level][slot]))
        w->used[level] &= ~((uint64_t)1 << slot);
}

void wheel_remove(struct wheel *w, struct wheel_timer *t)
{
    if (t->slot == 0)
        return;
    unplace(w, t);
    w->count--;
}

/* When the first used slot of a level begins; none is behind the tick's own. */
static int64_t level_next(const struct wheel *w, unsigned level)
{
    unsigned shift = level * LEVEL_BITS, slot = (unsigned)__builtin_ctzll(w->used[level]);
    uint64_t above = level + 1 == WHEEL_LEVELS
                         ? 0 : (uint64_t)w->tick_ms >> (shift + LEVEL_BITS) << LEVEL_BITS;
    int64_t start = (int64_t)((above | slot) << shift);
    return MAX(start, w->tick_ms);
}

/* The first slot that time reaches, the higher level of two: it may hold earlier ones. -1: none. */
static int next_level(const struct wheel *w, int64_t *at)
{
    int found = -1;
    *at = WHEEL_NEVER;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (w->used[level] == 0)
            continue;
        int64_t start = level_next(w, level);
        if (found < 0 || start <= *at) {
            found = (int)level;
            *at = start;
        }
    }
    return found;
}

int64_t wheel_next(const struct wheel *w)
{
    int64_t at;
    (void)next_level(w, &at);
    return at;
}

/* The timers of a block that time has reached, to the levels below. */
static void move_down(struct wheel *w, unsigned level)
{
    unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);
    struct list *from = &w->slots[level][slot];
    w->used[level] &= ~((uint64_t)1 << slot);
    while (!list_empty(from))
        place(w, container_of(list_pop(from), struct wheel_timer, in_slot));
}

size_t wheel_advance(struct wheel *w, int64_t now_ms,
                     void (*fire)(struct wheel_timer *t, void *context), void *context)
{
    size_t fired = 0;
    int64_t at;
    int level = next_level(w, &at);
    for (; level >= 0 && at <= now_ms; level = next_level(w, &at)) {
        w->tick_ms = at;
        if (level > 0) {
            move_down(w, (unsigned)level);
            continue;
        }
        /* What `fire` adds is for later ticks: the loop over this one ends. */
        unsigned slot = (unsigned)(at & 63);
        struct list *due = &w->slots[0][slot];
        struct list last;
        list_push(due, &last);
        w->tick_ms = at + 1;
        while (due->next != &last) {
            struct wheel_timer *t = container_of(due->next, struct wheel_timer, in_slot);
            wheel_remove(w, t);
            fire(t, context);
            fired++;
        }
        list_remove(&last);
        if (list_empty(due))
            w->used[0] &= ~((uint64_t)1 << slot);
    }
    w->tick_ms = MAX(w->tick_ms, now_ms + 1);
    return fired;
}

/* SPDX-License-Identifier: MIT */
/* The hash of topics: doubling when half full, backward shift when one goes. */
#include "meta/table.h"

#include "base/check.h"

#include <stdlib.h>

#define SLOTS_MIN 64

bool table_copy(struct meta_table *to, const struct meta_table *from)
{
    *to = (struct meta_table){0};
    if (from->slots == NULL)
        return true;
    size_t bytes = (from->mask + 1) * sizeof(void *);
    to->slots = malloc(bytes);
    if (to->slots == NULL)
        return false;
    memcpy(to->slots, from->slots, bytes);
    to->mask = from->mask;
    to->count = from->count;
    return true;
}

void table_fini(struct meta_table *t)
{
    free(t->slots);
    *t = (struct meta_table){0};
}

static void place(struct meta_table *t, uint64_t hash, void *item)
{
    size_t at = hash & t->mask;
    while (t->slots[at] != NULL)
        at = (at + 1) & t->mask;
    t->slots[at] = item;
}

bool table_reserve(struct meta_table *t, table_hash *hash)
{
    size_t slots = t->slots == NULL ? 0 : t->mask + 1;
    if ((t->count + 1) * 2 <= slots)
        return true;
    size_t wanted = MAX(slots * 2, SLOTS_MIN);
    struct meta_table bigger = {.mask = wanted - 1, .count = t->count,
                                .slots = calloc(wanted, sizeof(void *))};
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < slots; i++) {
        if (t->slots[i] != NULL)
            place(&bigger, hash(t->slots[i]), t->slots[i]);
    }
    free(t->slots);
    *t = bigger;
    return true;
}

void table_insert(struct meta_table *t, table_hash *hash, void *item)
{
    check((t->count + 1) * 2 <= t->mask + 1);
    place(t, hash(item), item);
    t->count++;
}

static size_t slot_of(const struct meta_table *t, table_hash *hash, const void *item)
{
    size_t at = hash(item) & t->mask;
    while (t->slots[at] != item) {
        check(t->slots[at] != NULL);
        at = (at + 1) & t->mask;
    }
    return at;
}

void table_replace(struct meta_table *t, table_hash *hash, const void *old, void *item)
{
    t->slots[slot_of(t, hash, old)] = item;
}

void table_remove(struct meta_table *t, table_hash *hash, const void *item)
{
    size_t hole = slot_of(t, hash, item), at = hole;
    t->count--;
    t->slots[hole] = NULL;
    /* Whoever stands behind the hole because its own slot was taken moves into it. */
    while (at = (at + 1) & t->mask, t->slots[at] != NULL) {
        size_t home = hash(t->slots[at]) & t->mask;
        if (((at - home) & t->mask) < ((at - hole) & t->mask))
            continue;
        t->slots[hole] = t->slots[at];
        t->slots[at] = NULL;
        hole = at;
    }
}

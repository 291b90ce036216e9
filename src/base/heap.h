/* SPDX-License-Identifier: MIT */
/*
 * Intrusive binary heap of deadlines: O(log n) add and removal, the earliest at hand. Used for
 * timers. The heap's array grows with malloc; a node knows its place. One thread.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/outcome.h"

struct heap_node {
    int64_t key;    /* smallest comes first; do not change while in a heap */
    size_t place;   /* index + 1 in the heap's array, 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count, room;
};

void heap_fini(struct heap *h);

/* Adds a node that is in no heap. OUT_NO_MEMORY leaves the heap unchanged. */
MUST enum outcome heap_add(struct heap *h, struct heap_node *n, int64_t key);
void heap_remove(struct heap *h, struct heap_node *n); /* nothing when in no heap */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}
static inline bool heap_holds(const struct heap_node *n) { return n->place != 0; }

#endif

/* SPDX-License-Identifier: MIT */
/* Binary heap over pointers; each node's `place` follows every move. */
#include "base/heap.h"

#include "base/check.h"

#include <stdlib.h>

static void put(struct heap *h, size_t i, struct heap_node *n)
{
    h->nodes[i] = n;
    n->place = i + 1;
}

static size_t sift_up(struct heap *h, size_t i, struct heap_node *n)
{
    while (i > 0 && h->nodes[(i - 1) / 2]->key > n->key) {
        put(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, n);
    return i;
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (h->nodes[child]->key >= n->key)
            break;
        put(h, i, h->nodes[child]);
        i = child;
    }
    put(h, i, n);
}

void heap_fini(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}

enum outcome heap_add(struct heap *h, struct heap_node *n, int64_t key)
{
    check(n->place == 0);
    if (h->count == h->room) {
        size_t room = h->room == 0 ? 16 : h->room * 2;
        struct heap_node **nodes = realloc(h->nodes, room * sizeof *nodes);
        if (nodes == NULL)
            return OUT_NO_MEMORY;
        h->nodes = nodes;
        h->room = room;
    }
    n->key = key;
    h->count++;
    sift_up(h, h->count - 1, n);
    return OUT_OK;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->place == 0)
        return;
    size_t i = n->place - 1;
    check(i < h->count && h->nodes[i] == n);
    struct heap_node *last = h->nodes[--h->count];
    n->place = 0;
    if (last == n)
        return;
    if (sift_up(h, i, last) == i)
        sift_down(h, i, last);
}

/* SPDX-License-Identifier: MIT */
/* Intrusive doubly linked list with a head node: O(1) insert and removal, no allocation. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/cc.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_insert_after(struct list *where, struct list *node)
{
    node->prev = where;
    node->next = where->next;
    where->next->prev = node;
    where->next = node;
}

static inline void list_push(struct list *head, struct list *node)
{
    list_insert_after(head->prev, node);
}

/* Takes a node out and leaves it initialised, so that a second removal does nothing. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node taken out, NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}

#define list_each(node, head) \
    for (struct list *node = (head)->next; node != (head); node = node->next)
#define list_each_safe(node, after, head)                                             \
    for (struct list *node = (head)->next, *after = node->next; node != (head);       \
         node = after, after = node->next)

#endif

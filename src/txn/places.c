/* SPDX-License-Identifier: MIT */
/* The partitions of a transaction: a list with a table over it, open addressing. */
#include "txn/private.h"

#include <stdlib.h>

#define ROOM_MIN 4

/* Where it is in the table, or the free place it would have. */
static size_t find(const struct places *p, const struct txn_place *one)
{
    size_t mask = p->room * 2 - 1;
    size_t at = (size_t)(bytes_hash(one->topic) +
                         (uint32_t)one->partition * UINT64_C(0x9e3779b97f4a7c15)) & mask;
    for (; p->table[at] != 0; at = (at + 1) & mask) {
        const struct txn_place *there = &p->list[p->table[at] - 1];
        if (there->partition == one->partition && bytes_equal(there->topic, one->topic))
            break;
    }
    return at;
}

bool txn_places_have(const struct places *p, const struct txn_place *one)
{
    return p->count > 0 && p->table[find(p, one)] != 0;
}

static bool grow(struct places *p)
{
    size_t room = p->room == 0 ? ROOM_MIN : p->room * 2;
    uint32_t *table = calloc(room * 2, sizeof *table);
    struct txn_place *list = table == NULL ? NULL : realloc(p->list, room * sizeof *list);
    if (list == NULL) {
        free(table);
        return false;
    }
    free(p->table);
    *p = (struct places){.list = list, .count = p->count, .room = room, .table = table};
    for (size_t i = 0; i < p->count; i++)
        table[find(p, &list[i])] = (uint32_t)i + 1;
    return true;
}

bool txn_places_add(struct places *p, const struct txn_place *one)
{
    if (txn_places_have(p, one))
        return true;
    if (p->count == p->room && !grow(p))
        return false;
    uint8_t *topic = malloc(one->topic.size + 1);
    if (topic == NULL)
        return false;
    if (one->topic.size > 0)
        memcpy(topic, one->topic.at, one->topic.size);
    size_t at = find(p, one);
    p->list[p->count] = (struct txn_place){bytes_view(topic, one->topic.size), one->partition};
    p->table[at] = (uint32_t)++p->count;
    return true;
}

void txn_places_clear(struct places *p)
{
    for (size_t i = 0; i < p->count; i++)
        free((void *)(uintptr_t)p->list[i].topic.at);
    free(p->list);
    free(p->table);
    *p = (struct places){0};
}

static int by_place(const void *left, const void *right)
{
    const struct txn_place *a = left, *b = right;
    int order = bytes_compare(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

struct txn_place *txn_places_sorted(struct txn_shard *s, const struct places *p)
{
    struct txn_place *list = take_array(s, struct txn_place, p->count);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < p->count; i++)
        list[i] = p->list[i];
    qsort(list, p->count, sizeof *list, by_place);
    return list;
}

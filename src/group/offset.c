/* SPDX-License-Identifier: MIT */
/* The committed offsets of one group: a chained hash table by topic and partition. */
#include "group/private.h"

#include <stdlib.h>

#define SLOTS_MIN 8

static uint64_t hash_of(struct bytes topic, int32_t partition)
{
    uint64_t h = bytes_hash(topic) + (uint64_t)(uint32_t)partition * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

struct committed *offset_find(const struct group *g, struct bytes topic, int32_t partition)
{
    if (g->slot_count == 0)
        return NULL;
    uint64_t hash = hash_of(topic, partition);
    struct committed *c = g->slots[hash & (g->slot_count - 1)];
    while (c != NULL &&
           (c->hash != hash || c->partition != partition || !bytes_equal(c->topic, topic)))
        c = c->next;
    return c;
}

/* Room for one more; false: there is no table at all. */
static bool grow(struct group *g)
{
    if (g->offset_count < g->slot_count)
        return true;
    size_t count = g->slot_count == 0 ? SLOTS_MIN : g->slot_count * 2;
    struct committed **slots = calloc(count, sizeof(struct committed *));
    if (slots == NULL)
        return g->slot_count > 0; /* longer chains, no harm */
    for (size_t i = 0; i < g->slot_count; i++) {
        for (struct committed *c = g->slots[i], *next; c != NULL; c = next) {
            next = c->next;
            c->next = slots[c->hash & (count - 1)];
            slots[c->hash & (count - 1)] = c;
        }
    }
    free(g->slots);
    g->slots = slots;
    g->slot_count = count;
    return true;
}

static struct committed *insert(struct group *g, const struct group_offset *o)
{
    struct committed *c = grow(g) ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        g->shard->failed = true;
        return NULL;
    }
    c->topic = keep(g->shard, o->topic);
    if (c->topic.at == NULL) {
        free(c);
        return NULL;
    }
    c->partition = o->partition;
    c->hash = hash_of(o->topic, o->partition);
    struct committed **slot = &g->slots[c->hash & (g->slot_count - 1)];
    c->next = *slot;
    *slot = c;
    g->offset_count++;
    return c;
}

struct committed *offset_put(struct group *g, const struct group_offset *o)
{
    struct bytes metadata = keep(g->shard, o->metadata.at == NULL ? bytes_of("") : o->metadata);
    if (metadata.at == NULL)
        return NULL;
    struct committed *c = offset_find(g, o->topic, o->partition);
    if (c == NULL)
        c = insert(g, o);
    if (c == NULL) {
        let_go(&metadata);
        return NULL;
    }
    let_go(&c->metadata);
    c->metadata = metadata;
    c->offset = o->offset;
    c->leader_epoch = o->leader_epoch;
    c->topic_id = o->topic_id;
    c->expire_ms = -1;
    c->order = ++g->shard->order;
    return c;
}

static void committed_free(struct committed *c)
{
    let_go(&c->topic);
    let_go(&c->metadata);
    free(c);
}

void offset_remove(struct group *g, struct committed *c)
{
    struct committed **at = &g->slots[c->hash & (g->slot_count - 1)];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    g->offset_count--;
    committed_free(c);
}

void offsets_free(struct group *g)
{
    for (size_t i = 0; i < g->slot_count; i++) {
        for (struct committed *c = g->slots[i], *next; c != NULL; c = next) {
            next = c->next;
            committed_free(c);
        }
    }
    free(g->slots);
    g->slots = NULL;
    g->slot_count = g->offset_count = 0;
}

void offsets_remove_if(struct group *g, offset_test *test, void *context)
{
    for (size_t i = 0; i < g->slot_count; i++) {
        for (struct committed *c = g->slots[i], *next; c != NULL; c = next) {
            next = c->next;
            if (!test(g, c, context))
                continue;
            record_offset_gone(g, c->topic, c->partition);
            offset_remove(g, c);
        }
    }
}

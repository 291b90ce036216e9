/* SPDX-License-Identifier: MIT */
/*
 * Groups by id, and what states they may go through. Slots are chained; the table doubles when it
 * has more groups than slots (and stays as it is when there is no memory for that).
 */
#include "group/private.h"

#include <stdlib.h>

static const bool legal[STATES][STATES] = {
    [STATE_EMPTY] = {[STATE_PREPARING] = true, [STATE_DEAD] = true},
    [STATE_PREPARING] = {[STATE_COMPLETING] = true, [STATE_EMPTY] = true},
    [STATE_COMPLETING] = {[STATE_PREPARING] = true, [STATE_STABLE] = true},
    [STATE_STABLE] = {[STATE_PREPARING] = true},
};

const char *group_state_name(enum group_state state)
{
    static const char *const names[STATES] = {"Empty", "PreparingRebalance",
                                              "CompletingRebalance", "Stable", "Dead"};
    return names[state];
}

void group_set_state(struct group *g, enum group_state to)
{
    check(legal[g->state][to]);
    if (to == STATE_PREPARING)
        g->shard->rebalances++;
    g->previous = g->state;
    g->state = to;
    g->state_since_ms = g->shard->event->wall_ms;
}

struct group *group_find(const struct group_shard *s, struct bytes id)
{
    uint64_t hash = bytes_hash(id);
    struct group *g = s->slots[hash & (s->slot_count - 1)];
    while (g != NULL && (g->hash != hash || !bytes_equal(g->id, id)))
        g = g->next;
    return g;
}

static void grow(struct group_shard *s)
{
    size_t count = s->slot_count * 2;
    struct group **slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return; /* longer chains, no harm */
    for (size_t i = 0; i < s->slot_count; i++) {
        for (struct group *g = s->slots[i], *next; g != NULL; g = next) {
            next = g->next;
            g->next = slots[g->hash & (count - 1)];
            slots[g->hash & (count - 1)] = g;
        }
    }
    free(s->slots);
    s->slots = slots;
    s->slot_count = count;
}

struct group *group_make(struct group_shard *s, struct bytes id)
{
    struct group *g = calloc(1, sizeof *g);
    if (g == NULL) {
        s->failed = true;
        return NULL;
    }
    g->id = keep(s, id);
    if (g->id.at == NULL) {
        free(g);
        return NULL;
    }
    if (s->group_count >= s->slot_count)
        grow(s);
    g->shard = s;
    g->hash = bytes_hash(id);
    g->state = g->previous = STATE_EMPTY;
    g->state_since_ms = s->event->wall_ms;
    list_init(&g->members);
    list_init(&g->pendings);
    list_init(&g->open_txns);
    struct group **slot = &s->slots[g->hash & (s->slot_count - 1)];
    g->next = *slot;
    *slot = g;
    s->group_count++;
    return g;
}

void group_remove(struct group *g)
{
    struct group_shard *s = g->shard;
    struct group **at = &s->slots[g->hash & (s->slot_count - 1)];
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    s->group_count--;
    list_each_safe(node, after, &g->members)
        member_remove(container_of(node, struct member, node), OUT_UNKNOWN_MEMBER);
    list_each_safe(node, after, &g->pendings)
        pending_remove(container_of(node, struct pending, node));
    timer_cancel(s, &g->join_timer);
    timer_cancel(s, &g->sync_timer);
    offsets_free(g);
    open_txns_free(g);
    subscription_forget(g);
    let_go(&g->protocol_name);
    let_go(&g->protocol_type);
    let_go(&g->id);
    free(g);
}

void group_each(struct group_shard *s, group_visit *visit, void *context)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        for (struct group *g = s->slots[i], *next; g != NULL; g = next) {
            next = g->next;
            visit(g, context);
        }
    }
}

/* One UTF-16 unit of Java's string hash: h = 31 h + unit. */
static uint32_t mix(uint32_t h, uint32_t unit)
{
    return 31 * h + unit;
}

/* Length of the UTF-8 character at `at`, 1 when it is none. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    size_t length = at[0] < 0xc2 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 1;
    if (length > left)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 1;
    }
    return length;
}

int32_t group_partition(struct bytes id, int32_t partitions)
{
    check(partitions > 0);
    uint32_t h = 0;
    for (size_t i = 0, length; i < id.size; i += length) {
        const uint8_t *at = id.at + i;
        length = utf8_length(at, id.size - i);
        if (length == 1) {
            h = mix(h, at[0]);
        } else if (length == 2) {
            h = mix(h, (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu));
        } else if (length == 3) {
            h = mix(h, (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu));
        } else {
            uint32_t code = (at[0] & 7u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 |
                            (at[3] & 0x3fu);
            h = mix(h, 0xd800 + ((code - 0x10000) >> 10));
            h = mix(h, 0xdc00 + (code & 0x3ff));
        }
    }
    /* Kafka takes the absolute value; the one int32 that has none counts as 0. */
    int32_t hash = (int32_t)h;
    return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % partitions;
}

/* SPDX-License-Identifier: MIT */
/* The engine and its shards; subscribing and leaving. */
#include "base/check.h"
#include "live/private.h"

#include <stdlib.h>

#define FORWARD_BYTES_MAX MiB(16)

uint32_t shard_random(struct live_shard *s, uint32_t below)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((s->random >> 32) * below >> 32);
}

static void shard_free(struct live_shard *s)
{
    for (int i = 0; s->lanes != NULL && i < s->live->o.shard_count; i++)
        lane_fini(&s->lanes[i]);
    cache_fini(&s->cache);
    scratch_fini(&s->scratch);
    free(s->lanes);
    free(s->slots);
    free(s);
}

static struct live_shard *shard_new(struct live *live, uint32_t index)
{
    size_t lanes = (size_t)live->o.shard_count * sizeof(struct lane);
    struct live_shard *s = aligned_alloc(CACHE_LINE, sizeof *s);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    s->live = live;
    s->index = index;
    s->random = live->o.seed ^ (index + 1) * 0x9e3779b97f4a7c15u;
    s->lanes = aligned_alloc(CACHE_LINE, lanes);
    if (s->lanes == NULL) {
        free(s);
        return NULL;
    }
    memset(s->lanes, 0, lanes);
    (void)shard_random(s, 1);
    return s;
}

enum outcome live_new(const struct live_options *o, struct live **live)
{
    check(o->shard_count > 0);
    check(o->shard_count <= LIVE_SHARDS_MAX);
    struct live *l = calloc(1, sizeof *l);
    if (l == NULL)
        return fail(OUT_NO_MEMORY, "make the live engine");
    l->o = *o;
    if (l->o.forward_bytes_max == 0)
        l->o.forward_bytes_max = FORWARD_BYTES_MAX;
    if (tree_init(&l->tree) != OUT_OK) {
        free(l);
        return fail(OUT_NO_MEMORY, "make the subject tree");
    }
    for (int i = 0; i < o->shard_count; i++) {
        l->shards[i] = shard_new(l, (uint32_t)i);
        if (l->shards[i] == NULL) {
            live_free(l);
            return fail(OUT_NO_MEMORY, "make a shard of the live engine");
        }
    }
    for (int i = 0; i < o->shard_count; i++)
        for (int k = 0; k < o->shard_count; k++)
            lane_init(&l->shards[i]->lanes[k], l->shards[i], l->shards[k]);
    *live = l;
    return OUT_OK;
}

void live_free(struct live *live)
{
    if (live == NULL)
        return;
    for (int i = 0; i < live->o.shard_count; i++)
        if (live->shards[i] != NULL)
            shard_free(live->shards[i]);
    tree_fini(&live->tree);
    free(live);
}

struct live_shard *live_shard(struct live *live, int index)
{
    check(index >= 0);
    check(index < live->o.shard_count);
    return live->shards[index];
}

/* ---- names of subscriptions ---- */

static enum outcome slot_take(struct live_shard *s, struct live_sub *sub)
{
    if (s->first_free == 0 && s->slot_count == s->slot_room) {
        uint32_t room = s->slot_room == 0 ? 16 : s->slot_room * 2;
        struct sub_slot *slots = realloc(s->slots, room * sizeof *slots);
        if (slots == NULL)
            return fail(OUT_NO_MEMORY, "number a subscription");
        s->slots = slots;
        s->slot_room = room;
    }
    if (s->first_free != 0) {
        sub->index = s->first_free - 1;
        s->first_free = s->slots[sub->index].next_free;
    } else {
        sub->index = s->slot_count++;
        s->slots[sub->index].serial = 0;
    }
    struct sub_slot *slot = &s->slots[sub->index];
    slot->sub = sub;
    slot->next_free = 0;
    if (++slot->serial == 0)
        slot->serial = 1;
    sub->serial = slot->serial;
    return OUT_OK;
}

static void slot_give(struct live_shard *s, uint32_t index)
{
    s->slots[index].sub = NULL;
    s->slots[index].next_free = s->first_free;
    s->first_free = index + 1;
}

/* ---- subscribing ---- */

static bool queue_name_good(struct bytes queue)
{
    if (queue.size > LIVE_SUBJECT_MAX)
        return false;
    for (size_t i = 0; i < queue.size; i++)
        if (queue.at[i] <= ' ' || queue.at[i] == 0x7f)
            return false;
    return true;
}

enum outcome live_subscribe(struct live_shard *s, struct live_sub *sub, struct bytes pattern,
                            struct bytes queue)
{
    enum live_subject kind = live_subject_kind(pattern);
    if (kind == LIVE_BAD || !queue_name_good(queue))
        return OUT_INVALID;
    sub->backlog = NULL;
    sub->node = NULL;
    sub->account = (struct live_account){0};
    list_init(&sub->busy);
    if (sub->total == NULL)
        sub->total = &s->untold;
    enum outcome o = slot_take(s, sub);
    if (o != OUT_OK)
        return o;
    sub->shard = s;
    o = tree_add(&s->live->tree, sub, pattern, kind, queue);
    if (o != OUT_OK) {
        slot_give(s, sub->index);
        sub->shard = NULL;
        return o;
    }
    s->tally.subscriptions++;
    tally_share(s);
    return OUT_OK;
}

void live_unsubscribe(struct live_sub *sub)
{
    struct live_shard *s = sub->shard;
    if (s == NULL)
        return;
    tree_remove(&s->live->tree, sub);
    slot_give(s, sub->index);
    list_remove(&sub->busy);
    backlog_fini(sub);
    if (sub->total == &s->untold)
        sub->total = NULL;
    sub->shard = NULL;
    s->tally.subscriptions--;
    tally_share(s);
    shard_room(s);
}

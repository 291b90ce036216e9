/* SPDX-License-Identifier: MIT */
/* Transactional ids in a chained hash table, and the names of their states. */
#include "txn/private.h"

#include <stdlib.h>

static const char *const names[STATES] = {
    [STATE_EMPTY] = "Empty",
    [STATE_ONGOING] = "Ongoing",
    [STATE_PREPARE_COMMIT] = "PrepareCommit",
    [STATE_PREPARE_ABORT] = "PrepareAbort",
    [STATE_COMPLETE_COMMIT] = "CompleteCommit",
    [STATE_COMPLETE_ABORT] = "CompleteAbort",
};

const char *txn_state_name(enum txn_state state)
{
    return names[state];
}

/* Kafka knows two more, which nobody is ever seen in here. */
bool txn_state_known(struct bytes name)
{
    for (int i = 0; i < STATES; i++) {
        if (bytes_is(name, names[i]))
            return true;
    }
    return bytes_is(name, "Dead") || bytes_is(name, "PrepareEpochFence");
}

struct txn *txn_find(const struct txn_shard *s, struct bytes id)
{
    uint64_t hash = bytes_hash(id);
    struct txn *t = s->slots[hash & (s->slot_count - 1)];
    while (t != NULL && (t->hash != hash || !bytes_equal(t->id, id)))
        t = t->next;
    return t;
}

/* Longer chains do no harm, so a failure to grow is none. */
static void grow(struct txn_shard *s)
{
    if (s->count < s->slot_count)
        return;
    size_t count = s->slot_count * 2;
    struct txn **slots = calloc(count, sizeof(struct txn *));
    if (slots == NULL)
        return;
    for (size_t i = 0; i < s->slot_count; i++) {
        for (struct txn *t = s->slots[i], *next; t != NULL; t = next) {
            next = t->next;
            t->next = slots[t->hash & (count - 1)];
            slots[t->hash & (count - 1)] = t;
        }
    }
    free(s->slots);
    s->slots = slots;
    s->slot_count = count;
}

struct txn *txn_make(struct txn_shard *s, struct bytes id)
{
    struct txn *t = calloc(1, sizeof *t + id.size + 1);
    if (t == NULL) {
        s->failed = true;
        return NULL;
    }
    grow(s);
    t->id = bytes_view(t + 1, id.size);
    if (id.size > 0)
        memcpy(t + 1, id.at, id.size);
    t->hash = bytes_hash(id);
    t->producer_id = t->previous_id = t->next_id = NO_ID;
    t->epoch = t->last_epoch = NO_EPOCH;
    t->start_ms = -1;
    list_init(&t->waiters);
    struct txn **slot = &s->slots[t->hash & (s->slot_count - 1)];
    t->next = *slot;
    *slot = t;
    s->count++;
    return t;
}

void txn_remove(struct txn_shard *s, struct txn *t)
{
    struct txn **at = &s->slots[t->hash & (s->slot_count - 1)];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    s->count--;
    check(list_empty(&t->waiters));
    heap_remove(&s->timers, &t->timer);
    txn_places_clear(&t->places);
    free(t);
}

void txn_each(struct txn_shard *s, txn_visit *visit, void *context)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        for (struct txn *t = s->slots[i], *next; t != NULL; t = next) {
            next = t->next;
            visit(s, t, context);
        }
    }
}

void txn_timer_set(struct txn_shard *s, struct txn *t, int64_t ms_from_now)
{
    heap_remove(&s->timers, &t->timer);
    if (heap_add(&s->timers, &t->timer, s->event->now_ms + ms_from_now) != OUT_OK)
        s->failed = true;
}

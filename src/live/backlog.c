/* SPDX-License-Identifier: MIT */
/*
 * What a subscription couldn't take yet, in order, each message held. The ring exists only while
 * the subscription is behind, doubles up to what is needed and goes when it is empty.
 */
#include "live/private.h"

#include "base/check.h"

#include <stdlib.h>

#define RING_LEAST 8

bool backlog_overflows(struct live_sub *sub)
{
    return sub->backlog != NULL && sub->backlog_max != 0 &&
           sub->backlog->count >= sub->backlog_max;
}

static struct live_message *backlog_at(struct live_backlog *b, uint32_t place)
{
    return &b->ring[(b->first + place) & (b->room - 1)];
}

/* The oldest message, its hold the caller's. */
static struct live_message backlog_pop(struct live_sub *sub)
{
    struct live_backlog *b = sub->backlog;
    check(b->count > 0);
    struct live_message m = b->ring[b->first];
    b->first = (b->first + 1) & (b->room - 1);
    b->count--;
    sub->account.pending--;
    sub->total->pending--;
    sub->shard->tally.account.pending--;
    return m;
}

/* Room for one more; false: no memory. */
static bool backlog_grow(struct live_sub *sub)
{
    struct live_backlog *b = sub->backlog;
    if (b == NULL) {
        b = sub->backlog = calloc(1, sizeof *b);
        if (b == NULL)
            return false;
    }
    if (b->count < b->room)
        return true;
    uint32_t room = b->room == 0 ? RING_LEAST : b->room * 2;
    struct live_message *ring = room < b->room ? NULL : malloc(room * sizeof *ring);
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < b->count; i++)
        ring[i] = *backlog_at(b, i);
    free(b->ring);
    b->ring = ring;
    b->first = 0;
    b->room = room;
    return true;
}

static void backlog_free(struct live_sub *sub)
{
    if (sub->backlog == NULL)
        return;
    check(sub->backlog->count == 0);
    free(sub->backlog->ring);
    free(sub->backlog);
    sub->backlog = NULL;
}

static void count_expired(struct live_sub *sub)
{
    sub->account.expired++;
    sub->total->expired++;
    sub->shard->tally.account.expired++;
}

/* A full backlog first loses what nobody would get any more. */
static void drop_expired(struct live_sub *sub)
{
    struct live_backlog *b = sub->backlog;
    if (b->ring[b->first].deadline_ms == 0)
        return;
    int64_t wall_ms = shard_wall(sub->shard);
    while (b->count > 0 && message_expired(&b->ring[b->first], wall_ms)) {
        struct live_message m = backlog_pop(sub);
        count_expired(sub);
        store_hold_drop(m.hold);
    }
}

/* The policy of a full backlog; whether the new message is to be kept. `sub` may be gone when it is
 * not. */
static bool overflow(struct live_sub *sub)
{
    switch ((enum live_overflow)sub->overflow) {
    case LIVE_DROP_OLDEST: {
        struct live_message m = backlog_pop(sub);
        count_drop(sub, LIVE_DROPPED_OLDEST);
        store_hold_drop(m.hold);
        return true;
    }
    case LIVE_DROP_NEWEST:
        count_drop(sub, LIVE_DROPPED_NEWEST);
        return false;
    case LIVE_BLOCK:
        return true;
    case LIVE_DISCONNECT:
        break;
    }
    count_drop(sub, LIVE_DROPPED_GONE);
    if (!sub->backlog->told) {
        sub->backlog->told = true;
        sub->overflowed(sub);
    }
    return false;
}

bool backlog_keep(struct live_sub *sub, struct flight *f)
{
    const struct live_message *m = flight_kept(f);
    if (m == NULL) {
        count_drop(sub, LIVE_DROPPED_NEWEST);
        return false;
    }
    if (backlog_overflows(sub))
        drop_expired(sub);
    if (backlog_overflows(sub) && !overflow(sub))
        return false;
    if (!backlog_grow(sub)) {
        count_drop(sub, LIVE_DROPPED_NEWEST);
        if (sub->backlog != NULL && sub->backlog->count == 0)
            backlog_free(sub);
        return false;
    }
    struct live_backlog *b = sub->backlog;
    *backlog_at(b, b->count) = *m;
    backlog_at(b, b->count++)->loan = NULL; /* for the turn only */
    store_hold_take(m->hold);
    sub->account.pending++;
    sub->total->pending++;
    sub->shard->tally.account.pending++;
    if (sub->overflow == LIVE_BLOCK && backlog_overflows(sub)) {
        f->held.full |= (uint64_t)1 << sub->shard->index;
        if (b->count > f->longest) { /* the one that is least likely to have room soon */
            f->longest = b->count;
            f->held.index = sub->index;
            f->held.serial = sub->serial;
        }
        if (!b->full)
            atomic_fetch_add(&sub->shard->full, 1);
        b->full = true;
    }
    return true;
}

static void backlog_not_full(struct live_sub *sub)
{
    if (!sub->backlog->full)
        return;
    atomic_fetch_sub(&sub->shard->full, 1);
    sub->shard->room_made = true;
    sub->backlog->full = false;
}

void backlog_fini(struct live_sub *sub)
{
    if (sub->backlog == NULL)
        return;
    backlog_not_full(sub);
    while (sub->backlog->count > 0) {
        struct live_message m = backlog_pop(sub);
        count_drop(sub, LIVE_DROPPED_GONE);
        store_hold_drop(m.hold);
    }
    backlog_free(sub);
}

/* ---- catching up ---- */

enum step { STEP_ON, STEP_WAIT, STEP_GONE };

/* The oldest message to its subscription. It is out of the ring meanwhile: deliver() may leave. */
static enum step drain_one(struct live_shard *s, struct live_sub *sub, int64_t wall_ms)
{
    struct sub_name name = {sub->index, sub->serial};
    if (message_expired(&sub->backlog->ring[sub->backlog->first], wall_ms)) {
        struct live_message old = backlog_pop(sub);
        count_expired(sub);
        store_hold_drop(old.hold);
        return STEP_ON;
    }
    struct live_message m = backlog_pop(sub);
    struct live_account *total = sub->total;
    sub->account.delivered++;
    enum live_taken taken = sub->deliver(sub, &m);
    bool here = shard_sub(s, name) == sub;
    if (taken == LIVE_TAKEN || !here) {
        total->delivered += taken == LIVE_TAKEN;
        total->dropped[LIVE_DROPPED_GONE] += taken != LIVE_TAKEN;
        if (taken == LIVE_TAKEN)
            s->tally.account.delivered++;
        else
            s->tally.account.dropped[LIVE_DROPPED_GONE]++;
        store_hold_drop(m.hold);
        return here ? STEP_ON : STEP_GONE;
    }
    sub->account.delivered--;
    if (taken == LIVE_CLOSED) {
        count_drop(sub, LIVE_DROPPED_GONE);
        store_hold_drop(m.hold);
        return STEP_ON;
    }
    if (!backlog_grow(sub)) { /* its place was taken by what deliver() published */
        count_drop(sub, LIVE_DROPPED_OLDEST);
        store_hold_drop(m.hold);
        return STEP_WAIT;
    }
    struct live_backlog *b = sub->backlog;
    b->first = (b->first - 1) & (b->room - 1);
    b->ring[b->first] = m;
    b->count++;
    sub->account.pending++;
    total->pending++;
    s->tally.account.pending++;
    return STEP_WAIT;
}

bool live_drain(struct live_sub *sub, int64_t wall_ms)
{
    struct live_shard *s = sub->shard;
    if (s == NULL || sub->backlog == NULL)
        return true;
    enum step step = STEP_ON;
    s->depth++;
    while (step == STEP_ON && sub->backlog->count > 0)
        step = drain_one(s, sub, wall_ms);
    s->depth--;
    if (step != STEP_GONE) {
        /* With some way to go down again, so that publishers are not woken for each message. */
        if (sub->backlog->count <= sub->backlog_max / 4 * 3 && !backlog_overflows(sub))
            backlog_not_full(sub);
        if (sub->backlog->count == 0) {
            backlog_free(sub);
            list_remove(&sub->busy);
        }
    }
    tally_share(s);
    shard_room(s);
    return step != STEP_WAIT;
}

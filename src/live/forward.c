/* SPDX-License-Identifier: MIT */
/*
 * Messages for other shards. A message is copied once (unless it has a hold already), each target's
 * batch keeps a hold of it; live_flush posts the batches. The receiver looks the subject up in its
 * own cache, delivers to its own subscriptions and frees the batch.
 *
 * What is under way in one direction is bounded: above it, or while the receiver has a full
 * LIVE_BLOCK subscription, publishers of the sender are held. Sender: says that it waits, looks
 * again, then holds. Receiver: makes room, looks whether anybody waits, then posts the notice. One
 * of them sees the other.
 */
#include "live/private.h"

#include <stdlib.h>

#define BATCH_LEAST 8
#define BATCH_MOST 512
#define BATCH_BYTES_MOST MiB(1)

static void batch_free(struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        store_hold_drop(b->carried[i].m.hold);
    free(b);
}

static void batch_post(struct lane *l)
{
    struct batch *b = l->batch;
    const struct live_options *o = &l->from->live->o;
    l->batch = NULL;
    atomic_fetch_add(&l->bytes, b->bytes);
    o->post(o->context, (int)l->to->index, &b->mail);
}

/* ---- the receiver ---- */

static void count_late(struct live_shard *s, struct live_sub *sub)
{
    if (sub == NULL)
        return;
    sub->account.matched++;
    sub->account.expired++;
    s->tally.account.matched++;
    s->tally.account.expired++;
}

/* It expired on its way: counted with those who would have had it. */
static void expire_carried(struct live_shard *s, const struct carried *c, const struct match *m)
{
    if (c->member.serial != 0) {
        count_late(s, shard_sub(s, c->member));
        return;
    }
    for (uint32_t i = 0; i < m->own_count; i++)
        count_late(s, shard_sub(s, m->own[i]));
}

/* For one of a queue group: the one that was chosen; otherwise somebody else of it. */
static void take_for_group(struct live_shard *s, const struct carried *c, const struct match *m,
                           struct flight *f)
{
    uint64_t me = (uint64_t)1 << s->index;
    struct live_sub *sub = shard_sub(s, c->member);
    if (sub != NULL && deliver_member(s, sub, f, c->visited))
        return;
    for (uint32_t i = 0; i < m->group_count; i++)
        if (m->groups[i].id == c->group)
            (void)deliver_group(s, m, &m->groups[i], f, NULL, c->visited | me);
}

static void take(struct live_shard *s, const struct carried *c)
{
    struct scratch own = {0};
    struct flight f = {.m = &c->m};
    const struct match *m = shard_look(s, c->m.subject, &own);
    bool late = c->m.deadline_ms != 0 && message_expired(&c->m, shard_wall(s));
    s->depth++;
    if (unlikely(late))
        expire_carried(s, c, m);
    else if (c->member.serial == 0)
        (void)deliver_plain(s, m, &f, NULL);
    else
        take_for_group(s, c, m, &f);
    s->depth--;
    scratch_fini(&own);
}

static bool lane_wide(const struct lane *l)
{
    return atomic_load(&l->bytes) <= l->from->live->o.forward_bytes_max / 2 &&
           atomic_load(&l->to->full) == 0;
}

void lane_notify(struct lane *l)
{
    const struct live_options *o = &l->from->live->o;
    if (!atomic_load(&l->waiting) || !lane_wide(l) || atomic_exchange(&l->notice_out, true))
        return;
    o->post(o->context, (int)l->from->index, &l->notice);
}

static void batch_deliver(struct mail *mail)
{
    struct batch *b = container_of(mail, struct batch, mail);
    struct lane *l = b->lane;
    struct live_shard *s = l->to;
    for (uint32_t i = 0; i < b->count; i++)
        take(s, &b->carried[i]);
    tally_share(s);
    atomic_fetch_sub(&l->bytes, b->bytes);
    batch_free(b);
    lane_notify(l);
}

/* ---- the sender ---- */

static void notice_deliver(struct mail *mail)
{
    struct lane *l = container_of(mail, struct lane, notice);
    const struct live_options *o = &l->from->live->o;
    atomic_store(&l->notice_out, false);
    atomic_store(&l->waiting, false);
    o->unblocked(o->context, (int)l->from->index);
}

/* Room for one more in the lane's batch; false: no memory. */
static bool batch_grow(struct lane *l)
{
    struct batch *b = l->batch;
    if (b != NULL && b->count < b->room)
        return true;
    uint32_t room = b == NULL ? BATCH_LEAST : b->room * 2;
    struct batch *larger = realloc(b, sizeof *b + room * sizeof b->carried[0]);
    if (larger == NULL)
        return false;
    if (b == NULL)
        *larger = (struct batch){.mail.deliver = batch_deliver, .lane = l};
    larger->room = room;
    l->batch = larger;
    return true;
}

static bool lane_narrow(const struct lane *l)
{
    size_t here = l->batch == NULL ? 0 : l->batch->bytes;
    return atomic_load_explicit(&l->bytes, memory_order_relaxed) + here >
               l->from->live->o.forward_bytes_max ||
           atomic_load_explicit(&l->to->full, memory_order_relaxed) != 0;
}

/* Whether the publisher is to be held because of this lane. */
static bool lane_holds(struct lane *l)
{
    if (likely(!lane_narrow(l)))
        return false;
    atomic_store(&l->waiting, true);
    if (!lane_wide(l) || (l->batch != NULL && l->batch->bytes != 0))
        return true;
    atomic_store(&l->waiting, false);
    return false;
}

bool forward(struct live_shard *s, uint32_t to, struct flight *f, struct sub_name member,
             uint32_t group, uint64_t visited)
{
    struct lane *l = &s->lanes[to];
    const struct live_message *m = flight_kept(f);
    if (m == NULL || !batch_grow(l)) {
        s->tally.no_memory++;
        return false;
    }
    struct batch *b = l->batch;
    store_hold_take(m->hold);
    b->carried[b->count++] = (struct carried){*m, member, group, visited};
    b->bytes += sizeof b->carried[0] + m->subject.size + m->reply.size + m->headers.size +
                m->payload.size;
    if (b->count == BATCH_MOST || b->bytes >= BATCH_BYTES_MOST)
        batch_post(l);
    if (!s->flush_wanted) {
        s->flush_wanted = true;
        s->live->o.want_flush(s->live->o.context, (int)s->index);
    }
    f->behind |= lane_holds(l);
    return true;
}

void live_flush(struct live_shard *s)
{
    s->flush_wanted = false;
    for (int i = 0; i < s->live->o.shard_count; i++)
        if (s->lanes[i].batch != NULL)
            batch_post(&s->lanes[i]);
}

/* ---- room ---- */

bool live_room(struct live_shard *s)
{
    for (int i = 0; i < s->live->o.shard_count; i++)
        if (atomic_load_explicit(&s->lanes[i].waiting, memory_order_relaxed))
            return false;
    return !s->held;
}

void shard_room(struct live_shard *s)
{
    if (!s->room_made)
        return;
    s->room_made = false;
    if (atomic_load(&s->full) != 0)
        return;
    struct live *live = s->live;
    for (int i = 0; i < live->o.shard_count; i++)
        if (i != (int)s->index)
            lane_notify(&live->shards[i]->lanes[s->index]);
    if (s->held) {
        s->held = false;
        live->o.unblocked(live->o.context, (int)s->index);
    }
}

void lane_init(struct lane *l, struct live_shard *from, struct live_shard *to)
{
    l->from = from;
    l->to = to;
    l->notice.deliver = notice_deliver;
}

void lane_fini(struct lane *l)
{
    if (l->batch != NULL)
        batch_free(l->batch);
    l->batch = NULL;
}

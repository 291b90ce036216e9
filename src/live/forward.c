/* SPDX-License-Identifier: MIT */
/*
 * Messages for other shards, in batches that live_flush posts. The receiver looks the subject up in
 * its own cache, delivers to its own subscriptions and frees the batch.
 *
 * What is under way in one direction is bounded: above it, or while the receiver has a full
 * LIVE_BLOCK subscription, publishers of the sender are held. Sender: says that it waits, looks
 * again, then holds. Receiver: makes room, looks whether anybody waits, then posts the notice. One
 * of them sees the other.
 */
#include "live/private.h"

static void batch_deliver(struct mail *mail);

void batch_post(struct lane *l)
{
    struct batch *b = l->batch;
    const struct live_options *o = &l->from->live->o;
    l->batch = NULL;
    l->usual = b->used;
    b->mail.deliver = batch_deliver;
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
    sub->total->matched++;
    sub->total->expired++;
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

static void take(struct live_shard *s, const struct carried *c, const struct live_message *msg)
{
    struct scratch own = {0};
    struct flight f;
    flight_begin(&f, msg, c->hash);
    const struct match *m = shard_look(s, msg->subject, c->hash, &own);
    bool late = msg->deadline_ms != 0 && message_expired(msg, shard_wall(s));
    s->depth++;
    if (unlikely(late))
        expire_carried(s, c, m);
    else if (c->member.serial == 0)
        (void)deliver_plain(s, m, &f, NULL);
    else
        take_for_group(s, c, m, &f);
    s->depth--;
    flight_end(&f);
    scratch_fini(&own);
}

static bool lane_short(const struct lane *l)
{
    return atomic_load(&l->bytes) <= l->from->live->o.forward_bytes_max / 2;
}

void lane_notify(struct lane *l)
{
    const struct live_options *o = &l->from->live->o;
    bool bytes = atomic_load(&l->wait_bytes) && lane_short(l);
    bool full = atomic_load(&l->wait_full) && atomic_load(&l->to->full) == 0;
    if ((bytes || full) && !atomic_exchange(&l->notice_out, true))
        o->post(o->context, (int)l->from->index, &l->notice);
}

static void loan_over(struct loan *loan)
{
    batch_free(container_of(loan, struct batch, loan));
}

static void batch_deliver(struct mail *mail)
{
    struct batch *b = container_of(mail, struct batch, mail);
    struct lane *l = b->lane;
    struct live_shard *s = l->to;
    const struct carried *c;
    struct live_message m;
    uint32_t at = 0;
    b->loan = (struct loan){1, loan_over};
    while ((c = batch_next(b, &at, &m)) != NULL) {
        m.loan = c->held ? NULL : &b->loan;
        take(s, c, &m);
    }
    tally_share(s);
    atomic_fetch_sub(&l->bytes, b->bytes);
    loan_drop(&b->loan);
    lane_notify(l);
}

/* ---- the sender ---- */

static void notice_deliver(struct mail *mail)
{
    struct lane *l = container_of(mail, struct lane, notice);
    const struct live_options *o = &l->from->live->o;
    atomic_store(&l->notice_out, false); /* first: what isn't so any more is told again */
    if (lane_short(l))
        atomic_store(&l->wait_bytes, false);
    if (atomic_load(&l->to->full) == 0)
        atomic_store(&l->wait_full, false);
    o->unblocked(o->context, (int)l->from->index);
}

/* Notes what the publisher is to be held by because of this lane. */
static void lane_holds(struct lane *l, bool blocks, struct live_held *held)
{
    uint64_t bit = (uint64_t)1 << l->to->index;
    size_t here = l->batch == NULL ? 0 : l->batch->bytes;
    size_t under_way = atomic_load_explicit(&l->bytes, memory_order_relaxed) + here;
    if (unlikely(under_way > l->from->live->o.forward_bytes_max)) {
        atomic_store(&l->wait_bytes, true);
        if (here != 0 || !lane_short(l))
            held->behind |= bit;
        else
            atomic_store(&l->wait_bytes, false);
    }
    if (blocks && atomic_load_explicit(&l->to->full, memory_order_relaxed) != 0) {
        atomic_store(&l->wait_full, true);
        if (atomic_load(&l->to->full) != 0)
            held->full |= bit;
        else
            atomic_store(&l->wait_full, false);
    }
}

bool forward(struct live_shard *s, const struct address *to, struct flight *f)
{
    struct lane *l = &s->lanes[to->shard];
    if (!batch_add(l, to, f)) {
        s->tally.no_memory++;
        return false;
    }
    shard_want_flush(s);
    lane_holds(l, to->blocks, &f->held);
    return true;
}

void live_flush(struct live_shard *s)
{
    s->flush_wanted = false;
    for (int i = 0; i < s->live->o.shard_count; i++)
        if (s->lanes[i].batch != NULL)
            batch_post(&s->lanes[i]);
    if (s->untallied)
        tally_share(s);
}

/* ---- room ---- */

bool sub_full(const struct live_shard *s, const struct live_held *held)
{
    const struct live_sub *sub = shard_sub(s, (struct sub_name){held->index, held->serial});
    return sub != NULL && sub->backlog != NULL && sub->backlog->full;
}

bool live_room_for(struct live_shard *s, const struct live_held *held)
{
    uint64_t lanes = held->behind | held->full;
    for (; lanes != 0; lanes &= lanes - 1) {
        int i = __builtin_ctzll(lanes);
        struct lane *l = &s->lanes[i];
        if ((held->behind >> i & 1) != 0 && atomic_load(&l->wait_bytes))
            return false;
        if ((held->full >> i & 1) != 0 && atomic_load(&l->wait_full))
            return false;
    }
    return !sub_full(s, held);
}

bool live_room(struct live_shard *s)
{
    for (int i = 0; i < s->live->o.shard_count; i++)
        if (atomic_load(&s->lanes[i].wait_bytes) || atomic_load(&s->lanes[i].wait_full))
            return false;
    return !s->held;
}

void shard_room(struct live_shard *s)
{
    if (!s->room_made)
        return;
    s->room_made = false;
    struct live *live = s->live;
    bool full = atomic_load(&s->full) != 0;
    for (int i = 0; i < live->o.shard_count && !full; i++)
        if (i != (int)s->index)
            lane_notify(&live->shards[i]->lanes[s->index]);
    if (s->held) {
        s->held = full;
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

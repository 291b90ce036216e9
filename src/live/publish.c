/* SPDX-License-Identifier: MIT */
/*
 * The hot path: a message goes to those of this shard who take it. Nothing is allocated, locked or
 * formatted while the look-up hits the cache and everybody keeps up.
 *
 * deliver() may unsubscribe anybody of the shard, itself too, and may publish: matches hold names,
 * a name is looked up right before its turn, and a subscription is looked up again before it is
 * touched after its deliver() said anything but LIVE_TAKEN. So it is counted as delivered before.
 */
#include "live/private.h"

const struct live_message *flight_kept(struct flight *f)
{
    if (f->m->hold != NULL)
        return f->m;
    if (f->kept.hold == NULL && live_message_copy(f->m, &f->kept) != OUT_OK) {
        f->kept.hold = NULL;
        return NULL;
    }
    return &f->kept;
}

void count_drop(struct live_sub *sub, enum live_reason why)
{
    sub->account.dropped[why]++;
    sub->total->dropped[why]++;
    sub->shard->tally.account.dropped[why]++;
}

static void count_match(struct live_sub *sub)
{
    sub->account.matched++;
    sub->total->matched++;
    sub->shard->tally.account.matched++;
}

enum handed { HANDED, HANDED_LATER, REFUSED, CLOSED };

/* A counted match to a subscription that keeps up so far. CLOSED: it wasn't delivered, the match is
 * the caller's to count; its account no longer has it as delivered. */
static enum handed hand(struct live_shard *s, struct live_sub *sub, struct flight *f)
{
    struct sub_name name = {sub->index, sub->serial};
    struct live_account *total = sub->total;
    sub->account.delivered++;
    enum live_taken taken = sub->deliver(sub, f->m);
    if (likely(taken == LIVE_TAKEN)) {
        total->delivered++;
        s->tally.account.delivered++;
        return HANDED;
    }
    if (shard_sub(s, name) != sub) { /* it left in between: nobody looks at its account */
        total->dropped[LIVE_DROPPED_GONE]++;
        s->tally.account.dropped[LIVE_DROPPED_GONE]++;
        return REFUSED;
    }
    sub->account.delivered--;
    if (taken == LIVE_CLOSED)
        return CLOSED;
    return backlog_keep(sub, f) ? HANDED_LATER : REFUSED;
}

/* To a subscription whatever comes of it; whether it has the message. */
static bool deliver_one(struct live_shard *s, struct live_sub *sub, struct flight *f)
{
    count_match(sub);
    if (unlikely(sub->backlog != NULL))
        return backlog_keep(sub, f);
    enum handed h = hand(s, sub, f);
    if (unlikely(h == CLOSED))
        count_drop(sub, LIVE_DROPPED_GONE);
    return h <= HANDED_LATER;
}

uint32_t deliver_plain(struct live_shard *s, const struct match *m, struct flight *f,
                       const void *but_not)
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < m->own_count; i++) {
        struct live_sub *sub = shard_sub(s, m->own[i]);
        if (unlikely(sub == NULL || (but_not != NULL && sub->owner == but_not)))
            continue;
        have += deliver_one(s, sub, f);
    }
    return have;
}

/* ---- queue groups ---- */

/* To a member, unless that would cost a message or it is going away. */
static bool offer(struct live_shard *s, struct live_sub *sub, struct flight *f)
{
    if (backlog_overflows(sub))
        return false;
    count_match(sub);
    if (sub->backlog != NULL)
        return backlog_keep(sub, f);
    enum handed h = hand(s, sub, f);
    if (h == CLOSED) {
        sub->account.matched--;
        sub->total->matched--;
        s->tally.account.matched--;
    }
    return h == HANDED || h == HANDED_LATER;
}

bool deliver_member(struct live_shard *s, struct live_sub *sub, struct flight *f,
                    uint64_t visited)
{
    if (visited != UINT64_MAX)
        return offer(s, sub, f);
    (void)deliver_one(s, sub, f);
    return true;
}

static const struct group_member *member_at(const struct match *m, const struct group_match *g,
                                            uint32_t place)
{
    return &m->members[g->first + place % g->count];
}

/* A member of this shard that may be asked; NULL: not of this shard, gone, or passed over. */
static struct live_sub *own_member(struct live_shard *s, const struct group_member *member,
                                   const void *but_not)
{
    if (member->shard != s->index)
        return NULL;
    struct live_sub *sub = shard_sub(s, member->name);
    return sub != NULL && but_not != NULL && sub->owner == but_not ? NULL : sub;
}

static int forward_member(struct live_shard *s, const struct group_member *member,
                          const struct group_match *g, struct flight *f, uint64_t visited)
{
    struct address to = {member->shard, member->blocks, member->name, g->id, visited};
    return forward(s, &to, f) ? (int)member->shard : -1;
}

/* Everybody was asked and nobody has room: the first of ours pays by its policy; none of ours: it
 * goes to another shard, to stay there. */
static int force_group(struct live_shard *s, const struct match *m, const struct group_match *g,
                       struct flight *f, const void *but_not, uint32_t start, uint64_t visited)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct live_sub *sub = own_member(s, member_at(m, g, start + i), but_not);
        if (sub != NULL)
            return deliver_one(s, sub, f) ? (int)s->index : -1;
    }
    for (uint32_t i = 0; i < g->count && visited != UINT64_MAX; i++) {
        const struct group_member *member = member_at(m, g, start + i);
        if (member->shard != s->index)
            return forward_member(s, member, g, f, UINT64_MAX);
    }
    return -1;
}

int deliver_group(struct live_shard *s, const struct match *m, const struct group_match *g,
                  struct flight *f, const void *but_not, uint64_t visited)
{
    uint32_t start = g->count > 1 ? shard_random(s, g->count) : 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct group_member *member = member_at(m, g, start + i);
        if (member->shard == s->index) {
            struct live_sub *sub = own_member(s, member, but_not);
            if (sub != NULL && offer(s, sub, f))
                return (int)s->index;
        } else if ((visited >> member->shard & 1) == 0) {
            return forward_member(s, member, g, f, visited);
        }
    }
    return force_group(s, m, g, f, but_not, start, visited);
}

/* ---- publishing ---- */

const struct match *shard_look(struct live_shard *s, struct bytes subject, uint32_t hash,
                               struct scratch *own)
{
    struct live_tree *t = &s->live->tree;
    uint64_t generation = atomic_load_explicit(&t->generation, memory_order_acquire);
    const struct match *m = cache_find(&s->cache, subject, hash, generation);
    if (likely(m != NULL)) {
        s->tally.cache_hits++;
        return m;
    }
    s->tally.cache_misses++;
    struct scratch *x = s->depth == 0 ? &s->scratch : own;
    generation = tree_match(t, subject, hash, s, x);
    s->tally.no_memory += x->failed;
    if (s->depth == 0 && !x->failed)
        m = cache_keep(&s->cache, subject, hash, generation, &x->m);
    return m != NULL ? m : &x->m;
}

/* The same for a subject that was looked up before, as long as that stands. */
static const struct match *look_again(struct live_shard *s, struct bytes subject,
                                      struct live_aim *aim, struct scratch *own)
{
    const struct live_tree *t = &s->live->tree;
    const struct cache_entry *e = aim->entry;
    if (likely(e != NULL && e->serial == aim->serial &&
               e->generation == atomic_load_explicit(&t->generation, memory_order_acquire))) {
        s->tally.cache_hits++;
        return &e->m;
    }
    aim->hash = subject_hash(subject);
    const struct match *m = shard_look(s, subject, aim->hash, own);
    aim->entry = NULL;
    if (m != &own->m && m != &s->scratch.m) {
        aim->entry = container_of(m, struct cache_entry, m);
        aim->serial = aim->entry->serial;
    }
    return m;
}

static void publish(struct live_shard *s, struct flight *f, const struct match *m,
                    const void *but_not, struct live_reach *reach)
{
    uint64_t reached = 0, others = m->others;
    f->shards = (others != 0) + ((others & (others - 1)) != 0) + m->group_count;
    reach->delivered = deliver_plain(s, m, f, but_not);
    while (others != 0) {
        struct address to = {.shard = (uint32_t)__builtin_ctzll(others)};
        to.blocks = (m->blockers >> to.shard & 1) != 0;
        others &= others - 1;
        if (forward(s, &to, f))
            reached |= (uint64_t)1 << to.shard;
    }
    for (uint32_t i = 0; i < m->group_count; i++) {
        int shard = deliver_group(s, m, &m->groups[i], f, but_not, 0);
        if (shard == (int)s->index)
            reach->delivered++;
        else if (shard >= 0)
            reached |= (uint64_t)1 << shard;
    }
    reach->forwarded = reached == 0 ? 0 : (uint32_t)__builtin_popcountll(reached);
}

static COLD void hold_publisher(struct live_shard *s, const struct flight *f,
                                struct live_reach *reach)
{
    uint64_t me = (uint64_t)1 << s->index;
    reach->held = f->held;
    if (!sub_full(s, &f->held)) /* none of ours, or it left in between */
        reach->held.full &= ~me;
    s->held |= (reach->held.full & me) != 0;
    reach->blocked = (reach->held.full | reach->held.behind) != 0;
}

static void publish_at(struct live_shard *s, const struct live_message *m, struct live_aim *aim,
                       const void *but_not, struct live_reach *reach)
{
    *reach = (struct live_reach){0};
    s->tally.published++;
    s->tally.bytes_published += m->headers.size + m->payload.size;
    if (m->subject.size == 0 || m->subject.size > LIVE_SUBJECT_MAX ||
        (m->deadline_ms != 0 && message_expired(m, shard_wall(s))))
        return;
    struct scratch own = {0};
    struct flight f;
    const struct match *match = look_again(s, m->subject, aim, &own);
    flight_begin(&f, m, aim->hash);
    s->depth++;
    publish(s, &f, match, but_not, reach);
    s->depth--;
    if (unlikely((f.held.full | f.held.behind) != 0))
        hold_publisher(s, &f, reach);
    flight_end(&f);
    if (unlikely(own.m.own != NULL || own.m.groups != NULL))
        scratch_fini(&own);
}

void live_publish(struct live_shard *s, const struct live_message *m, const void *but_not,
                  struct live_reach *reach)
{
    struct live_aim aim = {0};
    publish_at(s, m, &aim, but_not, reach);
    tally_share(s);
}

void live_publish_again(struct live_shard *s, const struct live_message *m, struct live_aim *aim,
                        const void *but_not, struct live_reach *reach)
{
    publish_at(s, m, aim, but_not, reach);
    s->untallied = true;
    shard_want_flush(s);
}

bool live_interest(struct live_shard *s, struct bytes subject)
{
    if (subject.size == 0 || subject.size > LIVE_SUBJECT_MAX)
        return false;
    struct scratch own = {0};
    const struct match *m = shard_look(s, subject, subject_hash(subject), &own);
    bool any = m->own_count != 0 || m->others != 0 || m->group_count != 0;
    scratch_fini(&own);
    return any;
}

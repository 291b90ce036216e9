/* SPDX-License-Identifier: MIT */
/*
 * Subscriptions of a connection, by sid. One block of memory for each; what is removed stays in
 * memory until the turn ends, since it may be the one that is just being delivered to.
 */
#include "nats/policy.h"
#include "nats/sums.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS_FIRST 4

/* ---- the table ---- */

static struct nats_sub **slot_of(const struct nats_subs *t, struct bytes sid, uint32_t hash)
{
    for (uint32_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        struct nats_sub *sub = t->slots[i];
        if (sub == NULL || (sub->hash == hash && bytes_equal(nats_sub_sid(sub), sid)))
            return &t->slots[i];
    }
}

static struct nats_sub *find(const struct nats_subs *t, struct bytes sid, uint32_t hash)
{
    return t->mask == 0 ? NULL : *slot_of(t, sid, hash);
}

/* Room for one more: at most three quarters are used. */
static bool make_room(struct nats_subs *t)
{
    size_t size = t->mask == 0 ? 0 : (size_t)t->mask + 1;
    if ((t->count + 1) * (size_t)4 <= size * 3)
        return true;
    struct nats_subs bigger = {.count = t->count};
    size = size == 0 ? SLOTS_FIRST : size * 2;
    bigger.mask = (uint32_t)(size - 1);
    bigger.slots = calloc(size, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; t->mask != 0 && i <= t->mask; i++) {
        struct nats_sub *sub = t->slots[i];
        if (sub != NULL)
            *slot_of(&bigger, nats_sub_sid(sub), sub->hash) = sub;
    }
    free(t->slots);
    *t = bigger;
    return true;
}

/* Takes it out and moves those behind it up, so that no gap parts one from its place. */
static void take_out(struct nats_subs *t, const struct nats_sub *sub)
{
    uint32_t gap = (uint32_t)(slot_of(t, nats_sub_sid(sub), sub->hash) - t->slots);
    for (uint32_t i = (gap + 1) & t->mask; t->slots[i] != NULL; i = (i + 1) & t->mask) {
        uint32_t wanted = t->slots[i]->hash & t->mask;
        if (((i - wanted) & t->mask) >= ((i - gap) & t->mask)) {
            t->slots[gap] = t->slots[i];
            gap = i;
        }
    }
    t->slots[gap] = NULL;
    t->count--;
}

/* ---- one subscription ---- */

static struct nats_sub *sub_new(struct nats_session *s, const struct nats_op *op, uint32_t hash)
{
    struct nats_sub *sub =
        malloc(sizeof *sub + op->sid.size + 1 + op->subject.size + op->queue.size);
    if (sub == NULL)
        return NULL;
    *sub = (struct nats_sub){
        .live = {.deliver = nats_deliver, .overflowed = nats_overflowed, .owner = s},
        .hash = hash, .sid_size = (uint16_t)op->sid.size,
        .subject_size = (uint16_t)op->subject.size, .queue_size = (uint16_t)op->queue.size};
    char *at = sub->text;
    memcpy(at, op->sid.at, op->sid.size);
    at[op->sid.size] = ' ';
    at += op->sid.size + 1;
    memcpy(at, op->subject.at, op->subject.size);
    if (op->queue.size > 0)
        memcpy(at + op->subject.size, op->queue.at, op->queue.size);
    list_init(&sub->live.busy);
    return sub;
}

static COLD void denied(struct nats_session *s, const struct nats_op *op)
{
    char text[LIVE_SUBJECT_MAX * 2 + 96];
    struct bytes subject = op->subject, queue = op->queue;
    if (queue.size == 0)
        snprintf(text, sizeof text, "Permissions Violation for Subscription to \"%.*s\"",
                 (int)MIN(subject.size, LIVE_SUBJECT_MAX), (const char *)subject.at);
    else
        snprintf(text, sizeof text,
                 "Permissions Violation for Subscription to \"%.*s\" using queue \"%.*s\"",
                 (int)MIN(subject.size, LIVE_SUBJECT_MAX), (const char *)subject.at,
                 (int)MIN(queue.size, LIVE_SUBJECT_MAX), (const char *)queue.at);
    nats_error(s, text);
}

static enum outcome add(struct nats_session *s, const struct nats_op *op, uint32_t hash,
                        const struct nats_wish *wish)
{
    if (op->sid.size > UINT16_MAX || op->subject.size > LIVE_SUBJECT_MAX ||
        op->queue.size > LIVE_SUBJECT_MAX)
        return OUT_INVALID;
    const struct nats *n = s->home->nats;
    struct bytes queue = op->queue, service = {0};
    struct nats_sub *sub = make_room(&s->subs) ? sub_new(s, op, hash) : NULL;
    if (sub == NULL)
        return OUT_NO_MEMORY;
    const struct topic *topic = nats_policy_set(s->home->nats, op->subject, wish, &sub->live);
    nats_sum_join(&s->home->sums, sub, topic);
    if (op->subject.at[0] == '$' && n->service_queue != NULL)
        service = n->service_queue(op->subject);
    if (service.size > 0)
        queue = service;
    enum outcome o = live_subscribe(s->home->live, &sub->live, op->subject, queue);
    if (o != OUT_OK) {
        nats_sum_leave(sub);
        free(sub);
        return o;
    }
    if (service.size > 0)
        n->subscribed(s->home, op->subject);
    sub->filtered =
        s->user != NULL && nats_may_partly(s->user->permissions, nats_sub_subject(sub));
    *slot_of(&s->subs, nats_sub_sid(sub), hash) = sub;
    s->subs.count++;
    nats_count(s->home, NATS_SUBS_MADE, 1);
    return OUT_OK;
}

static bool may_subscribe(struct nats_session *s, const struct nats_op *op)
{
    return s->user == NULL || nats_may_subscribe(s->user->permissions, op->subject, op->queue);
}

void nats_subscribe(struct nats_session *s, const struct nats_op *asked)
{
    struct nats_op plain = *asked; /* without the wish */
    const struct nats_op *op = asked;
    struct nats_wish wish = {0};
    if (op->subject.size > sizeof NATS_LIVE_PREFIX - 1 &&
        memcmp(op->subject.at, NATS_LIVE_PREFIX, sizeof NATS_LIVE_PREFIX - 1) == 0) {
        if (!nats_wish_take(&plain.subject, &wish)) {
            nats_error(s, "Invalid Subject");
            return;
        }
        op = &plain;
    }
    int32_t most = s->home->nats->options.max_subscriptions;
    uint32_t hash = (uint32_t)bytes_hash(op->sid);
    if (!may_subscribe(s, asked) || (wish.given && !may_subscribe(s, op))) {
        denied(s, asked);
        return;
    }
    if (most > 0 && s->subs.count >= (uint32_t)most) {
        nats_error(s, "maximum subscriptions exceeded");
        return;
    }
    if (find(&s->subs, op->sid, hash) == NULL) { /* of the same sid the first stays */
        enum outcome o = add(s, op, hash, &wish);
        if (o == OUT_INVALID) {
            nats_error(s, "Invalid Subject");
            return;
        }
        if (o != OUT_OK) {
            nats_end(s, NULL);
            return;
        }
    }
    if (s->verbose)
        nats_say(s, bytes_of("+OK\r\n"));
}

void nats_unsubscribe(struct nats_session *s, const struct nats_op *op)
{
    struct nats_sub *sub = find(&s->subs, op->sid, (uint32_t)bytes_hash(op->sid));
    if (sub != NULL && op->max > 0 && (uint64_t)op->max > sub->delivered)
        sub->max = (uint64_t)op->max;
    else if (sub != NULL)
        nats_sub_remove(s, sub);
    if (s->verbose)
        nats_say(s, bytes_of("+OK\r\n"));
}

void nats_sub_remove(struct nats_session *s, struct nats_sub *sub)
{
    take_out(&s->subs, sub);
    list_remove(&sub->live.busy);
    live_unsubscribe(&sub->live);
    nats_sum_leave(sub);
    nats_count(s->home, NATS_SUBS_GONE, 1);
    sub->next_dead = s->home->dead;
    s->home->dead = sub;
    shard_at_end(s->home->shard, &s->home->bury);
}

void nats_subs_clear(struct nats_session *s)
{
    struct nats_subs all = s->subs;
    for (size_t i = 0; all.mask != 0 && i <= all.mask; i++) {
        struct nats_sub *sub = all.slots[i];
        if (sub == NULL)
            continue;
        list_remove(&sub->live.busy);
        live_unsubscribe(&sub->live);
        nats_sum_leave(sub);
        nats_count(s->home, NATS_SUBS_GONE, 1);
        sub->next_dead = s->home->dead;
        s->home->dead = sub;
        shard_at_end(s->home->shard, &s->home->bury);
    }
    free(all.slots);
    s->subs = (struct nats_subs){0};
}

void nats_bury(struct nats_shard *h)
{
    for (struct nats_sub *sub; (sub = h->dead) != NULL;) {
        h->dead = sub->next_dead;
        free(sub);
    }
}

struct nats_sub *nats_sub_for(struct nats_session *s, struct bytes subject)
{
    for (size_t i = 0; s->subs.mask != 0 && i <= s->subs.mask; i++) {
        struct nats_sub *sub = s->subs.slots[i];
        if (sub != NULL && sub->queue_size == 0 && live_matches(nats_sub_subject(sub), subject))
            return sub;
    }
    return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * PUB and HPUB: may it, where does it go, who gets it. Hot down to the engine; what is refused or
 * reaches nobody is cold.
 */
#include "nats/policy.h"

#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>

static COLD void denied(struct nats_session *s, struct bytes subject)
{
    char text[LIVE_SUBJECT_MAX + 64];
    snprintf(text, sizeof text, "Permissions Violation for Publish to \"%.*s\"",
             (int)MIN(subject.size, LIVE_SUBJECT_MAX), (const char *)subject.at);
    nats_error(s, text);
}

static bool may_publish(struct nats_session *s, struct bytes subject)
{
    const struct nats_user *u = s->user;
    if (likely(u == NULL) || u->permissions == NULL)
        return true;
    return nats_may_publish(u->permissions, subject) ||
           nats_reply_use(s->replies, subject, s->home->shard->wall_ms);
}

/* To the requester itself: nobody listens where its request went. */
static COLD void no_responders(struct nats_session *s, const struct nats_op *op)
{
    const struct nats_sub *sub = nats_sub_for(s, op->reply);
    char head[64], block[LIVE_SUBJECT_MAX + 64];
    if (sub == NULL || op->subject.size > LIVE_SUBJECT_MAX)
        return;
    int size = snprintf(block, sizeof block, "NATS/1.0 503\r\nNats-Subject: %.*s\r\n\r\n",
                        (int)op->subject.size, (const char *)op->subject.at);
    int head_size = snprintf(head, sizeof head, " %d %d\r\n", size, size);
    nats_say(s, bytes_of("HMSG "));
    nats_say(s, op->reply);
    nats_say(s, bytes_of(" "));
    nats_say(s, nats_sub_sid(sub));
    nats_say(s, bytes_view(head, (size_t)head_size));
    nats_say(s, bytes_view(block, (size_t)size));
    nats_say(s, bytes_of("\r\n"));
    s->out_messages++;
    nats_count(s->home, NATS_OUT_MESSAGES, 1);
}

void nats_hold(struct nats_session *s, const struct live_held *by)
{
    if (s->is_held || s->closing)
        return;
    s->is_held = true;
    s->held_by = *by;
    list_push(&s->home->held, &s->held);
    link_pause(s->link);
}

/* Whoever is resumed may be held again at once: those that were held before are looked at once. */
void nats_go_on(struct nats_shard *h)
{
    struct list waiting, *node;
    list_init(&waiting);
    while ((node = list_pop(&h->held)) != NULL)
        list_push(&waiting, node);
    while ((node = list_pop(&waiting)) != NULL) {
        struct nats_session *s = container_of(node, struct nats_session, held);
        if (!live_room_for(h->live, &s->held_by)) {
            list_push(&h->held, node);
            continue;
        }
        s->is_held = false;
        link_resume(s->link);
    }
}

static void hand_over(struct nats_shard *h, const struct live_message *m, struct live_aim *aim,
                      const void *but_not, struct live_reach *reach)
{
    if (aim != NULL)
        live_publish_again(h->live, m, aim, but_not, reach);
    else
        live_publish(h->live, m, but_not, reach);
}

void nats_fan_out(struct nats_shard *h, const struct live_message *m, struct live_aim *aim,
                  const void *but_not, struct live_reach *reach)
{
    struct live_message held;
    if (likely(m->payload.size < NATS_LEND_BYTES) || live_message_copy(m, &held) != OUT_OK) {
        hand_over(h, m, aim, but_not, reach);
        return;
    }
    hand_over(h, &held, aim, but_not, reach);
    store_hold_drop(held.hold);
}

/* ---- the same subject again ---- */

static uint64_t serial_of(const struct view *v)
{
    return v == NULL ? 0 : v->image->serial;
}

static const struct config *config_of(const struct nats *n)
{
    return n->broker == NULL ? NULL : broker_config(n->broker);
}

/* Whether what is known of the last subject stands. */
static bool is_simple(const struct nats_session *s)
{
    const struct nats_last *last = s->last;
    const struct view *v = s->home->shard->view;
    return last->view == v && last->serial == serial_of(v) &&
           last->user == s->user && last->config == config_of(s->home->nats);
}

/* What is published there goes to subscribers and nowhere else, and nothing is to be asked. */
static void remember_simple(struct nats_session *s, struct bytes subject)
{
    struct nats_last *last = s->last;
    const struct view *v = s->home->shard->view;
    if (last == NULL && (last = s->last = malloc(sizeof *last)) == NULL)
        return;
    last->size = 0;
    last->aim = (struct live_aim){0};
    if (subject.size == 0 || subject.size > NATS_LAST_SIZE ||
        (s->user != NULL && s->user->permissions != NULL) ||
        (s->pedantic && live_subject_kind(subject) != LIVE_LITERAL)) /* told each time */
        return;
    memcpy(last->subject, subject.at, subject.size);
    last->size = (uint32_t)subject.size;
    last->view = v;
    last->serial = serial_of(v);
    last->config = config_of(s->home->nats);
    last->user = s->user;
}

static void route_live(struct nats_session *s, const struct nats_op *op,
                       const struct live_message *m, struct live_aim *aim)
{
    struct live_reach reach;
    nats_fan_out(s->home, m, aim, s->echo ? NULL : s, &reach);
    if (unlikely(reach.blocked))
        nats_hold(s, &reach.held);
    if (unlikely(reach.delivered == 0 && reach.forwarded == 0) && op->reply.size > 0 &&
        s->no_responders)
        no_responders(s, op);
}

static void route(struct nats_session *s, const struct nats_op *op, bool simple)
{
    struct nats *n = s->home->nats;
    int64_t now = s->home->shard->wall_ms;
    struct live_message m = {.subject = op->subject, .reply = op->reply, .headers = op->headers,
                             .payload = op->payload, .offset = -1, .timestamp_ms = now,
                             .loan = s->link->loan};
    if (op->headers.size > 0)
        m.deadline_ms = nats_deadline(op->headers, now);
    if (likely(simple)) {
        route_live(s, op, &m, &s->last->aim);
        return;
    }
    int64_t ttl = nats_policy_ttl(n, op->subject);
    if (unlikely(ttl >= 0) && nats_header(op->headers, NATS_TTL).size == 0)
        m.deadline_ms = now + ttl;
    if (n->publish_topic != NULL && n->publish_topic(s, &m))
        return;
    if (ttl < 0 && (op->subject.size == 0 || op->subject.at[0] != '$'))
        remember_simple(s, op->subject);
    route_live(s, op, &m, NULL);
}

/* Whether it may be published; says so when it may not. A wildcard is told of and routed. */
static bool admitted(struct nats_session *s, const struct nats_op *op)
{
    if (unlikely(s->pedantic) && live_subject_kind(op->subject) != LIVE_LITERAL)
        nats_error(s, "Invalid Publish Subject");
    if (likely(may_publish(s, op->subject)))
        return true;
    denied(s, op->subject);
    return false;
}

void nats_publish(struct nats_session *s, const struct nats_op *op)
{
    size_t total = op->headers.size + op->payload.size;
    if (op->verb == NATS_HPUB && !s->headers) {
        nats_end(s, NULL);
        return;
    }
    s->in_messages++;
    s->in_bytes += total;
    nats_count(s->home, NATS_IN_MESSAGES, 1);
    nats_count(s->home, NATS_IN_BYTES, total);
    bool simple = op->again && is_simple(s);
    if (unlikely(!simple) && !admitted(s, op))
        return;
    if (unlikely(s->verbose))
        nats_say(s, bytes_of("+OK\r\n"));
    if (likely(op->subject.size <= LIVE_SUBJECT_MAX))
        route(s, op, simple);
}

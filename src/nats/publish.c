/* SPDX-License-Identifier: MIT */
/*
 * PUB and HPUB: may it, where does it go, who gets it. Hot down to the engine; what is refused or
 * reaches nobody is cold.
 */
#include "nats/policy.h"

#include <stdio.h>

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

void nats_fan_out(struct nats_shard *h, const struct live_message *m, const void *but_not,
                  struct live_reach *reach)
{
    struct live_message held;
    if (likely(m->payload.size < NATS_LEND_BYTES) || live_message_copy(m, &held) != OUT_OK) {
        live_publish(h->live, m, but_not, reach);
        return;
    }
    live_publish(h->live, &held, but_not, reach);
    store_hold_drop(held.hold);
}

static void route(struct nats_session *s, const struct nats_op *op)
{
    struct nats *n = s->home->nats;
    int64_t now = s->home->shard->wall_ms;
    struct live_reach reach = {0};
    struct live_message m = {.subject = op->subject, .reply = op->reply, .headers = op->headers,
                             .payload = op->payload, .offset = -1, .timestamp_ms = now};
    if (op->headers.size > 0)
        m.deadline_ms = nats_deadline(op->headers, now);
    int64_t ttl = nats_policy_ttl(n, op->subject);
    if (unlikely(ttl >= 0) && nats_header(op->headers, NATS_TTL).size == 0)
        m.deadline_ms = now + ttl;
    if (n->publish_topic != NULL && n->publish_topic(s, &m))
        return;
    nats_fan_out(s->home, &m, s->echo ? NULL : s, &reach);
    if (unlikely(reach.blocked))
        nats_hold(s, &reach.held);
    if (reach.delivered == 0 && reach.forwarded == 0 && op->reply.size > 0 && s->no_responders)
        no_responders(s, op);
}

void nats_publish(struct nats_session *s, const struct nats_op *op)
{
    size_t total = op->headers.size + op->payload.size;
    if (op->verb == NATS_HPUB && !s->headers) {
        nats_end(s, NULL);
        return;
    }
    if (unlikely(s->pedantic) && live_subject_kind(op->subject) != LIVE_LITERAL)
        nats_error(s, "Invalid Publish Subject");
    s->in_messages++;
    s->in_bytes += total;
    nats_count(s->home, NATS_IN_MESSAGES, 1);
    nats_count(s->home, NATS_IN_BYTES, total);
    if (unlikely(!may_publish(s, op->subject))) {
        denied(s, op->subject);
        return;
    }
    if (unlikely(s->verbose))
        nats_say(s, bytes_of("+OK\r\n"));
    if (likely(op->subject.size <= LIVE_SUBJECT_MAX))
        route(s, op);
}

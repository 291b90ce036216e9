/* SPDX-License-Identifier: MIT */
/*
 * A connection: bytes come in, operations are carried out one by one. It ends by the peer, by an
 * error that the protocol says ends it, by keep-alive (keep.c) or as a slow consumer (deliver.c).
 */
#include "nats/check.h"

#include <stdio.h>
#include <stdlib.h>

static struct nats_session *session_of(struct link *l) { return l->session; }

void nats_say(struct nats_session *s, struct bytes text)
{
    if (!s->closing && !link_write(s->link, text.at, text.size))
        nats_end(s, NULL);
}

void nats_error(struct nats_session *s, const char *text)
{
    char line[LIVE_SUBJECT_MAX * 2 + 128];
    int size = snprintf(line, sizeof line, "-ERR '%s'\r\n", text);
    nats_say(s, bytes_view(line, MIN((size_t)size, sizeof line - 1)));
}

void nats_end(struct nats_session *s, const char *text)
{
    if (s->closing)
        return;
    if (text != NULL)
        nats_error(s, text);
    s->closing = true;
    shard_timer_cancel(&s->timer);
    link_end(s->link, text != NULL ? LINK_AFTER_OUTPUT : LINK_NOW);
}

void nats_slow_consumer(struct nats_session *s)
{
    if (s->closing)
        return;
    nats_count(s->home, NATS_SLOW, 1);
    watch_peer(WATCH_WARN, "nats", "%s:%d (cid %llu) is a slow consumer: %zu bytes wait for it",
               s->link->peer, s->link->peer_port, (unsigned long long)s->cid, s->link->pending);
    nats_end(s, NULL);
}

/* ---- life ---- */

static struct nats_session *session_new(struct nats *n, struct link *l)
{
    struct nats_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    check(l->home->index >= 0 && l->home->index < n->options.shard_count);
    s->link = l;
    s->home = &n->shards[l->home->index];
    check(s->home->shard == l->home);
    s->cid = atomic_fetch_add(&n->last_cid, 1) + 1;
    s->opened_ms = s->last_in_ms = l->home->wall_ms;
    s->last_in_ns = l->home->now_ns;
    s->verbose = s->pedantic = s->echo = true; /* what an absent field of CONNECT means */
    s->authorized = n->users == NULL;
    list_init(&s->held);
    list_init(&s->pressed);
    list_init(&s->stalled);
    list_init(&s->busy);
    list_push(&s->home->sessions, &s->node);
    return s;
}

static bool opened(struct link *l)
{
    struct nats *n = nats_door_open;
    if (n == NULL || atomic_load(&n->lame_duck))
        return false;
    struct nats_session *s = session_new(n, l);
    if (s == NULL)
        return false;
    l->session = s;
    nats_info_send(s, NATS_INFO_FIRST);
    s->counted = atomic_fetch_add(&n->connections, 1) < n->options.max_connections;
    if (!s->counted) {
        atomic_fetch_sub(&n->connections, 1);
        nats_end(s, "maximum connections exceeded");
        return true;
    }
    if (s->authorized)
        nats_first_ping(s);
    else
        nats_keep_alive(s);
    return true;
}

static void closed(struct link *l)
{
    struct nats_session *s = session_of(l);
    if (s == NULL)
        return;
    s->closing = true;
    shard_timer_cancel(&s->timer);
    nats_subs_clear(s);
    list_remove(&s->node);
    list_remove(&s->held);
    list_remove(&s->pressed);
    list_remove(&s->stalled);
    if (s->counted)
        atomic_fetch_sub(&s->home->nats->connections, 1);
    nats_slow_over(s);
    nats_check_forget(s);
    nats_replies_free(s->replies);
    free(s->about);
    free(s->last);
    l->session = NULL;
    free(s);
}

/* ---- operations ---- */

static void ping(struct nats_session *s)
{
    nats_say(s, bytes_of("PONG\r\n"));
    if (!s->connected || s->first_pong)
        return;
    s->first_pong = true;
    if (s->protocol >= 1)
        nats_info_send(s, NATS_INFO_CONNECTED);
}

static void pong(struct nats_session *s)
{
    if (s->pings_out > 0 && s->ping_ns > 0)
        s->rtt_ns = MAX(os_now_ns() - s->ping_ns, 1);
    s->pings_out = 0;
}

static void carry_out(struct nats_session *s, const struct nats_op *op)
{
    switch (op->verb) {
    case NATS_PUB:
    case NATS_HPUB:
        nats_publish(s, op);
        if (unlikely(atomic_load_explicit(&s->home->nats->stalling_until, memory_order_relaxed) >
                     s->home->shard->now_ns))
            nats_stall(s, op->subject);
        break;
    case NATS_SUB: nats_subscribe(s, op); break;
    case NATS_UNSUB: nats_unsubscribe(s, op); break;
    case NATS_PING: ping(s); break;
    case NATS_PONG: pong(s); break;
    case NATS_CONNECT: nats_connect(s, op->argument); break;
    case NATS_INFO:
    case NATS_OK: break;
    case NATS_ERR: /* it has given up */
        watch_peer(WATCH_INFO, "nats", "%s:%d gives up: -ERR", s->link->peer, s->link->peer_port);
        nats_end(s, NULL);
        break;
    default: impossible("the parser gave an unknown verb");
    }
}

/* Nothing but CONNECT before a client has said who it is, unless nobody needs to. */
static bool admitted(struct nats_session *s, uint8_t first)
{
    if (s->authorized || first == 'C' || first == 'c')
        return true;
    const struct nats_user *nobody = nats_users_nobody(s->home->nats->users);
    if (nobody != NULL) {
        s->user = nobody;
        s->authorized = true;
        nats_first_ping(s);
        return true;
    }
    nats_count(s->home, NATS_AUTH_FAILED, 1);
    nats_end(s, "Authorization Violation");
    return false;
}

static COLD void refuse(struct nats_session *s, enum nats_parsed why)
{
    const char *text = NULL;
    if (why == NATS_UNKNOWN)
        text = "Unknown Protocol Operation";
    else if (why == NATS_LINE_TOO_LONG)
        text = "maximum control line exceeded";
    else if (why == NATS_PAYLOAD_TOO_LARGE)
        text = "Maximum Payload Violation";
    nats_count(s->home, NATS_PROTOCOL_ERRORS, 1);
    watch_peer(WATCH_INFO, "nats", "%s:%d: %s", s->link->peer, s->link->peer_port,
               text == NULL ? "an operation with arguments that can't be" : text);
    nats_end(s, text);
}

/* Its link is paused. */
static bool waits(const struct nats_session *s)
{
    return s->is_held || s->is_stalled || s->check != NULL;
}

static size_t received(struct link *l, struct bytes in, size_t *want)
{
    struct nats_session *s = session_of(l);
    const struct nats_limits *limits = &s->home->nats->limits;
    size_t at = 0;
    s->last_in_ns = l->home->now_ns;
    s->last_in_ms = l->home->wall_ms;
    while (at < in.size && !s->closing && !waits(s)) {
        struct nats_op op;
        size_t used = 0;
        if (unlikely(!s->authorized) && !admitted(s, in.at[at]))
            break;
        struct bytes rest = {in.at + at, in.size - at};
        if (!nats_parse_quick(rest, limits, nats_last_subject(s), &op, &used)) {
            enum nats_parsed p = nats_parse(rest, limits, &op, &used, want);
            if (p == NATS_MORE)
                return at;
            if (p != NATS_PARSED) {
                refuse(s, p);
                break;
            }
        }
        at += used;
        carry_out(s, &op);
    }
    *want = 0;
    return s->closing ? in.size : at;
}

static void drained(struct link *l)
{
    struct nats_session *s = session_of(l);
    nats_relieved(s);
    for (struct list *node; !s->closing && (node = list_pop(&s->busy)) != NULL;) {
        /* One that has to wait again was put back, at the end, by nats_deliver. */
        if (!live_drain(container_of(node, struct live_sub, busy), s->home->shard->wall_ms))
            break;
    }
}

/* Clients come back by themselves; there is nothing to say. */
static void stopping(struct link *l)
{
    (void)l;
}

static const struct link_door link_door = {
    .opened = opened, .received = received, .drained = drained, .closed = closed,
    .stopping = stopping};

const struct door nats_door = {.name = "nats", .link = &link_door};

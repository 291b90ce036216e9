/* SPDX-License-Identifier: MIT */
/*
 * A reactor's turn: poll, mail, timers, replies. It sleeps in the poller until something happens or
 * the next timer is due; an idle server uses no CPU.
 */
#include "net/private.h"

#include "base/check.h"

#include <stdlib.h>

#define EVENTS_MAX 256
#define MAIL_MAX 1024
#define TIMERS_MAX 1024
#define ARENA_KEPT KiB(64) /* a request that took more gives it back */

struct request *reactor_take(struct reactor *r)
{
    struct list *n = list_pop(&r->pool);
    struct request *q;
    if (n != NULL) {
        q = container_of(n, struct request, node);
        r->pool_count--;
    } else {
        q = calloc(1, sizeof *q);
        if (q == NULL)
            return NULL;
        arena_init(&q->arena, REQUEST_ARENA_MAX);
    }
    list_init(&q->node);
    q->home = &r->shard;
    return q;
}

/* Releases what the reply holds and keeps the request for the next frame. */
void reactor_give(struct reactor *r, struct request *q)
{
    for (struct reply_piece *p = q->reply; p != NULL; p = p->next) {
        if (p->release != NULL)
            p->release(p->context);
    }
    if (q->buffer != NULL)
        buffer_drop(q->buffer);
    struct arena arena = q->arena;
    if (r->pool_count >= POOL_MAX) {
        arena_fini(&arena);
        free(q);
        return;
    }
    if (arena.total_bytes > ARENA_KEPT)
        arena_fini(&arena);
    else
        arena_reset(&arena);
    *q = (struct request){.arena = arena};
    list_push(&r->pool, &q->node);
    r->pool_count++;
}

/* Ends a parked or pipelined request (handed to request.c by net_open). */
static void complete(struct request *q, enum verdict v)
{
    struct reactor *r = container_of(q->home, struct reactor, shard);
    struct conn *c = q->conn;
    check(!q->complete && r->outstanding > 0);
    r->outstanding--;
    q->complete = true;
    q->state = v;
    if (c == NULL)
        reactor_give(r, q);
    else
        conn_ready(c);
}

void reactor_completer(void)
{
    request_completer(complete);
}

static void close_idle(struct shard_timer *timer, int64_t now_ns)
{
    struct reactor *r = container_of(timer, struct reactor, idle);
    int64_t limit = r->net->options.idle_ms_max * 1000000;
    while (!list_empty(&r->conns)) {
        struct conn *c = container_of(r->conns.next, struct conn, node);
        bool busy = !list_empty(&c->requests);
        if (c->active_ns + limit > now_ns) {
            if (shard_timer_set(&r->shard, &r->idle, c->active_ns + limit) != OUT_OK)
                conn_close(c);
            return;
        }
        if (!busy) {
            conn_close(c);
            continue;
        }
        c->active_ns = now_ns; /* it waits for us */
        list_remove(&c->node);
        list_push(&r->conns, &c->node);
    }
}

static void flush(struct reactor *r)
{
    /* Serving may make more replies ready: those go in the next round of this loop. */
    for (struct list *n; (n = list_pop(&r->flushing)) != NULL;) {
        struct conn *c = container_of(n, struct conn, ready);
        if (c->ended && list_empty(&c->requests))
            conn_close(c);
        else
            conn_flush(c);
    }
}

static void begin_stop(struct reactor *r)
{
    r->stopping = true;
    r->stop_ns = r->shard.now_ns + r->net->grace_ns;
    if (r->index == 0) {
        for (int i = 0; i < r->net->options.listener_count; i++) {
            os_poller_remove(r->poller, r->net->listen_fd[i]);
            os_close(r->net->listen_fd[i]);
            r->net->listen_fd[i] = -1;
        }
    }
    list_each_safe(n, after, &r->conns) {
        struct conn *c = container_of(n, struct conn, node);
        c->ended = true;
        list_each_safe(m, next, &c->requests) {
            struct request *q = container_of(m, struct request, node);
            if (!q->complete && q->cancel != NULL)
                q->cancel(q);
        }
        conn_ready(c);
    }
}

/* Whether a stopping reactor is through. Past the grace time unsent replies are given up, but a
 * request that another thread has is always waited for: its memory is in use. */
static bool stopped(struct reactor *r)
{
    if (!r->stopping)
        return false;
    if (r->shard.now_ns >= r->stop_ns) {
        list_each_safe(n, after, &r->conns)
            conn_close(container_of(n, struct conn, node));
    }
    return list_empty(&r->conns) && r->outstanding == 0;
}

static void dispatch(struct reactor *r, const struct os_event *e)
{
    struct net *net = r->net;
    if (e->context == &r->shard.mailbox) {
        return; /* woken: the mail is delivered below */
    } else if ((int *)e->context >= net->listener_of &&
               (int *)e->context < net->listener_of + NET_LISTENERS) {
        if (!r->stopping)
            net_accept(net, *(int *)e->context);
    } else {
        conn_event(e->context, e->what);
    }
}

static void turn(struct reactor *r)
{
    struct os_event events[EVENTS_MAX];
    int64_t wait = shard_wait_ns(&r->shard);
    if (r->stopping && (wait < 0 || wait > 1000000))
        wait = 1000000;
    if (!mailbox_sleep(&r->shard.mailbox))
        wait = 0;
    int n = os_poller_wait(r->poller, events, EVENTS_MAX, wait);
    mailbox_awake(&r->shard.mailbox);
    shard_clock(&r->shard);
    for (int i = 0; i < n; i++)
        dispatch(r, &events[i]);
    mailbox_deliver(&r->shard.mailbox, MAIL_MAX);
    shard_run_timers(&r->shard, TIMERS_MAX);
    flush(r);
}

void *reactor_main(void *context)
{
    struct reactor *r = context;
    shard_become(&r->shard);
    r->idle.fire = close_idle;
    while (!stopped(r)) {
        turn(r);
        if (!r->stopping && atomic_load(&r->net->stopping))
            begin_stop(r);
    }
    shard_become(NULL);
    return NULL;
}

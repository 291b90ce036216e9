/* SPDX-License-Identifier: MIT */
/*
 * A reactor's turn: poll, mail, timers, what is to do at the end, replies. It sleeps in the poller
 * until something happens or the next timer is due; an idle server uses no CPU.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#include <stdlib.h>

#define EVENTS_MAX 256
#define MAIL_MAX 1024
#define TIMERS_MAX 1024
#define ARENA_KEPT KiB(64) /* a request that took more gives it back */
#define TRIM_NS 1000000000
#define FEED_NS 10000000
#define HUNGER_NS_MAX 10000000000
#define ALARM_NS_LEAST 2000000 /* a nearer timer is waited for */
#define STOP_POLL_NS 1000000 /* while stopping the clock is looked at this often */

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
    struct conn *c = q->conn, *origin = q->origin;
    check(!q->complete);
    q->complete = true;
    q->state = v;
    if (q->serving) /* conn.c's settle does the rest */
        return;
    check(r->outstanding > 0);
    r->outstanding--;
    if (c != NULL) {
        conn_mute(c, q);
        conn_charge(c, q);
        conn_ready(c);
        return;
    }
    reactor_give(r, q);
    conn_orphan_gone(origin);
}

/* ---- timers ---- */

/* A timer that can't be set for want of memory is set by the next one who needs it. */
static void set_timer(struct reactor *r, struct shard_timer *t, int64_t deadline_ns)
{
    if (shard_timer_set(&r->shard, t, deadline_ns) != OUT_OK)
        watch_log(WATCH_WARN, "net", "no memory for a timer");
}

static void close_idle(struct shard_timer *timer, int64_t now_ns)
{
    struct reactor *r = container_of(timer, struct reactor, idle);
    int64_t limit = r->net->options.idle_ms_max * 1000000;
    while (!list_empty(&r->conns)) {
        struct conn *c = container_of(r->conns.next, struct conn, node);
        if (c->active_ns + limit > now_ns) {
            set_timer(r, timer, c->active_ns + limit);
            return;
        }
        if (c->stream == NULL && (list_empty(&c->requests) || c->unsent))
            conn_close(c);
        else
            conn_active(c); /* it waits for us, or its door looks after it */
    }
}

static void trim(struct shard_timer *timer, int64_t now_ns)
{
    struct reactor *r = container_of(timer, struct reactor, trim);
    if (!r->spare_used) {
        buffers_trim(r);
        chunks_trim(r);
        copies_trim(r);
        os_trim_memory(); /* a burst is over: malloc keeps its pages else */
    }
    bool more = r->spare_used;
    r->spare_used = false;
    if (r->spare_count > 0 || more)
        set_timer(r, timer, now_ns + TRIM_NS);
}

void reactor_keep_spares(struct reactor *r)
{
    r->spare_used = true;
    if (!heap_holds(&r->trim.node))
        set_timer(r, &r->trim, r->shard.now_ns + TRIM_NS);
}

static void feed(struct shard_timer *timer, int64_t now_ns)
{
    struct reactor *r = container_of(timer, struct reactor, feed);
    for (struct list *n; (n = list_pop(&r->hungry)) != NULL;) {
        struct conn *c = container_of(n, struct conn, hungry);
        if (now_ns - c->hungry_ns <= HUNGER_NS_MAX) {
            conn_poll(c);
            continue;
        }
        count(connections_over_memory, 1);
        watch_peer(WATCH_WARN, "net", "closing %s: no receive memory for %d s", c->address,
                   (int)(HUNGER_NS_MAX / 1000000000));
        conn_close(c);
    }
}

void reactor_keep_hungry(struct reactor *r)
{
    if (!heap_holds(&r->feed.node))
        set_timer(r, &r->feed, r->shard.now_ns + FEED_NS);
}

void reactor_init(struct reactor *r)
{
    list_init(&r->conns);
    list_init(&r->flushing);
    list_init(&r->hungry);
    list_init(&r->pool);
    r->idle.fire = close_idle;
    r->trim.fire = trim;
    r->feed.fire = feed;
    r->unpause.fire = net_unpause;
    request_completer(complete);
}

/* ---- the turn ---- */

static void flush(struct reactor *r)
{
    for (struct list *n; (n = list_pop(&r->flushing)) != NULL;) {
        struct conn *c = container_of(n, struct conn, ready);
        if (c->stream == NULL && c->ended && list_empty(&c->requests))
            conn_close(c);
        else
            conn_flush(c);
    }
}

/* A reply that leaves may let the next request be served, which may ask for a group commit. */
static void end_turn(struct reactor *r)
{
    do {
        shard_end_turn(&r->shard);
        flush(r);
    } while (!list_empty(&r->shard.at_end));
}

static void dispatch(struct reactor *r, const struct os_event *e)
{
    struct net *net = r->net;
    uintptr_t listener = ((uintptr_t)e->context - (uintptr_t)net->listener_of) / sizeof(int);
    if (e->context == &r->shard.mailbox) {
        /* Looked into every turn anyway. */
    } else if (e->context == &r->alarm) {
        r->alarm_ns = 0;
    } else if (listener < NET_LISTENERS) {
        if (!r->stopping)
            net_accept(net, (int)listener);
    } else {
        conn_event(e->context, e->what);
    }
}

/* How long to wait for events. A timeout is a timer that the kernel sets and takes back at every
 * wait, which costs a reactor under load more than its timers do; most of them are far away and
 * replaced before they are due. So one alarm stays set, at or before the first of them. */
static int64_t patience(struct reactor *r)
{
    int64_t wait = shard_wait_ns(&r->shard);
    if (r->stopping)
        return wait < 0 ? STOP_POLL_NS : MIN(wait, STOP_POLL_NS);
    if (wait < ALARM_NS_LEAST)
        return wait;
    int64_t due = r->shard.now_ns + wait;
    if (r->alarm_ns == 0 || r->alarm_ns > due) {
        os_alarm_set(r->alarm, due);
        r->alarm_ns = due;
    }
    return -1;
}

/* Looks again and again until `until`. False: nothing came. *torn: another thread ran before the
 * last look. */
static bool look(struct reactor *r, struct os_event *events, int64_t until, int *count, bool *torn)
{
    *torn = false;
    for (int64_t now = os_now_ns(), next; now < until; now = next) {
        *count = os_poller_wait(r->poller, events, EVENTS_MAX, 0);
        if (*count > 0 || mailbox_has(&r->shard.mailbox))
            return true;
        os_thread_yield();
        next = os_now_ns();
        *torn = next - now > LOOK_TORN_NS;
    }
    return false;
}

/* busy.poll.us above 0: after every turn that had something to do. */
static bool look_for_long(struct reactor *r, struct os_event *events, int64_t wait, int *count)
{
    bool torn;
    int64_t until = r->busy_ns + r->net->options.busy_poll_ns;
    if (wait >= 0)
        until = MIN(until, r->shard.now_ns + wait);
    return look(r, events, until, count, &torn);
}

/* By itself, when it pays; one reactor at a time, so that others find a processor. */
static bool look_if_worth(struct reactor *r, struct os_event *events, int64_t wait, int64_t from,
                          int *count)
{
    bool torn, other = false;
    if ((wait >= 0 && wait < LOOK_NS) || !look_is_worth_it(&r->look, from) ||
        !atomic_compare_exchange_strong(&r->net->looking, &other, true))
        return false;
    bool found = look(r, events, from + LOOK_NS, count, &torn);
    atomic_store(&r->net->looking, false);
    look_ended(&r->look, from, os_now_ns(), found, torn);
    return found;
}

static int sleep_for(struct reactor *r, struct os_event *events, int64_t wait)
{
    if (!mailbox_sleep(&r->shard.mailbox))
        wait = 0;
    int count = os_poller_wait(r->poller, events, EVENTS_MAX, wait);
    mailbox_awake(&r->shard.mailbox);
    return count;
}

/* Waits for events or mail; returns the number of events. */
static int await(struct reactor *r, struct os_event *events)
{
    int count = 0;
    int64_t wait = patience(r), busy = r->net->options.busy_poll_ns;
    if (busy > 0 && look_for_long(r, events, wait, &count))
        return count;
    if (busy >= 0 || wait == 0)
        return sleep_for(r, events, wait);
    int64_t from = os_now_ns();
    if (look_if_worth(r, events, wait, from, &count))
        return count;
    bool measure = look_wants_measure(&r->look);
    int64_t cpu = measure ? os_thread_cpu_ns() : 0;
    count = sleep_for(r, events, wait);
    look_slept(&r->look, from, os_now_ns(), measure ? os_thread_cpu_ns() - cpu : -1);
    return count;
}

static void turn(struct reactor *r)
{
    struct os_event events[EVENTS_MAX];
    int n = await(r, events);
    shard_clock(&r->shard);
    /* First: who asks for an answer after something was told to us learns of that before it. */
    if (shard_run_mail(&r->shard, MAIL_MAX) > 0 || n > 0)
        r->busy_ns = r->shard.now_ns;
    for (int i = 0; i < n; i++)
        dispatch(r, &events[i]);
    shard_run_mail(&r->shard, MAIL_MAX);
    shard_run_timers(&r->shard, TIMERS_MAX);
    end_turn(r);
}

/* ---- stopping ---- */

static void begin_stop(struct reactor *r)
{
    r->stopping = true;
    r->stop_ns = r->shard.now_ns + r->net->grace_ns;
    if (r->index == 0) {
        shard_timer_cancel(&r->unpause);
        for (int i = 0; i < r->net->options.listener_count; i++) {
            os_poller_remove(r->poller, r->net->listen_fd[i]);
            os_close(r->net->listen_fd[i]);
            r->net->listen_fd[i] = -1;
        }
    }
    list_each(n, &r->conns) {
        struct conn *c = container_of(n, struct conn, node);
        if (c->stream != NULL)
            link_stop(c);
        c->ended = true;
        conn_cancel(c);
        conn_ready(c);
    }
    end_turn(r);
}

/* Whether a stopping reactor may end: when all are through, since a request may wait at a reactor
 * that is not its own (a group's owner) and is called back from there. Past the grace time unsent
 * replies are given up; past half as much again requests that others still have are left behind. */
static bool stopped(struct reactor *r)
{
    if (!r->stopping)
        return false;
    bool late = r->shard.now_ns >= r->stop_ns;
    while (late && !list_empty(&r->conns))
        conn_close(container_of(r->conns.next, struct conn, node));
    if (list_empty(&r->conns) && r->outstanding == 0) {
        if (!r->through)
            atomic_fetch_sub(&r->net->busy, 1);
        r->through = true;
        if (atomic_load(&r->net->busy) <= 0)
            return true;
    }
    return r->shard.now_ns >= r->stop_ns + r->net->grace_ns / 2;
}

void reactor_main(void *context)
{
    struct reactor *r = context;
    shard_become(&r->shard);
    while (!stopped(r)) {
        turn(r);
        if (!r->stopping && atomic_load(&r->net->stopping))
            begin_stop(r);
    }
    shard_become(NULL);
}

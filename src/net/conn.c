/* SPDX-License-Identifier: MIT */
/*
 * A connection: reads, cuts frames, serves them in order, closes.
 *
 * While it is blocked (a parked request, output that the peer does not take, too much under way)
 * its bytes stay in the kernel; the poller is told so only when bytes really come in meanwhile. A
 * peer that has shut down its side still gets the replies to what it sent, soon: what is parked is
 * asked to complete. A dead connection leaves its open requests as orphans; its memory stays for
 * them.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#include <stdlib.h>

#define READS_PER_TURN 4 /* then others get their turn */

void conn_begin(struct conn *c)
{
    struct reactor *r = c->reactor;
    list_push(&r->conns, &c->node);
    c->active_ns = r->shard.now_ns;
    c->polled = OS_READABLE | OS_ENDED;
    if (r->stopping || os_poller_add(r->poller, c->fd, c->polled, c) != OUT_OK) {
        os_close(c->fd);
        c->fd = -1;
        conn_close(c);
        return;
    }
    if (c->listener->door->link != NULL && !link_open(c)) {
        conn_close(c);
        return;
    }
    if (heap_holds(&r->idle.node) || r->net->options.idle_ms_max < 0)
        return;
    int64_t deadline = c->active_ns + r->net->options.idle_ms_max * 1000000;
    if (shard_timer_set(&r->shard, &r->idle, deadline) != OUT_OK)
        watch_log(WATCH_WARN, "net", "no memory for a timer: idle connections stay");
}

static void cancel(struct request *r)
{
    void (*hook)(struct request *) = r->cancel;
    r->cancel = NULL;
    if (hook != NULL && !r->complete)
        hook(r);
}

/* Completing only marks a connection as ready: the list stays as it is while we walk. */
void conn_cancel(struct conn *c)
{
    list_each(n, &c->requests)
        cancel(container_of(n, struct request, node));
}

static void conn_free(struct conn *c)
{
    c->magic = 0;
    free(c);
}

void conn_orphan_gone(struct conn *c)
{
    check(c->fd < 0 && c->orphan_count > 0);
    if (--c->orphan_count == 0)
        conn_free(c);
}

/* Requests that are answered go back; open ones are told, and live on until they complete. */
static void orphan_requests(struct conn *c)
{
    for (struct list *n; (n = list_pop(&c->requests)) != NULL;) {
        struct request *r = container_of(n, struct request, node);
        r->conn = NULL;
        r->session = NULL;
        c->request_count--;
        if (r->complete) {
            r->origin = NULL;
            reactor_give(c->reactor, r);
            continue;
        }
        c->orphan_count++;
        cancel(r);
    }
}

void conn_close(struct conn *c)
{
    check(c->magic == CONN_MAGIC);
    if (c->fd >= 0) {
        os_poller_remove(c->reactor->poller, c->fd);
        os_close(c->fd);
    }
    c->fd = -1;
    list_remove(&c->node);
    list_remove(&c->ready);
    list_remove(&c->hungry);
    shard_timer_cancel(&c->unmute);
    c->orphan_count = 1; /* ours, until the end of this function */
    orphan_requests(c);
    conn_release_buffer(c);
    if (c->stream != NULL)
        link_over(c);
    if (c->session != NULL && c->listener->door->closed != NULL)
        c->listener->door->closed(c->session);
    c->session = NULL;
    net_forget(c->reactor->net, c);
    conn_orphan_gone(c);
}

void conn_poll(struct conn *c)
{
    unsigned want = (c->unsent ? OS_WRITABLE : 0) | (c->half_closed ? 0 : OS_ENDED);
    bool hungry = !list_empty(&c->hungry);
    /* A blocked connection stays registered for reading until bytes come: most never do. */
    if (!c->ended && !hungry && (!c->blocked || (c->polled & OS_READABLE)))
        want |= OS_READABLE;
    if (want == c->polled)
        return;
    os_poller_change(c->reactor->poller, c->fd, want, c);
    c->polled = want;
}

void conn_active(struct conn *c)
{
    c->active_ns = c->reactor->shard.now_ns;
    list_remove(&c->node);
    list_push(&c->reactor->conns, &c->node);
}

/* What a request holds, its frame and its arena, counts for its connection; the arena only while no
 * other thread may have it. */
void conn_charge(struct conn *c, struct request *r)
{
    size_t now = r->frame.size + r->arena.total_bytes;
    c->charged += now - r->charged; /* wraps around and back when it shrinks */
    r->charged = now;
}

static void unmute(struct shard_timer *timer, int64_t now_ns)
{
    struct conn *c = container_of(timer, struct conn, unmute);
    (void)now_ns;
    c->muted = false;
    conn_ready(c); /* served at the end of the turn */
}

/* A peer that is to slow down: what it sends stays in the kernel meanwhile. */
void conn_mute(struct conn *c, struct request *r)
{
    struct shard *home = &c->reactor->shard;
    int64_t until = home->now_ns + (int64_t)r->mute_ms * 1000000;
    if (likely(r->mute_ms == 0))
        return;
    r->mute_ms = 0;
    c->unmute.fire = unmute;
    c->muted = shard_timer_set(home, &c->unmute, until) == OUT_OK;
}

/* What the door said about a request. True: the next frame may be served. */
static bool settle(struct conn *c, struct request *r, enum verdict v)
{
    r->serving = false;
    if (r->complete) /* it was completed before serve() returned */
        v = r->state;
    r->state = v;
    conn_mute(c, r);
    switch (v) {
    case REQ_PARKED:
    case REQ_PIPELINED:
        c->reactor->outstanding++;
        if (c->half_closed)
            cancel(r);
        return v == REQ_PIPELINED;
    case REQ_DONE:
    case REQ_NO_REPLY:
        r->complete = true;
        conn_charge(c, r);
        conn_ready(c);
        return true;
    case REQ_CLOSE:
        r->complete = true;
        conn_ready(c);
        c->ended = true;
        return false;
    }
    impossible("an unknown verdict");
}

/* A small frame moves into the request: it may be parked for long, and many of them. */
static bool give_frame(struct conn *c, struct request *r, struct bytes frame)
{
    if (frame.size <= SMALL_FRAME) {
        r->frame = arena_copy(&r->arena, frame);
        return r->frame.at != NULL;
    }
    r->frame = frame;
    r->buffer = c->buffer;
    c->buffer->holds++;
    return true;
}

static bool serve_frame(struct conn *c, struct bytes frame)
{
    struct request *r = reactor_take(c->reactor);
    if (r == NULL) {
        c->ended = true;
        return false;
    }
    r->conn = r->origin = c;
    r->peer = c->address;
    r->listener = c->listener->name;
    r->session = &c->session;
    r->received_ns = c->reactor->shard.now_ns;
    r->state = REQ_PARKED;
    r->serving = true;
    list_push(&c->requests, &r->node);
    c->request_count++;
    bool given = give_frame(c, r, frame);
    conn_charge(c, r);
    return settle(c, r, given ? c->listener->door->serve(r) : REQ_CLOSE);
}

static bool is_blocked(const struct conn *c)
{
    if (c->stream != NULL)
        return link_blocked(c);
    if (c->muted || c->unsent || c->request_count >= PIPELINE_MAX ||
        (int64_t)c->charged >= c->reactor->net->options.connection_bytes_max)
        return true;
    if (list_empty(&c->requests))
        return false;
    const struct request *last = container_of(c->requests.prev, struct request, node);
    return !last->complete && last->state == REQ_PARKED;
}

/* The line names no size, so that the log can fold the lines of a peer that goes on and on. */
static void bad_frame(struct conn *c)
{
    count(frames_refused, 1);
    watch_peer(WATCH_WARN, "net", "closing %s: a frame's size is not between 1 and %d bytes",
               c->address, c->reactor->net->options.request_bytes_max);
    c->ended = true;
    conn_release_buffer(c);
}

/* The next whole frame; false: there is none (or never will be). */
static bool cut(struct conn *c, struct bytes *frame)
{
    if (c->buffer == NULL || c->buffer->used - c->parsed < 4)
        return false;
    size_t have = c->buffer->used - c->parsed;
    int32_t size = (int32_t)get_be32(c->buffer->at + c->parsed);
    if (size <= 0 || size > c->reactor->net->options.request_bytes_max) {
        bad_frame(c);
        return false;
    }
    size_t whole = 4 + (size_t)size;
    if (have < whole)
        return false;
    *frame = bytes_view(c->buffer->at + c->parsed + 4, (size_t)size);
    c->parsed += whole;
    c->usual = MAX(whole, c->usual - c->usual / 8);
    return true;
}

void conn_serve(struct conn *c)
{
    struct bytes frame;
    if (c->stream != NULL)
        link_receive(c);
    while (c->stream == NULL && !c->ended && !is_blocked(c) && cut(c, &frame)) {
        if (!serve_frame(c, frame))
            break;
    }
    c->blocked = is_blocked(c);
    if (c->ended && list_empty(&c->requests))
        conn_ready(c); /* closed at the end of the turn */
    conn_poll(c);
}

/* No memory to receive into: try again soon, but not for ever. */
static void starve(struct conn *c)
{
    if (c->hungry_ns == 0)
        c->hungry_ns = c->reactor->shard.now_ns;
    list_push(&c->reactor->hungry, &c->hungry);
    reactor_keep_hungry(c->reactor);
    conn_poll(c);
}

/* One read and what comes of it. True: there may be more to read in this turn. */
static bool receive_once(struct conn *c)
{
    size_t got;
    enum outcome o = conn_receive(c, &got);
    if (o == OUT_NO_MEMORY) {
        starve(c);
        return false;
    }
    if (o == OUT_END) {
        c->ended = true;
        conn_release_buffer(c);
        conn_serve(c);
        return false;
    }
    if (o == OUT_AGAIN)
        return false;
    if (o != OUT_OK) {
        c->ended = c->closing = true;
        conn_ready(c);
        return false;
    }
    count(bytes_received, got);
    c->hungry_ns = 0;
    conn_active(c);
    bool filled = c->buffer->used == c->buffer->room;
    conn_serve(c);
    return filled && c->stream == NULL; /* level triggered: what came since is told again */
}

static void receive(struct conn *c)
{
    for (int i = 0; i < READS_PER_TURN && !c->blocked && !c->ended; i++) {
        if (!receive_once(c))
            break;
    }
    conn_stash(c);
}

void conn_event(struct conn *c, unsigned what)
{
    check(c->magic == CONN_MAGIC);
    if (what & OS_HANGUP) {
        conn_close(c);
        return;
    }
    if (what & OS_WRITABLE)
        conn_ready(c);
    if (what & OS_ENDED) {
        c->half_closed = true;
        conn_cancel(c);
        conn_poll(c);
    }
    if (!(what & OS_READABLE) || c->ended || !list_empty(&c->hungry))
        return;
    if (c->blocked) {
        c->polled &= ~(unsigned)OS_READABLE; /* until it is served again */
        os_poller_change(c->reactor->poller, c->fd, c->polled, c);
        return;
    }
    receive(c);
}

/* SPDX-License-Identifier: MIT */
/*
 * A connection: reads, cuts frames, serves them in order, closes.
 *
 * While it is blocked (a parked request, output that the peer does not take, too many pipelined) its
 * bytes stay in the kernel; the poller is told so only when bytes really come in meanwhile. A peer
 * that has shut down its side still gets the replies to what it sent.
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
    c->polled = OS_READABLE;
    if (r->stopping || os_poller_add(r->poller, c->fd, c->polled, c) != OUT_OK) {
        c->polled = 0;
        os_close(c->fd);
        c->fd = -1;
        conn_close(c);
        return;
    }
    if (!heap_holds(&r->idle.node) && r->net->options.idle_ms_max >= 0) {
        int64_t deadline = c->active_ns + r->net->options.idle_ms_max * 1000000;
        if (shard_timer_set(&r->shard, &r->idle, deadline) != OUT_OK)
            conn_close(c);
    }
}

/* Every request under way is told; those that others still have live on as orphans. */
static void orphan_requests(struct conn *c)
{
    struct list *n;
    while ((n = list_pop(&c->requests)) != NULL) {
        struct request *r = container_of(n, struct request, node);
        r->conn = NULL;
        c->request_count--;
        if (r->complete)
            reactor_give(c->reactor, r);
        else if (r->cancel != NULL)
            r->cancel(r);
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
    orphan_requests(c);
    conn_release_buffer(c);
    net_forget(c->reactor->net, c);
    c->magic = 0;
    free(c);
}

void conn_poll(struct conn *c)
{
    unsigned want = c->unsent ? OS_WRITABLE : 0;
    /* A blocked connection stays registered for reading until bytes come: most never do. */
    if (!c->ended && (!c->blocked || (c->polled & OS_READABLE)))
        want |= OS_READABLE;
    if (want == c->polled)
        return;
    os_poller_change(c->reactor->poller, c->fd, want, c);
    c->polled = want;
}

/* What the door said about a request. True: the next frame may be served. */
static bool settle(struct conn *c, struct request *r, enum verdict v)
{
    r->state = v;
    switch (v) {
    case REQ_PARKED:
    case REQ_PIPELINED:
        c->reactor->outstanding++;
        return v == REQ_PIPELINED;
    case REQ_DONE:
    case REQ_NO_REPLY:
        r->complete = true;
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

static bool serve_frame(struct conn *c, struct bytes frame)
{
    struct request *r = reactor_take(c->reactor);
    if (r == NULL) {
        c->ended = true;
        return false;
    }
    r->conn = c;
    r->frame = frame;
    r->peer = c->address;
    r->listener = c->listener->name;
    r->received_ns = c->reactor->shard.now_ns;
    r->buffer = c->buffer;
    c->buffer->holds++;
    list_push(&c->requests, &r->node);
    c->request_count++;
    return settle(c, r, c->listener->door->serve(r));
}

static bool is_blocked(const struct conn *c)
{
    if (c->unsent || c->request_count >= PIPELINE_MAX)
        return true;
    if (list_empty(&c->requests))
        return false;
    const struct request *last = container_of(c->requests.prev, struct request, node);
    return !last->complete && last->state == REQ_PARKED;
}

static void bad_frame(struct conn *c, const char *what, uint32_t size)
{
    count(frames_refused, 1);
    watch_log(WATCH_WARN, "net", "closing %s: %s frame of %d bytes (limit %d)", c->address, what,
              (int32_t)size, c->reactor->net->options.request_bytes_max);
    c->ended = true;
    conn_release_buffer(c);
}

void conn_serve(struct conn *c)
{
    while (!c->ended && c->buffer != NULL && !(c->blocked = is_blocked(c))) {
        size_t have = c->buffer->used - c->parsed;
        if (have < 4)
            break;
        uint32_t size = get_be32(c->buffer->at + c->parsed);
        if (size == 0 || size > (uint32_t)c->reactor->net->options.request_bytes_max) {
            bad_frame(c, size == 0 ? "an empty" : "too large a", size);
            break;
        }
        if (have < 4 + (size_t)size)
            break;
        struct bytes frame = {c->buffer->at + c->parsed + 4, size};
        c->parsed += 4 + (size_t)size;
        c->largest = MAX(c->largest, 4 + (size_t)size);
        if (!serve_frame(c, frame))
            break;
    }
    c->blocked = is_blocked(c);
    if (c->buffer != NULL && c->parsed == c->buffer->used)
        conn_release_buffer(c);
    if (c->ended && list_empty(&c->requests))
        conn_ready(c); /* closed at the end of the turn */
    conn_poll(c);
}

static void ended(struct conn *c)
{
    c->ended = true;
    conn_release_buffer(c);
    conn_serve(c);
}

static void receive(struct conn *c)
{
    for (int i = 0; i < READS_PER_TURN && !c->blocked && !c->ended; i++) {
        size_t got;
        enum outcome o = conn_receive(c, &got);
        if (o == OUT_AGAIN)
            break;
        if (o != OUT_OK) {
            if (o == OUT_NO_MEMORY) {
                count(connections_over_memory, 1);
                watch_log(WATCH_WARN, "net", "closing %s: receive memory is used up", c->address);
            }
            ended(c);
            return;
        }
        count(bytes_received, got);
        c->active_ns = c->reactor->shard.now_ns;
        list_remove(&c->node);
        list_push(&c->reactor->conns, &c->node);
        bool filled = c->buffer->used == c->buffer->room;
        conn_serve(c);
        if (!filled)
            break; /* level triggered: what came since is told again */
    }
    if (c->buffer != NULL && c->buffer->used == c->parsed)
        conn_release_buffer(c);
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
    if (!(what & OS_READABLE))
        return;
    if (c->blocked) {
        c->polled &= ~(unsigned)OS_READABLE; /* until it is served again */
        os_poller_change(c->reactor->poller, c->fd, c->polled, c);
        return;
    }
    receive(c);
}

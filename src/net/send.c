/* SPDX-License-Identifier: MIT */
/*
 * Sending: the completed requests at the front of a connection, in order, gathered into one call.
 * A file range is copied to be gathered, too, which takes less CPU than a call of its own; only a
 * large one goes by sendfile (make bench-trials shows where they meet). What a slow reader does not
 * take waits for the poller, and until then nothing more of that connection is served. A greedy
 * reader gets SEND_MAX in a turn, so that others have theirs.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#include <stdlib.h>

#define GATHER 256
#define SEND_MAX (MiB(1) + KiB(256)) /* an answer of the usual size, with its header */
#define COPY_MAX KiB(256) /* in one call */

void conn_ready(struct conn *c)
{
    if (list_empty(&c->ready))
        list_push(&c->reactor->flushing, &c->ready);
}

static struct request *first(const struct conn *c)
{
    return list_empty(&c->requests) ? NULL : container_of(c->requests.next, struct request, node);
}

/* The front request is answered: its memory goes back. */
static void pop(struct conn *c, struct request *r)
{
    list_remove(&r->node);
    c->request_count--;
    c->charged -= r->charged;
    c->sending = NULL;
    c->sent = 0;
    c->closing |= r->state == REQ_CLOSE;
    r->conn = r->origin = NULL;
    reactor_give(c->reactor, r);
}

/* Drops pieces that are sent whole and requests that are answered; the front piece, if there is one
 * to send, is in c->sending then. `sent` bytes of memory pieces have just gone. */
static void advance(struct conn *c, size_t sent)
{
    c->sent += sent;
    for (struct request *r; !c->closing && (r = first(c)) != NULL && r->complete;) {
        if (c->sending == NULL)
            c->sending = r->reply;
        while (c->sending != NULL && c->sent >= c->sending->size) {
            struct reply_piece *p = c->sending;
            c->sent -= p->size;
            if (p->release != NULL)
                p->release(p->context);
            p->release = NULL;
            c->sending = p->next;
        }
        if (c->sending != NULL)
            return;
        size_t rest = c->sent; /* of the requests behind it */
        pop(c, r);
        c->sent = rest;
    }
}

/* What goes out in one call. */
struct gathered {
    struct iovec pieces[GATHER];
    int count;
    size_t bytes, copied;
    bool more;           /* something follows that has to go by itself */
    enum outcome result; /* of copying */
};

void copies_trim(struct reactor *r)
{
    free(r->copies);
    r->copies = NULL;
}

/* Where the next copy of so many bytes may go; NULL: the range goes from file to socket. */
static uint8_t *room_for_copy(struct reactor *r, const struct gathered *g, size_t size)
{
    if (size > COPY_MAX - g->copied)
        return NULL;
    if (r->copies == NULL)
        r->copies = malloc(COPY_MAX);
    reactor_keep_spares(r);
    return r->copies == NULL ? NULL : r->copies + g->copied;
}

/* False: it does not go with what is gathered. */
static bool gather_piece(struct reactor *r, struct gathered *g, const struct reply_piece *p,
                         size_t skip)
{
    size_t size = p->size - skip;
    const uint8_t *at;
    if (g->count == GATHER || g->bytes >= SEND_MAX)
        return false;
    if (p->at != NULL) {
        at = p->at + skip;
    } else {
        uint8_t *copy = room_for_copy(r, g, size);
        if (copy != NULL)
            g->result = os_read_file(p->file, p->position + skip, copy, size);
        if (copy == NULL || g->result != OUT_OK)
            return false;
        g->copied += size;
        at = copy;
    }
    g->pieces[g->count].iov_base = (void *)(uintptr_t)at;
    g->pieces[g->count++].iov_len = size;
    g->bytes += size;
    return true;
}

/* Collects pieces from the front on, up to a large file range, an open request or one that
 * closes. */
static void gather(struct conn *c, struct gathered *g)
{
    g->count = 0;
    g->bytes = g->copied = 0;
    g->more = false;
    g->result = OUT_OK;
    size_t skip = c->sent;
    const struct reply_piece *p = c->sending;
    list_each(n, &c->requests) {
        struct request *r = container_of(n, struct request, node);
        if (!r->complete)
            return;
        for (p = p != NULL ? p : r->reply; p != NULL; p = p->next) {
            if (!gather_piece(c->reactor, g, p, skip)) {
                g->more = true;
                return;
            }
            skip = 0;
        }
        if (r->state == REQ_CLOSE)
            return;
    }
}

static enum outcome send_file(struct conn *c, size_t most, size_t *sent)
{
    struct reply_piece *p = c->sending;
    size_t size = MIN(p->size - c->sent, most);
    return os_send_file(c->fd, p->file, p->position + c->sent, size, sent);
}

static enum outcome send_next(struct conn *c, size_t most, size_t *sent)
{
    struct gathered g;
    gather(c, &g);
    if (g.count == 0)
        return g.result != OUT_OK ? g.result : send_file(c, most, sent);
    enum outcome o = os_send(c->fd, g.pieces, g.count, g.more, sent);
    return o == OUT_OK && *sent < g.bytes ? OUT_AGAIN : o; /* the socket is full: no need to ask */
}

/* Sends until everything is out, the socket is full, or the peer is gone. */
void conn_flush(struct conn *c)
{
    if (c->stream != NULL) {
        link_flush(c);
        return;
    }
    enum outcome o = c->closing ? OUT_CLOSED : OUT_OK;
    size_t total = 0;
    advance(c, 0);
    while (o == OUT_OK && c->sending != NULL) {
        size_t sent = 0;
        if (total >= SEND_MAX)
            o = OUT_AGAIN; /* the poller comes back at once */
        else
            o = send_next(c, SEND_MAX - total, &sent);
        total += sent;
        advance(c, sent);
    }
    if (total > 0) {
        count(bytes_sent, total);
        conn_active(c);
    }
    if (c->closing || (o != OUT_OK && o != OUT_AGAIN)) {
        conn_close(c);
        return;
    }
    c->unsent = c->sending != NULL;
    conn_serve(c);
    conn_stash(c);
}

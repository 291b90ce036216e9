/* SPDX-License-Identifier: MIT */
/*
 * Sending: the completed requests at the front of a connection, in order, memory gathered into one
 * call, file ranges by sendfile. What a slow reader does not take waits for the poller, and until
 * then nothing more of that connection is served. A greedy reader gets SEND_MAX in a turn, so that
 * others have theirs.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#define GATHER 64
#define SEND_MAX MiB(4)

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

/* Collects memory pieces from the front on, up to a file range, an open request or one that closes.
 * Returns their bytes; *more: a file range follows. */
static size_t gather(struct conn *c, struct iovec *pieces, int *count, bool *more)
{
    size_t skip = c->sent, bytes = 0;
    struct reply_piece *p = c->sending;
    *count = 0;
    *more = false;
    list_each(n, &c->requests) {
        struct request *r = container_of(n, struct request, node);
        if (!r->complete)
            break;
        for (p = p != NULL ? p : r->reply; p != NULL; p = p->next) {
            *more = p->at == NULL;
            if (*more || *count == GATHER || bytes >= SEND_MAX)
                return bytes;
            pieces[*count].iov_base = (void *)(uintptr_t)(p->at + skip);
            pieces[(*count)++].iov_len = p->size - skip;
            bytes += p->size - skip;
            skip = 0;
        }
        if (r->state == REQ_CLOSE)
            break;
    }
    return bytes;
}

static enum outcome send_file(struct conn *c, size_t most, size_t *sent)
{
    struct reply_piece *p = c->sending;
    size_t size = MIN(p->size - c->sent, most);
    return os_send_file(c->fd, p->file, p->position + c->sent, size, sent);
}

static enum outcome send_memory(struct conn *c, size_t *sent)
{
    struct iovec pieces[GATHER];
    int piece_count;
    bool more;
    size_t bytes = gather(c, pieces, &piece_count, &more);
    check(piece_count > 0);
    enum outcome o = os_send(c->fd, pieces, piece_count, more, sent);
    return o == OUT_OK && *sent < bytes ? OUT_AGAIN : o; /* the socket is full: no need to ask */
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
        else if (c->sending->at == NULL)
            o = send_file(c, SEND_MAX - total, &sent);
        else
            o = send_memory(c, &sent);
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

/* SPDX-License-Identifier: MIT */
/*
 * Sending: the completed requests at the front of a connection, in order, memory gathered into one
 * call, file ranges by sendfile. What a slow reader does not take waits for the poller, and until
 * then nothing more of that connection is served.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#define GATHER 64

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
    c->sending = NULL;
    c->sent = 0;
    r->conn = NULL;
    reactor_give(c->reactor, r);
}

/* Collects memory pieces from the front on; stops at a file range or an open request. */
static int gather(struct conn *c, struct iovec *pieces, bool *more)
{
    int count = 0;
    size_t skip = c->sent;
    *more = false;
    list_each(n, &c->requests) {
        struct request *r = container_of(n, struct request, node);
        if (!r->complete)
            break;
        struct reply_piece *p = r == first(c) && c->sending != NULL ? c->sending : r->reply;
        for (; p != NULL && count < GATHER; p = p->next) {
            if (p->at == NULL) {
                *more = true;
                return count;
            }
            pieces[count].iov_base = (void *)(uintptr_t)(p->at + skip);
            pieces[count++].iov_len = p->size - skip;
            skip = 0;
        }
        if (r->state == REQ_CLOSE || count == GATHER)
            break;
    }
    return count;
}

/* Advances over `sent` bytes of memory pieces and over requests that are through. */
static void advance(struct conn *c, size_t sent)
{
    struct request *r;
    while ((r = first(c)) != NULL && r->complete) {
        if (c->sending == NULL)
            c->sending = r->reply;
        while (c->sending != NULL && c->sent + sent >= c->sending->size) {
            if (c->sending->at == NULL)
                return;
            sent -= c->sending->size - c->sent;
            c->sent = 0;
            c->sending = c->sending->next;
            if (c->sending == NULL)
                break;
        }
        if (c->sending != NULL) {
            if (c->sending->at != NULL)
                c->sent += sent;
            return;
        }
        bool closes = r->state == REQ_CLOSE;
        pop(c, r);
        if (closes) {
            c->closing = true;
            return;
        }
    }
}

static void file_piece_sent(struct conn *c)
{
    struct reply_piece *p = c->sending;
    if (p->release != NULL)
        p->release(p->context);
    p->release = NULL;
    c->sending = p->next;
    c->sent = 0;
    if (c->sending == NULL) {
        struct request *r = first(c);
        bool closes = r->state == REQ_CLOSE;
        pop(c, r);
        c->closing |= closes;
    }
    advance(c, 0);
}

static enum outcome send_file(struct conn *c)
{
    struct reply_piece *p = c->sending;
    size_t sent = 0;
    enum outcome o = os_send_file(c->fd, p->file, p->position + c->sent, p->size - c->sent, &sent);
    count(bytes_sent, sent);
    c->sent += sent;
    if (c->sent == p->size)
        file_piece_sent(c);
    return o;
}

static enum outcome send_memory(struct conn *c)
{
    struct iovec pieces[GATHER];
    bool more;
    int count_pieces = gather(c, pieces, &more);
    if (count_pieces == 0)
        return OUT_END;
    size_t sent = 0;
    enum outcome o = os_send(c->fd, pieces, count_pieces, more, &sent);
    count(bytes_sent, sent);
    advance(c, sent);
    return o;
}

/* Sends until everything is out, the socket is full, or the peer is gone. */
void conn_flush(struct conn *c)
{
    enum outcome o = OUT_OK;
    advance(c, 0);
    while (o == OUT_OK && !c->closing && first(c) != NULL && first(c)->complete) {
        if (c->sending != NULL && c->sending->at == NULL)
            o = send_file(c);
        else
            o = send_memory(c);
    }
    if (o != OUT_OK && o != OUT_AGAIN && o != OUT_END) {
        conn_close(c);
        return;
    }
    c->unsent = o == OUT_AGAIN;
    if (c->closing)
        conn_close(c);
    else
        conn_serve(c);
}

/* SPDX-License-Identifier: MIT */
/*
 * Receiving: bytes go straight into the buffer that the requests will point into.
 *
 * A buffer begins at 64 KiB, or at the size of a frame this connection has sent whole before, and
 * doubles as bytes arrive: a size that a peer only announces never allocates. Of a large frame just
 * the rest is asked for, so that the next frame starts a buffer of its own and nothing is moved.
 */
#include "net/private.h"

#include "base/check.h"

#include <stdlib.h>

static struct buffer *buffer_new(struct net *net, size_t room)
{
    int64_t now = atomic_fetch_add(&net->receive_bytes, (int64_t)room) + (int64_t)room;
    struct buffer *b = NULL;
    if (now <= net->options.receive_bytes_max)
        b = malloc(sizeof *b + room);
    if (b == NULL) {
        atomic_fetch_sub(&net->receive_bytes, (int64_t)room);
        return NULL;
    }
    b->net = net;
    b->holds = 1;
    b->room = room;
    b->used = 0;
    return b;
}

void buffer_drop(struct buffer *b)
{
    check(b->holds > 0);
    if (--b->holds > 0)
        return;
    atomic_fetch_sub(&b->net->receive_bytes, (int64_t)b->room);
    free(b);
}

void conn_release_buffer(struct conn *c)
{
    if (c->buffer != NULL)
        buffer_drop(c->buffer);
    c->buffer = NULL;
    c->parsed = 0;
}

/* Bytes that the frame at the front still lacks; 0: unknown (its size is not there yet). */
static size_t lacking(const struct conn *c)
{
    size_t have = c->buffer->used - c->parsed;
    if (have < 4)
        return 0;
    size_t whole = 4 + (size_t)get_be32(c->buffer->at + c->parsed);
    return whole > have ? whole - have : 0;
}

/* A buffer with room for more of the frame at the front; the tail moves when it must. */
static bool make_room(struct conn *c)
{
    struct buffer *b = c->buffer;
    size_t have = b == NULL ? 0 : b->used - c->parsed;
    if (b != NULL && have == 0 && b->holds == 1) {
        b->used = c->parsed = 0;
        return true;
    }
    size_t want = b == NULL ? 0 : lacking(c);
    if (b != NULL && b->used < b->room && (want == 0 || b->room - b->used >= MIN(want, EXACT_MIN)))
        return true;
    size_t room = MAX(RECEIVE_MIN, c->largest);
    if (have * 2 > room)
        room = have * 2;
    if (want > 0 && room > have + want)
        room = MAX(RECEIVE_MIN, have + want);
    struct buffer *bigger = buffer_new(c->reactor->net, room);
    if (bigger == NULL)
        return false;
    if (have > 0)
        memcpy(bigger->at, b->at + c->parsed, have);
    bigger->used = have;
    conn_release_buffer(c);
    c->buffer = bigger;
    return true;
}

enum outcome conn_receive(struct conn *c, size_t *got)
{
    *got = 0;
    if (!make_room(c))
        return OUT_NO_MEMORY;
    struct buffer *b = c->buffer;
    size_t want = b->room - b->used, rest = lacking(c);
    if (rest >= EXACT_MIN)
        want = MIN(want, rest);
    enum outcome o = os_receive(c->fd, b->at + b->used, want, got);
    b->used += *got;
    return o;
}

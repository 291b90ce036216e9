/* SPDX-License-Identifier: MIT */
/*
 * Receiving: bytes go straight into the buffer that the requests will point into.
 *
 * A buffer begins at 64 KiB and doubles as bytes arrive: a size that a peer only announces never
 * allocates, unless this connection has just sent frames of that size. Of a large frame just the
 * rest is asked for, so that the next frame starts a buffer of its own and nothing is moved.
 *
 * A reactor keeps some buffers for reuse. Memory is counted where it is taken from malloc and given
 * back; past the limit conn_receive says OUT_NO_MEMORY and the connection waits.
 */
#include "net/private.h"

#include "base/check.h"

#include <stdlib.h>

#define WORTH_A_CALL KiB(4) /* room that is worth a system call */

static void buffer_free(struct buffer *b)
{
    atomic_fetch_sub(&b->reactor->net->receive_bytes, (int64_t)b->room);
    free(b);
}

void buffers_trim(struct reactor *r)
{
    for (int i = 0; i < r->spare_count; i++)
        buffer_free(r->spare[i]);
    r->spare_count = 0;
    r->spare_bytes = 0;
}

static void loan_over(struct loan *loan)
{
    buffer_drop(container_of(loan, struct buffer, loan));
}

static struct buffer *buffer_allocate(struct reactor *r, size_t room)
{
    struct net *net = r->net;
    int64_t now = atomic_fetch_add(&net->receive_bytes, (int64_t)room) + (int64_t)room;
    struct buffer *b = NULL;
    if (now <= net->options.receive_bytes_max)
        b = malloc(sizeof *b + room);
    if (b == NULL) {
        atomic_fetch_sub(&net->receive_bytes, (int64_t)room);
        return NULL;
    }
    b->reactor = r;
    b->room = room;
    b->loan = (struct loan){.release = loan_over};
    return b;
}

/* The smallest spare buffer with that room, but no waste of a large one. */
static struct buffer *take_spare(struct reactor *r, size_t room)
{
    int best = -1;
    for (int i = 0; i < r->spare_count; i++) {
        size_t have = r->spare[i]->room;
        if (have >= room && have / 4 <= room && (best < 0 || have < r->spare[best]->room))
            best = i;
    }
    if (best < 0)
        return NULL;
    struct buffer *b = r->spare[best];
    r->spare[best] = r->spare[--r->spare_count];
    r->spare_bytes -= b->room;
    r->spare_used = true;
    return b;
}

/* At least `room`, and preferably `wish` if one of that size is at hand. */
static struct buffer *buffer_take(struct reactor *r, size_t room, size_t wish)
{
    struct buffer *b = wish > room ? take_spare(r, wish) : NULL;
    if (b == NULL)
        b = take_spare(r, room);
    if (b == NULL)
        b = buffer_allocate(r, room);
    if (b == NULL && r->spare_count > 0) {
        buffers_trim(r);
        b = buffer_allocate(r, room);
    }
    if (b != NULL) {
        b->holds = 1;
        b->used = 0;
    }
    return b;
}

void buffer_drop(struct buffer *b)
{
    struct reactor *r = b->reactor;
    check(b->holds > 0);
    if (--b->holds > 0)
        return;
    if (b->room < RECEIVE_MIN || r->spare_count == SPARE_MAX ||
        r->spare_bytes + b->room > SPARE_BYTES_MAX) {
        buffer_free(b);
        return;
    }
    r->spare[r->spare_count++] = b;
    r->spare_bytes += b->room;
    reactor_keep_spares(r);
}

void conn_release_buffer(struct conn *c)
{
    if (c->buffer != NULL)
        buffer_drop(c->buffer);
    c->buffer = NULL;
    c->parsed = 0;
}

/* Puts `b` in place of the connection's buffer, with the bytes that are not parsed yet. */
static void move_rest(struct conn *c, struct buffer *b)
{
    if (c->buffer != NULL) {
        b->used = c->buffer->used - c->parsed;
        check(b->used <= b->room);
        memcpy(b->at, c->buffer->at + c->parsed, b->used);
    }
    conn_release_buffer(c);
    c->buffer = b;
}

void conn_stash(struct conn *c)
{
    if (c->buffer == NULL)
        return;
    size_t have = c->buffer->used - c->parsed;
    if (have == 0) {
        conn_release_buffer(c);
        return;
    }
    if (have > STASH_MAX || c->buffer->room <= 2 * have)
        return;
    struct buffer *small = buffer_allocate(c->reactor, have);
    if (small == NULL)
        return; /* no harm: it stays where it is */
    small->holds = 1;
    small->used = 0;
    move_rest(c, small);
}

/* Bytes that the frame at the front still lacks; 0: unknown (its size is not there yet), or none.
 * conn_serve has checked the size. */
static size_t lacking(const struct conn *c)
{
    size_t have = c->buffer->used - c->parsed;
    if (c->stream != NULL)
        return link_wants(c) > have ? link_wants(c) - have : 0;
    if (have < 4)
        return 0;
    size_t whole = 4 + (size_t)get_be32(c->buffer->at + c->parsed);
    return whole > have ? whole - have : 0;
}

/* The size of buffer for a frame of `whole` bytes (0: unknown) of which `have` are there. */
static size_t room_for(const struct conn *c, size_t have, size_t whole)
{
    if (whole <= RECEIVE_MIN && have < RECEIVE_MIN)
        return RECEIVE_MIN;
    size_t trusted = MAX(2 * have, c->usual);
    size_t room = whole == 0 ? trusted : MIN(whole, trusted);
    room = MAX(room, have + 1);
    return (room + RECEIVE_MIN - 1) / RECEIVE_MIN * RECEIVE_MIN;
}

/* A buffer with room for more of the frame at the front; the rest moves when it must. */
static bool make_room(struct conn *c)
{
    struct buffer *b = c->buffer;
    if (b == NULL) {
        c->buffer = buffer_take(c->reactor, RECEIVE_MIN, c->usual);
        return c->buffer != NULL;
    }
    size_t have = b->used - c->parsed;
    if (have == 0 && b->holds == 1) {
        b->used = c->parsed = 0;
        return true;
    }
    size_t lacks = lacking(c), left = b->room - b->used;
    if (left >= (lacks > 0 ? MIN(lacks, EXACT_MIN) : WORTH_A_CALL))
        return true;
    size_t whole = lacks > 0 ? have + lacks : 0;
    struct buffer *next = buffer_take(c->reactor, room_for(c, have, whole), 0);
    if (next == NULL)
        return false;
    move_rest(c, next);
    return true;
}

enum outcome conn_receive(struct conn *c, size_t *got)
{
    *got = 0;
    if (!make_room(c))
        return OUT_NO_MEMORY;
    struct buffer *b = c->buffer;
    size_t want = b->room - b->used, lacks = lacking(c);
    if (lacks >= EXACT_MIN)
        want = MIN(want, lacks);
    enum outcome o = os_receive(c->fd, b->at + b->used, want, got);
    b->used += *got;
    return o;
}

/* SPDX-License-Identifier: MIT */
/* One connection of a worker: what is to be sent in pieces, what comes cut into answers. */
#include "bench/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST KiB(16)
#define FRAME_MAX MiB(256)
#define PIECES_AT_ONCE 64

enum outcome bench_link_open(struct bench_worker *w, const struct bench_broker *b,
                             struct bench_link *l)
{
    l->fd = -1;
    l->worker = w;
    enum outcome o = w->run->o->dial(b->host, b->port, &l->fd);
    return o == OUT_OK ? os_poller_add(w->poller, l->fd, OS_READABLE, l) : o;
}

void bench_link_close(struct bench_link *l)
{
    os_close(l->fd);
    l->fd = -1;
    free(l->in);
    l->in = NULL;
}

static enum outcome gone(void)
{
    errno = 0;
    return fail(OUT_CLOSED, "the server closed a connection");
}

enum outcome bench_link_send(struct bench_link *l)
{
    while (l->piece < l->piece_count) {
        size_t sent = 0;
        int count = MIN(l->piece_count - l->piece, PIECES_AT_ONCE);
        enum outcome o = os_send(l->fd, l->pieces + l->piece, count, false, &sent);
        if (o != OUT_OK && o != OUT_AGAIN)
            return gone();
        while (sent > 0) {
            struct iovec *piece = &l->pieces[l->piece];
            size_t part = MIN(sent, piece->iov_len);
            piece->iov_base = (uint8_t *)piece->iov_base + part;
            piece->iov_len -= part;
            sent -= part;
            l->piece += piece->iov_len == 0;
        }
        if (o == OUT_AGAIN)
            break;
    }
    bool waits = bench_link_busy(l);
    if (waits != l->waits) {
        unsigned what = waits ? OS_READABLE | OS_WRITABLE : OS_READABLE;
        os_poller_change(l->worker->poller, l->fd, what, l);
        l->waits = waits;
    }
    return OUT_OK;
}

static enum outcome make_room(struct bench_link *l, size_t wanted)
{
    if (l->in_room >= wanted)
        return OUT_OK;
    size_t room = MAX(wanted, ROOM_FIRST);
    uint8_t *in = realloc(l->in, room);
    if (in == NULL)
        return fail(OUT_NO_MEMORY, "an answer of %zu bytes", wanted);
    l->in = in;
    l->in_room = room;
    return OUT_OK;
}

/* Whole answers at the start of what came; what follows them moves to the start. */
static enum outcome cut(struct bench_link *l)
{
    size_t at = 0, wanted = 0;
    while (l->in_used - at >= 4) {
        size_t size = get_be32(l->in + at);
        if (size > FRAME_MAX)
            return fail(OUT_MALFORMED, "an answer of %zu bytes", size);
        if (l->in_used - at < 4 + size) {
            wanted = 4 + size;
            break;
        }
        l->frame(l, bytes_view(l->in + at + 4, size));
        at += 4 + size;
    }
    l->in_used -= at;
    if (at > 0)
        memmove(l->in, l->in + at, l->in_used);
    return make_room(l, wanted);
}

enum outcome bench_link_receive(struct bench_link *l)
{
    size_t got = 0;
    enum outcome o = make_room(l, ROOM_FIRST);
    if (o != OUT_OK)
        return o;
    o = os_receive(l->fd, l->in + l->in_used, l->in_room - l->in_used, &got);
    if (o == OUT_AGAIN)
        return OUT_OK;
    if (o != OUT_OK)
        return gone();
    l->in_used += got;
    return cut(l);
}

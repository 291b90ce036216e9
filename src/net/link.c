/* SPDX-License-Identifier: MIT */
/*
 * Links: connections of doors that speak a stream of bytes. The door is given what is received and
 * says how much it used; what it writes gathers in chunks and leaves at the end of the turn in one
 * call for each connection.
 *
 * A link that ends sends once what is written and is closed, also when its peer does not take all
 * of it. Unlike with frames, output that waits does not stop reading: a door bounds what it lets
 * pend for a slow peer, or pauses the link.
 */
#include "net/private.h"

#include "base/check.h"
#include "watch/watch.h"

#include <stdlib.h>

#define GATHER 64
#define SEND_MAX MiB(4) /* of one link in a turn */

/* Sizes of chunks: a single message to an idle subscriber takes a small one. */
static const size_t rooms[CHUNK_CLASSES] = {KiB(2), KiB(16), KiB(64)};
static const int kept[CHUNK_CLASSES] = {512, 64, 32}; /* until the next idle second */

static struct stream *stream_of(struct link *l)
{
    struct stream *s = container_of(l, struct stream, link);
    check(s->magic == STREAM_MAGIC);
    return s;
}

/* ---- chunks ---- */

static struct chunk *chunk_take(struct reactor *r, int class, size_t size)
{
    struct chunk *c = class < CHUNK_CLASSES ? r->chunks[class] : NULL;
    size_t room = class < CHUNK_CLASSES ? rooms[class] : size;
    if (c != NULL) {
        r->chunks[class] = c->next;
        r->chunk_count[class]--;
    } else {
        c = malloc(sizeof *c + room);
        if (c == NULL)
            return NULL;
    }
    *c = (struct chunk){.at = c->own, .room = room, .class = class};
    return c;
}

static void chunk_give(struct reactor *r, struct chunk *c)
{
    store_hold_drop(c->hold);
    if (c->class >= CHUNK_CLASSES || r->chunk_count[c->class] >= kept[c->class]) {
        free(c);
        return;
    }
    c->next = r->chunks[c->class];
    r->chunks[c->class] = c;
    r->chunk_count[c->class]++;
    reactor_keep_spares(r);
}

void chunks_trim(struct reactor *r)
{
    for (int i = 0; i < CHUNK_CLASSES; i++) {
        for (struct chunk *c; (c = r->chunks[i]) != NULL;) {
            r->chunks[i] = c->next;
            free(c);
        }
        r->chunk_count[i] = 0;
    }
}

static void add_chunk(struct stream *s, struct chunk *c)
{
    if (s->last != NULL)
        s->last->next = c;
    else
        s->first = c;
    s->last = c;
}

/* The bytes written into the last chunk are counted in the chunk when another one follows. */
static void seal(struct stream *s)
{
    if (s->last != NULL && s->last->hold == NULL)
        s->last->size = (size_t)(s->link.at - s->last->own);
    s->link.at = s->link.end = NULL;
}

/* ---- what a door may do ---- */

static uint8_t *grow(struct link *l, size_t size)
{
    struct stream *s = stream_of(l);
    int class = s->last == NULL ? 0 : MIN(s->last->class + 1, CHUNK_CLASSES - 1);
    while (class < CHUNK_CLASSES && rooms[class] < size)
        class++;
    struct chunk *c = chunk_take(s->conn->reactor, class, size);
    if (c == NULL)
        return NULL;
    seal(s);
    add_chunk(s, c);
    l->at = c->own;
    l->end = c->own + c->room;
    return l->at;
}

static bool lend(struct link *l, struct bytes piece, struct store_hold *hold)
{
    struct stream *s = stream_of(l);
    struct chunk *c = chunk_take(s->conn->reactor, CHUNK_CLASSES, 0);
    if (c == NULL)
        return false;
    seal(s);
    store_hold_take(hold);
    c->at = piece.at;
    c->size = piece.size;
    c->hold = hold;
    add_chunk(s, c);
    l->pending += piece.size;
    l->out_bytes += piece.size;
    link_ready(l);
    return true;
}

static void ready(struct link *l)
{
    conn_ready(stream_of(l)->conn);
}

static void pause_link(struct link *l)
{
    stream_of(l)->paused = true;
}

/* What is received already is served when the turn ends. */
static void resume_link(struct link *l)
{
    struct stream *s = stream_of(l);
    if (s->paused)
        conn_ready(s->conn);
    s->paused = false;
}

static void end_link(struct link *l, enum link_end how)
{
    struct conn *c = stream_of(l)->conn;
    c->ended = true;
    c->closing |= how == LINK_NOW;
    conn_ready(c);
}

static const struct link_ops ops = {
    .grow = grow, .lend = lend, .ready = ready, .pause = pause_link, .resume = resume_link,
    .end = end_link,
};

/* ---- life ---- */

bool link_open(struct conn *c)
{
    const struct link_door *door = c->listener->door->link;
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return false;
    s->magic = STREAM_MAGIC;
    s->conn = c;
    s->link = (struct link){.home = &c->reactor->shard, .peer = c->address,
                            .peer_port = os_peer_port(c->fd), .listener = c->listener->name,
                            .ops = &ops};
    c->stream = s;
    s->opened = door->opened(&s->link);
    return s->opened;
}

void link_over(struct conn *c)
{
    struct stream *s = c->stream;
    if (s->opened)
        c->listener->door->link->closed(&s->link);
    for (struct chunk *k; (k = s->first) != NULL;) {
        s->first = k->next;
        chunk_give(c->reactor, k);
    }
    s->magic = 0;
    free(s);
    c->stream = NULL;
}

void link_stop(struct conn *c)
{
    c->listener->door->link->stopping(&c->stream->link);
}

/* ---- receiving ---- */

bool link_blocked(const struct conn *c)
{
    return c->stream->paused;
}

/* Bytes that must be there before the door is asked again. */
size_t link_wants(const struct conn *c)
{
    return c->stream->want;
}

void link_receive(struct conn *c)
{
    struct stream *s = c->stream;
    if (c->ended || s->paused || c->buffer == NULL)
        return;
    size_t have = c->buffer->used - c->parsed, want = 0;
    if (have == 0 || have < s->want)
        return;
    struct bytes in = bytes_view(c->buffer->at + c->parsed, have);
    size_t used = c->listener->door->link->received(&s->link, in, &want);
    check(used <= have);
    c->parsed += used;
    s->link.in_bytes += used;
    s->want = want;
    c->usual = MAX(want, c->usual - c->usual / 8);
    if (want > (size_t)c->reactor->net->options.request_bytes_max) {
        count(frames_refused, 1);
        c->ended = true;
    }
    if (c->ended)
        conn_release_buffer(c);
}

/* ---- sending ---- */

/* `sent` bytes have just gone; chunks that are out go back. */
static void advance(struct stream *s, size_t sent)
{
    s->link.pending -= sent;
    s->sent += sent;
    while (s->first != NULL) {
        struct chunk *c = s->first;
        bool open = c == s->last && c->hold == NULL;
        size_t size = open ? (size_t)(s->link.at - c->own) : c->size;
        if (s->sent < size)
            return;
        s->sent -= size;
        s->first = c->next;
        if (c == s->last) {
            s->last = NULL;
            s->link.at = s->link.end = NULL;
        }
        chunk_give(s->conn->reactor, c);
    }
}

static int gather(const struct stream *s, struct iovec *pieces, size_t *bytes)
{
    size_t skip = s->sent;
    int count = 0;
    *bytes = 0;
    for (const struct chunk *c = s->first; c != NULL && count < GATHER && *bytes < SEND_MAX;
         c = c->next) {
        bool open = c == s->last && c->hold == NULL;
        size_t size = open ? (size_t)(s->link.at - c->own) : c->size;
        pieces[count].iov_base = (void *)(uintptr_t)(c->at + skip);
        pieces[count++].iov_len = size - skip;
        *bytes += size - skip;
        skip = 0;
    }
    return count;
}

/* Sends until everything is out or the socket is full; false: the peer is gone. */
static bool send_all(struct stream *s)
{
    struct iovec pieces[GATHER];
    size_t total = 0;
    while (s->link.pending > 0 && total < SEND_MAX) {
        size_t bytes, sent = 0;
        int pieces_count = gather(s, pieces, &bytes);
        enum outcome o = os_send(s->conn->fd, pieces, pieces_count, false, &sent);
        if (o != OUT_OK && o != OUT_AGAIN)
            return false;
        total += sent;
        advance(s, sent);
        if (sent < bytes)
            break;
    }
    if (total > 0) {
        count(bytes_sent, total);
        conn_active(s->conn);
    }
    return true;
}

void link_flush(struct conn *c)
{
    struct stream *s = c->stream;
    bool waited = c->unsent || s->link.awaited;
    s->link.dirty = false;
    if (c->closing || !send_all(s) || c->ended) {
        conn_close(c);
        return;
    }
    c->unsent = s->link.pending > 0;
    if (waited && !c->unsent) {
        s->link.awaited = false;
        c->listener->door->link->drained(&s->link);
    }
    conn_serve(c);
    conn_stash(c);
}

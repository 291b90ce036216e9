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

#define GATHER 512
#define BORROW_MOST MiB(1) /* of one piece */
#define SEND_MAX MiB(4) /* of one link in a turn */

/* Sizes of chunks: a single message to an idle subscriber takes a small one. */
static const size_t rooms[CHUNK_CLASSES] = {KiB(2), KiB(16), KiB(64)};
static const int kept[CHUNK_CLASSES] = {512, 64, 64}; /* until the next idle second */

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
    size_t room = class < CHUNK_CLASSES ? rooms[class] : (size + 7) & ~(size_t)7;
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

static struct mark *mark_of(const struct chunk *c, uint32_t index)
{
    struct mark *end = (struct mark *)(void *)(uintptr_t)(c->own + c->room);
    return end - index - 1;
}

static void chunk_give(struct reactor *r, struct chunk *c)
{
    store_hold_drop(c->hold);
    for (uint32_t i = 0; i < c->mark_count; i++)
        loan_drop(mark_of(c, i)->loan);
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
    if (s->link.at != NULL)
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

static bool borrow(struct link *l, struct bytes piece, struct loan *loan)
{
    struct stream *s = stream_of(l);
    struct mark *m;
    if (s->conn->unsent || piece.size > BORROW_MOST) /* it won't go at the end of this turn */
        return link_write(l, piece.at, piece.size);
    if ((size_t)(l->end - l->at) < sizeof *m && grow(l, 2 * sizeof *m) == NULL)
        return false;
    struct chunk *c = s->last;
    struct mark *last = c->mark_count > 0 ? mark_of(c, c->mark_count - 1) : NULL;
    if (last != NULL && last->loan == loan)
        last->loan = NULL;
    else
        loan_take(loan);
    m = mark_of(c, c->mark_count++);
    *m = (struct mark){piece.at, loan, (uint32_t)piece.size, (uint32_t)(l->at - c->own)};
    l->end = (uint8_t *)m;
    l->pending += piece.size;
    l->out_bytes += piece.size;
    s->borrowed = true;
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
    .grow = grow, .lend = lend, .borrow = borrow, .ready = ready, .pause = pause_link,
    .resume = resume_link, .end = end_link,
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
    struct buffer *b = c->buffer;
    struct bytes in = bytes_view(b->at + c->parsed, have);
    b->holds += b->loan.count == 0;
    loan_take(&b->loan);
    s->link.loan = &b->loan;
    size_t used = c->listener->door->link->received(&s->link, in, &want);
    s->link.loan = NULL;
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
    loan_drop(&b->loan);
}

/* ---- sending ---- */

/* Its own bytes so far. */
static size_t own_size(const struct stream *s, const struct chunk *c)
{
    bool open = c == s->last && s->link.at != NULL;
    return open ? (size_t)(s->link.at - c->own) : c->size;
}

/* The piece of a chunk at `*p`, which moves behind it; false: that was all. */
static bool next_piece(const struct stream *s, const struct chunk *c, struct place *p,
                       struct iovec *piece)
{
    const struct mark *m = p->mark < c->mark_count ? mark_of(c, p->mark) : NULL;
    size_t own = m != NULL ? m->before : own_size(s, c);
    if (p->own < own) {
        *piece = (struct iovec){(void *)(uintptr_t)(c->at + p->own), own - p->own};
        p->own = own;
        return true;
    }
    if (m == NULL)
        return false;
    *piece = (struct iovec){(void *)(uintptr_t)(m->at + p->part), m->size - p->part};
    p->part = 0;
    p->mark++;
    return true;
}

/* The first `sent` bytes of a chunk, or all of it, are out: what is left of `sent`. */
static bool advance_in(struct stream *s, struct chunk *c, size_t *sent)
{
    struct place to = s->sent;
    struct iovec piece;
    while (next_piece(s, c, &to, &piece)) {
        bool mark = to.mark > s->sent.mark;
        if (*sent < piece.iov_len) {
            *(mark ? &s->sent.part : &s->sent.own) += *sent;
            return false;
        }
        *sent -= piece.iov_len;
        s->sent = to;
        if (mark) {
            loan_drop(mark_of(c, to.mark - 1)->loan);
            mark_of(c, to.mark - 1)->loan = NULL;
        }
    }
    return true;
}

/* `sent` bytes have just gone; chunks that are out go back. */
static void advance(struct stream *s, size_t sent)
{
    bool all = sent == s->link.pending;
    s->link.pending -= sent;
    while (s->first != NULL) {
        struct chunk *c = s->first;
        if (!all && !advance_in(s, c, &sent))
            return;
        s->sent = (struct place){0};
        s->first = c->next;
        if (c == s->last) {
            s->last = NULL;
            s->link.at = s->link.end = NULL;
            s->borrowed = false;
        }
        chunk_give(s->conn->reactor, c);
    }
}

static int gather(const struct stream *s, struct iovec *pieces, size_t *bytes)
{
    struct place p = s->sent;
    int count = 0;
    *bytes = 0;
    for (const struct chunk *c = s->first; c != NULL; c = c->next, p = (struct place){0}) {
        while (next_piece(s, c, &p, &pieces[count])) {
            *bytes += pieces[count++].iov_len;
            if (count == GATHER || *bytes >= SEND_MAX)
                return count;
        }
    }
    return count;
}

static bool copy_rest(struct stream *s, const struct chunk *c, struct place from)
{
    struct iovec piece;
    while (next_piece(s, c, &from, &piece)) {
        uint8_t *to = link_reserve(&s->link, piece.iov_len);
        if (to == NULL)
            return false;
        memcpy(to, piece.iov_base, piece.iov_len);
        s->link.at += piece.iov_len;
    }
    return true;
}

/* The turn is over: what is borrowed and not sent is copied. False: no memory. */
static bool keep_copies(struct stream *s)
{
    struct chunk *next, *c = s->first;
    struct place from = s->sent;
    bool good = true;
    seal(s);
    s->first = s->last = NULL;
    s->sent = (struct place){0};
    s->borrowed = false;
    for (; c != NULL; c = next, from = (struct place){0}) {
        next = c->next;
        c->next = NULL;
        if (from.mark < c->mark_count) {
            good = good && copy_rest(s, c, from);
            chunk_give(s->conn->reactor, c);
            continue;
        }
        seal(s);
        if (s->first == NULL)
            s->sent = from;
        add_chunk(s, c);
    }
    return good;
}

/* Mostly there is one chunk, all of it its own. False: it isn't so. */
static bool one_piece(const struct stream *s, struct iovec *piece)
{
    const struct chunk *c = s->first;
    if (c == NULL || c != s->last || s->link.at == NULL || c->mark_count > 0)
        return false;
    const uint8_t *from = c->own + s->sent.own;
    *piece = (struct iovec){(void *)(uintptr_t)from, (size_t)(s->link.at - from)};
    return true;
}

/* One call; false: the peer is gone. *more: it took everything of what may not be all. */
static bool send_one(struct stream *s, const struct iovec *pieces, int count, size_t bytes,
                     size_t *total, bool *more)
{
    size_t sent = 0;
    enum outcome o = os_send(s->conn->fd, pieces, count, false, &sent);
    if (o != OUT_OK && o != OUT_AGAIN)
        return false;
    *total += sent;
    *more = sent == bytes;
    advance(s, sent);
    return true;
}

static bool send_many(struct stream *s, size_t *total)
{
    struct iovec pieces[GATHER];
    bool more = true;
    while (more && s->link.pending > 0 && *total < SEND_MAX) {
        size_t bytes;
        int count = gather(s, pieces, &bytes);
        if (!send_one(s, pieces, count, bytes, total, &more))
            return false;
    }
    return true;
}

/* Sends until everything is out or the socket is full; false: the peer is gone. */
static bool send_all(struct stream *s)
{
    struct iovec piece;
    size_t total = 0;
    bool more, good = one_piece(s, &piece) ? send_one(s, &piece, 1, piece.iov_len, &total, &more)
                                           : send_many(s, &total);
    if (!good)
        return false;
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
    if (c->closing || !send_all(s) || c->ended ||
        (s->borrowed && s->link.pending > 0 && !keep_copies(s))) {
        conn_close(c);
        return;
    }
    c->unsent = s->link.pending > 0;
    if (waited && !c->unsent) {
        s->link.awaited = false;
        c->listener->door->link->drained(&s->link);
    }
    if (!waited && !c->unsent && c->buffer == NULL && c->blocked == s->paused)
        return; /* nothing has changed but what was sent */
    conn_serve(c);
    conn_stash(c);
}

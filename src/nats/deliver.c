/* SPDX-License-Identifier: MIT */
/*
 * Hot: a message for one subscription becomes MSG or HMSG in its link's output. A head of some
 * pieces is copied, the payload too when it is small; larger payloads go to the socket from where
 * they are. The socket is written once at the end of the turn, by net/.
 */
#include "nats/private.h"

#define HEAD_ROOM 64 /* verb, blanks, two sizes, line ends */

/* The size as digits with CR LF; the same for message after message, mostly. */
static COLD void set_tail(struct nats_shard *h, size_t size)
{
    char digits[20];
    uint8_t n = 0;
    h->tail_of = size;
    do
        digits[n++] = (char)('0' + size % 10);
    while ((size /= 10) > 0);
    for (uint8_t i = 0; i < n; i++)
        h->tail[i] = digits[n - 1 - i];
    h->tail[n] = '\r';
    h->tail[n + 1] = '\n';
    h->tail_size = (uint8_t)(n + 2);
}

/* Without a call for what is short: two copies that overlap, of sizes that the compiler knows. */
static inline uint8_t *put(uint8_t *to, struct bytes piece)
{
    size_t n = piece.size;
    if (n > 32 || n < 2) {
        memcpy(to, piece.at, n);
    } else if (n >= 16) {
        memcpy(to, piece.at, 16);
        memcpy(to + n - 16, piece.at + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, piece.at, 8);
        memcpy(to + n - 8, piece.at + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, piece.at, 4);
        memcpy(to + n - 4, piece.at + n - 4, 4);
    } else {
        memcpy(to, piece.at, 2);
        memcpy(to + n - 2, piece.at + n - 2, 2);
    }
    return to + n;
}

static uint8_t *put_number(uint8_t *to, size_t number)
{
    uint8_t digits[20];
    size_t n = 0;
    do
        digits[n++] = (uint8_t)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

/* `header` is the size of the block that goes with it, 0: a plain MSG. */
static uint8_t *put_head(uint8_t *to, struct nats_shard *h, const struct nats_sub *sub,
                         const struct live_message *m, size_t header, size_t total)
{
    if (header > 0)
        *to++ = 'H';
    memcpy(to, "MSG ", 4);
    to = put(to + 4, m->subject);
    *to++ = ' ';
    /* The blank behind the sid is stored with it. */
    to = put(to, bytes_view(sub->text, sub->sid_size + (size_t)1));
    if (m->reply.size > 0) {
        to = put(to, m->reply);
        *to++ = ' ';
    }
    if (header > 0) {
        to = put_number(to, header);
        *to++ = ' ';
    }
    if (unlikely(h->tail_of != total || h->tail_size == 0))
        set_tail(h, total);
    memcpy(to, h->tail, sizeof h->tail); /* there is room: HEAD_ROOM */
    return to + h->tail_size;
}

static bool write_copied(struct link *l, struct nats_shard *h, const struct nats_sub *sub,
                         const struct live_message *m, size_t header, size_t total)
{
    size_t most = HEAD_ROOM + m->subject.size + sub->sid_size + m->reply.size + total;
    uint8_t *from = link_reserve(l, most);
    if (unlikely(from == NULL))
        return false;
    uint8_t *to = put_head(from, h, sub, m, header, total);
    if (header > 0)
        to = put(to, m->headers);
    if (m->payload.size > 0)
        to = put(to, m->payload);
    *to++ = '\r';
    *to++ = '\n';
    link_commit(l, (size_t)(to - from));
    return true;
}

/* The payload stays where it is: in a hold's memory, or in what was received in this turn. */
static bool write_around(struct link *l, struct nats_shard *h, const struct nats_sub *sub,
                       const struct live_message *m, size_t header, size_t total)
{
    size_t most = HEAD_ROOM + m->subject.size + sub->sid_size + m->reply.size + header;
    uint8_t *from = link_reserve(l, most);
    if (from == NULL)
        return false;
    uint8_t *to = put_head(from, h, sub, m, header, total);
    if (header > 0)
        to = put(to, m->headers);
    link_commit(l, (size_t)(to - from));
    bool written = m->hold != NULL ? link_lend(l, m->payload, m->hold)
                                   : link_borrow(l, m->payload, m->loan);
    return written && link_write(l, "\r\n", 2);
}

static void counted(struct nats_session *s, struct nats_sub *sub, const struct live_message *m,
                    size_t total)
{
    s->out_messages++;
    s->out_bytes += total;
    nats_count(s->home, NATS_OUT_MESSAGES, 1);
    nats_count(s->home, NATS_OUT_BYTES, total);
    sub->delivered++;
    if (unlikely(s->user != NULL) && m->reply.size > 0 && s->user->permissions != NULL)
        nats_reply_allow(&s->replies, s->user->permissions, m->reply, s->home->shard->wall_ms);
    if (unlikely(sub->max > 0) && sub->delivered >= sub->max)
        nats_sub_remove(s, sub);
}

enum live_taken nats_deliver(struct live_sub *live, const struct live_message *m)
{
    struct nats_sub *sub = container_of(live, struct nats_sub, live);
    struct nats_session *s = live->owner;
    struct link *l = s->link;
    if (unlikely(s->closing))
        return LIVE_CLOSED;
    if (unlikely(sub->filtered) && !nats_may_receive(s->user->permissions, m->subject))
        return LIVE_TAKEN;
    size_t header = s->headers ? m->headers.size : 0;
    size_t total = header + m->payload.size;
    if (unlikely(l->pending + total > s->home->plenty)) {
        if (live->overflow != LIVE_DISCONNECT && l->pending > 0) {
            list_remove(&live->busy);
            list_push(&s->busy, &live->busy);
            l->awaited = true;
            return LIVE_BUSY;
        }
        if (l->pending + total > (size_t)s->home->nats->options.max_pending) {
            nats_slow_consumer(s);
            return LIVE_CLOSED;
        }
        nats_pressed(s);
        if (l->pending > (size_t)s->home->nats->options.max_pending / 4 * 3)
            nats_stall_note(s->home, m->subject);
    }
    size_t least = m->hold != NULL ? NATS_LEND_BYTES : NATS_BORROW_BYTES;
    bool written = m->payload.size >= least && (m->hold != NULL || m->loan != NULL)
                       ? write_around(l, s->home, sub, m, header, total)
                       : write_copied(l, s->home, sub, m, header, total);
    if (unlikely(!written)) {
        nats_end(s, NULL);
        return LIVE_CLOSED;
    }
    counted(s, sub, m, total);
    return LIVE_TAKEN;
}

void nats_overflowed(struct live_sub *live)
{
    nats_slow_consumer(live->owner);
}

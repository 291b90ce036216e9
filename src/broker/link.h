/* SPDX-License-Identifier: MIT */
/*
 * A link: a connection of a door that speaks a stream of bytes, not frames and replies (NATS).
 *
 * It lives on the thread of its connection (`home`), and so does everything here. What is written
 * in a turn leaves in one gathered write at its end. net/ owns the link and says when it is over.
 */
#ifndef BROKER_LINK_H
#define BROKER_LINK_H

#include "base/bytes.h"
#include "base/loan.h"
#include "broker/shard.h"
#include "store/store.h"

enum link_end {
    LINK_AFTER_OUTPUT, /* what is written still goes out, for a moment; nothing more is read */
    LINK_NOW,
};

struct link {
    struct shard *home;
    const char *peer;      /* the client's address as text */
    int peer_port;
    const char *listener;
    void *session;         /* the door's, from opened() to closed() */
    size_t pending;        /* bytes written that the socket has not taken */
    uint64_t in_bytes, out_bytes; /* since it was opened; out: written, not necessarily sent */

    /* net's: the end of the output, see the inline functions */
    const struct link_ops *ops;
    uint8_t *at, *end;     /* room for more in the last chunk */
    bool dirty;            /* it is in the list of those to be sent at the end of the turn */
    bool awaited;          /* the door's: `drained` shall be called when all output is taken */
    struct loan *loan;     /* net's: in received(), of the bytes given to it; for link_borrow */
};

/* What net/ does for a link. */
struct link_ops {
    uint8_t *(*grow)(struct link *l, size_t size); /* NULL: out of memory */
    bool (*lend)(struct link *l, struct bytes piece, struct store_hold *hold);
    bool (*borrow)(struct link *l, struct bytes piece, struct loan *loan);
    void (*ready)(struct link *l);
    void (*pause)(struct link *l);
    void (*resume)(struct link *l);
    void (*end)(struct link *l, enum link_end how);
};

/* The stream side of a door (struct door's `stream`). */
struct link_door {
    /* A connection came; false: close it. */
    bool (*opened)(struct link *l);
    /* Everything received and not used up yet. Returns how many bytes are used up; the rest comes
     * again with more behind it. *want: how many bytes the next call needs at the least (0: any),
     * so that a large payload is received whole; more than the listener's request_bytes_max closes
     * the connection. Not called while the link is paused: pausing from within returns at once
     * what was used. */
    size_t (*received)(struct link *l, struct bytes in, size_t *want);
    /* All output has been taken by the socket (after there was `pending` at the end of a turn, or
     * the door has set `awaited` since the last time). */
    void (*drained)(struct link *l);
    /* It is over, whoever ended it; the link is invalid afterwards. */
    void (*closed)(struct link *l);
    /* The server stops: say what is to be said; the link ends LINK_AFTER_OUTPUT after that. */
    void (*stopping)(struct link *l);
};

/* Asks for a send at the end of the turn. */
static inline void link_ready(struct link *l)
{
    if (!l->dirty) {
        l->dirty = true;
        l->ops->ready(l);
    }
}

/* Room for at least `size` bytes in one piece, to be filled and committed at once; NULL when out of
 * memory (the door should end the link). */
static inline uint8_t *link_reserve(struct link *l, size_t size)
{
    return likely((size_t)(l->end - l->at) >= size) ? l->at : l->ops->grow(l, size);
}

static inline void link_commit(struct link *l, size_t size)
{
    l->at += size;
    l->pending += size;
    l->out_bytes += size;
    link_ready(l);
}

MUST static inline bool link_write(struct link *l, const void *from, size_t size)
{
    uint8_t *to = link_reserve(l, size);
    if (to == NULL)
        return false;
    memcpy(to, from, size);
    link_commit(l, size);
    return true;
}

/* Bytes that stay where they are until they are sent; takes its own count of `hold`. For large
 * payloads: below some KiB a copy is cheaper. */
MUST static inline bool link_lend(struct link *l, struct bytes piece, struct store_hold *hold)
{
    return l->ops->lend(l, piece, hold);
}

/* Bytes that this thread can keep where they are until the end of the turn; takes its own count of
 * `loan`. What the socket does not take then is copied. For payloads of some hundred bytes. */
MUST static inline bool link_borrow(struct link *l, struct bytes piece, struct loan *loan)
{
    return l->ops->borrow(l, piece, loan);
}

/* Stops and continues reading; both may be called at any time. */
static inline void link_pause(struct link *l) { l->ops->pause(l); }
static inline void link_resume(struct link *l) { l->ops->resume(l); }

/* Ends it, at the end of the turn; closed() runs then. */
static inline void link_end(struct link *l, enum link_end how) { l->ops->end(l, how); }

#endif

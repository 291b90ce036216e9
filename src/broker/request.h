/* SPDX-License-Identifier: MIT */
/*
 * A request: one frame of a connection on its way through a door, and its reply.
 *
 * It lives on the thread of its connection (`home`). A parked request may be handed to other
 * threads as mail; whoever has it may use its arena; request_return brings it home. It lives until
 * it is completed, even when its connection has died meanwhile (an orphan): the reply is then
 * thrown away.
 *
 * `cancel` asks a parked or pipelined request to complete as soon as it can (now, or later when
 * another thread has it): its connection died, its peer will send no more, or the server stops.
 */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "base/arena.h"
#include "base/list.h"
#include "broker/shard.h"

enum verdict {
    REQ_DONE,      /* the reply is ready */
    REQ_PARKED,    /* later; the connection serves nothing else until then */
    REQ_PIPELINED, /* later; the connection goes on, replies keep their order */
    REQ_NO_REPLY,  /* served, nothing is sent */
    REQ_CLOSE,     /* the connection is to be closed */
};

/* One piece of a reply: memory (of the arena, or held by `release`) or a file range. */
struct reply_piece {
    struct reply_piece *next;
    const uint8_t *at;   /* NULL: a file range */
    int file;
    uint64_t position;
    size_t size;
    void (*release)(void *context); /* when sent or given up; NULL: nothing */
    void *context;
};

struct conn;

struct request {
    struct mail mail;
    struct shard *home;
    struct arena arena;
    struct bytes frame;        /* without its size; memory that the request holds */
    const char *peer;          /* the client's address as text */
    const char *listener;      /* name of the listener it came in on */
    int64_t received_ns;
    void *door_state;
    void **session;            /* what the door keeps for the connection; NULL: orphan */
    void (*cancel)(struct request *); /* home thread, once: see below; may be NULL */
    void (*then)(struct request *);   /* what request_return runs */
    void *work;                /* of whoever parked it */
    int32_t mute_ms;           /* set with the verdict or before completing: nothing more of its
                                  connection is served for so long */

    /* net's */
    struct conn *conn;         /* NULL: orphan */
    struct list node;          /* in its connection, in order of arrival */
    struct reply_piece *reply, **reply_end;
    void *buffer;              /* the receive buffer that `frame` points into; NULL: the arena */
    size_t charged;            /* bytes of it in its connection's budget */
    struct conn *origin;       /* whose memory `peer` is; lives as long as its requests */
    bool serving;              /* serve() has not returned yet */
    enum verdict state;        /* PARKED and PIPELINED until completed */
    bool complete;
};

struct link_door;

/* A door: what a listener speaks, requests in frames or a stream of bytes. */
struct door {
    const char *name;
    const struct link_door *link; /* a stream: broker/link.h; the rest is not used then */
    enum verdict (*serve)(struct request *r);
    void (*closed)(void *session); /* reactor: a connection with a session is over; may be NULL */
};

/* Adds to the reply; false when out of memory (`release` does not run then). */
MUST bool request_reply_bytes(struct request *r, struct bytes piece);
/* Memory that `release` lets go of when it is sent or given up. */
MUST bool request_reply_held(struct request *r, struct bytes piece,
                             void (*release)(void *context), void *context);
MUST bool request_reply_file(struct request *r, int file, uint64_t position, size_t size,
                             void (*release)(void *context), void *context);

static inline bool request_orphan(const struct request *r) { return r->conn == NULL; }

/* Home thread: ends a parked or pipelined request with DONE, NO_REPLY or CLOSE. The request belongs
 * to net/ from here on. From within serve() too, which then returns PARKED or PIPELINED. */
void request_complete(struct request *r, enum verdict v);
/* net/ hands in what completing means for it, once, before the reactors run. */
void request_completer(void (*complete)(struct request *r, enum verdict v));

/* Any thread: brings the request home and runs `then` there. */
void request_return(struct request *r, void (*then)(struct request *));

/* Home thread: hands the request to another shard, where `work` runs. */
void request_send(struct request *r, struct shard *to, void (*work)(struct request *));

#endif

/* SPDX-License-Identifier: MIT */
/* Reactors and connections (private to net/). All fields belong to the reactor's thread. */
#ifndef NET_PRIVATE_H
#define NET_PRIVATE_H

#include "broker/link.h"
#include "net/look.h"
#include "net/net.h"

#define CONN_MAGIC 0x434f4e4eu
#define STREAM_MAGIC 0x4c494e4bu
#define PIPELINE_MAX 256      /* requests of one connection under way */
#define POOL_MAX 64           /* requests kept for reuse by a reactor */
#define SPARE_MAX 16          /* receive buffers kept for reuse by a reactor ... */
#define SPARE_BYTES_MAX MiB(8) /* ... and their size; given back after a second without use */
#define RECEIVE_MIN KiB(64)   /* a receive buffer's first size */
#define EXACT_MIN KiB(16)     /* from here on only the rest of a frame is asked for */
#define SMALL_FRAME KiB(2)    /* copied into the request, so that it does not hold a buffer */
#define STASH_MAX KiB(4)      /* a rest up to here waits in a buffer of its size */
#define CONNECTION_BYTES_MAX ((int64_t)MiB(16))
#define REQUEST_ARENA_MAX MiB(256)

/* Received bytes, shared by the connection and the requests whose frames lie in it. */
struct buffer {
    struct reactor *reactor;
    uint32_t holds;
    struct loan loan;        /* counts as one hold while somebody looks at it */
    size_t room, used;
    uint8_t at[];
};

/* A piece of a link's output: bytes of its own and, at marks, those it borrowed. Marks stand at the
 * end of the room, the first one last. */
struct chunk {
    struct chunk *next;
    const uint8_t *at;
    size_t size;             /* of the last one: known when another follows */
    size_t room;             /* of its own: a multiple of 8 */
    struct store_hold *hold; /* lent bytes; NULL: its own */
    int class;               /* index of its size; CHUNK_CLASSES: none of those */
    uint32_t mark_count;
    _Alignas(8) uint8_t own[];
};

struct mark {
    const uint8_t *at;
    struct loan *loan;       /* NULL: a later mark has the count, or it is sent */
    uint32_t size;
    uint32_t before;         /* own bytes that come first */
};

/* How far a chunk is sent: own bytes, marks, bytes of the mark that is next. */
struct place {
    size_t own, part;
    uint32_t mark;
};
#define CHUNK_CLASSES 3

/* What a connection has beyond its own when its door speaks a stream. */
struct stream {
    uint32_t magic;
    bool opened;             /* the door knows it */
    bool paused;             /* the door wants no more for now */
    struct conn *conn;
    struct link link;
    size_t want;             /* bytes that the door needs before it is asked again */
    struct chunk *first, *last;
    struct place sent;       /* of the first chunk */
    bool borrowed;           /* there are marks, maybe */
};

struct conn {
    uint32_t magic;
    int fd;                    /* -1: closed, lives on for its orphans */
    struct reactor *reactor;
    const struct net_listener *listener;
    struct mail mail;          /* from the accepting reactor */
    struct list node;          /* in the reactor, least recently active first */
    struct list ready;         /* in reactor->flushing when replies wait to be sent */
    struct list hungry;        /* in reactor->hungry: receive memory is used up */
    struct list requests;      /* struct request.node, in order of arrival */
    int request_count;
    int orphan_count;          /* requests that outlive it */
    int64_t active_ns;
    int64_t hungry_ns;         /* since when it could not receive; 0: it can */
    struct buffer *buffer;     /* NULL while nothing is half received */
    size_t parsed;             /* bytes of the buffer that became requests */
    size_t usual;              /* size of recent frames: what it may get a buffer for at once */
    size_t charged;            /* bytes of all its requests */
    struct reply_piece *sending; /* piece half sent, of the first request */
    size_t sent;               /* bytes of it */
    void *session;             /* the door's */
    struct stream *stream;     /* NULL: its door speaks frames */
    unsigned polled;           /* OS_ bits registered */
    bool unsent;               /* replies wait for the socket to take more */
    bool blocked;              /* parked request, unsent output, too much under way: wait */
    bool half_closed;          /* the peer said that it sends no more; bytes may be left */
    bool ended;                /* nothing more is read */
    bool closing;              /* close now, the rest of the replies is void */
    bool muted;                /* until `unmute`: its door asked for it */
    struct shard_timer unmute;
    char address[OS_ADDRESS_SIZE];
};

struct reactor {
    struct shard shard;
    struct net *net;
    int index;
    int poller;
    int alarm;                 /* wakes it for timers that are not near */
    int64_t alarm_ns;          /* when; 0: not set */
    int64_t busy_ns;           /* the last turn that had something to do */
    struct look look;
    struct os_thread *thread;
    struct mail stop;          /* wakes it when the net stops */
    struct list conns;         /* struct conn.node */
    struct list flushing;      /* struct conn.ready */
    struct list hungry;        /* struct conn.hungry */
    struct list pool;          /* struct request.node, free */
    int pool_count;
    int outstanding;           /* requests parked or pipelined */
    struct buffer *spare[SPARE_MAX]; /* receive buffers, free */
    int spare_count;
    size_t spare_bytes;
    struct chunk *chunks[CHUNK_CLASSES]; /* of links, free */
    int chunk_count[CHUNK_CLASSES];
    uint8_t *copies;           /* of file ranges that are sent with others; NULL: none lately */
    bool spare_used;           /* since the last look */
    struct shard_timer trim;   /* gives spare buffers back */
    struct shard_timer idle;   /* closes the least recently active connection */
    struct shard_timer feed;   /* lets hungry connections try again */
    struct shard_timer unpause; /* first reactor: accepts again */
    bool paused;
    bool stopping;
    bool through;              /* has nothing of its own left; serves the mail of others */
    int64_t stop_ns;
};

struct net {
    struct net_options options;
    int listen_fd[NET_LISTENERS], port[NET_LISTENERS];
    int listener_of[NET_LISTENERS]; /* contexts for the poller */
    int reserve_fd;            /* given up to turn a connection away when descriptors run out */
    int next_reactor;
    _Atomic int connections;
    _Atomic int connections_max, connections_per_ip_max; /* net_limit */
    _Atomic int64_t receive_bytes;
    _Atomic bool stopping;
    _Atomic bool looking;      /* a reactor looks instead of sleeping */
    _Atomic int busy;          /* while stopping: reactors that are not through */
    int64_t grace_ns;
    bool started;
    struct shard **shards;
    struct address_table *addresses;
    int reactor_count;
    struct reactor *reactors;
};

/* conn.c */
void conn_begin(struct conn *c);         /* on its reactor */
void conn_event(struct conn *c, unsigned what);
void conn_close(struct conn *c);
void conn_serve(struct conn *c);         /* cuts frames that are there and serves them */
void conn_poll(struct conn *c);          /* registers what it waits for */
void conn_active(struct conn *c);        /* something moved */
void conn_cancel(struct conn *c);        /* asks what is under way to be quick */
void conn_charge(struct conn *c, struct request *r);
void conn_mute(struct conn *c, struct request *r); /* if the request's door asked for it */
void conn_orphan_gone(struct conn *c);

/* receive.c */
MUST enum outcome conn_receive(struct conn *c, size_t *got);
void conn_release_buffer(struct conn *c);
void conn_stash(struct conn *c);         /* a short rest moves to a buffer of its size */
void buffer_drop(struct buffer *b);
void buffers_trim(struct reactor *r);    /* frees the spare ones */

/* send.c */
void conn_ready(struct conn *c);         /* a reply may be sent at the end of the turn */
void conn_flush(struct conn *c);
void copies_trim(struct reactor *r);

/* link.c */
MUST bool link_open(struct conn *c);     /* false: close it */
void link_over(struct conn *c);
void link_stop(struct conn *c);          /* the server stops */
bool link_blocked(const struct conn *c);
size_t link_wants(const struct conn *c);
void link_receive(struct conn *c);       /* gives what is there to the door */
void link_flush(struct conn *c);
void chunks_trim(struct reactor *r);

/* reactor.c */
struct request *reactor_take(struct reactor *r);
void reactor_give(struct reactor *r, struct request *q);
void reactor_main(void *context);
void reactor_init(struct reactor *r);
void reactor_keep_spares(struct reactor *r);  /* a spare buffer came: see to it that it goes */
void reactor_keep_hungry(struct reactor *r);

/* accept.c */
void net_accept(struct net *net, int listener);
void net_unpause(struct shard_timer *timer, int64_t now_ns);
void net_forget(struct net *net, struct conn *c);

/* addresses.c: connections for each client address; any reactor */
struct address_table;
struct address_table *addresses_new(void);
void addresses_free(struct address_table *t);
MUST bool addresses_enter(struct address_table *t, const char *address, int most);
void addresses_leave(struct address_table *t, const char *address);

#endif

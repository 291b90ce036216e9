/* SPDX-License-Identifier: MIT */
/*
 * What the files of the door share: the door, its part on each reactor, connections and
 * subscriptions. All fields of a session, a subscription and a nats_shard are of one reactor's
 * thread; figures may be read by others.
 */
#ifndef NATS_PRIVATE_H
#define NATS_PRIVATE_H

#include "base/check.h"
#include "base/list.h"
#include "broker/link.h"
#include "nats/auth.h"
#include "nats/nats.h"
#include "nats/parse.h"
#include "nats/record.h"
#include "nats/timer.h"
#include "watch/watch.h"

#define NATS_ID_SIZE 57        /* a server's id: 56 characters of base32 */
#define NATS_NONCE_SIZE 16     /* 15 characters */
#define NATS_BUSY_BYTES MiB(1) /* output that waits before a subscription keeps a backlog */
#define NATS_STALLS 256        /* power of two: subjects whose publishers are slowed, by hash */
/* Payloads from these sizes on are not copied into the output: they stay where they came in, for
 * the turn; they are copied once, for all. */
#define NATS_BORROW_BYTES 512
#define NATS_LEND_BYTES KiB(16)

enum nats_count {
    NATS_IN_MESSAGES, NATS_OUT_MESSAGES, NATS_IN_BYTES, NATS_OUT_BYTES, NATS_SLOW, NATS_STALE,
    NATS_AUTH_FAILED, NATS_PROTOCOL_ERRORS, NATS_SUBS_MADE, NATS_SUBS_GONE, NATS_COUNTS
};

struct nats_session;
struct nats_sum;
struct partition;
struct topic;

/* sums.h: by topic, what became of the messages for its subscriptions. */
#define NATS_SUM_LISTS 64
struct nats_sums {
    struct list lists[NATS_SUM_LISTS]; /* struct nats_sum.node, by hash */
    size_t count;
};

struct nats_shard {
    struct nats *nats;
    struct shard *shard;
    struct live_shard *live;
    struct list sessions;         /* nats_session.node */
    struct list held;             /* nats_session.held: publishers that wait for room */
    struct list pressed;          /* nats_session.pressed: their sockets take little */
    struct nats_routes *routes;   /* topic.c: patterns of topics; NULL: none were asked for yet */
    struct nats_scratch scratch;  /* of records that become messages and the other way round */
    struct list batches;          /* topic.c: what was published to topics in this turn */
    struct nats_sums sums;
    struct list taps_held;        /* tap.c: taps that wait for room */
    struct nats_timers timers;    /* of messages that are out */
    struct list consumers;        /* consumer.c: durable consumers it owns */
    int consumer_count;
    struct nats_sub *dead;        /* removed in this turn, freed at its end */
    struct shard_hook flush, bury, append;
    struct shard_timer sweep;     /* while somebody is pressed */
    struct list stalled;          /* nats_session.stalled: publishers that are slowed */
    struct shard_timer stall;     /* while there are any */
    struct mail lame_duck;
    struct shard_timer duck_timer; /* closes one connection after the other */
    int64_t duck_step_ns;
    size_t plenty;                /* output of a link from which on more is looked at closely */
    size_t tail_of;               /* the size that `tail` says */
    uint8_t tail_size;
    char tail[16];
    _Atomic uint64_t counts[NATS_COUNTS];
} CACHE_ALIGNED;

struct nats {
    struct nats_options options;
    struct broker *broker;        /* whose settings change; NULL: the options are all there is */
    struct nats_limits limits;
    struct live *live;
    struct nats_users *users;     /* NULL: everyone may do everything */
    struct nats_checker *checker; /* of hashed passwords; NULL: there are none */
    struct nats_shard *shards;
    int64_t started_ms;
    char id[NATS_ID_SIZE];
    char *host, *name;
    struct bytes info;            /* what INFO says to everyone, without the last brace */
    _Atomic uint64_t last_cid;
    _Atomic int64_t connections;
    _Atomic bool lame_duck;
    /* Until when (monotonic ns) publishers are slowed: any, and those to subjects of a hash. */
    _Atomic int64_t stalling_until, stall_until[NATS_STALLS];
    /* A subject that names a topic: true when the message went into its log, from where it reaches
     * its subscribers. NULL: there are no topics. */
    bool (*publish_topic)(struct nats_session *s, struct live_message *m);
    /* The queue that subscribers of a service's subject share, size 0: it is none; and what is told
     * of them. NULL: there are no services. */
    struct bytes (*service_queue)(struct bytes subject);
    void (*subscribed)(struct nats_shard *h, struct bytes subject);
};

/* Subscriptions of a connection by sid: open addressing, linear probing. */
struct nats_subs {
    struct nats_sub **slots;
    uint32_t mask, count;         /* mask 0: no table yet */
};

/* The subject that a connection published to last, if it may, and it is no topic's and its messages
 * have no time to live by themselves: as long as the view of the topics, the settings and the user
 * are those it was found with. */
#define NATS_LAST_SIZE 96
struct nats_last {
    uint32_t size;                /* 0: nothing */
    const struct view *view;
    uint64_t serial;              /* of the view's image: addresses come again */
    const struct config *config;
    const struct nats_user *user;
    struct live_aim aim;
    uint8_t subject[NATS_LAST_SIZE];
};

struct nats_session {
    struct link *link;
    struct nats_shard *home;
    struct list node, held, pressed, stalled;
    struct list busy;             /* busy: head of live_sub.busy */
    struct live_held held_by;     /* while is_held */
    struct nats_subs subs;
    const struct nats_user *user; /* NULL: nobody in particular */
    struct nats_replies *replies; /* subjects it may answer to; NULL: none so far */
    struct nats_check *check;     /* its password is being checked: nothing is read meanwhile */
    char *about;                  /* name, lang, version, user: four terminated strings, or NULL */
    struct shard_timer timer;     /* to identify itself, then pings */
    uint64_t cid;
    int64_t opened_ms, last_in_ns, last_in_ms, ping_ns, rtt_ns;
    uint64_t in_messages, out_messages, in_bytes, out_bytes;
    uint64_t sent_mark;           /* while pressed: what was sent when there was progress last */
    int64_t mark_ns;
    uint64_t stall_mark;          /* what it had published when it was slowed last */
    struct nats_last *last;       /* NULL: it has not published yet */
    struct partition *slow_for;   /* held; it publishes there, and is slowed until there is room */
    int64_t slow_until;           /* monotonic ns: or until then */
    uint8_t protocol, pings_out;
    bool verbose : 1, pedantic : 1, echo : 1, headers : 1, no_responders : 1;
    bool connected : 1;           /* CONNECT was seen */
    bool authorized : 1;
    bool first_pong : 1, closing : 1, is_held : 1, is_pressed : 1, is_stalled : 1;
    bool counted : 1;
    char nonce[NATS_NONCE_SIZE];  /* "": none was given */
};

static inline struct bytes nats_last_subject(const struct nats_session *s)
{
    return s->last == NULL ? (struct bytes){0} : bytes_view(s->last->subject, s->last->size);
}

struct nats_sub {
    struct live_sub live;         /* live.owner: its session */
    struct nats_sub *next_dead;
    struct nats_sum *sum;         /* of its topic; NULL: it is not one topic's */
    uint64_t delivered, max;      /* max 0: no end */
    uint32_t hash;
    uint16_t sid_size, subject_size, queue_size;
    bool filtered;                /* some subjects under it are denied to its user */
    char text[];                  /* sid, a blank, subject, queue */
};

static inline struct bytes nats_sub_sid(const struct nats_sub *sub)
{
    return bytes_view(sub->text, sub->sid_size);
}

static inline struct bytes nats_sub_subject(const struct nats_sub *sub)
{
    return bytes_view(sub->text + sub->sid_size + 1, sub->subject_size);
}

static inline struct bytes nats_sub_queue(const struct nats_sub *sub)
{
    return bytes_view(sub->text + sub->sid_size + 1 + sub->subject_size, sub->queue_size);
}

static inline void nats_count(struct nats_shard *h, enum nats_count which, uint64_t n)
{
    watch_add(&h->counts[which], n);
}

/* The door that is open, NULL: none. */
extern struct nats *nats_door_open;

/* ---- session.c ---- */

/* Sends -ERR with one of the protocol's texts; clients give up on any other. */
COLD void nats_error(struct nats_session *s, const char *text);
/* Ends the connection, after -ERR `text` if that is not NULL. */
COLD void nats_end(struct nats_session *s, const char *text);
COLD void nats_slow_consumer(struct nats_session *s);
/* Writes, and ends the connection when there is no memory for it. */
void nats_say(struct nats_session *s, struct bytes text);

/* ---- info.c ---- */

enum nats_info { NATS_INFO_FIRST, NATS_INFO_CONNECTED, NATS_INFO_LAME_DUCK };
/* Makes nats->info. */
MUST enum outcome nats_info_make(struct nats *n);
void nats_info_send(struct nats_session *s, enum nats_info which);
/* ---- connect.c ---- */

/* CONNECT's JSON; answers and ends the connection where that is due. */
void nats_connect(struct nats_session *s, struct bytes json);

/* ---- sub.c ---- */

void nats_subscribe(struct nats_session *s, const struct nats_op *op);
void nats_unsubscribe(struct nats_session *s, const struct nats_op *op);
/* Out of the table and the engine at once; freed at the end of the turn. */
void nats_sub_remove(struct nats_session *s, struct nats_sub *sub);
void nats_subs_clear(struct nats_session *s);
void nats_bury(struct nats_shard *h);
/* A plain subscription of the connection that a subject falls under, NULL: none. */
struct nats_sub *nats_sub_for(struct nats_session *s, struct bytes subject);

/* ---- deliver.c ---- */

enum live_taken nats_deliver(struct live_sub *sub, const struct live_message *m);
void nats_overflowed(struct live_sub *sub);

/* ---- publish.c ---- */

/* Large ones get a hold first: then all who get it share one copy. `aim`: of one that publishes to
 * this subject again and again, or NULL. */
void nats_fan_out(struct nats_shard *h, const struct live_message *m, struct live_aim *aim,
                  const void *but_not, struct live_reach *reach);
void nats_publish(struct nats_session *s, const struct nats_op *op);
void nats_hold(struct nats_session *s, const struct live_held *by);
void nats_go_on(struct nats_shard *h); /* those held that have room again */

/* ---- header.c ---- */

/* The value of the first header of that name, at NULL: none. */
struct bytes nats_header(struct bytes headers, const char *name);
/* Whole seconds ("30") or a duration as Go writes it ("1m30s"); false: neither. */
bool nats_duration(struct bytes text, int64_t *ms);
/* The deadline that a Nats-TTL gives; 0: none, or not a time to live. */
int64_t nats_deadline(struct bytes headers, int64_t wall_ms);

/* ---- keep.c ---- */

void nats_keep_alive(struct nats_session *s); /* starts the timer for what is due next */
void nats_first_ping(struct nats_session *s);
void nats_pressed(struct nats_session *s);
void nats_relieved(struct nats_session *s);
/* Much waits for a subscriber: those who publish this subject are slowed for a moment. */
void nats_stall_note(struct nats_shard *h, struct bytes subject);
/* It has just published this. */
COLD void nats_stall(struct nats_session *s, struct bytes subject);
/* It publishes to a partition that is held back: it waits for that to end, but not longer. */
COLD void nats_slow(struct nats_session *s, struct partition *p, int32_t most_ms);
/* What it waits for is no longer of interest. */
void nats_slow_over(struct nats_session *s);
void nats_duck(struct mail *mail);

#endif

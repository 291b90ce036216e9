/* SPDX-License-Identifier: MIT */
/*
 * Live fan-out: who gets a published message, now. Subjects are tokens separated by dots;
 * subscriptions may hold `*` (one token) and `>` (the rest, at least one). Knows no sockets, no
 * topics and no clock: the doors above deliver, the caller says what time it is.
 *
 * Threads. A subscription belongs to one shard (a reactor's thread) and is touched by no other. The
 * subject tree is shared, under a lock that publishing does not take: each shard keeps the results
 * of recent look-ups, good while the tree's generation stands. A message for subscriptions of other
 * shards is carried over in batches (live_flush, once in a turn), a large one copied once and held
 * by all of them; each shard delivers to its own. Order is kept for each publisher and
 * subscription.
 *
 * Accounts. For each subscription, at any time:
 *     matched = delivered + dropped (by reason) + expired + pending
 * where pending are messages in its backlog. While deliver() runs, its message is counted as
 * delivered. A message that was past its deadline when it was published matched nobody.
 */
#ifndef LIVE_LIVE_H
#define LIVE_LIVE_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/loan.h"
#include "base/outcome.h"
#include "os/os.h"
#include "store/store.h"

#define LIVE_SHARDS_MAX 64
#define LIVE_SUBJECT_MAX 2048 /* bytes of a subject */

/* ---- subjects ---- */

/* No empty token, no white space, no control bytes; wildcards are tokens of their own. */
enum live_subject { LIVE_LITERAL, LIVE_WILDCARD, LIVE_BAD };
enum live_subject live_subject_kind(struct bytes subject);
/* Whether a literal subject falls under a pattern. */
bool live_matches(struct bytes pattern, struct bytes subject);
/* Whether every subject of `inner` (it may hold wildcards) falls under `pattern`; whether there is
 * any that falls under both. */
bool live_covers(struct bytes pattern, struct bytes inner);
bool live_overlaps(struct bytes a, struct bytes b);

/* ---- messages ---- */

/* One published message. Views: good for the call, unless `hold` keeps them. */
struct live_message {
    struct bytes subject, reply;  /* reply.size 0: none */
    struct bytes headers;         /* a whole NATS header block, or size 0 */
    struct bytes payload;
    int64_t deadline_ms;          /* wall clock; 0: never expires */
    int64_t offset;               /* in its topic; -1: it is in none */
    int64_t timestamp_ms;
    struct store_hold *hold;      /* keeps the bytes; NULL: they are the caller's, for this call */
    struct loan *loan;            /* keeps the payload for this thread's turn; or NULL */
};

/* A copy with a hold of its own (one count, the caller's). OUT_NO_MEMORY. Any thread. */
MUST enum outcome live_message_copy(const struct live_message *from, struct live_message *to);

/* ---- subscriptions ---- */

enum live_overflow {
    LIVE_DISCONNECT,  /* the door closes the slow consumer, NATS's own way */
    LIVE_DROP_OLDEST,
    LIVE_DROP_NEWEST,
    LIVE_BLOCK,       /* publishers are held until there is room */
};

enum live_reason { LIVE_DROPPED_OLDEST, LIVE_DROPPED_NEWEST, LIVE_DROPPED_GONE, LIVE_REASONS };

struct live_account {
    uint64_t matched, delivered, expired, pending;
    uint64_t dropped[LIVE_REASONS];
};

static inline void live_account_add(struct live_account *to, const struct live_account *a)
{
    to->matched += a->matched;
    to->delivered += a->delivered;
    to->expired += a->expired;
    to->pending += a->pending;
    for (int why = 0; why < LIVE_REASONS; why++)
        to->dropped[why] += a->dropped[why];
}

struct live;
struct live_shard;
struct live_node;
struct live_backlog;
struct live_sub;
struct cache_entry;

/* What a delivery came to. */
enum live_taken {
    LIVE_TAKEN,  /* it is on its way out */
    LIVE_BUSY,   /* the connection takes no more now: keep it in the backlog */
    LIVE_CLOSED, /* the connection is going away */
};

/* One subscription. Memory of the door; all fields are the shard's thread's. */
struct live_sub {
    struct live_shard *shard;     /* NULL: not subscribed */
    enum live_taken (*deliver)(struct live_sub *sub, const struct live_message *m);
    void (*overflowed)(struct live_sub *sub); /* LIVE_DISCONNECT: its backlog is full; once */
    void *owner;                  /* the door's: its connection */
    uint8_t overflow;             /* enum live_overflow */
    uint32_t backlog_max;         /* messages; 0: no limit but the owner's own */
    struct live_account *total;   /* of the same shard: counted along with its own, there as long as
                                     something may be delivered to it; NULL: none */
    /* live's own */
    uint32_t index;               /* of the shard's table: what other threads name it by */
    uint32_t serial;
    struct live_node *node;
    struct list in_node;
    struct live_backlog *backlog; /* NULL while it keeps up */
    struct list busy;             /* the owner's: in its list of those to drain, see live_drain */
    struct live_account account;
};

/* Shard's thread. `pattern` and `queue` are copied into the tree. OUT_INVALID: a bad subject,
 * OUT_NO_MEMORY. The fields up to `total` are set before. */
MUST enum outcome live_subscribe(struct live_shard *s, struct live_sub *sub, struct bytes pattern,
                                 struct bytes queue);
/* Its backlog is dropped (LIVE_DROPPED_GONE), its account stays to be read. Nothing if it is not
 * subscribed. Allowed from within any `deliver` and `overflowed` of its shard, its own too; its
 * memory may go with the call, but in its own `deliver` not before that has returned. */
void live_unsubscribe(struct live_sub *sub);

/* Shard's thread: the owner takes messages again. Delivers from the backlog until LIVE_BUSY; true
 * when the backlog is empty (or the subscription left). Expired ones are counted and skipped.
 * A deliver() that says LIVE_BUSY may put `sub->busy` into a list of its owner (it is called again
 * only by live_drain); live takes it out when the backlog is empty and at live_unsubscribe. */
bool live_drain(struct live_sub *sub, int64_t wall_ms);

/* ---- publishing ---- */

/* What a publisher is held by: bits of shards that are far behind with what is under way to them,
 * and of those where a LIVE_BLOCK subscription that takes its message is full; the name of one of
 * this shard. */
struct live_held {
    uint64_t behind, full;
    uint32_t index, serial; /* serial 0: none */
};

/* What became of a publication, as far as this call knows. */
struct live_reach {
    uint32_t delivered;  /* subscriptions of this shard that have it, backlog included */
    uint32_t forwarded;  /* other shards that have takers for it */
    bool blocked;        /* hold this publisher until live_room_for(); nothing is lost of what it
                            published, but what it publishes before costs memory */
    struct live_held held; /* by what, if blocked */
};

/* Shard's thread. Plain subscriptions get it all, of each queue group one member does, chosen at
 * random. `but_not`: an owner whose subscriptions are passed over (NATS's echo=false), or NULL. A
 * message past its deadline reaches nobody. */
void live_publish(struct live_shard *s, const struct live_message *m, const void *but_not,
                  struct live_reach *reach);

/* The same from one who publishes to a subject again and again: where it went last. Zeroed: not
 * known. The caller zeroes it when the subject is another one. Figures are shown by live_flush. */
struct live_aim {
    const struct cache_entry *entry;
    uint64_t serial;
    uint32_t hash;
};
void live_publish_again(struct live_shard *s, const struct live_message *m, struct live_aim *aim,
                        const void *but_not, struct live_reach *reach);

/* Whether anyone, on any shard, would get a message with this literal subject. */
bool live_interest(struct live_shard *s, struct bytes subject);

/* Shard's thread, once at the end of each turn in which it published: sends what other shards are
 * to deliver. */
void live_flush(struct live_shard *s);

/* Whether a publisher that was told `blocked` may go on. Shard's thread; live_options.unblocked is
 * called on it when that may have changed. live_room: whether all of them may; better ask for each
 * one, so that a subscription that never takes anything holds only those who publish to it. */
bool live_room_for(struct live_shard *s, const struct live_held *held);
bool live_room(struct live_shard *s);

/* ---- the engine ---- */

struct live_options {
    int shard_count;
    /* Hands mail to a shard's thread (mail->deliver runs there). */
    void (*post)(void *context, int shard, struct mail *mail);
    /* Asks for live_flush(s) at the end of this turn, on the shard's thread. */
    void (*want_flush)(void *context, int shard);
    /* A shard that was blocked may have room again; on its thread. */
    void (*unblocked)(void *context, int shard);
    /* The wall clock of this turn, on the shard's thread. */
    int64_t (*wall_ms)(void *context, int shard);
    void *context;
    size_t forward_bytes_max;   /* under way to one shard before publishers are held; 0: 16 MiB */
    uint64_t seed;              /* of the choice among queue members */
};

MUST enum outcome live_new(const struct live_options *o, struct live **live);
/* When no shard runs, nobody is subscribed, and mail that was posted is delivered. */
void live_free(struct live *live);
struct live_shard *live_shard(struct live *live, int index);

struct live_figures {
    uint64_t subscriptions, cache_hits, cache_misses, published, bytes_published;
    uint64_t no_memory;          /* look-ups and forwards that memory ran out for */
    struct live_account account; /* of all subscriptions, those that are gone included */
};
/* Any thread; a moment old. */
void live_figures(struct live *live, struct live_figures *f);

#endif

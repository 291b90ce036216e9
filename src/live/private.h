/* SPDX-License-Identifier: MIT */
/*
 * What the files of live/ share. A subscription is named between threads by (shard, index, serial):
 * its slot in the shard's table and which user of that slot it is, so that a name outlives what it
 * names and nobody follows a stale pointer.
 */
#ifndef LIVE_PRIVATE_H
#define LIVE_PRIVATE_H

#include "live/live.h"

#include <pthread.h>

/* ---- tree ---- */

enum node_kind {
    NODE_ROOT,    /* of the patterns with wildcards */
    NODE_LITERAL, /* a whole subject without wildcards; it has no parent */
    NODE_TOKEN, NODE_STAR, NODE_REST, /* a token of a pattern with wildcards, below its prefix */
    NODE_GROUP,   /* a queue group of its parent's pattern */
};

enum { HAS_STAR = 1, HAS_REST = 2 };

/* All under the tree's lock. */
struct live_node {
    struct live_node *parent;
    struct live_node *groups; /* its first queue group; of a group: the next one */
    struct list subs;         /* struct live_sub.in_node, of all shards */
    uint32_t hash;
    uint32_t children;        /* nodes below it, groups apart; of a group: its id */
    uint16_t size;
    uint8_t kind;             /* enum node_kind */
    uint8_t has;              /* HAS_ bits */
    uint8_t name[];
};

struct node_slot {
    struct live_node *node; /* NULL: free */
    uint32_t hash;
};

struct live_tree {
    pthread_rwlock_t lock;
    _Atomic uint64_t generation; /* one up at every change */
    struct node_slot *slots;     /* every node but the root, by parent, kind and name */
    uint32_t mask, count;
    uint32_t group_id;
    struct live_node *root;
};

/* What a look-up found. */
struct sub_name {
    uint32_t index, serial;
};

struct group_member {
    uint16_t shard;
    bool blocks; /* LIVE_BLOCK */
    struct sub_name name;
};

struct group_match {
    uint32_t id, first, count; /* members [first, first + count) of the match */
};

struct match {
    struct sub_name *own;         /* plain subscriptions of the shard that looked */
    struct group_match *groups;
    struct group_member *members; /* of all shards */
    uint32_t own_count, group_count, member_count;
    uint64_t others;              /* bits of other shards with plain subscriptions */
    uint64_t blockers;            /* those of them that have LIVE_BLOCK ones */
};

/* A match that is being put together; its arrays grow. */
struct scratch {
    struct match m;
    uint32_t own_room, group_room, member_room;
    bool failed; /* no memory: something is missing */
};

void scratch_fini(struct scratch *x);

MUST enum outcome tree_init(struct live_tree *t);
void tree_fini(struct live_tree *t);
MUST enum outcome tree_add(struct live_tree *t, struct live_sub *sub, struct bytes pattern,
                           enum live_subject kind, struct bytes queue);
void tree_remove(struct live_tree *t, struct live_sub *sub);
/* The node of that key, NULL: none. */
struct live_node *tree_find(const struct live_tree *t, const struct live_node *parent,
                            enum node_kind kind, struct bytes name, uint32_t name_hash);
/* Who takes `subject`, as seen from `shard`; returns the generation that it is true of. */
uint64_t tree_match(struct live_tree *t, struct bytes subject, uint32_t hash,
                    const struct live_shard *shard, struct scratch *x);

/* Cuts the first token off `*rest`; `*rest` becomes null behind the last one. */
struct bytes subject_token(struct bytes *rest);
static inline bool token_is(struct bytes token, char wildcard)
{
    return token.size == 1 && token.at[0] == (uint8_t)wildcard;
}

/* ---- cache: one shard's recent look-ups ---- */

#define CACHE_SETS 256
#define CACHE_WAYS 4
#define CACHE_BYTES_MAX MiB(8)

struct cache_entry {
    uint64_t generation; /* 0: nothing */
    uint64_t serial;     /* which of the shard's look-ups it is of */
    struct match m;      /* in `memory`, behind the subject */
    uint8_t *memory;
    size_t room;
    uint32_t subject_size;
};

struct cache {
    uint32_t tags[CACHE_SETS][CACHE_WAYS];
    struct cache_entry entries[CACHE_SETS][CACHE_WAYS];
    size_t bytes;
    uint64_t serial; /* of the last look-up that was kept */
    uint32_t turn; /* which way is given up next */
};

void cache_fini(struct cache *c);
const struct match *cache_find(struct cache *c, struct bytes subject, uint32_t hash,
                               uint64_t generation);
/* Keeps a copy of `m`; NULL: no memory. Gives up an entry: nobody may be looking at one. */
const struct match *cache_keep(struct cache *c, struct bytes subject, uint32_t hash,
                               uint64_t generation, const struct match *m);

/* ---- forwarding ---- */

/* A message on its way to another shard, in a batch. serial 0: for that shard's plain
 * subscriptions; otherwise for the named member of a queue group. Behind it: the message with a
 * hold of its own (held), or its bytes. */
struct carried {
    uint32_t size;         /* with what is behind it; a multiple of 8 */
    uint32_t hash;         /* of the subject */
    struct sub_name member;
    uint64_t visited;      /* shards that had nobody to take it */
    uint32_t group;
    bool held;
    uint32_t subject, reply, headers, payload; /* sizes of the bytes */
    int64_t deadline_ms, offset, timestamp_ms;
};

struct batch {
    struct mail mail;
    struct loan loan;      /* the receiver's: of payloads that lie in it */
    struct lane *lane;
    size_t bytes;          /* with what is pointed at */
    uint32_t used, room;
    _Alignas(8) uint8_t at[];
};

/* From one shard to another. `batch` is the sender's; the atomics are both sides'. */
struct lane {
    struct live_shard *from, *to;
    struct batch *batch;       /* being filled, NULL when empty */
    size_t usual;              /* bytes that went in the last one */
    struct mail notice;        /* to the sender: there is room again */
    _Atomic size_t bytes;      /* under way */
    _Atomic bool wait_bytes;   /* a publisher of the sender is held by what is under way */
    _Atomic bool wait_full;    /* one is held by a full subscription of the receiver */
    _Atomic bool notice_out;   /* `notice` is in a mailbox */
} CACHE_ALIGNED;

/* ---- shards ---- */

struct sub_slot {
    struct live_sub *sub; /* NULL: free */
    uint32_t serial;      /* of the one that is here or was last */
    uint32_t next_free;   /* index + 1 */
};

/* The shard's own count, and the copy that other threads read: `sequence` is odd while it is being
 * written. */
struct tally {
    uint64_t subscriptions, cache_hits, cache_misses, published, bytes_published, no_memory;
    struct live_account account;
};
#define TALLY_WORDS (sizeof(struct tally) / sizeof(uint64_t))

struct shared_tally {
    _Atomic uint32_t sequence;
    _Atomic uint64_t words[TALLY_WORDS];
} CACHE_ALIGNED;

struct live_shard {
    struct live *live;
    uint32_t index;
    uint32_t depth;           /* of publications and deliveries that are being worked on */
    struct sub_slot *slots;
    uint32_t slot_count, slot_room, first_free; /* first_free: index + 1, 0: none */
    uint64_t random;
    struct tally tally;
    struct scratch scratch;
    struct live_account untold; /* total of subscriptions that have none */
    bool flush_wanted;
    bool untallied;           /* the tally was not shared since it changed; live_flush does it */
    bool room_made;           /* a full subscription got room or left, nobody was told yet */
    bool held;                /* a publisher is held because of a full subscription of ours */
    struct lane *lanes;       /* to each shard; its own place is unused */
    struct cache cache;
    struct shared_tally shared;
    _Atomic uint32_t full;    /* LIVE_BLOCK subscriptions without room; others read it */
};

struct live {
    struct live_options o;
    struct live_tree tree;
    struct live_shard *shards[LIVE_SHARDS_MAX];
};

/* The subscription of that name; NULL: it is gone. */
static inline struct live_sub *shard_sub(const struct live_shard *s, struct sub_name name)
{
    if (unlikely(name.index >= s->slot_count))
        return NULL;
    const struct sub_slot *slot = &s->slots[name.index];
    return slot->serial == name.serial ? slot->sub : NULL;
}

static inline uint32_t subject_hash(struct bytes subject)
{
    uint64_t h = bytes_hash(subject);
    return (uint32_t)(h ^ h >> 32);
}

uint32_t shard_random(struct live_shard *s, uint32_t below);

/* The match of `subject`: from the cache, else from the tree. `own`: for use when a publication
 * is under way already (it must not give up what the other is looking at); the caller ends it. */
const struct match *shard_look(struct live_shard *s, struct bytes subject, uint32_t hash,
                               struct scratch *own);

static inline int64_t shard_wall(const struct live_shard *s)
{
    return s->live->o.wall_ms(s->live->o.context, (int)s->index);
}

static inline void shard_want_flush(struct live_shard *s)
{
    if (s->flush_wanted)
        return;
    s->flush_wanted = true;
    s->live->o.want_flush(s->live->o.context, (int)s->index);
}

/* Lets other threads see the tally, once nothing is being worked on. */
void tally_share(struct live_shard *s);

/* ---- deliveries ---- */

/* A publication while it goes round; `kept` is a copy with a hold, made when one is needed. */
struct flight {
    const struct live_message *m;
    struct live_held held;    /* what its publisher is to be held by */
    uint32_t longest;         /* backlog of the subscription that `held` names */
    uint32_t hash;            /* of its subject */
    uint32_t shards;          /* others that it goes to, about; 0: not known */
    struct live_message kept; /* hold NULL: not made, and nothing of it is set */
};

static inline void flight_begin(struct flight *f, const struct live_message *m, uint32_t hash)
{
    f->m = m;
    f->held = (struct live_held){0};
    f->longest = 0;
    f->hash = hash;
    f->shards = 0;
    f->kept.hold = NULL;
}

/* The message with a hold; NULL: no memory. */
const struct live_message *flight_kept(struct flight *f);
static inline void flight_end(struct flight *f)
{
    if (unlikely(f->kept.hold != NULL))
        store_hold_drop(f->kept.hold);
}

/* ---- backlog ---- */

/* Messages that a subscription couldn't take yet: a ring. */
struct live_backlog {
    struct live_message *ring;
    uint32_t first, count, room; /* room: a power of two */
    bool full;                   /* LIVE_BLOCK: counted in the shard's `full` */
    bool told;                   /* LIVE_DISCONNECT: overflowed() was called */
};

/* Whether a further message would cost one (or the connection). */
bool backlog_overflows(struct live_sub *sub);
/* Keeps the message behind the others, or applies the policy. It was counted as matched by the
 * caller, who looks the subscription up again afterwards. False: the message itself is dropped. */
bool backlog_keep(struct live_sub *sub, struct flight *f);
/* Drops all of it as LIVE_DROPPED_GONE; shard_room() is the caller's to call. */
void backlog_fini(struct live_sub *sub);
void count_drop(struct live_sub *sub, enum live_reason why);
/* Tells who waits when full LIVE_BLOCK subscriptions have room again. */
void shard_room(struct live_shard *s);
/* Whether the subscription of this shard that `held` names is still full. */
bool sub_full(const struct live_shard *s, const struct live_held *held);

static inline bool message_expired(const struct live_message *m, int64_t wall_ms)
{
    return m->deadline_ms != 0 && m->deadline_ms <= wall_ms;
}

/* ---- publish.c, forward.c ---- */

/* One message to the shard's plain subscriptions of the match; how many have it. */
uint32_t deliver_plain(struct live_shard *s, const struct match *m, struct flight *f,
                       const void *but_not);
/* To the member that was chosen. False: it can't take it without a loss, ask another one; with all
 * bits of `visited` set there is none to ask, and its policy decides. */
bool deliver_member(struct live_shard *s, struct live_sub *sub, struct flight *f,
                    uint64_t visited);
/* One message to one of a queue group, here or on a shard not in `visited`. `first`: where to
 * begin among the members. Returns the shard that has it, -1: nobody. */
int deliver_group(struct live_shard *s, const struct match *m, const struct group_match *g,
                  struct flight *f, const void *but_not, uint64_t visited);
/* Where a message goes: to the plain subscriptions of a shard (member.serial 0) or to a member of a
 * group. */
struct address {
    uint32_t shard;
    bool blocks; /* LIVE_BLOCK subscriptions are among them */
    struct sub_name member;
    uint32_t group;
    uint64_t visited;
};

/* batch.c. Puts the message into the lane's batch, posting what is full; false: no memory. */
bool batch_add(struct lane *l, const struct address *to, struct flight *f);
void batch_post(struct lane *l);
/* The entry at `*at`, which moves behind it, and its message, a view of the batch; NULL: the
 * end. */
const struct carried *batch_next(const struct batch *b, uint32_t *at, struct live_message *m);
void batch_free(struct batch *b);

/* False: no memory, it is lost and counted. */
bool forward(struct live_shard *s, const struct address *to, struct flight *f);
void lane_init(struct lane *l, struct live_shard *from, struct live_shard *to);
void lane_fini(struct lane *l);
/* The receiver has room: wakes the sender if it waits. */
void lane_notify(struct lane *l);

#endif

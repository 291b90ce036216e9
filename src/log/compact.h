/* SPDX-License-Identifier: MIT */
/*
 * Inside of compaction. One pass: compact_map.c notes the newest offset of every key in the dirty
 * part of a log; compact.c goes through all segments up to there, group by group; for each batch
 * compact_txn.c says which transaction it belongs to and compact_batch.c what is left of it;
 * compact_swap.c writes the rest into one new segment a group and puts it in the place of the old
 * ones. All in the thread that compacts.
 */
#ifndef LOG_COMPACT_H
#define LOG_COMPACT_H

#include "log/partition.h"

/* ---- the newest offset of each key: hashes of 16 bytes, keys that differ are taken to hash
 * differently (a keyed hash: nobody can make two collide on purpose) ---- */

struct key_map {
    struct key_slot *slots; /* open addressing, offset + 1, 0: free */
    size_t room, count, limit;
    size_t most;            /* room it may grow to */
    double load;
    uint64_t secret[2];
    int64_t latest_offset;  /* everything up to here is known; -1: nothing */
};
/* For at most `wanted` keys, within `bytes` of memory filled up to `load`. */
MUST enum outcome key_map_init(struct key_map *m, uint64_t wanted, size_t bytes, double load);
void key_map_fini(struct key_map *m);
/* False: full, nothing was noted. */
MUST bool key_map_put(struct key_map *m, struct bytes key, int64_t offset);
int64_t key_map_get(const struct key_map *m, struct bytes key); /* -1: not noted */

/* ---- transactions along a walk over all batches, ascending ---- */

struct txn_producer {
    int64_t id;         /* -1: free */
    bool committed;     /* data was seen that no known abort covers; its marker was not yet */
    bool aborting;      /* inside an aborted transaction */
    bool seen;          /* of which data was seen */
    struct log_aborted aborted;
};

struct txn_walk {
    struct txn_producer *table;
    size_t room, count;
    struct log_aborted *list; /* ascending by first offset */
    size_t list_count, next;
    struct txnindex kept;     /* aborted transactions whose markers stay because data was seen */
    enum outcome failed;      /* out of memory: no answer since is worth anything */
};
/* For a walk from `from` to `end`. */
MUST enum outcome txn_walk_init(struct txn_walk *t, struct log *l, int64_t from, int64_t end);
void txn_walk_fini(struct txn_walk *t);
/* Whether the batch may go as a whole: data of an aborted transaction, or a marker none of whose
 * transaction's data was seen. */
MUST bool txn_walk_batch(struct txn_walk *t, const struct log_batch *b);

/* ---- what is left of a batch ---- */

/* The last batch of a producer that is remembered: its sequence must not be forgotten. */
struct last_batch {
    int64_t producer_id, last_offset; /* -1: only markers are left of it */
    int32_t epoch;
};

struct compact_rules {
    const struct key_map *map;
    const struct last_batch *last; /* ascending by producer */
    size_t last_count;
    int64_t now_ms, delete_retention_ms;
    int64_t round_end;             /* the batch that ends here stays, if only as a header */
    bool keep_old_tombstones;      /* of formats 0 and 1, which carry no horizon */
    bool expires;                  /* what is past its time goes; without a map nothing else */
    int64_t ttl_ms;                /* of the topic, -1: none */
};

/* Memory for what is rewritten, and counts. Zeroed: empty. */
struct compact_out {
    uint8_t *at;               /* the rewritten batch (several messages of formats 0 and 1) */
    size_t size, room;
    uint8_t *kept;             /* a bit for each record of the batch */
    size_t kept_room;
    int64_t records_read, records_kept, invalid;
};
bool record_expired(const struct log_record *r, int64_t ttl_ms, int64_t now_ms);
void compact_out_fini(struct compact_out *out);
/* `remains`: the batch as it is, something rewritten in memory of `out`, or nothing (size 0).
 * `droppable` as txn_walk_batch said. What can't be read is left as it is, and counted. */
MUST enum outcome compact_batch(const struct compact_rules *rules, const struct log_batch *b,
                                bool droppable, struct compact_out *out, struct bytes *remains);

/* ---- the new segment of a group ---- */

struct rewrite {
    struct log *log;
    int64_t base_offset, next_offset; /* of the group and behind it */
    int64_t now_ms;
    struct segment *segment;   /* under its .cleaned name; body with indexes in memory */
    uint64_t size, written;
    uint8_t *buffer;           /* the bytes between the two */
    size_t held;
    bool committed;            /* the files are no longer ours to remove */
};
MUST enum outcome rewrite_begin(struct rewrite *w, struct log *l, int64_t base_offset);
/* next_offset and now_ms are the caller's to set. */
/* Adds whole batches; the disk has each MiB before the next. */
MUST enum outcome rewrite_add(struct rewrite *w, struct bytes batches);
/* Everything added is on disk. */
MUST enum outcome rewrite_save(struct rewrite *w, const struct segment *last);
/* Behind rewrite_save: puts it in the place of `group`, which must still be in the list, one after
 * another. OUT_END: they are not (retention was there). Aborted transactions that end inside are
 * cut down to `kept`. */
MUST enum outcome rewrite_finish(struct rewrite *w, struct segment *const *group, size_t count,
                                 const struct txnindex *kept);
/* Always: lets go, and removes what was not finished. */
void rewrite_fini(struct rewrite *w);

/* ---- shared ---- */

MUST enum outcome compact_hold(struct log *l, int64_t end, struct segment ***held, size_t *count);
void compact_drop(struct segment **held, size_t count);

#endif

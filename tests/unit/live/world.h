/* SPDX-License-Identifier: MIT */
/*
 * Shards of one engine on one thread: what they post waits in a queue for each until the test
 * delivers it; the wall clock is a number.
 */
#ifndef LIVE_WORLD_H
#define LIVE_WORLD_H

#include "live/live.h"

#define WORLD_SHARDS 4

struct world {
    struct live *live;
    int shard_count;
    struct mail *first[WORLD_SHARDS], **last[WORLD_SHARDS];
    bool flush_wanted[WORLD_SHARDS];
    int unblocked[WORLD_SHARDS]; /* calls */
    void (*posted)(int to); /* told of every mail, or NULL */
    int64_t wall_ms;
    uint64_t seed;
};

void world_start(struct world *w, int shard_count, size_t forward_bytes_max);
void world_stop(struct world *w); /* delivers what is there first */
struct live_shard *world_shard(struct world *w, int shard);
uint32_t world_random(struct world *w, uint32_t below);
/* One mail of the shard's queue; false: none. */
bool world_mail(struct world *w, int shard);
/* Ends the turns of all shards and delivers until nothing is under way. */
void world_settle(struct world *w);
/* A publication of shard 0..n; its text is the payload. */
struct live_reach world_publish(struct world *w, int shard, const char *subject, const char *text);

/* A subscription that notes what it gets. */
struct taker {
    struct live_sub sub;
    enum live_taken answer;
    bool leaves;          /* unsubscribes in deliver() */
    int overflows, count;
    char got[4096];       /* the payloads, each behind a blank */
};

void taker_start(struct world *w, struct taker *t, int shard, const char *pattern,
                 const char *queue);
/* matched = delivered + dropped + expired + pending. */
bool account_adds_up(const struct live_account *a);

#endif

/* SPDX-License-Identifier: MIT */
/* A shard under a clock that the test moves, its answers by token, its records and its markers. */
#ifndef TESTS_TXN_BENCH_H
#define TESTS_TXN_BENCH_H

#include "tap.h"
#include "txn/txn.h"

#define TOKENS 65536
#define MARKERS 64

struct answer {
    int count; /* how often the token was answered: 1 in the end */
    enum outcome outcome;
    bool after_records;
    int64_t producer_id, start_ms;
    int epoch, timeout_ms;
    size_t count_of;
    enum outcome each[8];
    char state[32];
    struct txn_place places[8]; /* topics: not kept */
    size_t place_count;
};

struct written {
    struct bytes key, value;
};

/* Markers that were asked for and not said to be written. */
struct asked {
    char id[32];
    int64_t producer_id;
    int epoch;
    bool commit;
    int version;
    size_t place_count;
};

struct bench {
    struct txn_options options;
    struct txn_shard *shard;
    struct arena arena;
    int64_t now, wall, deadline, next_id;
    int next_token;
    struct answer *answers;
    struct written *records;
    size_t record_count, record_room, step_records;
    struct asked markers[MARKERS];
    size_t marker_count;
};

void bench_open(struct bench *b);
void bench_close(struct bench *b);
/* One step; times and token are set here; returns the token. */
int bench_step(struct bench *b, struct txn_event *e);
/* Moves the clocks, waking the shard at its deadlines. */
void bench_pass(struct bench *b, int64_t ms);
/* A new shard made from the records; forgets the markers, which are asked for again. */
void bench_reload(struct bench *b);
/* Says that the oldest markers are written. */
void bench_marked(struct bench *b, bool done);

/* Shorthands: the answer. init offers a fresh id. */
struct answer *bench_init(struct bench *b, const char *id, int64_t producer_id, int epoch);
struct answer *bench_add(struct bench *b, const char *id, int64_t producer_id, int epoch,
                         int version, int partition);
struct answer *bench_end(struct bench *b, const char *id, int64_t producer_id, int epoch,
                         int version, bool commit);
struct answer *bench_describe(struct bench *b, const char *id);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A shard under a clock that the test moves, its answers by token, and the records it wrote. Tokens
 * are small numbers; an answer is copied, so it may be looked at whenever.
 */
#ifndef TESTS_GROUP_BENCH_H
#define TESTS_GROUP_BENCH_H

#include "group/group.h"
#include "tap.h"

#define TOKENS 4096
#define TEXT 200
#define MEMBERS 16

struct answer {
    int count;                /* how often the token was answered: 1 in the end */
    enum group_event_kind kind;
    enum outcome outcome;
    bool after_records, skip_assignment;
    int generation;
    char member_id[TEXT], leader[TEXT], protocol[TEXT], type[TEXT], assignment[TEXT];
    char state[TEXT];
    size_t rest;              /* of offsets in pieces */
    size_t count_of;          /* members, offsets, groups, outcomes */
    char members[MEMBERS][TEXT], metadata[MEMBERS][TEXT];
    int64_t offsets[MEMBERS];
    char topics[MEMBERS][TEXT];
    enum outcome each[MEMBERS];
};

/* A record that was written, malloc'd. */
struct written {
    struct bytes key, value;
};

struct bench {
    struct group_options options;
    struct group_shard *shard;
    struct arena arena;
    int64_t now, wall, deadline;
    int next_token;
    struct answer answers[TOKENS];
    struct written *records;
    size_t record_count, step_records;
    uint8_t uuids;
};

/* Sessions 10..100000 ms, no initial delay. */
void bench_open(struct bench *b);
void bench_close(struct bench *b);
/* One step; the event's times are set here, and its token when it has none; returns the token. */
int bench_step(struct bench *b, struct group_event *e);
/* Moves the clock, waking the shard at its deadlines. */
void bench_pass(struct bench *b, int64_t ms);
/* A new shard made from the records. */
void bench_reload(struct bench *b);

/* Shorthands. Members are told apart by client id; metadata names no topic unless said. */
struct group_event join_event(const char *group, const char *member_id);
int bench_join(struct bench *b, const char *group, const char *member_id);
int bench_sync(struct bench *b, const char *group, const char *member_id, int generation,
               const struct group_assignment *assignments, size_t count);
enum outcome bench_heartbeat(struct bench *b, const char *group, const char *member_id,
                             int generation);
enum outcome bench_commit(struct bench *b, const char *group, const char *member_id,
                          int generation, const char *topic, int partition, int64_t offset);
int64_t bench_fetch(struct bench *b, const char *group, const char *topic, int partition);
const char *bench_state(struct bench *b, const char *group);
enum outcome bench_leave(struct bench *b, const char *group, const char *member_id);
/* Joins one member and syncs it: a Stable group of one. Gives the member's id. */
const char *bench_single(struct bench *b, const char *group);

#define ANSWER(b, token) (&(b)->answers[token])

#endif

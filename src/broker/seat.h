/* SPDX-License-Identifier: MIT */
/*
 * One partition of __consumer_offsets or __transaction_state at its owner: the step machine, the
 * log, the timer (private to the coordinator). Only the owner's thread touches it.
 */
#ifndef BROKER_SEAT_H
#define BROKER_SEAT_H

#include "broker/coordinator.h"

struct seat;

/* What becomes of a step; `end`: the offset to be durable first, -1: none. */
struct seat_owner {
    void (*group_reply)(struct seat *s, const struct group_reply *r, int64_t end);
    void (*txn_reply)(struct seat *s, const struct txn_reply *r, int64_t end);
    void (*markers)(struct seat *s, const struct txn_markers *m, int64_t end);
};

struct seat {
    enum coordinator_kind kind;
    struct partition *partition; /* held */
    union {
        struct group_shard *groups;
        struct txn_shard *txns;
    };
    struct shard *shard;         /* the owner */
    struct shard_timer timer;
    struct arena arena;          /* of the step that runs */
    struct log_builder builder;
    enum outcome state;          /* OK until an append failed: then it is closed */
    const struct seat_owner *owner;
};

/* Loads the partition's state; NULL: the log can't be read, or no memory (the trail says). */
struct seat *seat_open(enum coordinator_kind kind, struct partition *p, struct shard *shard,
                       const struct seat_owner *owner);
/* Answers all that waits and lets go. */
void seat_close(struct seat *s);

/* One step of an event of the seat's kind: appends, delivers replies and markers, sets the timer.
 * False: the seat is broken, all that waited has been answered; close it. */
MUST bool seat_step(struct seat *s, union coordinator_event e);

#endif

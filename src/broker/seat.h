/* SPDX-License-Identifier: MIT */
/*
 * One offsets partition at its owner: the groups, the log, the timer (private to the coordinator).
 * Only the owner's thread touches it.
 */
#ifndef BROKER_SEAT_H
#define BROKER_SEAT_H

#include "broker/coordinator.h"

struct seat {
    struct partition *partition; /* held */
    struct group_shard *groups;
    struct shard *shard;         /* the owner */
    struct shard_timer timer;
    struct arena arena;          /* of the step that runs */
    struct log_builder builder;
    enum outcome state;          /* OK until an append failed: then it is closed */
    /* What becomes of each reply; `end`: the offset to be durable first, -1: none. */
    void (*deliver)(struct seat *s, const struct group_reply *r, int64_t end);
};

/* Loads the partition's groups; NULL: the log can't be read, or no memory (the trail says). */
struct seat *seat_open(struct partition *p, struct shard *owner,
                       void (*deliver)(struct seat *, const struct group_reply *, int64_t));
/* Answers all that waits and lets go. */
void seat_close(struct seat *s);

/* One step: appends, delivers the replies, sets the timer. False: the seat is broken, all that
 * waited has been answered; close it. */
MUST bool seat_step(struct seat *s, struct group_event *e);

#endif

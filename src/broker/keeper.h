/* SPDX-License-Identifier: MIT */
/* What each shard owns of the coordinators (private to them). */
#ifndef BROKER_KEEPER_H
#define BROKER_KEEPER_H

#include "broker/seat.h"

/* The seats of one kind that a shard owns. */
struct seats {
    struct seat **list;       /* by partition / shard count; NULL: not loaded */
    size_t count;
};

struct keeper {
    struct coordinator *coordinator;
    struct shard *shard;
    struct seats seats[COORDINATOR_KINDS];
    struct shard_timer sweep, txn_sweep;
    struct mail start;
    struct list errands;      /* struct errand.node: markers on their way */
};

struct coordinator {
    struct broker *broker;
    int shard_count;
    struct keeper keepers[];
};

static inline struct keeper *keeper_of(struct coordinator *c, int32_t index)
{
    return &c->keepers[index % c->shard_count];
}

/* Owner: the seat, loaded if need be; NULL: not available. */
struct seat **keeper_seat(struct keeper *k, enum coordinator_kind kind, int32_t index);
/* Owner: a step; a seat that breaks is closed. */
void keeper_step(struct seat **slot, union coordinator_event e);

/* ---- errand.c: markers that a seat of transactions has asked for ---- */

/* Owner: from a seat's step. They are written when its log is durable up to `end`. */
void errand_send(struct keeper *k, struct seat *s, const struct txn_markers *m, int64_t end);
/* While markers of a partition are on their way it can't be loaded again: nobody may ask for the
 * same markers twice, the first could come late. */
bool errand_busy(const struct keeper *k, int32_t index);
/* After the reactors have ended: has all errands done. */
void errands_finish(struct coordinator *c);

#endif

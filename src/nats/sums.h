/* SPDX-License-Identifier: MIT */
/*
 * What became of the messages of each topic: the accounts of its subscriptions summed up, those
 * that are gone included. A subscription is a topic's when all subjects under it are (the same
 * rule as for the topic's policy), so one to `>` is none's.
 *
 * Each reactor sums up its own; rows of topics that are deleted go when somebody looks.
 */
#ifndef NATS_SUMS_H
#define NATS_SUMS_H

#include "nats/private.h"

#define NATS_SUMS_MAX 4096 /* topics of a reactor; further ones are summed up together, as "" */

struct nats_sum {
    struct list node;
    struct live_account account;
    uint64_t subscriptions;
    uint16_t size;
    char name[];
};

void nats_sums_init(struct nats_sums *sums);
void nats_sums_fini(struct nats_sums *sums);
/* The subscription is about to be made (`topic` NULL: it is none's), and is gone. */
struct topic;
void nats_sum_join(struct nats_sums *sums, struct nats_sub *sub, const struct topic *topic);
void nats_sum_leave(struct nats_sub *sub);

#endif

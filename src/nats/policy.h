/* SPDX-License-Identifier: MIT */
/*
 * What a subscriber gets that doesn't keep up, and how long messages live that don't say: by
 * subscription, topic, prefix (nats.subjects) and for all (nats.overflow), the first that says so.
 */
#ifndef NATS_POLICY_H
#define NATS_POLICY_H

#include "nats/private.h"

#define NATS_LIVE_PREFIX "$FLUX.LIVE."

/* A subscription's own wish: $FLUX.LIVE.<policy>[-<messages>].<subject>. */
struct nats_wish {
    bool given;
    enum live_overflow overflow;
    uint32_t messages; /* 0: not said */
};
/* Takes the wish off a subject that begins with the prefix; false: it makes no sense. */
MUST bool nats_wish_take(struct bytes *subject, struct nats_wish *wish);

/* Sets overflow and backlog_max of a subscription to that subject. Returns the topic that all of it
 * belongs to, NULL: none. */
const struct topic *nats_policy_set(struct nats *n, struct bytes subject,
                                    const struct nats_wish *wish, struct live_sub *sub);

/* The time to live that nats.subjects gives a subject, in ms; -1: none. */
int64_t nats_policy_ttl(const struct nats *n, struct bytes subject);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Whether a thread that has nothing to do should look for work before it sleeps. A request that
 * comes within some microseconds is found by looking for less CPU than a sleep and a wake-up take,
 * and in a fraction of the time; one that comes later was not worth it. So a look is paid for: what
 * the sleeps that were spared would have cost, and a thousandth of the time, is all that looks may
 * spend. Pure arithmetic on times that the caller gives: one thread's, no calls of the kernel.
 */
#ifndef NET_LOOK_H
#define NET_LOOK_H

#include "base/cc.h"

#define LOOK_NS INT64_C(50000)       /* the longest look */
#define LOOK_TORN_NS LOOK_NS         /* a round takes that long only if others ran: the last one */

struct look {
    int64_t credit_ns;  /* what may be spent */
    int64_t sleep_ns;   /* CPU of a sleep and its wake-up, as measured */
    int64_t gap_ns, before_ns; /* how long there was nothing to do, the last two times */
    int64_t last_ns;    /* when the credit grew last */
    int64_t shun_until_ns, shun_ns; /* since others want the processor */
    uint32_t sleeps;
};

/* Before the thread waits. */
MUST bool look_is_worth_it(struct look *l, int64_t now_ns);
/* A look that began at `from_ns`. torn: another thread wanted the processor. */
void look_ended(struct look *l, int64_t from_ns, int64_t now_ns, bool found, bool torn);
/* A sleep, from when there was nothing to do; cpu_ns: of the thread meanwhile, or -1. */
void look_slept(struct look *l, int64_t from_ns, int64_t now_ns, int64_t cpu_ns);
/* Whether the CPU of the next sleep is to be measured: a few of them do. */
MUST bool look_wants_measure(struct look *l);

#endif

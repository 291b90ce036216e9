/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of a reactor's messages, by the million: acknowledgements, back-offs. One wheel for
 * each reactor, woken by one timer of its shard. To the millisecond. The reactor's thread.
 */
#ifndef NATS_TIMER_H
#define NATS_TIMER_H

#include "base/wheel.h"
#include "broker/shard.h"

struct nats_timer {
    struct wheel_timer on_wheel; /* zeroed: not set */
    void (*fire)(struct nats_timer *t);
};

struct nats_timers {
    struct wheel wheel;
    struct shard_timer wake;
    bool firing;
};

void nats_timers_init(struct nats_timers *w, struct shard *s);
void nats_timers_fini(struct nats_timers *w);

/* Sets or moves it; it fires in a later turn, also when `ms` is 0. */
void nats_timer_in(struct nats_timers *w, struct nats_timer *t, int64_t ms);
void nats_timer_cancel(struct nats_timers *w, struct nats_timer *t);

#endif

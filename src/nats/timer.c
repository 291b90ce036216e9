/* SPDX-License-Identifier: MIT */
/* See timer.h. */
#include "nats/timer.h"

#include "watch/watch.h"

static int64_t now_ms(const struct nats_timers *w)
{
    return w->wake.shard->now_ns / 1000000;
}

static void set_wake(struct nats_timers *w)
{
    int64_t next = wheel_next(&w->wheel);
    if (next == WHEEL_NEVER)
        shard_timer_cancel(&w->wake);
    else if (shard_timer_set(w->wake.shard, &w->wake, next * 1000000) != OUT_OK)
        watch_log(WATCH_WARN, "nats", "no memory for a timer");
}

static void fire_one(struct wheel_timer *on_wheel, void *context)
{
    struct nats_timer *t = container_of(on_wheel, struct nats_timer, on_wheel);
    (void)context;
    t->fire(t);
}

static void wake(struct shard_timer *timer, int64_t now_ns)
{
    struct nats_timers *w = container_of(timer, struct nats_timers, wake);
    w->firing = true;
    wheel_advance(&w->wheel, now_ns / 1000000, fire_one, NULL);
    w->firing = false;
    set_wake(w);
}

void nats_timers_init(struct nats_timers *w, struct shard *s)
{
    *w = (struct nats_timers){.wake = {.shard = s, .fire = wake}};
    wheel_init(&w->wheel, os_now_ns() / 1000000);
}

void nats_timers_fini(struct nats_timers *w)
{
    shard_timer_cancel(&w->wake);
}

void nats_timer_in(struct nats_timers *w, struct nats_timer *t, int64_t ms)
{
    wheel_remove(&w->wheel, &t->on_wheel);
    wheel_add(&w->wheel, &t->on_wheel, now_ms(w) + MAX(ms, 1));
    if (!w->firing)
        set_wake(w);
}

void nats_timer_cancel(struct nats_timers *w, struct nats_timer *t)
{
    wheel_remove(&w->wheel, &t->on_wheel); /* a wake-up for nothing costs less than asking */
}

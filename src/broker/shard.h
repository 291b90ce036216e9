/* SPDX-License-Identifier: MIT */
/*
 * A shard: what one thread (a reactor, or the control thread) has for itself: the time of its
 * turn, a mailbox, timers, and the view of all topics it currently uses. Only shard_post may be
 * called by other threads.
 */
#ifndef BROKER_SHARD_H
#define BROKER_SHARD_H

#include "base/heap.h"
#include "base/list.h"
#include "os/os.h"

struct broker;
struct view;

struct shard {
    int index;
    int64_t now_ns, wall_ms;  /* of this turn */
    struct mailbox mailbox;
    struct heap timers;
    struct broker *broker;
    const struct view *view;  /* replaced by mail from the control thread */
    struct list at_end;       /* struct shard_hook.node: to run at the end of this turn */
};

struct shard_timer {
    struct heap_node node;    /* key: deadline in ns; zeroed: not set */
    struct shard *shard;
    void (*fire)(struct shard_timer *timer, int64_t now_ns);
};

/* Something to do once at the end of the turn, however often it was asked for: a group commit. */
struct shard_hook {
    struct list node;         /* zeroed: not set */
    void (*run)(struct shard_hook *hook, struct shard *s);
};

MUST enum outcome shard_open(struct shard *s, int index);
void shard_close(struct shard *s);

/* The shard of the calling thread, NULL on others; set once by the thread itself. */
struct shard *shard_self(void);
void shard_become(struct shard *s);

/* Any thread. */
void shard_post(struct shard *s, struct mail *mail);

/* Owner: sets or moves a timer. OUT_NO_MEMORY. */
MUST enum outcome shard_timer_set(struct shard *s, struct shard_timer *t, int64_t deadline_ns);
void shard_timer_cancel(struct shard_timer *t);

/* Owner: has the hook run once when this turn ends, before replies leave. */
void shard_at_end(struct shard *s, struct shard_hook *h);

/* ---- the turn: net's reactors do these themselves; others call shard_turn in a loop ---- */

/* Owner: sleeps until there is mail or a timer is due, then does both and what is to do at the
 * end. */
void shard_turn(struct shard *s);

/* Owner: reads the clocks, once in a turn. */
void shard_clock(struct shard *s);
/* Owner: delivers mail, at most about `most`; returns how many. */
int shard_run_mail(struct shard *s, int most);
/* Owner: runs the hooks, also those that hooks add. */
void shard_end_turn(struct shard *s);
/* Owner: fires what is due, at most `most`. */
int shard_run_timers(struct shard *s, int most);
/* Owner: how long to wait for the next deadline; -1: no timer. */
int64_t shard_wait_ns(const struct shard *s);

#endif

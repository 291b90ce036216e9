/* SPDX-License-Identifier: MIT */
/*
 * Intrusive hierarchical timer wheel: adding, removing and firing a timer is O(1) (a timer moves
 * down at most once a level), nothing is allocated, any deadline fits. A tick is a millisecond. One
 * thread; time is what the caller says, so a test moves it.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/list.h"

#define WHEEL_LEVELS 11 /* of 64 slots: 66 bits of milliseconds */
#define WHEEL_NEVER INT64_MAX

/* Embedded in what has the deadline; zeroed before its first use. */
struct wheel_timer {
    struct list in_slot;
    int64_t deadline_ms;
    uint16_t slot; /* + 1; 0: not on the wheel */
};

struct wheel {
    int64_t tick_ms; /* the first that was not fired yet */
    uint64_t used[WHEEL_LEVELS];
    struct list slots[WHEEL_LEVELS][64];
    size_t count;
};

/* `now_ms` from any clock that does not go back, at least 0. */
void wheel_init(struct wheel *w, int64_t now_ms);

/* A timer that is not on the wheel. A deadline that has passed already fires with the next
 * wheel_advance to a later time. */
void wheel_add(struct wheel *w, struct wheel_timer *t, int64_t deadline_ms);
void wheel_remove(struct wheel *w, struct wheel_timer *t); /* nothing when not on the wheel */
static inline bool wheel_holds(const struct wheel_timer *t) { return t->slot != 0; }

/* Fires what is due at `now_ms` or before, by deadline, each off the wheel before its call; returns
 * how many. `fire` may add and remove any timers. Time that goes back does nothing. */
size_t wheel_advance(struct wheel *w, int64_t now_ms,
                     void (*fire)(struct wheel_timer *t, void *context), void *context);

/* When to call wheel_advance next: never after the earliest deadline, but it may be before (a level
 * has to move down then). WHEEL_NEVER: no timer. */
int64_t wheel_next(const struct wheel *w);

#endif

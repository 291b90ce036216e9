/* SPDX-License-Identifier: MIT */
/*
 * Memory that others of the same thread look at for a moment: a count without atomics. What is to
 * stay for longer, or on other threads, has a hold (store.h).
 */
#ifndef BASE_LOAN_H
#define BASE_LOAN_H

#include "base/cc.h"

struct loan {
    uint32_t count;
    void (*release)(struct loan *loan); /* nobody looks at it any more */
};

static inline void loan_take(struct loan *l) { l->count++; }

static inline void loan_drop(struct loan *l)
{
    if (l != NULL && --l->count == 0)
        l->release(l);
}

#endif

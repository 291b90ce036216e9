/* SPDX-License-Identifier: MIT */
/*
 * Assertions that are always on. check() is for what can only be a bug of ours; input from a peer
 * or from disk is never checked this way (it is an outcome). No side effects inside.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/cc.h"

#define check(x)                                      \
    do {                                              \
        if (unlikely(!(x)))                           \
            check_failed(#x, __FILE__, __LINE__);     \
    } while (0)

#define impossible(why) check_failed(why, __FILE__, __LINE__)

#ifdef FLUXMQ_SLOW_CHECKS
#define check_slow(x) check(x)
#else
#define check_slow(x) ((void)sizeof(x))
#endif

/* Prints one line on stderr and aborts the process. */
NORETURN COLD void check_failed(const char *what, const char *file, int line);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Outcomes: what a function that can fail returns. Weather (peer, disk, limits), never bugs.
 *
 * A cold path returns fail(OUT_IO, "extend %s", path): the sentence goes to a per-thread trail that
 * the caller may add to and that outcome_trail() reads once. A hot path returns the bare code.
 */
#ifndef BASE_OUTCOME_H
#define BASE_OUTCOME_H

#include "base/cc.h"

enum outcome {
#define OUTCOME(name, blame, text) OUT_##name,
#include "base/outcome.def"
#undef OUTCOME
    OUT_COUNT
};

enum blame { BLAME_NOT, BLAME_US, BLAME_PEER, BLAME_ENV };

/* The row's sentence, static memory. */
const char *outcome_text(enum outcome o);
const char *outcome_name(enum outcome o);
enum blame outcome_blame(enum outcome o);

/* Starts the thread's trail with a formatted sentence (and errno's text when errno is not 0, which
 * is then cleared); returns `o`. Cold: formats. */
#define fail(o, ...) outcome_fail((o), __FILE__, __LINE__, __VA_ARGS__)
COLD enum outcome outcome_fail(enum outcome o, const char *file, int line, const char *format, ...)
    PRINTF(4, 5);

/* Adds a sentence in front of the trail ("open topic t: open file f: ..."); returns `o`. */
COLD enum outcome outcome_add(enum outcome o, const char *format, ...) PRINTF(2, 3);

/* The trail of this thread's last fail(), "" when there is none. Valid until the next fail(). */
const char *outcome_trail(void);

/* The outcome that errno value `error` stands for. */
enum outcome outcome_of_errno(int error);

#endif

/* SPDX-License-Identifier: MIT */
/* Outcome rows, the per-thread trail, and the end of the process on a failed check(). */
#include "base/outcome.h"

#include "base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *name;
    const char *text;
    enum blame blame;
} rows[OUT_COUNT] = {
#define OUTCOME(n, b, t) [OUT_##n] = {.name = #n, .text = t, .blame = BLAME_##b},
#include "base/outcome.def"
#undef OUTCOME
};

static _Thread_local char trail[1024];

const char *outcome_text(enum outcome o)
{
    return (unsigned)o < OUT_COUNT ? rows[o].text : "?";
}

const char *outcome_name(enum outcome o)
{
    return (unsigned)o < OUT_COUNT ? rows[o].name : "?";
}

enum blame outcome_blame(enum outcome o)
{
    return (unsigned)o < OUT_COUNT ? rows[o].blame : BLAME_US;
}

enum outcome outcome_fail(enum outcome o, const char *file, int line, const char *format, ...)
{
    int error = errno;
    (void)file;
    (void)line;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(trail, sizeof trail, format, args);
    va_end(args);
    if (used < 0)
        used = 0;
    if (error != 0 && (size_t)used < sizeof trail)
        snprintf(trail + used, sizeof trail - (size_t)used, ": %s", strerror(error));
    errno = 0;
    return o;
}

enum outcome outcome_add(enum outcome o, const char *format, ...)
{
    char old[sizeof trail];
    memcpy(old, trail, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(trail, sizeof trail, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof trail)
        snprintf(trail + used, sizeof trail - (size_t)used, ": %s", old);
    return o;
}

const char *outcome_trail(void)
{
    return trail;
}

enum outcome outcome_of_errno(int error)
{
    switch (error) {
    case 0: return OUT_OK;
    case ENOMEM: return OUT_NO_MEMORY;
    case ENOSPC:
    case EDQUOT: return OUT_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return OUT_NO_ACCESS;
    case EMFILE:
    case ENFILE: return OUT_NO_FILES;
    case EAGAIN: return OUT_AGAIN;
    case ENOENT: return OUT_NOT_FOUND;
    case EEXIST: return OUT_EXISTS;
    case EADDRINUSE:
    case EBUSY: return OUT_IN_USE;
    default: return OUT_IO;
    }
}

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "fluxmq: bug: check failed: %s (%s:%d)\n", what, file, line);
    abort();
}

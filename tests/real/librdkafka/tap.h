/* SPDX-License-Identifier: MIT */
/* TAP output for the C client program: a case is a function that fails through must(). */
#ifndef REAL_TAP_H
#define REAL_TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap {
    int count;
    int failed;
    const char *name;
    jmp_buf end;
};

extern struct tap tap;

__attribute__((noreturn, format(printf, 3, 4))) static inline void tap_fail(
    const char *file, int line, const char *format, ...)
{
    char text[1000];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    printf("not ok %d - %s\n# %s (%s:%d)\n", tap.count, tap.name, text, file, line);
    longjmp(tap.end, 1);
}

#define must(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            tap_fail(__FILE__, __LINE__, __VA_ARGS__);                                             \
    } while (0)

#define must_equal(expected, got, what)                                                            \
    do {                                                                                           \
        long long expected_ = (expected), got_ = (got);                                            \
        must(expected_ == got_, "%s: expected %lld, got %lld", what, expected_, got_);             \
    } while (0)

static inline void tap_run(
    const char *name, void (*body)(const char *argument), const char *argument)
{
    char full[200];
    snprintf(full, sizeof full, argument ? "%s %s" : "%s", name, argument);
    const char *only = getenv("ONLY");
    if (only && !strstr(full, only))
        return;
    tap.count++;
    tap.name = full;
    if (setjmp(tap.end) == 0) {
        body(argument);
        printf("ok %d - %s\n", tap.count, tap.name);
    } else {
        tap.failed++;
    }
    fflush(stdout);
}

#endif

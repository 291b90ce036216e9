/* SPDX-License-Identifier: MIT */
/*
 * The test harness: one process per case, TAP on stdout.
 *
 * A case is `void test_name(void)`; gentests.py lists them. expect() ends the case's process with a
 * diagnostic, so a crash or an endless loop (an alarm of 240 s) fails one case and no other. Run a
 * program with words as arguments to run only the cases whose names contain one of them;
 * `--no-fork` runs in one process for a debugger.
 */
#ifndef TAP_H
#define TAP_H

/* Cases are found by name; nothing calls them through a header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap_case {
    const char *name;
    void (*run)(void);
};

#define TAP_SKIP_EXIT 77

#define expect(x)                                                                     \
    do {                                                                              \
        if (!(x)) {                                                                   \
            printf("# %s:%d: expected %s\n", __FILE__, __LINE__, #x);                 \
            fflush(stdout);                                                           \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

#define expect_eq(a, b)                                                               \
    do {                                                                              \
        long long tap_a = (long long)(a), tap_b = (long long)(b);                     \
        if (tap_a != tap_b) {                                                         \
            printf("# %s:%d: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__,   \
                   #a, tap_a, #b, tap_b);                                             \
            fflush(stdout);                                                           \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

#define expect_str(a, b)                                                              \
    do {                                                                              \
        const char *tap_a = (a), *tap_b = (b);                                        \
        if (strcmp(tap_a, tap_b) != 0) {                                              \
            printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__,    \
                   #a, tap_a, tap_b);                                                 \
            fflush(stdout);                                                           \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

/* End the case as skipped, with the reason. */
#define skip_case(why)                                                                \
    do {                                                                              \
        printf("# skipped: %s\n", why);                                               \
        fflush(stdout);                                                               \
        _exit(TAP_SKIP_EXIT);                                                         \
    } while (0)

static inline int tap_one(const struct tap_case *c, int number, int in_child)
{
    int status = 0;
    fflush(stdout);
    if (!in_child) {
        c->run();
    } else {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(240);
            c->run();
            fflush(stdout);
            exit(0); /* not _exit: leak checkers report at exit */
        }
        if (waitpid(pid, &status, 0) != pid)
            status = -1;
    }
    int skipped = WIFEXITED(status) && WEXITSTATUS(status) == TAP_SKIP_EXIT;
    int good = status == 0 || skipped;
    if (WIFSIGNALED(status))
        printf("# %s: died of signal %d\n", c->name, WTERMSIG(status));
    printf("%s %d - %s%s\n", good ? "ok" : "not ok", number, c->name, skipped ? " # SKIP" : "");
    return good;
}

static inline int tap_main(const struct tap_case *cases, int count, int argc, char **argv)
{
    int failed = 0, number = 0, in_child = 1;
    for (int i = 0; i < count; i++) {
        int wanted = 1;
        for (int a = 1; a < argc; a++) {
            if (strcmp(argv[a], "--no-fork") == 0) {
                in_child = 0;
            } else {
                wanted = strstr(cases[i].name, argv[a]) != NULL;
                if (wanted)
                    break;
            }
        }
        if (wanted)
            failed += !tap_one(&cases[i], ++number, in_child);
    }
    printf("1..%d\n", number);
    return failed != 0;
}

#endif

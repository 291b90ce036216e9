/* SPDX-License-Identifier: MIT */
/*
 * What the trials share: sockets over loopback, files with a pattern that a reader can check, the
 * CPU time of the side that a broker would be, and the line of JSON at the end. What a trial can't
 * do on this machine it says with trial_skip().
 */
#pragma once

#include "../machine.h"

#include "base/cc.h"
#include "base/histogram.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* ---- one measurement ---- */

struct cpu {
    double user_s, sys_s;
};

struct result {
    uint64_t count, bytes;
    uint64_t wrong; /* what didn't come as it was sent */
    double seconds;
    struct cpu cpu;                /* of the broker's side, start and stop not counted */
    bool puts_off;                 /* there is a later */
    struct cpu later;              /* what was put off, and done after the clock stopped */
    const struct histogram *times; /* NULL: no latencies */
    const char *note;              /* NULL: nothing to be said */
};

/* Says in JSON why the way can't be tried here, and ends the program with success. */
NORETURN void trial_skip(const char *reason);
/* The line of JSON; the program's status: 0, or 1 when something was wrong. */
int trial_print(const struct result *r);

struct cpu cpu_now(int who); /* RUSAGE_SELF, RUSAGE_THREAD */
struct cpu cpu_since(int who, struct cpu before);
size_t number(const char *word);
/* Page aligned, touched. */
void *room_of(size_t size);
/* Which of the words it is, counted from 0; ends the program when it is none. */
int word_of(const char *word, const char *const *words);

/* ---- the broker's side: a process of its own ---- */

struct served {
    _Atomic double user_s, sys_s;
    _Atomic uint64_t wrong;
    _Atomic int skipped; /* errno of what is missing here */
    _Atomic int ready;
    _Atomic int copied; /* what was to be sent without a copy was copied */
};

struct side {
    struct served *served; /* shared with the child */
    pid_t child;
    struct sockaddr_in address;
    int listener;
};

/* Makes a listening socket. */
void side_open(struct side *s);
/* Runs it in a child; its CPU is counted from side_begin(), which it calls when it is ready. */
void side_run(struct side *s, void (*run)(struct side *, void *), void *argument);
void side_begin(struct side *s); /* in the child */
/* In the child: the trial is not possible here. */
NORETURN void side_skip(struct side *s, int error);
int side_accept(struct side *s);
int side_dial(struct side *s);
/* Until the child is ready, or skips the trial. */
void side_wait_ready(struct side *s);
/* Waits for the child's end and takes its CPU, and what it found wrong. */
void side_end(struct side *s, struct result *r);

/* ---- bytes that can be checked: each word tells its place ---- */

enum { PATTERN_STEP = 4096 };

void pattern_fill(void *to, uint64_t at, size_t size);
/* Looks at the first and the last word and one a page; at and size are multiples of 8. */
bool pattern_good(const void *from, uint64_t at, size_t size);
/* The file of the pattern with this size; read, write and made anew by flags. */
int file_open(const char *path, int flags);
void file_fill(int file, uint64_t size);

/* ---- the trials: words after the name ---- */

int trial_fetch(char **words);
int trial_echo(char **words);
int trial_append(char **words);
int trial_flush(char **words);
int trial_cold(char **words);
int trial_bulk(char **words);
int trial_pages(char **words);
int trial_rooms(char **words);
int trial_roundtrip(char **words);

/* SPDX-License-Identifier: MIT */
/*
 * The operator's log: one line for each event. Lines of a kind (their format) beyond the first few
 * of ten seconds are held back; the next one that is written says how many were.
 */
#include "watch/watch.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KINDS 64
#define QUIET_SECONDS 10
/* Of a kind, before the rest of its ten seconds is held back. */
#define OWN_LINES 5  /* what happens here: five topics, five files */
#define PEER_LINES 1 /* what peers do: there may be thousands of them */

struct kind {
    const char *format; /* identity of the event */
    time_t since;
    unsigned lines, held;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS];
static _Atomic int least = WATCH_INFO;

void watch_level_set(enum watch_level level)
{
    atomic_store(&least, (int)level);
}

/* Lock held: whether to write this one, and how many were held back before it. */
static bool let_through(const char *format, unsigned lines, time_t now, unsigned *held)
{
    struct kind *k = &kinds[((uintptr_t)format >> 3) % KINDS];
    *held = 0;
    if (k->format != format || now - k->since >= QUIET_SECONDS) {
        *held = k->format == format ? k->held : 0;
        *k = (struct kind){.format = format, .since = now};
    }
    if (++k->lines <= lines)
        return true;
    k->held++;
    return false;
}

static void write_line(enum watch_level level, unsigned lines, const char *room,
                       const char *format, va_list args)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
    if ((int)level < atomic_load_explicit(&least, memory_order_relaxed))
        return;
    struct timespec now;
    struct tm parts;
    char line[2048];
    unsigned held;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    pthread_mutex_lock(&lock);
    if (let_through(format, lines, now.tv_sec, &held)) {
        size_t at = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
        at += (size_t)snprintf(line + at, sizeof line - at, ".%03ldZ %s %s: ",
                               now.tv_nsec / 1000000, names[level], room);
        int size = vsnprintf(line + at, sizeof line - at, format, args);
        at = MIN(at + (size_t)MAX(size, 0), sizeof line - 1);
        if (held > 0)
            snprintf(line + at, sizeof line - at, " (and %u like it before)", held);
        fprintf(stderr, "%s\n", line);
    }
    pthread_mutex_unlock(&lock);
}

void watch_log(enum watch_level level, const char *room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(level, OWN_LINES, room, format, args);
    va_end(args);
}

void watch_peer(enum watch_level level, const char *room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(level, PEER_LINES, room, format, args);
    va_end(args);
}

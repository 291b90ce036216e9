/* SPDX-License-Identifier: MIT */
/*
 * What it costs to have many and do nothing: memory of idle subscriptions and of idle connections,
 * and connections that come and go. Each is known to be there: the server answered a PING after it.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000 };

/* Two equal readings a second apart, at most ten: a server with a garbage collector moves on. */
static long settled_kib(const struct server *s)
{
    long before = -1, kib = server_kib(s, "VmRSS");
    for (int i = 0; i < 10 && labs(kib - before) > 64; i++) {
        struct timespec second = {.tv_sec = 1};
        nanosleep(&second, NULL);
        before = kib;
        kib = server_kib(s, "VmRSS");
    }
    return kib;
}

static void report(const char *name, const struct server *s, int64_t count, long before,
                   double seconds)
{
    long after = settled_kib(s);
    printf("{\"test\": \"%s\", \"count\": %lld, \"rss_mib_before\": %.1f, \"rss_mib\": %.1f, "
           "\"bytes_each\": %.0f, \"seconds\": %.2f}\n",
           name, (long long)count, (double)before / 1024, (double)after / 1024,
           (double)(after - before) * 1024 / (double)count, seconds);
}

static void allow_files(int64_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)count + 64) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < (rlim_t)count + 64)
        die("only %llu files may be open", (unsigned long long)limit.rlim_cur);
}

static void close_all(const int *fds, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        close(fds[i]);
}

int idle_subscriptions(const struct server *s, int64_t count, int64_t connections)
{
    char *batch = malloc(BATCH * 64);
    int *fds = calloc((size_t)connections, sizeof *fds);
    for (int64_t i = 0; i < connections; i++)
        fds[i] = peer_open(s);
    long before = settled_kib(s);
    int64_t begin = now_ns(), done = 0;
    for (int64_t i = 0; done < count; i = (i + 1) % connections) {
        size_t size = 0;
        for (int n = 0; n < BATCH && done < count; n++, done++)
            size += (size_t)snprintf(batch + size, 64, "SUB idle.%lld.device %lld\r\n",
                                     (long long)done, (long long)done);
        peer_send(fds[i], batch, size);
        peer_flush(fds[i]);
    }
    report("idle subscriptions", s, count, before, (double)(now_ns() - begin) / 1e9);
    close_all(fds, connections);
    free(fds);
    free(batch);
    return 0;
}

int idle_connections(const struct server *s, int64_t count)
{
    allow_files(count);
    int *fds = calloc((size_t)count, sizeof *fds);
    close(peer_open(s));
    long before = settled_kib(s);
    int64_t begin = now_ns();
    for (int64_t i = 0; i < count; i++)
        fds[i] = peer_open(s);
    report("idle connections", s, count, before, (double)(now_ns() - begin) / 1e9);
    for (int64_t i = 0; i < count; i++)
        peer_flush(fds[i]);
    close_all(fds, count);
    free(fds);
    return 0;
}

/* Comes, subscribes, is answered, goes; with a reset, so that ports don't run out here. */
int churn(const struct server *s, int64_t count)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    double cpu = server_cpu(s);
    long before = server_kib(s, "VmRSS");
    int64_t begin = now_ns();
    for (int64_t i = 0; i < count; i++) {
        int fd = peer_open(s);
        peer_send(fd, "SUB churn.* 1\r\n", 15);
        peer_flush(fd);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
    }
    double seconds = (double)(now_ns() - begin) / 1e9;
    printf("{\"test\": \"connects and disconnects\", \"count\": %lld, \"per_s\": %.0f, "
           "\"cpu_us_each\": %.1f, \"rss_mib_before\": %.1f, \"rss_mib\": %.1f}\n",
           (long long)count, (double)count / seconds,
           (server_cpu(s) - cpu) * 1e6 / (double)count, (double)before / 1024,
           (double)settled_kib(s) / 1024);
    return 0;
}

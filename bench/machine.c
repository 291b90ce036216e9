/* SPDX-License-Identifier: MIT */
/* Loopback, a clock, and a way out. */
#include "machine.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

void die(const char *format, ...)
{
    int error = errno;
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(2);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int listen_at(struct sockaddr_in *address, int backlog)
{
    socklen_t size = sizeof *address;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s < 0 || bind(s, (struct sockaddr *)address, size) != 0 || listen(s, backlog) != 0 ||
        getsockname(s, (struct sockaddr *)address, &size) != 0)
        die("listen");
    return s;
}

static int no_delay(int s)
{
    int yes = 1;
    if (s < 0 || setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0)
        die("a connection");
    return s;
}

int dial(const struct sockaddr_in *address)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s >= 0 && connect(s, (const struct sockaddr *)address, sizeof *address) != 0)
        die("connect");
    return no_delay(s);
}

int accept_from(int listener)
{
    return no_delay(accept(listener, NULL, NULL));
}

bool receive(int s, void *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = recv(s, (char *)to + got, size - got, 0);
        if (n < 0 && errno != EINTR)
            die("recv");
        if (n == 0)
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

void transmit(int s, const void *from, size_t size, int flags)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(s, (const char *)from + sent, size - sent, MSG_NOSIGNAL | flags);
        if (n < 0 && errno != EINTR)
            die("send");
        sent += n > 0 ? (size_t)n : 0;
    }
}

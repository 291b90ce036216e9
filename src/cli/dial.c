/* SPDX-License-Identifier: MIT */
/* Connections and signals: what a tool needs of the kernel beside os/. */
#include "cli/client.h"

#include "os/os.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

static volatile sig_atomic_t stopped;

static void stop(int which)
{
    stopped = which;
}

void cli_signals(void)
{
    struct sigaction s = {.sa_handler = stop}; /* without SA_RESTART: waits end */
    sigaction(SIGINT, &s, NULL);
    sigaction(SIGTERM, &s, NULL);
}

bool cli_stopped(void)
{
    return stopped != 0;
}

void cli_pause(int64_t ms)
{
    if (!cli_stopped())
        poll(NULL, 0, (int)ms);
}

/* 0 or the errno of the attempt. */
static int dial_one(const struct addrinfo *a, int *fd)
{
    int problem = 0, yes = 1;
    socklen_t size = sizeof problem;
    int s = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return errno;
    struct pollfd p = {.fd = s, .events = POLLOUT};
    if (connect(s, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        problem = errno;
    else if (poll(&p, 1, CLI_CONNECT_MS) <= 0)
        problem = cli_stopped() ? EINTR : ETIMEDOUT;
    else
        getsockopt(s, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0) {
        os_close(s);
        return problem;
    }
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    *fd = s;
    return 0;
}

enum outcome cli_dial(const struct cli_server *s, int *fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int problem = getaddrinfo(s->host, s->port, &hints, &list);
    *fd = -1;
    errno = 0;
    if (problem != 0)
        return cli_fail(OUT_NOT_FOUND, "%s: %s", s->host, gai_strerror(problem));
    for (const struct addrinfo *a = list; a != NULL && *fd < 0 && !cli_stopped(); a = a->ai_next)
        problem = dial_one(a, fd);
    freeaddrinfo(list);
    errno = 0;
    if (*fd >= 0)
        return OUT_OK;
    if (cli_stopped())
        return OUT_END;
    return cli_fail(OUT_CLOSED, "can't connect to %s:%s: %s; is a server running there?",
                    s->host, s->port, strerror(problem));
}

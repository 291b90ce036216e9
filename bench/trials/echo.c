/* SPDX-License-Identifier: MIT */
/*
 * A server in one thread that sends back each frame when it is complete.
 *
 *     echo WAY CONNECTIONS SIZE COUNT
 *
 * epoll     epoll_wait, recv, send
 * uring     a receive and a send for each frame, in a ring with deferred task work; one call
 *           submits all and waits
 * fixed     the same with registered buffers and registered files
 * provided  receives that stay (multishot), into a ring of buffers that is given to the kernel
 *
 * The client has one frame under way on each connection and looks at what comes back.
 */
#include "echo.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };
static const char *const ways[] = {"epoll", "uring", "fixed", "provided", NULL};

static void watch(int poll, int operation, struct echo_conn *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll, operation, c->socket, &event) != 0)
        die("epoll_ctl");
}

/* false: the peer ended */
static bool turn(const struct echo *e, int poll, struct echo_conn *c)
{
    if (c->got < e->size) {
        ssize_t n = recv(c->socket, c->room + c->got, e->size - c->got, MSG_DONTWAIT);
        if (n == 0)
            return false;
        if (n < 0 && errno != EAGAIN)
            die("recv");
        c->got += n > 0 ? (size_t)n : 0;
        if (c->got < e->size)
            return true;
    }
    bool waited = c->sent > 0;
    ssize_t n = send(c->socket, c->room + c->sent, e->size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        die("send");
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == e->size) {
        c->got = c->sent = 0;
        if (waited)
            watch(poll, EPOLL_CTL_MOD, c, EPOLLIN);
    } else if (!waited) {
        watch(poll, EPOLL_CTL_MOD, c, EPOLLOUT);
    }
    return true;
}

static void echo_epoll(struct side *side, struct echo *e)
{
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC), open = e->connections;
    for (int i = 0; i < open; i++)
        watch(poll, EPOLL_CTL_ADD, &e->conns[i], EPOLLIN);
    side_begin(side);
    while (open > 0) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct echo_conn *c = events[i].data.ptr;
            if (!turn(e, poll, c)) {
                close(c->socket);
                open--;
            }
        }
    }
    close(poll);
}

static void serve(struct side *side, void *argument)
{
    struct echo *e = argument;
    uint8_t *rooms = room_of(e->size * (size_t)e->connections);
    for (int i = 0; i < e->connections; i++)
        e->conns[i] = (struct echo_conn){.socket = side_accept(side), .number = i, .held = -1,
                                         .room = rooms + e->size * (size_t)i};
    if (e->way == ECHO_EPOLL)
        echo_epoll(side, e);
    else
#if HAVE_URING
        echo_uring(side, e);
#else
        side_skip(side, ENOPKG);
#endif
}

/* ---- the client */

static struct echo echo;

static void ask(struct echo *e, struct echo_conn *c, uint64_t number)
{
    uint64_t at = number * 8;
    memcpy(c->room, &at, sizeof at);
    pattern_fill(c->room + 8, at, 8);
    transmit(c->socket, c->room, e->size, 0);
    memset(c->room, 0, 16);
    c->got = 0;
    c->sent = (size_t)number; /* what is awaited */
}

static bool answered(const struct echo *e, const struct echo_conn *c)
{
    uint64_t at;
    memcpy(&at, c->room, sizeof at);
    return at == c->sent * 8 && pattern_good(c->room + 8, at, 8) &&
           pattern_good(c->room + 16, 16, (e->size - 16) / 8 * 8);
}

static void load(struct echo *e, struct result *r)
{
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t asked = 0, done = 0;
    for (int i = 0; i < e->connections; i++) {
        watch(poll, EPOLL_CTL_ADD, &e->conns[i], EPOLLIN);
        ask(e, &e->conns[i], asked++);
    }
    while (done < asked) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct echo_conn *c = events[i].data.ptr;
            ssize_t n = recv(c->socket, c->room + c->got, e->size - c->got, 0);
            if (n <= 0)
                die("the broker's side ended");
            c->got += (size_t)n;
            if (c->got < e->size)
                continue;
            r->wrong += !answered(e, c);
            done++;
            if (asked < e->count)
                ask(e, c, asked++);
        }
    }
    close(poll);
}

int trial_echo(char **words)
{
    struct echo *e = &echo;
    struct side side;
    e->way = (enum echo_way)word_of(words[0], ways);
    e->connections = (int)number(words[1]);
    e->size = number(words[2]) / 8 * 8;
    e->count = MAX(number(words[3]), (size_t)e->connections);
    if (e->connections < 1 || e->connections > ECHO_CONNECTIONS_MAX || e->size < 24) {
        errno = EINVAL;
        die("1 to %d connections, 24 bytes at least", ECHO_CONNECTIONS_MAX);
    }
    struct result r = {.count = e->count, .bytes = e->count * e->size};
    side_open(&side);
    side_run(&side, serve, e);
    uint8_t *rooms = room_of(e->size * (size_t)e->connections);
    for (int i = 0; i < e->connections; i++) {
        e->conns[i] = (struct echo_conn){.socket = side_dial(&side), .number = i, .held = -1,
                                         .room = rooms + e->size * (size_t)i};
        pattern_fill(e->conns[i].room, 0, e->size);
    }
    side_wait_ready(&side);
    int64_t begin = now_ns();
    load(e, &r);
    r.seconds = (double)(now_ns() - begin) / 1e9;
    for (int i = 0; i < e->connections; i++)
        close(e->conns[i].socket);
    side_end(&side, &r);
    return trial_print(&r);
}

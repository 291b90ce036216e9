/* SPDX-License-Identifier: MIT */
/*
 * A request and its answer, one at a time: what waiting without sleep gains, and what it costs.
 *
 *     roundtrip WAY SIZE COUNT PAUSE_US
 *
 * block     epoll_wait sleeps at once
 * spin      epoll_wait(0) for 50 us, then it sleeps
 * always    epoll_wait(0) only
 * socket    SO_BUSY_POLL of 50 us, and the preference for it; the loopback device has no queue to
 *           poll, a network card has
 * pinned    block, the server on the first CPU and the client on the second
 * together  block, both on the first CPU
 *
 * The client waits for PAUSE_US between an answer and the next request; its receive blocks. CPU is
 * the server's.
 */
#include "trial.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum way { BLOCK, SPIN, ALWAYS, SOCKET, PINNED, TOGETHER };
static const char *const ways[] = {"block", "spin", "always", "socket", "pinned", "together", NULL};
enum { SPIN_NS = 50000, BUSY_US = 50 };

struct trip {
    enum way way;
    size_t size;
};

static struct histogram times;

/* The nth of the CPUs that this process may use; false: there is none. */
static bool pin(int wanted)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return false;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && wanted-- == 0)
            CPU_SET(cpu, &one);
    }
    return CPU_COUNT(&one) == 1 && sched_setaffinity(0, sizeof one, &one) == 0;
}

static void wait_readable(const struct trip *t, int poll)
{
    struct epoll_event event;
    if (t->way == SPIN || t->way == ALWAYS) {
        int64_t end = now_ns() + SPIN_NS;
        do {
            if (epoll_wait(poll, &event, 1, 0) == 1)
                return;
        } while (t->way == ALWAYS || now_ns() < end);
    }
    while (epoll_wait(poll, &event, 1, -1) != 1)
        continue;
}

static void busy_socket(struct side *side, int s)
{
    int time = BUSY_US, yes = 1;
    if (setsockopt(s, SOL_SOCKET, SO_BUSY_POLL, &time, sizeof time) != 0 ||
        setsockopt(s, SOL_SOCKET, SO_PREFER_BUSY_POLL, &yes, sizeof yes) != 0)
        side_skip(side, errno);
}

static void serve(struct side *side, void *argument)
{
    const struct trip *t = argument;
    int s = side_accept(side), poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    uint8_t *room = room_of(t->size);
    if (epoll_ctl(poll, EPOLL_CTL_ADD, s, &event) != 0)
        die("epoll_ctl");
    if (t->way == SOCKET)
        busy_socket(side, s);
    if (t->way >= PINNED && !pin(0))
        side_skip(side, errno);
    side_begin(side);
    for (;;) {
        wait_readable(t, poll);
        if (!receive(s, room, t->size))
            return;
        transmit(s, room, t->size, 0);
    }
}

int trial_roundtrip(char **words)
{
    struct trip t = {.way = (enum way)word_of(words[0], ways), .size = number(words[1]) / 8 * 8};
    struct result r = {.count = number(words[2]), .times = &times};
    struct timespec pause = {.tv_nsec = (long)number(words[3]) * 1000};
    struct side side;
    uint8_t *room = room_of(t.size);
    r.bytes = r.count * t.size;
    side_open(&side);
    side_run(&side, serve, &t);
    int s = side_dial(&side);
    side_wait_ready(&side);
    if (t.way >= PINNED && !pin(t.way == PINNED ? 1 : 0))
        trial_skip("there is one CPU");
    int64_t start = now_ns();
    for (uint64_t i = 0; i < r.count; i++) {
        pattern_fill(room, i * 8, t.size);
        int64_t begin = now_ns();
        transmit(s, room, t.size, 0);
        memset(room, 0, t.size);
        if (!receive(s, room, t.size))
            die("the broker's side ended");
        histogram_add(&times, now_ns() - begin, 1);
        r.wrong += !pattern_good(room, i * 8, t.size);
        if (pause.tv_nsec > 0)
            nanosleep(&pause, NULL);
    }
    r.seconds = (double)(now_ns() - start) / 1e9;
    close(s);
    side_end(&side, &r);
    return trial_print(&r);
}

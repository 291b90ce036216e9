/* SPDX-License-Identifier: MIT */
/* Beginning and end: ports in use, dead peers, orphans, idle time, stopping under load. */
#include "toy.h"

#include "watch/watch.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

void test_a_port_in_use_is_said_so(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    toy_start(&t, &o);
    struct net *second;
    o.listeners[0].port = t.port;
    expect(net_open(&o, &second) == OUT_IN_USE);
    expect(second == NULL);
    expect(strstr(outcome_trail(), "listen on 127.0.0.1:") != NULL);
    toy_stop(&t);
    o.listeners[0].host = "no such host";
    expect(net_open(&o, &second) == OUT_NOT_FOUND);
}

void test_nobody_gets_in_before_the_start(void)
{
    struct net_options o = toy_options(1);
    struct net *first, *second;
    expect(net_open(&o, &first) == OUT_OK);
    o.listeners[0].port = net_port(first, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)net_port(first, 0))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno == ECONNREFUSED);
    close(fd);
    expect(net_open(&o, &second) == OUT_OK); /* two that start at once: one of them gets it */
    expect(net_start(first) == OUT_OK);
    expect(net_start(second) == OUT_IN_USE);
    net_stop(first, 0);
    net_close(second);
    net_close(first);
}

void test_two_listeners_and_their_names(void)
{
    struct toy t;
    struct net_options o = toy_options(3);
    o.listener_count = 2;
    o.listeners[1] = o.listeners[0];
    o.listeners[1].host = ""; /* everything: also the IPv4 loopback, shown without a prefix */
    toy_start(&t, &o);
    for (int i = 0; i < 2; i++) {
        t.port = net_port(t.net, i);
        int fd = client_open(&t);
        client_send(fd, 'E', 1, 1);
        client_expect(fd, 'E', 1, 1);
        close(fd);
    }
    toy_stop(&t);
}

/* Peers that die while requests are parked here, pipelined there, or with the worker. */
static void deaths(int reactors)
{
    struct toy t;
    struct net_options o = toy_options(reactors);
    toy_start(&t, &o);
    for (int round = 0; round < 50; round++) {
        int fd = client_open(&t);
        for (uint32_t i = 0; i < 5; i++)
            client_send(fd, 'L', i, 3000);
        client_send(fd, 'h', 1000, 5000);
        client_send(fd, 'B', 500000, 0);
        client_send(fd, 'F', 500000, 0);
        client_send(fd, 'H', 1001, 10);
        await(toy_held == 2 * round + 2);
        if (round % 2 == 0) { /* reset instead of an orderly end */
            struct linger now = {1, 0};
            expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
        }
        close(fd);
        await(toy_cancelled == 2 * round + 2);
        await(net_connections(t.net) == 0);
        expect_eq(toy_released, 2 * round + 2);
    }
    toy_stop(&t);
}

void test_what_a_dead_peer_asked_for_is_cancelled_and_freed(void)
{
    deaths(1);
    deaths(3);
}

void test_an_orphan_lives_until_it_is_completed(void)
{
    struct toy t;
    struct net_options o = toy_options(3);
    toy_start(&t, &o);
    int fd = client_open(&t);
    client_send(fd, 'U', 77, 5000);
    await(toy_held == 1);
    struct linger now = {1, 0};
    expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    close(fd);
    await(net_connections(t.net) == 0);
    expect(toy_release(77)); /* its frame is still there: echo reads it */
    fd = client_open(&t);
    client_send(fd, 'E', 1, 1);
    client_expect(fd, 'E', 1, 1);
    close(fd);
    toy_stop(&t);
    expect_eq(toy_cancelled, 0);
}

void test_idle_connections_are_closed_parked_ones_are_not(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    o.idle_ms_max = 1000; /* time enough for the parked one's request */
    toy_start(&t, &o);
    int64_t from = os_now_ns();
    int idle = client_open(&t), parked = client_open(&t);
    client_send(parked, 'H', 1, 1);
    client_expect_end(idle);
    expect(os_now_ns() - from >= 990000000);
    expect(client_silent(parked, 150));
    expect(toy_release(1));
    client_expect(parked, 'H', 1, 1);
    client_expect_end(parked); /* and then it is idle */
    close(idle);
    close(parked);
    toy_stop(&t);
}

void test_many_connections_are_spread_and_served(void)
{
    enum { COUNT = 2000 };
    struct toy t;
    struct net_options o = toy_options(3);
    expect(os_files_limit() > 2 * COUNT + 100);
    toy_start(&t, &o);
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++)
        fds[i] = client_open(&t);
    for (uint32_t round = 0; round < 5; round++) {
        for (int i = 0; i < COUNT; i++)
            client_send(fds[i], i % 2 ? 'E' : 'P', round, (size_t)i % 300);
        for (int i = 0; i < COUNT; i++)
            client_expect(fds[i], i % 2 ? 'E' : 'P', round, (size_t)i % 300);
    }
    expect_eq(net_connections(t.net), COUNT);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    await(net_connections(t.net) == 0);
    expect_eq(watch_value(WATCH_connections), COUNT);
    toy_stop(&t);
}

struct load {
    struct toy *toy;
    _Atomic uint32_t answered;
};

/* Asks until the server is gone. What it answers must be right up to the end. */
static void *ask_on(void *context)
{
    struct load *l = context;
    int fd = client_open(l->toy);
    uint8_t frame[109], got[109];
    for (uint32_t i = 0;; i++) {
        size_t size = client_frame(frame, "EPL"[i % 3], i, 100), done = 0;
        if (send(fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size)
            break;
        ssize_t n = 1;
        while (done < size && (n = recv(fd, got + done, size - done, 0)) > 0)
            done += (size_t)n;
        if (n <= 0)
            break;
        expect(memcmp(frame, got, size) == 0);
        l->answered++;
    }
    close(fd);
    return NULL;
}

static void stop_under_load(int reactors, int64_t busy_ns)
{
    enum { ASKERS = 8 };
    struct toy t;
    struct net_options o = toy_options(reactors);
    o.busy_poll_ns = busy_ns;
    toy_start(&t, &o);
    pthread_t threads[ASKERS];
    struct load loads[ASKERS] = {0};
    for (int i = 0; i < ASKERS; i++) {
        loads[i].toy = &t;
        expect(pthread_create(&threads[i], NULL, ask_on, &loads[i]) == 0);
    }
    int parked = client_open(&t), stuck = client_open(&t);
    client_send(parked, 'H', 1, 1);
    client_send(stuck, 'B', 9000000, 0); /* does not read */
    await(toy_held == 1 && toy_served > 2000);
    for (int i = 0; i < ASKERS; i++)
        await(loads[i].answered > 0);
    toy_stop(&t); /* ends although `stuck` never reads: a stop that waited for it is the alarm's */
    client_expect(parked, 'H', 1, 1); /* cancelled, and answered */
    client_expect_end(parked);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    close(parked);
    close(stuck);
}

void test_stopping_under_load_is_clean(void)
{
    stop_under_load(1, 0);
    stop_under_load(3, 0);
    stop_under_load(3, 500000);
}

void test_a_request_that_never_completes_does_not_stop_the_stop(void)
{
    struct toy t;
    struct net_options o = toy_options(3);
    toy_start(&t, &o);
    int fd = client_open(&t);
    client_send(fd, 'U', 5, 5000);
    await(toy_held == 1);
    int64_t from = os_now_ns();
    net_stop(t.net, 100);
    expect(os_now_ns() - from < 20000000000); /* and not for ever */
    client_expect_end(fd);
    close(fd);
    net_close(t.net);
    expect(toy_release(5)); /* whoever had it may still return it */
    fflush(stdout);
    _exit(0); /* what stays behind is no leak to report */
}

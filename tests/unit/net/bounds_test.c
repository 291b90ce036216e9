/* SPDX-License-Identifier: MIT */
/* Bounds: hostile sizes, slow readers, memory, connections, descriptors. */
#include "toy.h"

#include "watch/watch.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Sanitizers have shadows of all memory. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MEMORY_FACTOR 16
#else
#define MEMORY_FACTOR 1
#endif

static bool grew_less(size_t before, size_t bytes)
{
    return os_resident_bytes() < before + bytes * MEMORY_FACTOR;
}

void test_impossible_sizes_close_at_once(void)
{
    static const uint32_t sizes[] = {0, 0xffffffffu, 0x80000000u, 10000001u, 0x47455420u /* GET */};
    struct toy t;
    struct net_options o = toy_options(3);
    toy_start(&t, &o);
    for (uint32_t i = 0; i < COUNT_OF(sizes); i++) {
        int fd = client_open(&t);
        uint8_t size[4];
        client_send(fd, 'E', 1, 5);
        put_be32(size, sizes[i]);
        client_write(fd, size, 4);
        client_expect(fd, 'E', 1, 5); /* what came before is answered */
        client_expect_end(fd);
        close(fd);
        await(watch_value(WATCH_frames_refused) == i + 1);
    }
    int fd = client_open(&t);
    client_send(fd, 'E', 1, 10000000 - 5); /* just allowed */
    client_expect(fd, 'E', 1, 10000000 - 5);
    close(fd);
    toy_stop(&t);
}

/* Frames of made-up sizes, contents and ends, half of the peers gone in mid-frame. */
static void garbage(int reactors)
{
    struct toy t;
    struct net_options o = toy_options(reactors);
    uint64_t seed = 4711;
    o.request_bytes_max = 100000;
    toy_start(&t, &o);
    for (int peer = 0; peer < 400; peer++) {
        uint8_t bytes[3000];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint8_t any = (uint8_t)(seed >> 56);
            bytes[i] = any;
            if (any < 200)
                bytes[i] = any < 170 ? 0 : any % 5;
            else if (any < 230)
                bytes[i] = (uint8_t)"EPLNCSI"[any % 7];
        }
        int fd = client_open(&t);
        ssize_t n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        expect(n > 0 || errno == ECONNRESET || errno == EPIPE);
        close(fd);
    }
    await(net_connections(t.net) == 0);
    int fd = client_open(&t);
    client_send(fd, 'P', 1, 5);
    client_expect(fd, 'P', 1, 5);
    close(fd);
    toy_stop(&t);
}

void test_garbage_harms_nobody(void)
{
    garbage(1);
    garbage(3);
}

void test_an_announced_size_allocates_nothing(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    o.request_bytes_max = INT32_MAX;
    toy_start(&t, &o);
    size_t before = os_resident_bytes();
    int fds[100];
    for (int i = 0; i < 100; i++) {
        uint8_t start[1004] = {0};
        put_be32(start, INT32_MAX);
        fds[i] = client_open(&t);
        client_write(fds[i], start, sizeof start);
    }
    await(watch_value(WATCH_bytes_received) == 100 * 1004);
    expect(grew_less(before, MiB(3)));
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    toy_stop(&t);
}

/* Writes requests until nothing is taken any more; returns how many whole ones went. */
static uint32_t pump_until_full(int fd, char command, uint32_t number, size_t payload)
{
    uint8_t *frame = malloc(9 + payload);
    expect(frame != NULL);
    size_t size = client_frame(frame, command, number, payload);
    uint32_t whole = 0;
    size_t at = 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    while (poll(&p, 1, 300) == 1) {
        ssize_t n = send(fd, frame + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        expect(n > 0 || errno == EAGAIN);
        at += n > 0 ? (size_t)n : 0;
        if (at == size) {
            at = 0;
            whole++;
        }
        expect(whole < 10000000);
    }
    free(frame);
    return whole;
}

static void slow_reader(int reactors)
{
    struct toy t;
    struct net_options o = toy_options(reactors);
    toy_start(&t, &o);
    int slow = client_open(&t), other = client_open(&t);
    size_t before = os_resident_bytes();
    uint32_t sent = pump_until_full(slow, 'B', 1000000, 0);
    int served = toy_served;
    expect(served < 64 && sent > 1000); /* the rest waits in the kernel's buffers */
    expect(grew_less(before, MiB(40)));
    client_send(other, 'E', 1, 10);
    client_expect(other, 'E', 1, 10);
    static uint8_t got[1000004];
    for (int i = 0; i < 3 * served; i++) { /* reading on lets it go on */
        client_read(slow, got, sizeof got);
        expect_eq(get_be32(got), 1000000);
    }
    close(slow);
    close(other);
    await(net_connections(t.net) == 0);
    toy_stop(&t);
}

void test_a_slow_reader_is_not_served_ahead(void)
{
    slow_reader(1);
    slow_reader(3);
}

void test_pipelined_requests_are_bounded_in_number_and_bytes(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    o.connection_bytes_max = 1000000;
    toy_start(&t, &o);
    int many = client_open(&t), large = client_open(&t);
    pump_until_full(many, 'h', 1, 0);
    await(toy_served >= 256);
    expect(client_silent(many, 50));
    int small_ones = toy_served;
    expect_eq(small_ones, 256);
    pump_until_full(large, 'h', 2, 300000);
    await(toy_served - small_ones >= 4);
    expect(client_silent(large, 50));
    expect_eq(toy_served - small_ones, 4); /* the fourth goes over the limit */
    expect(toy_release(2));
    client_expect(large, 'h', 2, 300000);
    await(toy_served - small_ones == 5); /* one goes, one comes */
    toy_stop(&t); /* cancels them all */
    expect_eq(toy_cancelled, 256 + 4);
    close(many);
    close(large);
}

void test_without_receive_memory_connections_wait(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    o.receive_bytes_max = 300000; /* four buffers */
    toy_start(&t, &o);
    int part[4], waiting = client_open(&t);
    uint8_t frame[6009];
    size_t size = client_frame(frame, 'E', 1, 6000);
    for (int i = 0; i < 4; i++) {
        part[i] = client_open(&t);
        client_write(part[i], frame, 5000);
    }
    await(watch_value(WATCH_bytes_received) == 20000);
    client_send(waiting, 'E', 2, 3);
    expect(client_silent(waiting, 50));
    client_write(part[2], frame + 5000, size - 5000);
    client_expect(part[2], 'E', 1, 6000);
    client_expect(waiting, 'E', 2, 3);
    close(waiting);
    for (int i = 0; i < 4; i++)
        close(part[i]);
    toy_stop(&t);
}

void test_connections_are_bounded_in_total_and_for_each_address(void)
{
    for (int by_address = 0; by_address < 2; by_address++) {
        struct toy t;
        struct net_options o = toy_options(3);
        int *bound = by_address ? &o.connections_per_ip_max : &o.connections_max;
        *bound = 10;
        toy_start(&t, &o);
        int fds[11];
        for (int i = 0; i < 11; i++)
            fds[i] = client_open(&t);
        for (int i = 0; i < 10; i++) {
            client_send(fds[i], 'E', 1, 1);
            client_expect(fds[i], 'E', 1, 1);
        }
        client_expect_end(fds[10]);
        close(fds[0]);
        await(net_connections(t.net) == 9);
        close(fds[10]);
        fds[10] = client_open(&t); /* there is a place again */
        client_send(fds[10], 'E', 1, 1);
        client_expect(fds[10], 'E', 1, 1);
        for (int i = 1; i < 11; i++)
            close(fds[i]);
        toy_stop(&t);
        expect(watch_value(WATCH_connections_refused) == (uint64_t)by_address + 1);
    }
}

void test_without_descriptors_callers_are_turned_away(void)
{
    struct toy t;
    struct net_options o = toy_options(1);
    toy_start(&t, &o);
    int clients[8], spare[256], used = 0;
    for (int i = 0; i < 8; i++) {
        clients[i] = client_open(&t);
        client_send(clients[i], 'E', 1, 1);
        client_expect(clients[i], 'E', 1, 1);
    }
    struct rlimit limit = {200, 200};
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (used < 256 && (spare[used] = dup(0)) >= 0)
        used++;
    close(spare[--used]);
    int refused = client_open(&t); /* takes the last one */
    client_expect_end(refused);
    close(refused);
    client_send(clients[3], 'E', 2, 1); /* the others are as well as before */
    client_expect(clients[3], 'E', 2, 1);
    close(spare[--used]);
    close(spare[--used]);
    int accepted = client_open(&t);
    client_send(accepted, 'E', 1, 1);
    client_expect(accepted, 'E', 1, 1);
    close(accepted);
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    while (used > 0)
        close(spare[--used]);
    toy_stop(&t);
}

void test_idle_connections_cost_little_and_no_time(void)
{
    struct toy t;
    struct net_options o = toy_options(3);
    int most = (int)MIN(os_files_limit() / 2 - 50, (size_t)10000);
    toy_start(&t, &o);
    int *fds = calloc((size_t)most, sizeof *fds);
    expect(fds != NULL);
    size_t before = os_resident_bytes();
    for (int i = 0; i < most; i++) {
        fds[i] = client_open(&t);
        client_send(fds[i], 'E', 1, 100);
        client_expect(fds[i], 'E', 1, 100);
    }
    expect_eq(net_connections(t.net), most);
    expect(client_silent(fds[0], 2500)); /* spare buffers are given back meanwhile */
    size_t after = os_resident_bytes();
    printf("# %d idle connections: %zu KiB\n", most, (after - MIN(after, before)) / 1024);
    expect(grew_less(before, MiB(1) + (size_t)most * 1024));
    int64_t cpu = os_cpu_ms();
    expect(client_silent(fds[0], 500));
    expect(os_cpu_ms() - cpu < 10);
    for (int i = 0; i < most; i++) {
        client_send(fds[i], 'P', 2, 10);
        close(fds[i]); /* gone before the answer */
    }
    await(net_connections(t.net) == 0);
    toy_stop(&t);
    free(fds);
}

void test_parked_small_requests_hold_no_receive_buffer(void)
{
    enum { COUNT = 2000 };
    struct toy t;
    struct net_options o = toy_options(3);
    o.receive_bytes_max = 1000000;
    expect(os_files_limit() > 2 * COUNT + 100);
    toy_start(&t, &o);
    static int fds[COUNT];
    size_t before = os_resident_bytes();
    for (uint32_t i = 0; i < COUNT; i++) {
        fds[i] = client_open(&t);
        client_send(fds[i], 'H', i, 300);
    }
    await(toy_held == COUNT);
    size_t after = os_resident_bytes();
    printf("# %d parked requests: %zu KiB\n", COUNT, (after - MIN(after, before)) / 1024);
    expect(grew_less(before, (size_t)COUNT * KiB(5)));
    for (uint32_t i = 0; i < COUNT; i += 2) {
        expect(toy_release(i));
        client_expect(fds[i], 'H', i, 300);
    }
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    await(toy_cancelled == COUNT / 2 && net_connections(t.net) == 0);
    toy_stop(&t);
}

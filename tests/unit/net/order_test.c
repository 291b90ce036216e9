/* SPDX-License-Identifier: MIT */
/* Frames in, replies out: every split, every order, files, sessions; with one reactor and
 * several. */
#include "toy.h"

#include "watch/watch.h"

#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

static uint64_t seed = 99;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void run(void (*test)(struct toy *t))
{
    for (int reactors = 1; reactors <= 3; reactors += 2) {
        struct toy t;
        struct net_options o = toy_options(reactors);
        toy_start(&t, &o);
        test(&t);
        toy_stop(&t);
    }
}

static void split_everywhere(struct toy *t)
{
    uint8_t bytes[200];
    size_t size = client_frame(bytes, 'E', 1, 20);
    size += client_frame(bytes + size, 'P', 2, 3);
    size += client_frame(bytes + size, 'E', 3, 40);
    for (size_t cut = 0; cut <= size; cut++) {
        int fd = client_open(t);
        uint64_t before = watch_value(WATCH_bytes_received);
        client_write(fd, bytes, cut);
        /* The server must have seen the first part alone. */
        await(watch_value(WATCH_bytes_received) >= before + cut);
        client_write(fd, bytes + cut, size - cut);
        client_expect(fd, 'E', 1, 20);
        client_expect(fd, 'P', 2, 3);
        client_expect(fd, 'E', 3, 40);
        close(fd);
    }
}

void test_a_frame_may_arrive_in_any_two_parts(void)
{
    run(split_everywhere);
}

static void byte_by_byte(struct toy *t)
{
    uint8_t bytes[64];
    size_t size = client_frame(bytes, 'E', 7, 30);
    int fd = client_open(t);
    for (size_t i = 0; i < size; i++) {
        uint64_t before = watch_value(WATCH_bytes_received);
        client_write(fd, bytes + i, 1);
        await(watch_value(WATCH_bytes_received) > before);
    }
    client_expect(fd, 'E', 7, 30);
    close(fd);
}

void test_a_frame_may_arrive_byte_by_byte(void)
{
    run(byte_by_byte);
}

struct sent {
    char command;
    uint32_t number;
    size_t payload;
};

struct writer {
    int fd;
    uint8_t *bytes;
    size_t size;
};

static void *write_in_bits(void *context)
{
    struct writer *w = context;
    uint64_t mine = w->size;
    for (size_t at = 0; at < w->size;) {
        mine = mine * 6364136223846793005u + 1442695040888963407u;
        size_t bit = 1 + (size_t)(mine >> 33) % ((mine >> 60) < 8 ? 50 : 200000);
        bit = MIN(bit, w->size - at);
        client_write(w->fd, w->bytes + at, bit);
        at += bit;
    }
    return NULL;
}

/* Any mix of commands and sizes: the replies come in the order of the requests. */
static void random_mix(struct toy *t)
{
    enum { COUNT = 600 };
    static struct sent sent[COUNT];
    struct writer w = {.fd = client_open(t), .bytes = malloc(64000000)};
    expect(w.bytes != NULL);
    for (uint32_t i = 0; i < COUNT; i++) {
        char command = "EEEPLLLINFB"[next_random(11)];
        uint32_t scale = next_random(20);
        uint32_t most = scale == 0 ? 2000000 : scale < 4 ? 100000 : scale < 8 ? 5000 : 100;
        size_t payload = next_random(most);
        uint32_t number = command == 'F' || command == 'B' ? next_random(TOY_FILE_BYTES) : i;
        sent[i] = (struct sent){command, number, payload};
        expect(w.size + payload + 9 <= 64000000);
        w.size += client_frame(w.bytes + w.size, command, number, payload);
    }
    pthread_t thread;
    expect(pthread_create(&thread, NULL, write_in_bits, &w) == 0);
    static uint8_t got[TOY_FILE_BYTES + 12];
    for (size_t i = 0; i < COUNT; i++) {
        struct sent *s = &sent[i];
        if (s->command == 'N')
            continue;
        if (s->command != 'F' && s->command != 'B') {
            client_expect(w.fd, s->command, s->number, s->payload);
            continue;
        }
        size_t size = s->command == 'F' ? s->number + 8 : s->number;
        client_read(w.fd, got, 4);
        expect_eq(get_be32(got), size);
        client_read(w.fd, got, size);
        if (s->command == 'B')
            continue;
        expect(memcmp(got, "head", 4) == 0 && memcmp(got + size - 4, "tail", 4) == 0);
        for (size_t k = 0; k < s->number; k++)
            expect(got[4 + k] == toy_file_byte(k));
    }
    pthread_join(thread, NULL);
    expect_eq(toy_served, COUNT);
    int files = 0;
    for (size_t i = 0; i < COUNT; i++)
        files += sent[i].command == 'F';
    close(w.fd);
    await(toy_released == 2 * files);
    free(w.bytes);
}

void test_replies_keep_the_order_of_requests(void)
{
    for (int round = 0; round < 4; round++)
        run(random_mix);
}

static void held_in_the_middle(struct toy *t)
{
    int fd = client_open(t);
    client_send(fd, 'E', 1, 0);
    client_send(fd, 'h', 2, 0); /* later ones are served meanwhile ... */
    client_send(fd, 'E', 3, 0);
    client_send(fd, 'H', 4, 0);
    client_send(fd, 'E', 5, 0); /* ... but not behind a parked one */
    client_expect(fd, 'E', 1, 0);
    await(toy_held == 2);
    expect(client_silent(fd, 20));
    expect_eq(toy_served, 4);
    expect(toy_release(4));
    expect(client_silent(fd, 20)); /* the reply to 2 comes first */
    await(toy_served == 5);
    expect(toy_release(2));
    client_expect(fd, 'h', 2, 0);
    client_expect(fd, 'E', 3, 0);
    client_expect(fd, 'H', 4, 0);
    client_expect(fd, 'E', 5, 0);
    close(fd);
}

void test_a_parked_request_stops_its_connection_a_pipelined_one_does_not(void)
{
    run(held_in_the_middle);
}

static void others_go_on(struct toy *t)
{
    int parked[8], busy = client_open(t);
    for (uint32_t i = 0; i < 8; i++) {
        parked[i] = client_open(t);
        client_send(parked[i], 'H', i, 3000);
    }
    await(toy_held == 8);
    for (uint32_t i = 0; i < 8; i++) {
        client_send(busy, 'E', i, 10);
        client_expect(busy, 'E', i, 10);
        client_send(busy, 'R', i, 0); /* completes it on whatever reactor it lives */
        client_expect(parked[i], 'H', i, 3000);
        close(parked[i]);
    }
    close(busy);
}

void test_requests_are_completed_from_other_connections(void)
{
    run(others_go_on);
}

static void sessions(struct toy *t)
{
    for (int round = 1; round <= 3; round++) {
        int fd = client_open(t);
        uint8_t got[8];
        for (uint32_t i = 1; i <= 3; i++) {
            client_send(fd, 'S', 0, 0);
            client_read(fd, got, 8);
            expect_eq(get_be32(got), 4);
            expect_eq(get_be32(got + 4), i);
        }
        close(fd);
        await(toy_closed == round);
    }
}

void test_a_session_lives_as_long_as_its_connection(void)
{
    run(sessions);
}

static void half_closed(struct toy *t)
{
    int fd = client_open(t);
    client_send(fd, 'E', 1, 100000);
    client_send(fd, 'P', 2, 10);
    client_send(fd, 'H', 3, 10); /* its cancel hook answers early */
    client_send(fd, 'H', 4, 10); /* served when the peer has ended already */
    client_send(fd, 'E', 5, 10);
    expect(shutdown(fd, SHUT_WR) == 0);
    client_expect(fd, 'E', 1, 100000);
    client_expect(fd, 'P', 2, 10);
    client_expect(fd, 'H', 3, 10);
    client_expect(fd, 'H', 4, 10);
    client_expect(fd, 'E', 5, 10);
    client_expect_end(fd);
    close(fd);
    await(net_connections(t->net) == 0);
}

void test_a_peer_that_sends_no_more_gets_its_replies(void)
{
    run(half_closed);
}

static void closing_reply(struct toy *t)
{
    int fd = client_open(t);
    client_send(fd, 'L', 1, 10);
    client_send(fd, 'E', 2, 10);
    client_send(fd, 'C', 3, 10);
    client_expect(fd, 'L', 1, 10);
    client_expect(fd, 'E', 2, 10);
    client_expect(fd, 'C', 3, 10);
    client_expect_end(fd);
    close(fd);
}

void test_close_comes_after_the_replies_before_it(void)
{
    run(closing_reply);
}

static void large_replies(struct toy *t)
{
    static uint8_t got[KiB(64)];
    int fd = client_open(t);
    for (uint32_t i = 1; i <= 3; i++)
        client_send(fd, 'B', i * 12345678, 0); /* more than one turn sends */
    for (uint32_t i = 1; i <= 3; i++) {
        client_read(fd, got, 4);
        expect_eq(get_be32(got), i * 12345678);
        for (size_t left = i * 12345678, n; left > 0; left -= n) {
            n = MIN(left, sizeof got);
            client_read(fd, got, n);
        }
    }
    close(fd);
}

void test_large_replies_arrive_whole(void)
{
    run(large_replies);
}

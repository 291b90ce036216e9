/* SPDX-License-Identifier: MIT */
/*
 * Links: doors that speak a stream. The door here takes units of a command byte, a number and that
 * many bytes where the command has a payload:
 *   E echo; B the same, borrowed; L lend that many shared bytes; W that many small writes; P pause
 *   until somebody's R; X say "bye" and end; K end now; Q drained how often.
 */
#include "toy.h"

#include "base/check.h"
#include "broker/link.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SHARED_BYTES 300000

struct shared {
    struct store_hold hold;
    uint8_t bytes[SHARED_BYTES];
};

struct seen {
    uint32_t drained;
    size_t calls;
};

static _Atomic int opened, closed, stopped, freed;
static struct link *paused; /* of the one reactor */

static void release(struct store_hold *hold)
{
    free(container_of(hold, struct shared, hold));
    freed++;
}

static bool toy_opened(struct link *l)
{
    l->session = calloc(1, sizeof(struct seen));
    opened++;
    return l->session != NULL && link_write(l, "hello", 5);
}

static void toy_gone(struct link *l)
{
    if (paused == l)
        paused = NULL;
    free(l->session);
    closed++;
}

static void toy_stopping(struct link *l)
{
    stopped++;
    expect(link_write(l, "stop", 4));
}

static void toy_drained(struct link *l)
{
    ((struct seen *)l->session)->drained++;
}

static void lend(struct link *l, uint32_t size)
{
    struct shared *s = malloc(sizeof *s);
    s->hold = (struct store_hold){.count = 1, .release = release};
    for (size_t i = 0; i < sizeof s->bytes; i++)
        s->bytes[i] = toy_file_byte(i);
    expect(link_write(l, "<", 1));
    expect(link_lend(l, bytes_view(s->bytes, size), &s->hold));
    expect(link_write(l, ">", 1));
    store_hold_drop(&s->hold);
}

static void command(struct link *l, uint8_t what, uint32_t number, struct bytes unit)
{
    uint32_t drained = ((struct seen *)l->session)->drained;
    switch (what) {
    case 'E': expect(link_write(l, unit.at, unit.size)); break;
    case 'B':
        expect(link_write(l, "<", 1) && link_borrow(l, unit, l->loan) && link_write(l, ">", 1));
        break;
    case 'L': lend(l, number); break;
    case 'W':
        for (uint32_t i = 0; i < number; i++)
            expect(link_write(l, &i, sizeof i));
        break;
    case 'P':
        paused = l;
        link_pause(l);
        break;
    case 'R':
        if (paused != NULL)
            link_resume(paused);
        break;
    case 'X':
        expect(link_write(l, "bye", 3));
        link_end(l, LINK_AFTER_OUTPUT);
        break;
    case 'K': link_end(l, LINK_NOW); break;
    case 'Q': expect(link_write(l, &drained, sizeof drained)); break;
    default: impossible("a command that no test sends");
    }
}

static size_t toy_received(struct link *l, struct bytes in, size_t *want)
{
    size_t at = 0;
    ((struct seen *)l->session)->calls++;
    while (in.size - at >= 5) {
        uint32_t number = get_be32(in.at + at + 1);
        size_t size = 5 + (in.at[at] == 'E' || in.at[at] == 'B' ? number : 0);
        *want = size;
        if (in.size - at < size)
            return at;
        *want = 0;
        command(l, in.at[at], number, (struct bytes){in.at + at, size});
        at += size;
        if (paused == l)
            break;
    }
    return at;
}

static const struct link_door stream = {
    .opened = toy_opened, .received = toy_received, .drained = toy_drained, .closed = toy_gone,
    .stopping = toy_stopping};
static const struct door door = {.name = "stream", .link = &stream};

static int begin(struct toy *t, int reactors)
{
    struct net_options o = toy_options(reactors);
    char hello[5];
    o.listeners[0].door = &door;
    opened = closed = stopped = freed = 0;
    toy_start(t, &o);
    int fd = client_open(t);
    client_read(fd, hello, 5);
    expect(memcmp(hello, "hello", 5) == 0);
    return fd;
}

static void finish(struct toy *t, int fd)
{
    char stop[4];
    int here = opened - closed;
    net_stop(t->net, 500);
    if (fd >= 0) {
        client_read(fd, stop, 4);
        expect(memcmp(stop, "stop", 4) == 0);
        client_expect_end(fd);
        close(fd);
    }
    expect_eq(stopped, here);
    toy_stop(t);
    expect_eq(opened, closed);
}

static void ask(int fd, char what, uint32_t number)
{
    uint8_t unit[5] = {(uint8_t)what};
    put_be32(unit + 1, number);
    client_write(fd, unit, sizeof unit);
}

void test_units_cut_anywhere(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    uint8_t unit[5 + 7] = "E\0\0\0\7payload", back[12];
    for (size_t cut = 1; cut < sizeof unit; cut++) {
        client_write(fd, unit, cut);
        sched_yield();
        client_write(fd, unit + cut, sizeof unit - cut);
        client_read(fd, back, sizeof back);
        expect(memcmp(unit, back, sizeof unit) == 0);
    }
    finish(&t, fd);
}

/* The units of a run, one after the other, the same each time it is begun. */
struct units {
    uint32_t random;
    size_t size;
    uint8_t unit[5 + 5000];
};

static void next_unit(struct units *u)
{
    u->random = u->random * 1664525u + 1013904223u;
    uint32_t payload = (u->random >> 8) % 5000;
    u->unit[0] = "BBBE"[u->random >> 30];
    put_be32(u->unit + 1, payload);
    for (uint32_t i = 0; i < payload; i++)
        u->unit[5 + i] = (uint8_t)(u->random + i * 7);
    u->size = 5 + payload;
}

static void expect_units(int fd, uint32_t seed, int count)
{
    static struct units u;
    static uint8_t back[sizeof u.unit + 2];
    u.random = seed;
    for (int i = 0; i < count; i++) {
        next_unit(&u);
        size_t around = u.unit[0] == 'B';
        client_read(fd, back, u.size + 2 * around);
        expect(memcmp(back + around, u.unit, u.size) == 0);
        expect(!around || (back[0] == '<' && back[u.size + 1] == '>'));
    }
}

static void write_units(int fd, uint32_t seed, int count)
{
    static struct units u;
    static uint8_t out[200 * sizeof u.unit];
    size_t filled = 0;
    u.random = seed;
    for (int i = 0; i < count; i++) {
        next_unit(&u);
        memcpy(out + filled, u.unit, u.size);
        filled += u.size;
        if (i % 200 == 199 || i == count - 1) {
            client_write(fd, out, filled);
            filled = 0;
        }
    }
}

/* What was received may be sent from where it lies, and is not lost when the peer takes nothing:
 * more comes than all socket buffers hold before the first byte is read. */
void test_borrowed_bytes_arrive_as_they_were(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    for (uint32_t round = 0; round < 20; round++) {
        write_units(fd, round, 30);
        expect_units(fd, round, 30);
    }
    write_units(fd, 77, 16000);
    expect_units(fd, 77, 16000);
    write_units(fd, 78, 30); /* borrowed again */
    expect_units(fd, 78, 30);
    finish(&t, fd);
}

/* A connection ends while others may look at what it sent. */
void test_borrowed_bytes_of_one_that_is_gone(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    for (int i = 0; i < 50; i++) {
        int other = client_open(&t);
        write_units(other, 5, 20);
        ask(other, i % 2 == 0 ? 'X' : 'K', 0);
        close(other);
    }
    write_units(fd, 1, 10);
    expect_units(fd, 1, 10);
    finish(&t, fd);
}

static void *drain(void *context)
{
    int fd = *(int *)context;
    static uint8_t back[5 + 3000000];
    client_read(fd, back, sizeof back);
    for (size_t i = 5; i < sizeof back; i++)
        expect(back[i] == toy_file_byte(i));
    return NULL;
}

void test_a_large_unit_is_received_whole(void)
{
    struct toy t;
    pthread_t reader;
    int fd = begin(&t, 1);
    static uint8_t unit[5 + 3000000];
    unit[0] = 'E';
    put_be32(unit + 1, 3000000);
    for (size_t i = 5; i < sizeof unit; i++)
        unit[i] = toy_file_byte(i);
    expect(pthread_create(&reader, NULL, drain, &fd) == 0);
    client_write(fd, unit, sizeof unit);
    pthread_join(reader, NULL);
    finish(&t, fd);
}

void test_a_unit_that_is_too_large_closes(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    uint8_t unit[6] = {'E', 0x7f, 0, 0, 0, 1};
    client_write(fd, unit, sizeof unit);
    client_expect_end(fd);
    close(fd);
    await(closed == 1);
    finish(&t, -1);
}

void test_many_writes_and_lent_bytes_keep_their_order(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    static uint8_t bytes[SHARED_BYTES];
    for (int round = 0; round < 3; round++) {
        uint32_t number;
        char edge;
        ask(fd, 'W', 100000);
        ask(fd, 'L', SHARED_BYTES);
        ask(fd, 'W', 1);
        for (uint32_t i = 0; i < 100000; i++) {
            client_read(fd, &number, sizeof number);
            expect_eq(number, i);
        }
        client_read(fd, &edge, 1);
        expect_eq(edge, '<');
        client_read(fd, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            expect(bytes[i] == toy_file_byte(i));
        client_read(fd, &edge, 1);
        expect_eq(edge, '>');
        client_read(fd, &number, sizeof number);
        expect_eq(number, 0);
    }
    await(freed == 3);
    finish(&t, fd);
}

void test_a_paused_link_is_not_read(void)
{
    struct toy t;
    int fd = begin(&t, 1), other = client_open(&t);
    uint8_t unit[6] = "E\0\0\0\1x", back[6];
    char hello[5];
    client_read(other, hello, 5);
    ask(fd, 'P', 0);
    client_write(fd, unit, sizeof unit);
    expect(client_silent(fd, 50));
    ask(other, 'R', 0);
    client_read(fd, back, sizeof back);
    expect(memcmp(unit, back, sizeof unit) == 0);
    close(other);
    await(closed == 1);
    finish(&t, fd);
}

/* Its peer reads nothing at first: the door is told when all has gone. */
void test_drained(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    uint32_t drained;
    static uint8_t numbers[4 * 5000000];
    ask(fd, 'W', 5000000);
    ask(fd, 'Q', 0); /* in the same turn or the next: some of it waits */
    client_read(fd, numbers, sizeof numbers);
    client_read(fd, &drained, sizeof drained);
    expect_eq(drained, 0);
    do {
        ask(fd, 'Q', 0);
        client_read(fd, &drained, sizeof drained);
    } while (drained == 0);
    expect_eq(drained, 1);
    finish(&t, fd);
}

void test_ends(void)
{
    struct toy t;
    int fd = begin(&t, 1);
    char bye[3], hello[5];
    ask(fd, 'X', 0);
    client_read(fd, bye, 3);
    expect(memcmp(bye, "bye", 3) == 0);
    client_expect_end(fd);
    close(fd);
    fd = client_open(&t);
    client_read(fd, hello, 5);
    ask(fd, 'K', 0);
    client_expect_end(fd);
    close(fd);
    fd = client_open(&t); /* the peer shuts down its side: what it asked for still comes */
    client_read(fd, hello, 5);
    ask(fd, 'W', 1);
    expect(shutdown(fd, SHUT_WR) == 0);
    client_read(fd, hello, 4);
    client_expect_end(fd);
    close(fd);
    await(closed == 3);
    finish(&t, -1);
}

void test_a_peer_that_reads_nothing_is_closed_at_the_stop(void)
{
    struct toy t;
    int fd = begin(&t, 2);
    ask(fd, 'W', 5000000);
    await(opened == 1);
    net_stop(t.net, 100);
    toy_stop(&t);
    expect_eq(closed, 1);
    close(fd);
}

/* SPDX-License-Identifier: MIT */
/*
 * Clients that don't take what they are sent, and publishers that must wait for them; a message for
 * each policy of overflow.
 */
#include "helper.h"

#include <pthread.h>
#include <stdatomic.h>

static void publish(struct peer *p, int count, size_t size)
{
    static char payload[MiB(1) + 1];
    char line[64];
    memset(payload, 'p', sizeof payload);
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "PUB x %zu\r\n", size);
        peer_send(p, line);
        peer_bytes(p, payload, size);
        peer_send(p, "\r\n");
    }
}

static struct nats_figures figures(void)
{
    struct nats_figures f;
    expect(nats_figures(&f));
    return f;
}

/* What was published = delivered + dropped + expired + pending, over all subscriptions. */
static void expect_accounts(void)
{
    struct live_account a = figures().live.account;
    uint64_t dropped = 0;
    for (int i = 0; i < LIVE_REASONS; i++)
        dropped += a.dropped[i];
    expect_eq(a.matched, a.delivered + dropped + a.expired + a.pending);
}

void test_slow_consumer_is_closed_without_a_word(void)
{
    struct nats_options o = door_options();
    o.max_pending = 100000;
    door_open(&o);
    struct peer *slow = peer_quiet(0), *good = peer_quiet(0), *p = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\n");
    peer_send(good, "SUB x 1\r\n");
    slow->stuck = true;
    for (int i = 0; i < 120; i++) {
        publish(p, 1, 1000);
        pass(0);
    }
    expect(slow->gone && slow->how == LINK_NOW && !good->gone);
    expect(strstr(peer_out(slow), "-ERR") == NULL);
    expect_eq(strlen(peer_out(good)), 120 * (strlen("MSG x 1 1000\r\n") + 1002));
    expect_eq(figures().slow_consumers, 1);
    expect_accounts();
    door_close();
}

void test_write_deadline(void)
{
    struct nats_options o = door_options();
    o.write_deadline_ms = 3000;
    door_open(&o);
    struct peer *slow = peer_quiet(0), *p = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\n");
    slow->stuck = true;
    publish(p, 3, 600000);
    pass(1000);
    slow->link.pending -= 1000; /* it takes a little */
    pass(1000);
    pass(2900);
    expect(!slow->gone);
    pass(300);
    expect(slow->gone);
    expect_eq(figures().slow_consumers, 1);
    door_close();
}

static void with_policy(enum live_overflow overflow, uint64_t *delivered,
                        uint64_t dropped[LIVE_REASONS])
{
    struct nats_options o = door_options();
    o.overflow = overflow;
    o.overflow_messages = 10;
    door_open(&o);
    struct peer *slow = peer_quiet(0), *p = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\n");
    slow->stuck = true;
    for (int i = 0; i < 200; i++) {
        char line[32];
        publish(p, 1, 8000);
        snprintf(line, sizeof line, "PUB x 3\r\n%03d\r\n", i);
        peer_send(p, line);
    }
    pass(0);
    expect(!slow->gone);
    expect_accounts();
    slow->stuck = false;
    for (int i = 0; i < 50; i++)
        pass(0);
    expect_accounts();
    *delivered = figures().live.account.delivered;
    memcpy(dropped, figures().live.account.dropped, sizeof figures().live.account.dropped);
    const char *out = peer_out(slow);
    expect((strstr(out, "\r\n199\r\n") != NULL) == (overflow != LIVE_DROP_NEWEST));
    expect(strstr(out, "\r\n000\r\n") != NULL);
    expect_eq(p->in_size, 0);
    expect(!p->paused);
    door_close();
}

void test_drop_oldest(void)
{
    uint64_t delivered, dropped[LIVE_REASONS];
    with_policy(LIVE_DROP_OLDEST, &delivered, dropped);
    expect_eq(delivered + dropped[LIVE_DROPPED_OLDEST], 400);
    expect(dropped[LIVE_DROPPED_OLDEST] > 50);
}

void test_drop_newest(void)
{
    uint64_t delivered, dropped[LIVE_REASONS];
    with_policy(LIVE_DROP_NEWEST, &delivered, dropped);
    expect_eq(delivered + dropped[LIVE_DROPPED_NEWEST], 400);
    expect(dropped[LIVE_DROPPED_NEWEST] > 50);
}

void test_block(void)
{
    uint64_t delivered, dropped[LIVE_REASONS];
    with_policy(LIVE_BLOCK, &delivered, dropped);
    expect_eq(delivered, 400);
}

void test_blocked_publisher_is_not_read(void)
{
    struct nats_options o = door_options();
    o.overflow = LIVE_BLOCK;
    o.overflow_messages = 10;
    door_open(&o);
    struct peer *slow = peer_quiet(0), *p = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\n");
    slow->stuck = true;
    publish(p, 200, 8000);
    pass(0);
    expect(p->paused && p->in_size > 100000);
    peer_close(slow); /* nobody is left to wait for */
    pass(0);
    pass(0);
    expect(!p->paused && p->in_size == 0);
    expect_accounts();
    door_close();
}

void test_backlog_is_gone_with_its_connection(void)
{
    struct nats_options o = door_options();
    o.overflow = LIVE_DROP_OLDEST;
    o.overflow_messages = 1000;
    door_open(&o);
    struct peer *slow = peer_quiet(0), *p = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\nSUB x 2\r\nUNSUB 2 150\r\n");
    slow->stuck = true;
    publish(p, 200, 8000);
    pass(0);
    expect(figures().live.account.pending > 0);
    peer_send(slow, "UNSUB 1\r\n");
    slow->stuck = false;
    for (int i = 0; i < 50; i++)
        pass(0);
    expect_eq(figures().live.account.pending, 0);
    expect_eq(figures().subscriptions, 0); /* the second got its 150 */
    expect_accounts();
    door_close();
}

/* Whoever publishes to a subscriber that is nearly full is slowed; others are not. */
void test_publishers_to_a_slow_one_are_slowed(void)
{
    struct nats_options o = door_options();
    o.max_pending = (int64_t)MiB(2);
    door_open(&o);
    struct peer *slow = peer_quiet(1), *near = peer_quiet(1), *far = peer_quiet(0);
    struct peer *other = peer_quiet(0);
    peer_send(slow, "SUB x 1\r\n");
    slow->stuck = true;
    pass(0);
    publish(near, 27, 65536);
    pass(0);
    expect(near->paused && near->in_size > 0 && !slow->gone);
    publish(far, 2, 65536);
    pass(0);
    expect(far->paused);
    peer_send(other, "PUB y 0\r\n\r\nPING\r\n");
    peer_expect(other, "PONG\r\n");
    slow->stuck = false;
    pass(0);
    for (int i = 0; i < 10; i++)
        pass(4);
    expect(!near->paused && !far->paused && near->in_size == 0 && far->in_size == 0);
    pass(20);
    publish(near, 5, 65536);
    expect(!near->paused); /* it is over */
    pass(0);
    expect_eq(strlen(peer_out(slow)), 34 * (strlen("MSG x 1 65536\r\n") + 65538));
    peer_close(near);
    expect(!slow->gone);
    door_close();
}

/* ---- lists of connections ---- */

static struct nats_connection *listed;
static size_t listed_count;
static _Atomic bool listing_done;

static void *list_them(void *context)
{
    expect(nats_connections(NATS_SUBSCRIPTIONS, context, &listed, &listed_count) == OUT_OK);
    listing_done = true;
    return NULL;
}

void test_connections_are_listed(void)
{
    struct arena arena;
    pthread_t asker;
    door_open(NULL);
    struct peer *a = peer_connect(0, "{\"verbose\":false,\"name\":\"n\",\"lang\":\"c\"}");
    struct peer *b = peer_quiet(1);
    peer_send(a, "SUB x 1\r\nSUB y.> 2\r\n");
    pass(0);
    peer_send(b, "PUB x 4\r\nabcd\r\n");
    pass(0);
    arena_init(&arena, MiB(1));
    expect(pthread_create(&asker, NULL, list_them, &arena) == 0);
    while (!listing_done)
        pass(0);
    pthread_join(asker, NULL);
    expect_eq(listed_count, 2);
    expect(listed[0].cid < listed[1].cid && strcmp(listed[0].name, "n") == 0);
    expect(strcmp(listed[0].lang, "c") == 0 && listed[0].user[0] == '\0');
    expect(listed[0].subscriptions == 2 && listed[0].out_messages == 1);
    expect(listed[1].in_messages == 1 && listed[1].in_bytes == 4);
    bool first = bytes_is(listed[0].subjects[0], "x");
    expect(bytes_is(listed[0].subjects[first ? 1 : 0], "y.>"));
    struct nats_figures f = figures();
    expect(f.connections == 2 && f.subscriptions == 2 && f.in_messages == 1);
    expect(f.out_messages == 1 && f.in_bytes == 4 && f.out_bytes == 4);
    expect(f.total_connections == 2 && f.live.subscriptions == 2);
    arena_fini(&arena);
    door_close();
}

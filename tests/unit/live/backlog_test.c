/* SPDX-License-Identifier: MIT */
/* Subscriptions that can't keep up: policies, deadlines, holding publishers, all by example. */
#include "tap.h"
#include "world.h"

static struct taker slow(enum live_overflow policy, uint32_t most)
{
    return (struct taker){.answer = LIVE_BUSY, .sub.overflow = (uint8_t)policy,
                          .sub.backlog_max = most};
}

static void publish_digits(struct world *w, int shard, int count)
{
    for (int i = 1; i <= count; i++) {
        char text[2] = {(char)('0' + i), '\0'};
        world_publish(w, shard, "x", text);
    }
}

void test_drop_oldest_keeps_the_newest(void)
{
    struct world w;
    struct taker t = slow(LIVE_DROP_OLDEST, 3);
    world_start(&w, 1, 0);
    taker_start(&w, &t, 0, "x", NULL);
    publish_digits(&w, 0, 9);
    expect_eq(t.sub.account.pending, 3);
    expect(!live_drain(&t.sub, 0));
    t.answer = LIVE_TAKEN;
    expect(live_drain(&t.sub, 0));
    expect_str(t.got, " 7 8 9");
    expect(t.sub.backlog == NULL);
    expect_eq(t.sub.account.dropped[LIVE_DROPPED_OLDEST], 6);
    expect(account_adds_up(&t.sub.account) && t.sub.account.matched == 9);
    live_unsubscribe(&t.sub);
    world_stop(&w);
}

void test_drop_newest_keeps_the_oldest_and_the_order(void)
{
    struct world w;
    struct taker t = slow(LIVE_DROP_NEWEST, 3);
    world_start(&w, 1, 0);
    taker_start(&w, &t, 0, "x", NULL);
    publish_digits(&w, 0, 5);
    t.answer = LIVE_TAKEN;
    world_publish(&w, 0, "x", "late"); /* there is a backlog: not past it */
    expect_str(t.got, "");
    expect(live_drain(&t.sub, 0));
    world_publish(&w, 0, "x", "6");
    expect_str(t.got, " 1 2 3 6");
    expect_eq(t.sub.account.dropped[LIVE_DROPPED_NEWEST], 3);
    expect(account_adds_up(&t.sub.account));
    live_unsubscribe(&t.sub);
    world_stop(&w);
}

void test_disconnect_tells_once_and_drops_all(void)
{
    struct world w;
    struct taker t = slow(LIVE_DISCONNECT, 2), other = {0};
    struct live_figures f;
    world_start(&w, 1, 0);
    taker_start(&w, &t, 0, "x", NULL);
    taker_start(&w, &other, 0, "x", NULL);
    publish_digits(&w, 0, 4);
    expect_eq(t.overflows, 1);
    expect_eq(other.count, 4);
    live_unsubscribe(&t.sub);
    expect_eq(t.sub.account.dropped[LIVE_DROPPED_GONE], 4);
    expect(account_adds_up(&t.sub.account));
    live_figures(w.live, &f);
    expect(account_adds_up(&f.account));
    expect_eq(f.account.matched, 8);
    expect_eq(f.account.pending, 0);
    expect_eq(f.subscriptions, 1);
    expect_eq(f.published, 4);
    expect_eq(f.bytes_published, 4);
    live_unsubscribe(&other.sub);
    world_stop(&w);
}

void test_deadlines_hold_in_the_backlog_and_on_the_way(void)
{
    struct world w;
    struct taker t = slow(LIVE_DROP_NEWEST, 2), away = {0};
    struct live_reach reach;
    struct live_message m = {.subject = bytes_of("x"), .payload = bytes_of("old")};
    world_start(&w, 2, 0);
    taker_start(&w, &t, 0, "x", NULL);
    taker_start(&w, &away, 1, "x", NULL);
    m.deadline_ms = w.wall_ms; /* past already: for nobody */
    live_publish(world_shard(&w, 0), &m, NULL, &reach);
    expect(reach.delivered == 0 && reach.forwarded == 0);
    m.deadline_ms = w.wall_ms + 10;
    live_publish(world_shard(&w, 0), &m, NULL, &reach);
    live_publish(world_shard(&w, 0), &m, NULL, &reach);
    expect_eq(t.sub.account.pending, 2);
    w.wall_ms += 10;
    world_settle(&w);
    expect_eq(away.count, 0);
    expect_eq(away.sub.account.expired, 2);
    world_publish(&w, 0, "x", "a"); /* the full backlog makes room of what is dead */
    world_publish(&w, 0, "x", "b");
    world_publish(&w, 0, "x", "c");
    t.answer = LIVE_TAKEN;
    expect(live_drain(&t.sub, w.wall_ms));
    expect_str(t.got, " a b");
    expect_eq(t.sub.account.expired, 2);
    expect_eq(t.sub.account.dropped[LIVE_DROPPED_NEWEST], 1);
    expect(account_adds_up(&t.sub.account) && account_adds_up(&away.sub.account));
    live_unsubscribe(&t.sub);
    live_unsubscribe(&away.sub);
    world_stop(&w);
}

void test_block_holds_publishers_of_the_same_shard(void)
{
    struct world w;
    struct taker t = slow(LIVE_BLOCK, 4);
    world_start(&w, 1, 0);
    taker_start(&w, &t, 0, "x", NULL);
    for (int i = 1; i <= 3; i++)
        expect(!world_publish(&w, 0, "x", "m").blocked);
    expect(live_room(world_shard(&w, 0)));
    expect(world_publish(&w, 0, "x", "m").blocked);
    expect(!live_room(world_shard(&w, 0)));
    expect_eq(world_publish(&w, 0, "x", "m").delivered, 1); /* nothing is lost all the same */
    t.answer = LIVE_TAKEN;
    expect_eq(w.unblocked[0], 0);
    expect(live_drain(&t.sub, 0));
    expect_eq(t.count, 5);
    expect_eq(w.unblocked[0], 1);
    expect(live_room(world_shard(&w, 0)));
    t.answer = LIVE_BUSY;
    publish_digits(&w, 0, 4);
    expect(!live_room(world_shard(&w, 0)));
    live_unsubscribe(&t.sub);
    expect_eq(w.unblocked[0], 2);
    expect(live_room(world_shard(&w, 0)));
    world_stop(&w);
}

void test_block_holds_publishers_of_other_shards(void)
{
    struct world w;
    struct taker t = slow(LIVE_BLOCK, 2);
    world_start(&w, 2, 0);
    taker_start(&w, &t, 1, "x", NULL);
    publish_digits(&w, 0, 3);
    expect(live_room(world_shard(&w, 0)));
    world_settle(&w);
    expect(world_publish(&w, 0, "x", "4").blocked);
    expect(!live_room(world_shard(&w, 0)));
    world_settle(&w);
    expect(!live_room(world_shard(&w, 0)));
    t.answer = LIVE_TAKEN;
    expect(live_drain(&t.sub, 0));
    expect_eq(w.unblocked[0], 0);
    world_settle(&w);
    expect_eq(w.unblocked[0], 1);
    expect(live_room(world_shard(&w, 0)));
    expect_str(t.got, " 1 2 3 4");
    live_unsubscribe(&t.sub);
    world_stop(&w);
}

void test_a_stuck_subscription_holds_only_its_publishers(void)
{
    struct world w;
    struct taker stuck = slow(LIVE_BLOCK, 2), slower = slow(LIVE_BLOCK, 2);
    struct taker far = slow(LIVE_BLOCK, 2), other = {0};
    world_start(&w, 2, 0);
    taker_start(&w, &stuck, 0, "a", NULL);
    taker_start(&w, &slower, 0, "b", NULL);
    taker_start(&w, &far, 1, "c", NULL);
    taker_start(&w, &other, 1, "d", NULL);
    struct live_shard *s = world_shard(&w, 0);
    world_publish(&w, 0, "a", "1");
    world_publish(&w, 0, "b", "1");
    world_publish(&w, 0, "c", "1");
    world_publish(&w, 0, "c", "2");
    world_settle(&w);
    struct live_reach a = world_publish(&w, 0, "a", "2"), b = world_publish(&w, 0, "b", "2");
    struct live_reach c = world_publish(&w, 0, "c", "3");
    expect(a.blocked && b.blocked && c.blocked);
    expect(!world_publish(&w, 0, "d", "4").blocked); /* though `far` is full where it goes */
    expect(!live_room_for(s, &a.held) && !live_room_for(s, &b.held) && !live_room_for(s, &c.held));
    slower.answer = LIVE_TAKEN;
    expect(live_drain(&slower.sub, 0));
    expect_eq(w.unblocked[0], 1);
    expect(!live_room(s));
    expect(!live_room_for(s, &a.held) && live_room_for(s, &b.held) && !live_room_for(s, &c.held));
    far.answer = LIVE_TAKEN;
    world_settle(&w);
    expect(live_drain(&far.sub, 0));
    world_settle(&w);
    expect_eq(w.unblocked[0], 2);
    expect(!live_room_for(s, &a.held) && live_room_for(s, &c.held));
    live_unsubscribe(&stuck.sub);
    expect_eq(w.unblocked[0], 3);
    expect(live_room_for(s, &a.held) && live_room(s));
    live_unsubscribe(&slower.sub);
    live_unsubscribe(&far.sub);
    live_unsubscribe(&other.sub);
    world_stop(&w);
}

void test_bytes_under_way_are_bounded(void)
{
    struct world w;
    struct taker t = {0};
    world_start(&w, 2, 1000);
    taker_start(&w, &t, 1, "x", NULL);
    int before = 0;
    while (!world_publish(&w, 0, "x", "0123456789").blocked)
        expect(++before < 100);
    expect(before >= 3);
    expect(!live_room(world_shard(&w, 0)));
    world_settle(&w);
    expect(live_room(world_shard(&w, 0)));
    expect_eq(w.unblocked[0], 1);
    expect_eq(t.count, before + 1);
    live_unsubscribe(&t.sub);
    world_stop(&w);
}

void test_leaving_while_draining(void)
{
    struct world w;
    struct taker t = slow(LIVE_DROP_NEWEST, 0);
    world_start(&w, 1, 0);
    taker_start(&w, &t, 0, "x", NULL);
    publish_digits(&w, 0, 9);
    t.answer = LIVE_TAKEN;
    t.leaves = true;
    expect(live_drain(&t.sub, 0));
    expect_str(t.got, " 1");
    expect(t.sub.shard == NULL);
    expect_eq(t.sub.account.delivered, 1);
    expect_eq(t.sub.account.dropped[LIVE_DROPPED_GONE], 8);
    expect(account_adds_up(&t.sub.account));
    world_stop(&w);
}

void test_the_owners_list_of_busy_ones(void)
{
    struct world w;
    struct taker a = slow(LIVE_DROP_NEWEST, 0), b = slow(LIVE_DROP_NEWEST, 0);
    struct list busy;
    list_init(&busy);
    world_start(&w, 1, 0);
    taker_start(&w, &a, 0, "x", NULL);
    taker_start(&w, &b, 0, "x", NULL);
    publish_digits(&w, 0, 3);
    list_push(&busy, &a.sub.busy);
    list_push(&busy, &b.sub.busy);
    a.answer = LIVE_TAKEN;
    expect(live_drain(&a.sub, 0));
    expect(busy.next == &b.sub.busy && busy.prev == &b.sub.busy);
    live_unsubscribe(&b.sub);
    expect(list_empty(&busy));
    live_unsubscribe(&a.sub);
    world_stop(&w);
}

static int copies_freed;
static void note_release(struct store_hold *hold)
{
    (void)hold;
    copies_freed++;
}

void test_holds_of_the_publisher_are_shared_not_copied(void)
{
    struct world w;
    struct taker t = slow(LIVE_DROP_OLDEST, 1), away = {0};
    struct store_hold hold = {.count = 1, .release = note_release};
    struct live_message m = {.subject = bytes_of("x"), .payload = bytes_of("p"), .hold = &hold};
    struct live_reach reach;
    copies_freed = 0;
    world_start(&w, 2, 0);
    taker_start(&w, &t, 0, "x", NULL);
    taker_start(&w, &away, 1, "x", NULL);
    live_publish(world_shard(&w, 0), &m, NULL, &reach);
    store_hold_drop(&hold);
    expect_eq(copies_freed, 0);
    world_settle(&w);
    expect_eq(copies_freed, 0);
    expect_str(away.got, " p");
    world_publish(&w, 0, "x", "q"); /* pushes it out */
    expect_eq(copies_freed, 1);
    live_unsubscribe(&t.sub);
    live_unsubscribe(&away.sub);
    world_stop(&w);
}

void test_a_copy_stands_alone(void)
{
    char subject[] = "s.t", reply[] = "r", headers[] = "h", payload[] = "pay";
    struct live_message copy, m = {.subject = bytes_of(subject), .reply = bytes_of(reply),
                                   .headers = bytes_of(headers), .payload = bytes_of(payload),
                                   .deadline_ms = 5, .offset = 6, .timestamp_ms = 7};
    expect(live_message_copy(&m, &copy) == OUT_OK);
    memset(subject, '#', 3);
    memset(payload, '#', 3);
    reply[0] = headers[0] = '#';
    expect(bytes_is(copy.subject, "s.t") && bytes_is(copy.reply, "r"));
    expect(bytes_is(copy.headers, "h") && bytes_is(copy.payload, "pay"));
    expect(copy.deadline_ms == 5 && copy.offset == 6 && copy.timestamp_ms == 7);
    expect(copy.hold != NULL);
    store_hold_drop(copy.hold);
}

/* SPDX-License-Identifier: MIT */
/* Publications: who gets what, by example. */
#include "tap.h"
#include "world.h"

#include <stdio.h>

void test_patterns_get_what_they_match(void)
{
    struct world w;
    struct taker a = {0}, b = {0}, c = {0}, d = {0};
    world_start(&w, 1, 0);
    taker_start(&w, &a, 0, "x.y", NULL);
    taker_start(&w, &b, 0, "x.*", NULL);
    taker_start(&w, &c, 0, ">", NULL);
    taker_start(&w, &d, 0, "*.y.>", NULL);
    expect_eq(world_publish(&w, 0, "x.y", "1").delivered, 3);
    expect_eq(world_publish(&w, 0, "x.z", "2").delivered, 2);
    expect_eq(world_publish(&w, 0, "x.y.z", "3").delivered, 2);
    expect_eq(world_publish(&w, 0, "x", "4").delivered, 1);
    expect_eq(world_publish(&w, 0, "x.y", "5").delivered, 3);
    expect_str(a.got, " 1 5");
    expect_str(b.got, " 1 2 5");
    expect_str(c.got, " 1 2 3 4 5");
    expect_str(d.got, " 3");
    live_unsubscribe(&c.sub);
    live_unsubscribe(&c.sub);
    expect_eq(world_publish(&w, 0, "x", "6").delivered, 0);
    expect(live_interest(world_shard(&w, 0), bytes_of("x.q")));
    expect(!live_interest(world_shard(&w, 0), bytes_of("q")));
    live_unsubscribe(&a.sub);
    live_unsubscribe(&b.sub);
    live_unsubscribe(&d.sub);
    expect(!live_interest(world_shard(&w, 0), bytes_of("x.y")));
    world_stop(&w);
}

void test_a_literal_token_is_no_wildcard(void)
{
    struct world w;
    struct taker a = {0};
    world_start(&w, 1, 0);
    taker_start(&w, &a, 0, "x.*", NULL);
    expect_eq(world_publish(&w, 0, "x.*", "1").delivered, 1);
    expect_eq(world_publish(&w, 0, "x.>", "2").delivered, 1);
    live_unsubscribe(&a.sub);
    world_stop(&w);
}

void test_bad_subscriptions_are_refused(void)
{
    struct world w;
    struct live_sub sub = {0};
    world_start(&w, 1, 0);
    expect(live_subscribe(world_shard(&w, 0), &sub, bytes_of("a..b"), bytes_of(NULL)) ==
           OUT_INVALID);
    expect(live_subscribe(world_shard(&w, 0), &sub, bytes_of("a"), bytes_of("q q")) == OUT_INVALID);
    expect(sub.shard == NULL);
    live_unsubscribe(&sub);
    world_stop(&w);
}

void test_no_echo_to_the_owner(void)
{
    struct world w;
    struct taker a = {0}, b = {0}, c = {.sub.owner = &w}, d = {.sub.owner = &w};
    struct live_reach reach;
    struct live_message m = {.subject = bytes_of("x"), .payload = bytes_of("1")};
    world_start(&w, 1, 0);
    taker_start(&w, &a, 0, "x", NULL);
    taker_start(&w, &b, 0, "x", "q");
    taker_start(&w, &c, 0, "x", NULL);
    taker_start(&w, &d, 0, "x", "q");
    for (int i = 0; i < 20; i++)
        live_publish(world_shard(&w, 0), &m, &w, &reach);
    expect_eq(a.count, 20);
    expect_eq(b.count, 20);
    expect_eq(c.count + d.count, 0);
    expect_eq(c.sub.account.matched, 0);
    struct taker *all[] = {&a, &b, &c, &d};
    for (int i = 0; i < 4; i++)
        live_unsubscribe(&all[i]->sub);
    world_stop(&w);
}

/* What a publisher remembers of its subject is true only as long as nothing changed. */
void test_again_to_whoever_is_there_now(void)
{
    struct world w;
    struct taker a = {0}, b = {0}, c = {0};
    struct live_aim aim = {0};
    struct live_reach reach;
    struct live_figures f;
    struct live_message m = {.subject = bytes_of("x"), .payload = bytes_of("1")};
    world_start(&w, 2, 0);
    struct live_shard *s = world_shard(&w, 0);
    live_publish_again(s, &m, &aim, NULL, &reach);
    expect(reach.delivered == 0 && reach.forwarded == 0);
    taker_start(&w, &a, 0, "x", NULL);
    for (int i = 0; i < 2; i++)
        live_publish_again(s, &m, &aim, NULL, &reach);
    expect_eq(reach.delivered, 1);
    taker_start(&w, &b, 0, "*", NULL);
    taker_start(&w, &c, 1, "*", NULL);
    live_publish_again(s, &m, &aim, NULL, &reach);
    expect(reach.delivered == 2 && reach.forwarded == 1);
    for (int i = 0; i < 5000; i++) { /* its place in the cache is taken by others */
        char subject[16];
        snprintf(subject, sizeof subject, "y.%d", i);
        world_publish(&w, 0, subject, "0");
    }
    live_publish_again(s, &m, &aim, NULL, &reach);
    expect(reach.delivered == 2 && reach.forwarded == 1);
    live_unsubscribe(&a.sub);
    live_publish_again(s, &m, &aim, NULL, &reach);
    expect(reach.delivered == 1 && reach.forwarded == 1);
    world_settle(&w);
    live_figures(w.live, &f);
    expect_eq(f.published, 5006);
    expect(a.count == 4 && c.count == 3);
    live_unsubscribe(&b.sub);
    live_unsubscribe(&c.sub);
    world_stop(&w);
}

void test_other_shards_get_it_in_order(void)
{
    struct world w;
    struct taker a = {0}, b = {0};
    world_start(&w, 2, 0);
    taker_start(&w, &a, 0, "x.>", NULL);
    taker_start(&w, &b, 1, "x.*", NULL);
    struct live_reach reach = world_publish(&w, 0, "x.1", "1");
    expect(reach.delivered == 1 && reach.forwarded == 1 && !reach.blocked);
    world_publish(&w, 0, "x.2", "2");
    expect_str(b.got, "");
    world_settle(&w);
    expect_str(b.got, " 1 2");
    world_publish(&w, 1, "x.3", "3");
    expect(live_interest(world_shard(&w, 1), bytes_of("x.9.9")));
    world_settle(&w);
    expect_str(a.got, " 1 2 3");
    expect_str(b.got, " 1 2 3");
    live_unsubscribe(&a.sub);
    live_unsubscribe(&b.sub);
    world_stop(&w);
}

void test_leaving_in_deliver_harms_nobody(void)
{
    struct world w;
    struct taker t[64] = {0};
    world_start(&w, 1, 0);
    for (int i = 0; i < 64; i++) {
        t[i].leaves = i % 3 == 0;
        taker_start(&w, &t[i], 0, "x", NULL);
    }
    expect_eq(world_publish(&w, 0, "x", "1").delivered, 64);
    expect_eq(world_publish(&w, 0, "x", "2").delivered, 42);
    for (int i = 0; i < 64; i++) {
        expect_str(t[i].got, i % 3 == 0 ? " 1" : " 1 2");
        expect_eq(t[i].sub.account.delivered, i % 3 == 0 ? 1 : 2);
        expect(account_adds_up(&t[i].sub.account));
        live_unsubscribe(&t[i].sub);
    }
    world_stop(&w);
}

void test_queue_members_share_evenly(void)
{
    struct world w;
    struct taker t[4] = {0};
    world_start(&w, 2, 0);
    taker_start(&w, &t[0], 0, "x", "q");
    taker_start(&w, &t[1], 0, "x", "q");
    taker_start(&w, &t[2], 0, "*", "q");
    taker_start(&w, &t[3], 1, "*", "q");
    for (int i = 0; i < 100; i++)
        world_publish(&w, i % 2, "x", ".");
    world_settle(&w);
    expect(t[0].count >= 35 && t[0].count <= 65);
    expect_eq(t[0].count + t[1].count, 100);
    expect(t[2].count >= 35 && t[2].count <= 65);
    expect_eq(t[2].count + t[3].count, 100);
    for (int i = 0; i < 4; i++)
        live_unsubscribe(&t[i].sub);
    world_stop(&w);
}

void test_a_queue_member_that_cannot_is_passed_over(void)
{
    struct world w;
    struct taker closed = {.answer = LIVE_CLOSED}, good = {0}, away = {0};
    struct taker full = {.answer = LIVE_BUSY, .sub.backlog_max = 2,
                         .sub.overflow = LIVE_DROP_NEWEST};
    world_start(&w, 2, 0);
    taker_start(&w, &closed, 0, "x", "q");
    taker_start(&w, &full, 0, "x", "q");
    taker_start(&w, &good, 0, "x", "q");
    taker_start(&w, &away, 1, "x", "q");
    for (int i = 0; i < 50; i++) {
        world_publish(&w, i % 2, "x", ".");
        if (i == 40)
            live_unsubscribe(&away.sub); /* with what was for it under way */
    }
    world_settle(&w);
    expect_eq(full.sub.account.pending, 2);
    expect_eq(full.sub.account.matched, 2);
    expect_eq(closed.sub.account.matched, 0);
    expect_eq(good.count + away.count, 48);
    live_unsubscribe(&good.sub);
    world_publish(&w, 0, "x", ".");
    world_publish(&w, 1, "x", ".");
    world_settle(&w);
    expect_eq(full.sub.account.matched + closed.sub.account.matched, 4);
    expect(account_adds_up(&full.sub.account) && account_adds_up(&closed.sub.account));
    live_unsubscribe(&closed.sub);
    live_unsubscribe(&full.sub);
    world_stop(&w);
}

/* A subscription whose deliver() publishes, subscribes and asks: in the middle of a publication. */
struct busybody {
    struct live_sub sub;
    struct world *world;
    struct taker *joins;
    int depth, heard;
};

static enum live_taken meddle(struct live_sub *sub, const struct live_message *m)
{
    struct busybody *b = container_of(sub, struct busybody, sub);
    (void)m;
    b->heard++;
    if (++b->depth == 1) {
        for (int i = 0; i < 2000; i++) { /* more subjects than the cache holds */
            char subject[16];
            snprintf(subject, sizeof subject, "n.%d", i);
            expect_eq(world_publish(b->world, 0, subject, "n").delivered, 1);
        }
        taker_start(b->world, b->joins, 0, "x", NULL);
        expect(live_interest(world_shard(b->world, 0), bytes_of("n.0")));
        expect(world_publish(b->world, 0, "y", "y").delivered == 1);
    }
    b->depth--;
    return LIVE_TAKEN;
}

void test_publishing_in_deliver(void)
{
    struct world w;
    struct taker before = {0}, after = {0}, joins = {0};
    static struct taker many[100];
    struct busybody b = {.sub.deliver = meddle, .world = &w, .joins = &joins}, other = {.depth = 9};
    world_start(&w, 1, 0);
    other.sub.deliver = meddle;
    struct live_shard *s = world_shard(&w, 0);
    expect(live_subscribe(s, &other.sub, bytes_of("n.*"), bytes_of(NULL)) == OUT_OK);
    taker_start(&w, &before, 0, "x", NULL);
    expect(live_subscribe(s, &b.sub, bytes_of("x"), bytes_of(NULL)) == OUT_OK);
    taker_start(&w, &after, 0, "*", NULL);
    for (int i = 0; i < 100; i++)
        taker_start(&w, &many[i], 0, "x", NULL);
    expect_eq(world_publish(&w, 0, "x", "1").delivered, 103);
    expect_str(before.got, " 1");
    expect_str(after.got, " y 1");
    expect_str(joins.got, "");
    expect_eq(other.heard, 2000);
    live_unsubscribe(&b.sub);
    expect_eq(world_publish(&w, 0, "x", "2").delivered, 103);
    expect_str(joins.got, " 2");
    for (int i = 0; i < 100; i++) {
        expect_str(many[i].got, " 1 2");
        live_unsubscribe(&many[i].sub);
    }
    struct live_sub *rest[] = {&other.sub, &before.sub, &after.sub, &joins.sub};
    for (int i = 0; i < 4; i++)
        live_unsubscribe(rest[i]);
    world_stop(&w);
}

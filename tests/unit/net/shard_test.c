/* SPDX-License-Identifier: MIT */
/* Shards by themselves: timers under a clock that the test moves, hooks, turns, replies. */
#include "broker/request.h"
#include "tap.h"

static int fired_count, fired[16];

struct alarm {
    struct shard_timer timer;
    int name;
    struct shard_timer *cancels;
    int64_t again_ns;
};

static void ring(struct shard_timer *t, int64_t now_ns)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    expect(t->shard->now_ns == now_ns && !heap_holds(&t->node));
    fired[fired_count++] = a->name;
    if (a->cancels != NULL)
        shard_timer_cancel(a->cancels);
    if (a->again_ns > 0)
        expect(shard_timer_set(t->shard, t, now_ns + a->again_ns) == OUT_OK);
}

void test_timers_fire_in_order_when_due(void)
{
    struct shard s;
    struct alarm a[4];
    expect(shard_open(&s, 3) == OUT_OK);
    expect_eq(shard_wait_ns(&s), -1);
    for (int i = 0; i < 4; i++)
        a[i] = (struct alarm){.timer.fire = ring, .name = i};
    s.now_ns = 1000;
    expect(shard_timer_set(&s, &a[0].timer, 1300) == OUT_OK);
    expect(shard_timer_set(&s, &a[1].timer, 1100) == OUT_OK);
    expect(shard_timer_set(&s, &a[2].timer, 1200) == OUT_OK);
    expect(shard_timer_set(&s, &a[3].timer, 1400) == OUT_OK);
    expect(shard_timer_set(&s, &a[3].timer, 1150) == OUT_OK); /* moved, not doubled */
    expect_eq(shard_wait_ns(&s), 100);
    a[1].cancels = &a[2].timer;
    expect_eq(shard_run_timers(&s, 10), 0);
    s.now_ns = 1250;
    expect_eq(shard_wait_ns(&s), 0);
    expect_eq(shard_run_timers(&s, 10), 2);
    expect(fired_count == 2 && fired[0] == 1 && fired[1] == 3);
    s.now_ns = 5000;
    expect_eq(shard_run_timers(&s, 10), 1);
    expect_eq(fired[2], 0);
    struct shard_timer never = {0};
    shard_timer_cancel(&never);
    shard_close(&s);
}

void test_timers_of_a_turn_are_bounded(void)
{
    struct shard s;
    expect(shard_open(&s, 0) == OUT_OK);
    struct alarm a = {.timer.fire = ring, .again_ns = 1};
    s.now_ns = 10;
    expect(shard_timer_set(&s, &a.timer, 5) == OUT_OK);
    expect_eq(shard_run_timers(&s, 8), 1); /* its next time is after this turn */
    a.again_ns = 0;
    shard_close(&s);
}

struct counter {
    struct shard_hook hook;
    struct shard_hook *also;
    int runs;
};

static void run_hook(struct shard_hook *h, struct shard *s)
{
    struct counter *c = container_of(h, struct counter, hook);
    c->runs++;
    if (c->also != NULL)
        shard_at_end(s, c->also);
    c->also = NULL;
}

void test_hooks_run_once_at_the_end_of_the_turn(void)
{
    struct shard s;
    expect(shard_open(&s, 0) == OUT_OK);
    struct counter b = {.hook.run = run_hook}, a = {.hook.run = run_hook, .also = &b.hook};
    shard_at_end(&s, &a.hook);
    shard_at_end(&s, &a.hook);
    shard_end_turn(&s);
    expect(a.runs == 1 && b.runs == 1); /* also one that a hook asked for */
    shard_end_turn(&s);
    expect_eq(a.runs, 1);
    shard_at_end(&s, &a.hook);
    shard_end_turn(&s);
    expect_eq(a.runs, 2);
    shard_close(&s);
}

static struct shard first, second;
static int trips, returns;

static void go_back(struct request *r);

static void go_there(struct request *r)
{
    expect(shard_self() == r->home);
    returns++;
    request_send(r, &second, go_back);
}

static void go_back(struct request *r)
{
    expect(shard_self() == &second);
    if (++trips < 1000)
        request_return(r, go_there);
}

static void other_thread(void *context)
{
    (void)context;
    shard_become(&second);
    while (trips < 1000)
        shard_turn(&second);
    shard_become(NULL);
}

static void last(struct request *r)
{
    r->door_state = r;
}

void test_a_request_travels_between_threads(void)
{
    struct request r = {.home = &first}, end = {.home = &first};
    struct os_thread *t;
    expect(shard_open(&first, 1) == OUT_OK && shard_open(&second, 2) == OUT_OK);
    expect(shard_self() == NULL);
    shard_become(&first);
    expect(os_thread_start("second", other_thread, NULL, &t) == OUT_OK);
    go_there(&r);
    while (returns < 1000)
        shard_turn(&first);
    os_thread_join(&t);
    expect_eq(trips, 1000);
    request_return(&end, last);
    while (end.door_state == NULL)
        shard_turn(&first);
    expect(end.door_state == &end);
    shard_become(NULL);
    shard_close(&first);
    shard_close(&second);
}

void test_a_reply_is_a_list_of_pieces(void)
{
    struct request r = {0};
    arena_init(&r.arena, KiB(64));
    expect(request_reply_bytes(&r, bytes_of("one")));
    expect(request_reply_bytes(&r, bytes_of(""))); /* nothing to send */
    expect(request_reply_file(&r, 5, 100, 200, NULL, NULL));
    expect(request_reply_bytes(&r, bytes_of("three")));
    expect(r.reply->size == 3 && memcmp(r.reply->at, "one", 3) == 0);
    const struct reply_piece *p = r.reply->next;
    expect(p->at == NULL && p->file == 5 && p->position == 100 && p->size == 200);
    expect(p->next->size == 5 && p->next->next == NULL);
    r.arena.limit_bytes = 0;
    while (arena_take(&r.arena, 16) != NULL) {
    }
    expect(!request_reply_bytes(&r, bytes_of("no room")));
    arena_fini(&r.arena);
}

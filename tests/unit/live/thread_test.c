/* SPDX-License-Identifier: MIT */
/*
 * Shards on threads of their own, with real mailboxes: everybody publishes, subscriptions come and
 * go, a blocking subscription is slow now and then. Plain ones that stay hear every publisher's
 * messages, all and in order; of a queue group each message reaches one member.
 */
#include "live/live.h"
#include "tap.h"

#define SHARDS 3
#define MESSAGES 4000
#define PASSING 16

struct hearer {
    struct live_sub sub;
    struct reactor *reactor;
    uint32_t next[SHARDS]; /* what each publisher's next number is */
    uint32_t heard, busy_every;
    bool ordered, grouped;
};

struct reactor {
    struct stage *stage;
    int index;
    struct mailbox box;
    struct os_thread *thread;
    struct live_shard *shard;
    bool flush_wanted, held;
    uint32_t published, turns;
    struct hearer plain, member, blocking, passing[PASSING];
};

struct stage {
    struct live *live;
    struct reactor reactors[SHARDS];
    _Atomic uint32_t by_group, finished;
};

struct text {
    uint32_t from, number;
};

static enum live_taken hear(struct live_sub *sub, const struct live_message *m)
{
    struct hearer *h = container_of(sub, struct hearer, sub);
    struct text text;
    if (h->busy_every != 0 && ++h->heard % h->busy_every == 0)
        return LIVE_BUSY;
    expect(m->payload.size == sizeof text);
    memcpy(&text, m->payload.at, sizeof text);
    expect(!h->ordered || text.number == h->next[text.from]);
    /* Chosen again after somebody left, it may come behind newer ones: groups only. */
    expect(text.number >= h->next[text.from] || h->grouped);
    h->next[text.from] = text.number + 1;
    if (h == &h->reactor->member)
        atomic_fetch_add(&h->reactor->stage->by_group, 1);
    return LIVE_TAKEN;
}

static void start(struct reactor *r, struct hearer *h, const char *pattern, const char *queue)
{
    h->reactor = r;
    h->sub.deliver = hear;
    h->grouped = queue != NULL && strcmp(queue, "passing") == 0;
    memset(h->next, 0, sizeof h->next);
    expect(live_subscribe(r->shard, &h->sub, bytes_of(pattern), bytes_of(queue)) == OUT_OK);
}

static void post(void *context, int shard, struct mail *mail)
{
    mailbox_post(&((struct stage *)context)->reactors[shard].box, mail);
}

static void want_flush(void *context, int shard)
{
    ((struct stage *)context)->reactors[shard].flush_wanted = true;
}

static void unblocked(void *context, int shard)
{
    struct reactor *r = &((struct stage *)context)->reactors[shard];
    r->held = r->held && !live_room(r->shard);
}

static int64_t wall(void *context, int shard)
{
    (void)context;
    (void)shard;
    return 1000;
}

static bool all_heard(const struct hearer *h)
{
    for (int i = 0; i < SHARDS; i++)
        if (h->next[i] != MESSAGES)
            return false;
    return true;
}

static void publish_some(struct reactor *r)
{
    static const char *const subjects[] = {"t.a", "t.b", "t.c.d", "t.e"};
    for (int i = 0; i < 20 && !r->held && r->published < MESSAGES; i++) {
        struct text text = {(uint32_t)r->index, r->published++};
        struct live_reach reach;
        struct live_message m = {.subject = bytes_of(subjects[text.number % 4]),
                                 .payload = bytes_view(&text, sizeof text),
                                 .deadline_ms = text.number % 2 == 0 ? 2000 : 0};
        live_publish(r->shard, &m, NULL, &reach);
        expect(reach.delivered >= 2);
        r->held = reach.blocked;
    }
}

static void come_and_go(struct reactor *r)
{
    static const char *const patterns[] = {"t.a", "*.b", "t.>", "x.y", "t.*.d", "t.e"};
    struct hearer *h = &r->passing[r->turns % PASSING];
    if (h->sub.shard != NULL)
        live_unsubscribe(&h->sub);
    else
        start(r, h, patterns[r->turns % COUNT_OF(patterns)], r->turns % 5 == 0 ? "passing" : NULL);
}

static void run(void *context)
{
    struct reactor *r = context;
    bool done = false;
    start(r, &r->plain, "t.>", NULL);
    r->plain.ordered = true;
    start(r, &r->member, ">", "workers");
    r->blocking.sub.overflow = LIVE_BLOCK;
    r->blocking.sub.backlog_max = 5;
    r->blocking.busy_every = 97;
    r->blocking.ordered = true;
    start(r, &r->blocking, "t.>", NULL);
    atomic_fetch_add(&r->stage->finished, 1);
    while (atomic_load(&r->stage->finished) < SHARDS)
        mailbox_wait(&r->box, 100000); /* all have subscribed before anybody publishes */
    while (atomic_load(&r->stage->finished) < 2 * SHARDS) {
        r->turns++;
        if (!done)
            come_and_go(r);
        mailbox_deliver(&r->box, 1000);
        publish_some(r);
        live_drain(&r->blocking.sub, 1000);
        if (r->flush_wanted) {
            r->flush_wanted = false;
            live_flush(r->shard);
        }
        bool now = all_heard(&r->plain) && all_heard(&r->blocking) &&
                   atomic_load(&r->stage->by_group) == SHARDS * MESSAGES;
        if (now && !done)
            atomic_fetch_add(&r->stage->finished, 1);
        done = done || now;
        if (r->held || r->published == MESSAGES)
            mailbox_wait(&r->box, 100000);
    }
    live_unsubscribe(&r->plain.sub);
    live_unsubscribe(&r->member.sub);
    live_unsubscribe(&r->blocking.sub);
    for (int i = 0; i < PASSING; i++)
        live_unsubscribe(&r->passing[i].sub);
}

static void play(size_t forward_bytes_max)
{
    static struct stage s;
    struct live_figures f;
    memset(&s, 0, sizeof s);
    struct live_options o = {.shard_count = SHARDS, .post = post, .want_flush = want_flush,
                             .unblocked = unblocked, .wall_ms = wall, .context = &s,
                             .forward_bytes_max = forward_bytes_max};
    expect(live_new(&o, &s.live) == OUT_OK);
    for (int i = 0; i < SHARDS; i++) {
        struct reactor *r = &s.reactors[i];
        r->stage = &s;
        r->index = i;
        r->shard = live_shard(s.live, i);
        expect(mailbox_open(&r->box) == OUT_OK);
    }
    for (int i = 0; i < SHARDS; i++)
        expect(os_thread_start("shard", run, &s.reactors[i], &s.reactors[i].thread) == OUT_OK);
    uint64_t matched = 0;
    do { /* figures of a running engine add up, too */
        live_figures(s.live, &f);
        uint64_t sum = f.account.delivered + f.account.expired + f.account.pending;
        for (int i = 0; i < LIVE_REASONS; i++)
            sum += f.account.dropped[i];
        expect(sum == f.account.matched);
        expect(f.account.matched >= matched);
        matched = f.account.matched;
    } while (atomic_load(&s.finished) < 2 * SHARDS);
    for (int i = 0; i < SHARDS; i++)
        os_thread_join(&s.reactors[i].thread);
    for (int i = 0; i < SHARDS; i++) {
        mailbox_deliver(&s.reactors[i].box, 1000000);
        mailbox_close(&s.reactors[i].box);
    }
    live_figures(s.live, &f);
    expect_eq(f.subscriptions, 0);
    expect_eq(f.published, SHARDS * MESSAGES);
    expect_eq(f.account.pending, 0);
    live_free(s.live);
}

void test_shards_on_threads(void)
{
    play(0);
}

void test_shards_on_threads_with_narrow_lanes(void)
{
    play(20000);
}

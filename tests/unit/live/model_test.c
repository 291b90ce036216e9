/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of several shards on one thread, against a list of subscriptions that knows no
 * tree, no cache and no batches. Plain subscriptions are foreseen message by message; of queue
 * groups the model knows what must hold: nobody gets a message twice, a group with members that
 * stay loses none. After every step each account adds up.
 */
#include "tap.h"
#include "world.h"

#define TAKERS 40
#define STAYING 2 /* the last ones: members of a group that stay and hold everything */
#define IDS 20000
#define PENDING_MAX 4096
#define MAIL_MAX 4096

struct expected {
    uint32_t id;
    int64_t deadline_ms;
};

/* One taker as it should be. */
struct mirror {
    struct live_sub sub;
    int shard, pattern, group; /* group -1: plain; else by pattern and queue */
    enum live_taken answer;
    uint32_t limit;            /* leaves by itself after so many; 0: no */
    uint32_t heard, heard_sum; /* what deliver() saw */
    bool there, full;
    struct live_account account;
    uint32_t sum;
    struct expected pending[PENDING_MAX];
};

struct parcel {
    uint32_t id;
    int64_t deadline_ms;
    int subject;
};

struct model_mail {
    int from; /* -1: a notice */
    int count;
    struct parcel *parcels;
};

struct model {
    struct world world;
    struct mirror takers[TAKERS];
    struct live_account totals[WORLD_SHARDS];
    struct parcel *lanes[WORLD_SHARDS][WORLD_SHARDS];
    int lane_count[WORLD_SHARDS][WORLD_SHARDS];
    struct model_mail mail[WORLD_SHARDS][MAIL_MAX];
    int mail_first[WORLD_SHARDS], mail_last[WORLD_SHARDS];
    uint32_t next_id, alive_for_staying;
    int flushing;             /* shard + 1 */
    struct live_aim aims[WORLD_SHARDS][8]; /* by subject */
    uint8_t by_group[IDS][2 * 12]; /* times a group's members got a message */
};

static struct model m;

static const char *const patterns[] = {"a", "a.b", "a.*", "*.b", ">", "a.>", "*.*.c", "a.b.c",
                                       "a.*.>", "b.>", "*", "b.b"};
static const char *const subjects[8] = {"a", "b", "a.b", "a.c", "b.b", "a.b.c", "b.a.c", "a.a.a.a"};
static const char *const queues[] = {"q", "r"};

static uint32_t any(uint32_t below)
{
    return world_random(&m.world, below);
}

static uint32_t mix(uint32_t sum, uint32_t id)
{
    return (sum ^ id) * 16777619u + 1;
}

static bool falls_under(int pattern, int subject)
{
    return live_matches(bytes_of(patterns[pattern]), bytes_of(subjects[subject]));
}

/* ---- the engine's side ---- */

/* Of plain ones the model foresees it. */
static void leave(struct mirror *t)
{
    live_unsubscribe(&t->sub);
    if (t->group >= 0)
        t->there = false;
}

static enum live_taken take(struct live_sub *sub, const struct live_message *msg)
{
    struct mirror *t = container_of(sub, struct mirror, sub);
    uint32_t id;
    expect(sub->shard == world_shard(&m.world, t->shard));
    expect(msg->payload.size == sizeof id);
    if (t->answer == LIVE_TAKEN) {
        memcpy(&id, msg->payload.at, sizeof id);
        expect(live_matches(bytes_of(patterns[t->pattern]), msg->subject));
        t->heard++;
        t->heard_sum = mix(t->heard_sum, id);
        if (t->group >= 0)
            expect(++m.by_group[id][t->group] == 1);
        if (t->limit != 0 && t->heard == t->limit)
            leave(t);
    }
    return t->answer;
}

static void overflowed(struct live_sub *sub)
{
    leave(container_of(sub, struct mirror, sub));
}

/* ---- the model's side ---- */

static void gone(struct mirror *t)
{
    t->account.dropped[LIVE_DROPPED_GONE] += t->account.pending;
    t->account.pending = 0;
    t->there = t->full = false;
}

static struct expected shift(struct mirror *t)
{
    struct expected first = t->pending[0];
    t->account.pending--;
    memmove(t->pending, t->pending + 1, t->account.pending * sizeof first);
    return first;
}

static bool dead(int64_t deadline_ms)
{
    return deadline_ms != 0 && deadline_ms <= m.world.wall_ms;
}

static void hear(struct mirror *t, uint32_t id)
{
    t->account.delivered++;
    t->sum = mix(t->sum, id);
    if (t->limit != 0 && t->account.delivered == t->limit)
        gone(t);
}

static bool is_full(const struct mirror *t)
{
    return t->sub.backlog_max != 0 && t->account.pending >= t->sub.backlog_max;
}

/* What becomes of a message that reached a plain subscription; whether a publisher is held. */
static bool arrive(struct mirror *t, uint32_t id, int64_t deadline_ms)
{
    t->account.matched++;
    if (t->account.pending == 0 && t->answer == LIVE_TAKEN) {
        hear(t, id);
        return false;
    }
    bool full = is_full(t);
    while (full && t->account.pending > 0 && dead(t->pending[0].deadline_ms)) {
        shift(t);
        t->account.expired++;
    }
    if (is_full(t) && t->sub.overflow == LIVE_DROP_NEWEST) {
        t->account.dropped[LIVE_DROPPED_NEWEST]++;
        return false;
    }
    if (is_full(t) && t->sub.overflow == LIVE_DISCONNECT) {
        t->account.dropped[LIVE_DROPPED_GONE]++;
        gone(t);
        return false;
    }
    if (is_full(t) && t->sub.overflow == LIVE_DROP_OLDEST) {
        shift(t);
        t->account.dropped[LIVE_DROPPED_OLDEST]++;
    }
    expect(t->account.pending < PENDING_MAX);
    t->pending[t->account.pending++] = (struct expected){id, deadline_ms};
    bool held = t->sub.overflow == LIVE_BLOCK && is_full(t);
    t->full |= held;
    return held;
}

static bool shard_full(int shard)
{
    for (int i = 0; i < TAKERS; i++)
        if (m.takers[i].there && m.takers[i].shard == shard && m.takers[i].full)
            return true;
    return false;
}

static bool plain_taker(const struct mirror *t, int shard, int subject)
{
    return t->there && t->shard == shard && t->group < 0 && falls_under(t->pattern, subject);
}

/* ---- steps ---- */

static void step_flush(int shard)
{
    if (!m.world.flush_wanted[shard])
        return;
    m.world.flush_wanted[shard] = false;
    m.flushing = shard + 1;
    live_flush(world_shard(&m.world, shard));
    m.flushing = 0;
}

static void step_publish(void)
{
    int shard = (int)any((uint32_t)m.world.shard_count), subject = (int)any(COUNT_OF(subjects));
    uint32_t id = m.next_id++;
    struct mirror *quiet = any(4) == 0 ? &m.takers[any(TAKERS - STAYING)] : NULL;
    int64_t deadline_ms = any(3) == 0 ? m.world.wall_ms + (int64_t)any(30) : 0;
    struct live_message msg = {.subject = bytes_of(subjects[subject]),
                               .payload = bytes_view(&id, sizeof id), .deadline_ms = deadline_ms};
    struct live_reach reach;
    bool held = false, plain_elsewhere = false;
    expect(id < IDS);
    if (!dead(deadline_ms)) {
        m.alive_for_staying++;
        for (int i = 0; i < TAKERS; i++)
            if (plain_taker(&m.takers[i], shard, subject) && &m.takers[i] != quiet)
                held |= arrive(&m.takers[i], id, deadline_ms);
        held = held && shard_full(shard);
        for (int to = 0; to < m.world.shard_count; to++) {
            bool wanted = false, blocks = false;
            for (int i = 0; i < TAKERS && to != shard; i++) {
                bool takes = plain_taker(&m.takers[i], to, subject);
                wanted |= takes;
                blocks |= takes && m.takers[i].sub.overflow == LIVE_BLOCK;
            }
            if (!wanted)
                continue;
            plain_elsewhere = true;
            held |= blocks && shard_full(to);
            int *count = &m.lane_count[shard][to];
            struct parcel **lane = &m.lanes[shard][to];
            *lane = realloc(*lane, (size_t)(*count + 1) * sizeof **lane);
            (*lane)[(*count)++] = (struct parcel){id, deadline_ms, subject};
        }
    }
    bool again = any(2) == 0;
    if (again)
        live_publish_again(world_shard(&m.world, shard), &msg, &m.aims[shard][subject], quiet,
                           &reach);
    else
        live_publish(world_shard(&m.world, shard), &msg, quiet, &reach);
    expect(held == reach.blocked); /* groups have no LIVE_BLOCK members here */
    expect(!reach.blocked || !live_room_for(world_shard(&m.world, shard), &reach.held));
    expect(!plain_elsewhere || reach.forwarded > 0);
    expect(!reach.blocked || !live_room(world_shard(&m.world, shard)));
    if (again)
        step_flush(shard); /* then its figures are shown */
}

static void step_mail(void)
{
    int to = (int)any((uint32_t)m.world.shard_count);
    struct model_mail *mail = &m.mail[to][m.mail_first[to]];
    if (m.mail_first[to] == m.mail_last[to]) {
        expect(!world_mail(&m.world, to));
        return;
    }
    m.mail_first[to]++;
    for (int i = 0; i < mail->count; i++) {
        const struct parcel *p = &mail->parcels[i];
        for (int k = 0; k < TAKERS; k++) {
            if (!plain_taker(&m.takers[k], to, p->subject))
                continue;
            if (dead(p->deadline_ms)) {
                m.takers[k].account.matched++;
                m.takers[k].account.expired++;
            } else {
                arrive(&m.takers[k], p->id, p->deadline_ms);
            }
        }
    }
    free(mail->parcels);
    expect(world_mail(&m.world, to));
}

static void step_drain(struct mirror *t)
{
    if (!t->there)
        return;
    while (t->group < 0 && t->there && t->account.pending > 0) {
        if (dead(t->pending[0].deadline_ms)) {
            shift(t);
            t->account.expired++;
        } else if (t->answer == LIVE_TAKEN) {
            hear(t, shift(t).id);
        } else {
            break;
        }
    }
    t->full = t->full && !(t->account.pending <= t->sub.backlog_max / 4 * 3 && !is_full(t));
    bool empty = live_drain(&t->sub, m.world.wall_ms);
    expect(t->group >= 0 || empty == (t->account.pending == 0));
}

static void step_subscribe(struct mirror *t)
{
    bool staying = t >= &m.takers[TAKERS - STAYING];
    int queue = staying ? 1 : (int)any(2);
    if (t->there)
        return;
    memset(t, 0, sizeof *t);
    t->shard = staying ? (int)(t - &m.takers[TAKERS - STAYING])
                       : (int)any((uint32_t)m.world.shard_count);
    t->pattern = staying ? 4 : (int)any(COUNT_OF(patterns));
    t->group = staying || any(3) == 0 ? t->pattern * 2 + queue : -1;
    if (!staying && t->pattern == 4 && t->group >= 0)
        t->group = t->pattern * 2 + (queue = 0);
    t->answer = any(3) == 0 ? LIVE_BUSY : LIVE_TAKEN;
    t->limit = staying || any(3) != 0 ? 0 : 1 + any(6);
    t->there = true;
    t->sub = (struct live_sub){.deliver = take, .overflowed = overflowed, .owner = t};
    t->sub.total = &m.totals[t->shard];
    t->sub.overflow = (uint8_t)any(t->group >= 0 ? 3 : 4);
    t->sub.backlog_max = staying ? 0 : 1 + any(8);
    expect(live_subscribe(world_shard(&m.world, t->shard), &t->sub, bytes_of(patterns[t->pattern]),
                          bytes_of(t->group < 0 ? NULL : queues[queue])) == OUT_OK);
}

static void step_unsubscribe(struct mirror *t)
{
    if (t->there)
        gone(t);
    live_unsubscribe(&t->sub);
}

static void posted(int to)
{
    int last = m.mail_last[to]++, from = m.flushing - 1;
    expect(last < MAIL_MAX);
    m.mail[to][last] = (struct model_mail){.from = from};
    if (from < 0)
        return;
    m.mail[to][last].count = m.lane_count[from][to];
    m.mail[to][last].parcels = m.lanes[from][to];
    m.lane_count[from][to] = 0;
    m.lanes[from][to] = NULL;
}

static void examine(void)
{
    struct live_figures f;
    struct live_account total = {0};
    uint64_t pending = 0;
    for (int i = 0; i < m.world.shard_count; i++) {
        expect(account_adds_up(&m.totals[i]));
        live_account_add(&total, &m.totals[i]);
    }
    for (int i = 0; i < TAKERS; i++) {
        const struct mirror *t = &m.takers[i];
        expect(account_adds_up(&t->sub.account));
        expect((t->sub.shard != NULL) == t->there);
        pending += t->sub.account.pending;
        if (t->group >= 0)
            continue;
        expect(account_adds_up(&t->account));
        expect(memcmp(&t->account, &t->sub.account, sizeof t->account) == 0);
        expect(t->heard_sum == t->sum);
    }
    live_figures(m.world.live, &f);
    expect(account_adds_up(&f.account));
    expect(f.account.pending == pending);
    expect(memcmp(&f.account, &total, sizeof total) == 0);
    expect(f.published == m.next_id);
    expect(f.no_memory == 0);
    for (int i = 0; i < m.world.shard_count; i++)
        if (m.mail_first[i] == m.mail_last[i])
            m.mail_first[i] = m.mail_last[i] = 0;
}

static void step(void)
{
    struct mirror *t = &m.takers[any(TAKERS)];
    bool staying = t >= &m.takers[TAKERS - STAYING];
    switch (any(16)) {
    case 0:
        step_subscribe(t);
        break;
    case 1:
        if (!staying && any(3) == 0)
            step_unsubscribe(t);
        break;
    case 2:
        t->answer = t->answer == LIVE_TAKEN ? LIVE_BUSY : LIVE_TAKEN;
        break;
    case 3:
    case 4:
        step_drain(t);
        break;
    case 5:
        m.world.wall_ms += any(10);
        break;
    case 6:
    case 7:
        step_flush((int)any((uint32_t)m.world.shard_count));
        break;
    case 8:
    case 9:
    case 10:
        step_mail();
        break;
    default:
        step_publish();
    }
    examine();
}

static bool under_way(void)
{
    for (int i = 0; i < m.world.shard_count; i++)
        if (m.world.flush_wanted[i] || m.world.first[i] != NULL)
            return true;
    return false;
}

static void finish(void)
{
    for (int i = 0; i < TAKERS; i++)
        m.takers[i].answer = LIVE_TAKEN;
    while (under_way()) {
        for (int i = 0; i < m.world.shard_count; i++)
            step_flush(i);
        step_mail();
        examine();
    }
    for (int i = 0; i < TAKERS; i++)
        step_drain(&m.takers[i]);
    examine();
    while (under_way())
        step_mail();
    const struct live_account *a = &m.takers[TAKERS - 2].sub.account;
    const struct live_account *b = &m.takers[TAKERS - 1].sub.account;
    expect_eq(a->delivered + a->expired + b->delivered + b->expired, m.alive_for_staying);
    for (int i = 0; i < m.world.shard_count; i++)
        expect(live_room(world_shard(&m.world, i)));
    for (int i = 0; i < TAKERS; i++)
        step_unsubscribe(&m.takers[i]);
    examine();
    while (under_way())
        step_mail();
    live_free(m.world.live);
}

static void run(int shard_count, uint64_t seed, int steps)
{
    memset(&m, 0, sizeof m);
    world_start(&m.world, shard_count, 0);
    m.world.seed = seed;
    m.world.posted = posted;
    for (int i = 1; i <= STAYING; i++)
        step_subscribe(&m.takers[TAKERS - i]);
    for (int i = 0; i < steps; i++)
        step();
    finish();
}

void test_three_shards_do_as_the_model(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        run(3, seed, 6000);
}

void test_two_shards_do_as_the_model(void)
{
    for (uint64_t seed = 101; seed <= 130; seed++)
        run(2, seed, 10000);
}

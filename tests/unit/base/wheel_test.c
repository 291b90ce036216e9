/* SPDX-License-Identifier: MIT */
/* The timer wheel against a plain table of deadlines under random operations. */
#include "base/wheel.h"
#include "tap.h"

#define TIMERS 300

static uint64_t seed = 99;

static uint64_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 16;
}

/* What the model knows: deadline of each timer on the wheel, -1: it is not. */
struct model {
    struct wheel wheel;
    struct wheel_timer timers[TIMERS];
    int64_t due[TIMERS];
    int64_t now, last; /* last: deadline of what was fired before, in this advance */
    int meddle;        /* fire() adds and removes others */
};

static void add(struct model *m, size_t i, int64_t deadline)
{
    wheel_add(&m->wheel, &m->timers[i], deadline);
    /* What is late already fires behind what time has passed. */
    m->due[i] = MAX(deadline, m->wheel.tick_ms);
}

static int64_t any_deadline(const struct model *m)
{
    static const unsigned bits[] = {3, 6, 7, 12, 13, 20, 40};
    int64_t span = (int64_t)(next_random() & (((uint64_t)1 << bits[next_random() % 7]) - 1));
    return m->now + span - (next_random() % 8 == 0 ? 20 : 0);
}

static void fire(struct wheel_timer *t, void *context)
{
    struct model *m = context;
    size_t i = (size_t)(t - m->timers);
    expect(!wheel_holds(t));
    expect(m->due[i] >= 0 && m->due[i] <= m->now);
    expect(m->due[i] >= m->last);
    m->last = m->due[i];
    m->due[i] = -1;
    if (!m->meddle)
        return;
    size_t other = next_random() % TIMERS;
    if (next_random() % 2 == 0) {
        wheel_remove(&m->wheel, &m->timers[other]);
        m->due[other] = -1;
    } else if (!wheel_holds(&m->timers[other])) {
        add(m, other, any_deadline(m));
    }
}

/* Nothing due is left, the next wake-up is not too late, the counts agree. */
static void examine(const struct model *m)
{
    int64_t earliest = WHEEL_NEVER;
    size_t held = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        expect(wheel_holds(&m->timers[i]) == (m->due[i] >= 0));
        if (m->due[i] < 0)
            continue;
        held++;
        expect(m->due[i] > m->now);
        earliest = MIN(earliest, m->due[i]);
    }
    expect(held == m->wheel.count);
    expect(wheel_next(&m->wheel) <= earliest);
    expect(held == 0 || wheel_next(&m->wheel) > m->now);
    expect((wheel_next(&m->wheel) == WHEEL_NEVER) == (held == 0));
}

static void run(int meddle, int64_t start)
{
    static struct model m;
    memset(&m, 0, sizeof m);
    m.meddle = meddle;
    m.now = start;
    for (size_t i = 0; i < TIMERS; i++)
        m.due[i] = -1;
    wheel_init(&m.wheel, start);
    wheel_advance(&m.wheel, start, fire, &m);
    for (int step = 0; step < 40000; step++) {
        size_t i = next_random() % TIMERS;
        if (next_random() % 3 != 0) {
            if (wheel_holds(&m.timers[i])) {
                wheel_remove(&m.wheel, &m.timers[i]);
                m.due[i] = -1;
            } else {
                add(&m, i, any_deadline(&m));
            }
        } else {
            int64_t next = wheel_next(&m.wheel);
            int64_t jump = (int64_t)(next_random() % 100);
            m.now = next_random() % 4 == 0 && next != WHEEL_NEVER ? MAX(m.now, next)
                                                                  : m.now + jump;
            m.last = 0;
            wheel_advance(&m.wheel, m.now, fire, &m);
            examine(&m);
        }
    }
}

void test_everything_fires_in_time_and_order(void)
{
    run(0, 0);
    run(0, 1763712000000);
}

void test_callbacks_may_add_and_remove(void)
{
    run(1, 4095);
    run(1, 1763712000000);
}

static void count(struct wheel_timer *t, void *context)
{
    (void)t;
    ++*(int *)context;
}

void test_far_deadlines_cost_few_wake_ups(void)
{
    struct wheel w;
    struct wheel_timer t = {0}, never = {0};
    int fired = 0, wakes = 0;
    wheel_init(&w, 12345);
    expect(wheel_next(&w) == WHEEL_NEVER);
    wheel_add(&w, &t, 12345 + 86400000);
    wheel_add(&w, &never, WHEEL_NEVER - 1);
    while (fired == 0) {
        int64_t next = wheel_next(&w);
        expect(next <= t.deadline_ms);
        wheel_advance(&w, next, count, &fired);
        wakes++;
    }
    expect(wakes <= WHEEL_LEVELS);
    expect(!wheel_holds(&t) && wheel_holds(&never));
    wheel_remove(&w, &never);
    wheel_remove(&w, &never);
    expect(w.count == 0);
}

void test_late_ones_fire_with_the_next_tick_and_time_does_not_go_back(void)
{
    struct wheel w;
    struct wheel_timer t = {0};
    int fired = 0;
    wheel_init(&w, 100);
    wheel_advance(&w, 100, count, &fired);
    wheel_add(&w, &t, 7);
    expect(wheel_next(&w) == 101);
    wheel_advance(&w, 50, count, &fired);
    expect_eq(fired, 0);
    wheel_advance(&w, 101, count, &fired);
    expect_eq(fired, 1);
}

/* SPDX-License-Identifier: MIT */
/* When a thread looks for work before it sleeps, on a clock of the test's own. */
#include "net/look.h"

#include "tap.h"

#define US INT64_C(1000)
#define WAKE (20 * US) /* that a sleep ends late */

/* A thread whose work comes some time after it has nothing to do; a sleep costs it `sleep` ns. */
struct life {
    struct look look;
    int64_t now, begun, sleep;
    int64_t turns, looks, found, sleeps, spent;
    bool torn;
};

static void live(struct life *l, int64_t gap, int64_t work)
{
    l->now += work;
    l->turns++;
    int64_t from = l->now;
    if (look_is_worth_it(&l->look, from)) {
        bool found = gap <= LOOK_NS;
        l->now += MIN(gap, LOOK_NS);
        look_ended(&l->look, from, l->now, found, l->torn);
        l->looks++;
        l->found += found;
        l->spent += l->now - from;
        if (found)
            return;
    }
    bool measure = look_wants_measure(&l->look);
    l->sleeps++;
    l->now = MAX(l->now, from + gap) + WAKE;
    look_slept(&l->look, from, l->now, measure ? l->sleep : -1);
}

static void begin(struct life *l, int64_t sleep)
{
    *l = (struct life){.sleep = sleep, .now = 1000000 * US, .begun = 1000000 * US};
}

/* All that looks may spend: half more than sleeps are charged with, a thousandth of the time. */
static void expect_paid(const struct life *l)
{
    int64_t worth = MAX(l->sleep, 10 * US) * 3 / 2;
    expect(l->spent <= l->found * worth + (l->now - l->begun) / 1000 + 41 * LOOK_NS);
}

void test_requests_that_come_back_to_back_are_looked_for(void)
{
    struct life l;
    begin(&l, 15 * US);
    for (int i = 0; i < 10000; i++)
        live(&l, 14 * US, 10 * US);
    expect(l.found > 9000);
    expect_paid(&l);
}

void test_requests_with_time_between_are_slept_for(void)
{
    struct life l;
    begin(&l, 15 * US);
    for (int i = 0; i < 10000; i++)
        live(&l, 200 * US, 10 * US);
    expect(l.looks <= 1); /* nothing is known at first */
    begin(&l, 15 * US);
    for (int i = 0; i < 10000; i++)
        live(&l, 70 * US, 10 * US); /* that may be short ones late, so it tries now and then */
    expect(l.looks > 0 && l.looks < 100);
    expect_paid(&l);
    begin(&l, 15 * US);
    for (int i = 0; i < 10000; i++)
        live(&l, i % 2 == 0 ? 15 * US : 900 * US, 10 * US); /* as a consumer at the end of a log */
    expect(l.looks < 10);
}

void test_a_look_that_costs_more_than_a_sleep_is_not_for_long(void)
{
    struct life l;
    begin(&l, 4 * US);
    for (int i = 0; i < 10000; i++)
        live(&l, 40 * US, 10 * US);
    expect(l.looks < 500);
    expect_paid(&l);
}

/* What another thread did meanwhile is not a look's expense. */
void test_a_look_that_was_interrupted_is_not_paid_for_long(void)
{
    struct life l;
    begin(&l, 15 * US);
    for (int i = 0; i < 10000; i++) {
        live(&l, 14 * US, 10 * US);
        if (i % 1000 == 999) {
            look_ended(&l.look, l.now, l.now + 5000 * US, false, true);
            l.now += 5000 * US;
        }
    }
    expect(l.found > 8000);
}

void test_where_others_want_the_processor_it_gives_up(void)
{
    struct life l;
    begin(&l, 15 * US);
    l.torn = true;
    for (int i = 0; i < 100000; i++)
        live(&l, 14 * US, 10 * US);
    expect(l.looks > 0 && l.looks < 60); /* 4.4 s, a pause of up to 128 ms after each */
    l.torn = false;
    int64_t before = l.found;
    for (int i = 0; i < 100000; i++)
        live(&l, 14 * US, 10 * US);
    expect(l.found - before > 80000);
}

void test_whatever_comes_it_is_paid_for(void)
{
    struct life l;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        begin(&l, 1 * US + round % 40 * US);
        int64_t usual = 5 * US;
        for (int i = 0; i < 5000; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if (random % 500 == 0)
                usual = (int64_t)(random >> 20) % (120 * US);
            l.torn = random % 97 == 0;
            live(&l, usual / 2 + (int64_t)(random >> 30) % (usual + 1), 10 * US);
        }
        expect_paid(&l);
    }
}

/* SPDX-License-Identifier: MIT */
/* Static membership (KIP-345, KIP-814). */
#include "bench.h"

static struct bench b;

static struct group_event static_join(const char *member_id, bool skip)
{
    struct group_event e = join_event("g", member_id);
    e.join.instance_id = bytes_of("i1");
    e.join.can_skip_assignment = skip;
    e.join.id_required = true;
    return e;
}

/* A Stable group of one static member; its id. */
static const char *one(void)
{
    struct group_event e = static_join("", true);
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    bench_pass(&b, 0);
    expect_eq(a->outcome, OUT_OK);
    expect_str(a->member_id, "i1-00000000-0000-0000-0000-000000000001");
    struct group_assignment all = {bytes_of(a->member_id), bytes_of("a")};
    (void)bench_sync(&b, "g", a->member_id, 1, &all, 1);
    return a->member_id;
}

static enum outcome beat(const char *member_id)
{
    struct group_event e = {.kind = GROUP_HEARTBEAT, .group_id = bytes_of("g"),
                            .heartbeat = {.member_id = bytes_of(member_id),
                                          .instance_id = bytes_of("i1"), .generation = 1}};
    return ANSWER(&b, bench_step(&b, &e))->outcome;
}

void test_the_instance_comes_back_and_takes_its_place_without_a_rebalance(void)
{
    bench_open(&b);
    const char *old = one();
    struct group_event e = static_join("", true);
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect_eq(a->outcome, OUT_OK);
    expect_eq(a->generation, 1);
    expect(a->skip_assignment && a->after_records);
    expect_str(a->leader, a->member_id);
    expect_eq(a->count_of, 1);
    expect_eq(b.step_records, 1);
    expect_eq(beat(old), OUT_FENCED_INSTANCE);
    expect_eq(beat(a->member_id), OUT_OK);
    expect_eq(beat("other"), OUT_FENCED_INSTANCE);
    expect_str(ANSWER(&b, bench_sync(&b, "g", a->member_id, 1, NULL, 0))->assignment, "a");
    bench_close(&b);
}

void test_an_older_client_is_not_told_that_it_leads(void)
{
    bench_open(&b);
    const char *old = one();
    struct group_event e = static_join("", false);
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect(!a->skip_assignment);
    expect_str(a->leader, old);
    expect_eq(a->count_of, 0);
    bench_close(&b);
}

void test_the_old_id_is_fenced_everywhere(void)
{
    bench_open(&b);
    const char *old = one();
    struct group_event e = static_join("", true);
    (void)bench_step(&b, &e);
    e = static_join(old, true);
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_FENCED_INSTANCE);
    e = (struct group_event){.kind = GROUP_SYNC, .group_id = bytes_of("g"),
                             .sync = {.member_id = bytes_of(old), .instance_id = bytes_of("i1"),
                                      .generation = 1}};
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_FENCED_INSTANCE);
    struct group_leaver l = {bytes_of(old), bytes_of("i1")};
    e = (struct group_event){.kind = GROUP_LEAVE, .group_id = bytes_of("g"),
                             .leave = {.leavers = &l, .leaver_count = 1}};
    expect_eq(ANSWER(&b, bench_step(&b, &e))->each[0], OUT_FENCED_INSTANCE);
    l.member_id = bytes_of("");
    expect_eq(ANSWER(&b, bench_step(&b, &e))->each[0], OUT_OK);
    expect_str(bench_state(&b, "g"), "Empty");
    bench_close(&b);
}

void test_a_waiting_join_of_the_old_id_is_fenced(void)
{
    bench_open(&b);
    const char *old = one();
    (void)bench_join(&b, "g", ""); /* a rebalance begins */
    struct group_event e = static_join(old, true);
    b.options.initial_delay_ms = 0;
    struct group_event lone = join_event("g", "");
    (void)lone;
    const struct answer *now = ANSWER(&b, bench_step(&b, &e));
    expect_eq(now->outcome, OUT_OK); /* both are in: generation 2 */
    expect_eq(now->generation, 2);
    int waits = -1;
    e = (struct group_event){.kind = GROUP_SYNC, .group_id = bytes_of("g"),
                             .sync = {.member_id = bytes_of(now->member_id),
                                      .instance_id = bytes_of("i1"), .generation = 2}};
    if (strcmp(now->leader, now->member_id) != 0)
        waits = bench_step(&b, &e);
    e = static_join("", true);
    const struct answer *again = ANSWER(&b, bench_step(&b, &e));
    expect_eq(again->count, 0); /* in CompletingRebalance a new id means a new round */
    expect_str(bench_state(&b, "g"), "PreparingRebalance");
    if (waits > 0)
        expect_eq(ANSWER(&b, waits)->outcome, OUT_FENCED_INSTANCE);
    e = static_join("", true);
    (void)bench_step(&b, &e);
    expect_eq(again->outcome, OUT_FENCED_INSTANCE);
    bench_close(&b);
}

void test_an_absent_static_member_keeps_its_place_until_its_session_ends(void)
{
    bench_open(&b);
    const char *id = one();
    struct group_event e = join_event("g", "");
    e.join.rebalance_ms = 500;
    e.join.session_ms = 5000;
    const struct answer *second = ANSWER(&b, bench_step(&b, &e));
    e = (struct group_event){.kind = GROUP_DESCRIBE, .group_id = bytes_of("g")};
    expect_eq(ANSWER(&b, bench_step(&b, &e))->count_of, 2);
    bench_pass(&b, 900);
    expect_eq(second->count, 0);
    expect_eq(beat(id), OUT_REBALANCE_IN_PROGRESS);
    bench_pass(&b, 900);
    expect_eq(second->count, 0);
    bench_pass(&b, 200); /* its session is over: all that are left have joined */
    expect_eq(second->count, 1);
    expect_eq(second->count_of, 1);
    bench_close(&b);
}

void test_a_rebalance_goes_on_without_the_static_member_but_keeps_it(void)
{
    bench_open(&b);
    struct group_event e = static_join("", true);
    e.join.session_ms = 60000;
    const struct answer *first = ANSWER(&b, bench_step(&b, &e));
    bench_pass(&b, 0);
    (void)bench_sync(&b, "g", first->member_id, 1, NULL, 0);
    const struct answer *second = ANSWER(&b, bench_join(&b, "g", ""));
    bench_pass(&b, 3000);
    expect_eq(second->outcome, OUT_OK);
    expect_str(second->leader, second->member_id);
    expect_eq(second->count_of, 2);
    bench_close(&b);
}

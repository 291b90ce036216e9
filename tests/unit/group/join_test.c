/* SPDX-License-Identifier: MIT */
/* Joining, syncing, leaving: one case for each rule of classic groups. */
#include "bench.h"

static struct bench b;

/* Two members in generation 2, both synced; their ids. */
static void pair(const char *ids[2])
{
    ids[0] = bench_single(&b, "g");
    const struct answer *second = ANSWER(&b, bench_join(&b, "g", ""));
    expect_eq(second->count, 0);
    const struct answer *first = ANSWER(&b, bench_join(&b, "g", ids[0]));
    expect_eq(first->count, 1);
    expect_eq(second->count, 1);
    ids[1] = second->member_id;
    struct group_assignment shares[] = {{bytes_of(ids[0]), bytes_of("one")},
                                        {bytes_of(ids[1]), bytes_of("two")}};
    const struct answer *waits = ANSWER(&b, bench_sync(&b, "g", ids[1], 2, NULL, 0));
    expect_eq(waits->count, 0);
    const struct answer *leads = ANSWER(&b, bench_sync(&b, "g", ids[0], 2, shares, 2));
    expect_str(leads->assignment, "one");
    expect_str(waits->assignment, "two");
    expect(leads->after_records && waits->after_records);
}

void test_a_new_member_has_to_come_back_with_its_id(void)
{
    bench_open(&b);
    struct group_event e = join_event("g", "");
    e.join.id_required = true;
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect_eq(a->outcome, OUT_MEMBER_ID_REQUIRED);
    expect_str(a->member_id, "c-00000000-0000-0000-0000-000000000001");
    const struct answer *again = ANSWER(&b, bench_join(&b, "g", a->member_id));
    expect_eq(again->outcome, OUT_OK);
    expect_eq(again->generation, 1);
    expect_str(again->leader, a->member_id);
    expect_str(again->protocol, "range");
    expect_eq(again->count_of, 1);
    bench_close(&b);
}

void test_a_given_id_is_forgotten_after_a_session(void)
{
    bench_open(&b);
    struct group_event e = join_event("g", "");
    e.join.id_required = true;
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    bench_pass(&b, 1000);
    expect_eq(ANSWER(&b, bench_join(&b, "g", a->member_id))->outcome, OUT_UNKNOWN_MEMBER);
    bench_close(&b);
}

void test_refusals_before_a_group_is_looked_at(void)
{
    bench_open(&b);
    expect_eq(ANSWER(&b, bench_join(&b, "", ""))->outcome, OUT_INVALID_GROUP_ID);
    expect_eq(ANSWER(&b, bench_join(&b, "g", "nobody"))->outcome, OUT_UNKNOWN_MEMBER);
    struct group_event e = join_event("g", "");
    e.join.session_ms = 9;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INVALID_SESSION_TIMEOUT);
    e.join.session_ms = 100001;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INVALID_SESSION_TIMEOUT);
    bench_close(&b);
}

void test_a_protocol_that_not_all_speak_is_refused(void)
{
    bench_open(&b);
    (void)bench_single(&b, "g");
    struct group_protocol other = {bytes_of("other"), bytes_of("x")};
    struct group_event e = join_event("g", "");
    e.join.protocols = &other;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INCONSISTENT_PROTOCOL);
    e = join_event("g", "");
    e.join.protocol_type = bytes_of("connect");
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INCONSISTENT_PROTOCOL);
    e = join_event("fresh", "");
    e.join.protocol_count = 0;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INCONSISTENT_PROTOCOL);
    expect_str(bench_state(&b, "fresh"), "Empty");
    bench_close(&b);
}

void test_the_vote_takes_what_most_prefer_among_what_all_speak(void)
{
    bench_open(&b);
    b.options.initial_delay_ms = 50;
    group_shard_free(b.shard);
    b.shard = group_shard_new(&b.options);
    struct group_protocol first[] = {{bytes_of("a"), bytes_of("1")}, {bytes_of("b"), bytes_of("2")},
                                     {bytes_of("c"), bytes_of("3")}};
    struct group_protocol rest[] = {{bytes_of("x"), bytes_of("1")}, {bytes_of("c"), bytes_of("2")},
                                    {bytes_of("b"), bytes_of("3")}};
    int tokens[3];
    for (int i = 0; i < 3; i++) {
        struct group_event e = join_event("g", "");
        e.join.protocols = i == 0 ? first : rest;
        e.join.protocol_count = 3;
        tokens[i] = bench_step(&b, &e);
    }
    expect_eq(ANSWER(&b, tokens[0])->count, 0);
    bench_pass(&b, 100);
    for (int i = 0; i < 3; i++)
        expect_str(ANSWER(&b, tokens[i])->protocol, "c");
    expect_eq(ANSWER(&b, tokens[0])->count_of, 3);
    expect_str(ANSWER(&b, tokens[0])->metadata[0], "3");
    expect_eq(ANSWER(&b, tokens[1])->count_of, 0);
    bench_close(&b);
}

void test_the_initial_delay_is_extended_by_members_that_come_up_to_the_rebalance_timeout(void)
{
    bench_open(&b);
    b.options.initial_delay_ms = 1000;
    group_shard_free(b.shard);
    b.shard = group_shard_new(&b.options);
    struct group_event e = join_event("g", "");
    int first = bench_step(&b, &e);
    bench_pass(&b, 900);
    e = join_event("g", "");
    (void)bench_step(&b, &e);
    bench_pass(&b, 200);
    expect_eq(ANSWER(&b, first)->count, 0);
    bench_pass(&b, 700);
    e = join_event("g", "");
    (void)bench_step(&b, &e);
    bench_pass(&b, 900);
    expect_eq(ANSWER(&b, first)->count, 0); /* 2700 ms of at most 3000 */
    bench_pass(&b, 300);
    expect_eq(ANSWER(&b, first)->count_of, 3);
    bench_close(&b);
}

void test_a_second_member_makes_the_first_join_again(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    expect_str(bench_state(&b, "g"), "Stable");
    expect_eq(bench_heartbeat(&b, "g", ids[0], 2), OUT_OK);
    expect_eq(bench_heartbeat(&b, "g", ids[0], 1), OUT_ILLEGAL_GENERATION);
    expect_eq(bench_heartbeat(&b, "g", "nobody", 2), OUT_UNKNOWN_MEMBER);
    expect_eq(bench_heartbeat(&b, "h", ids[0], 2), OUT_UNKNOWN_MEMBER);
    expect_eq(bench_heartbeat(&b, "", ids[0], 2), OUT_INVALID_GROUP_ID);
    bench_close(&b);
}

void test_heartbeats_tell_of_the_rebalance(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    (void)bench_join(&b, "g", "");
    expect_str(bench_state(&b, "g"), "PreparingRebalance");
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_REBALANCE_IN_PROGRESS);
    expect_eq(ANSWER(&b, bench_sync(&b, "g", id, 1, NULL, 0))->outcome, OUT_REBALANCE_IN_PROGRESS);
    (void)bench_join(&b, "g", id);
    expect_str(bench_state(&b, "g"), "CompletingRebalance");
    expect_eq(bench_heartbeat(&b, "g", id, 2), OUT_OK);
    bench_close(&b);
}

void test_who_does_not_rejoin_within_the_rebalance_timeout_is_out(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    const struct answer *second = ANSWER(&b, bench_join(&b, "g", ""));
    for (int i = 0; i < 5; i++) {
        bench_pass(&b, 500);
        expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_REBALANCE_IN_PROGRESS);
    }
    expect_eq(second->count, 0);
    bench_pass(&b, 500);
    expect_eq(second->count, 1);
    expect_str(second->leader, second->member_id);
    expect_eq(second->generation, 2);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_UNKNOWN_MEMBER);
    bench_close(&b);
}

void test_a_silent_member_is_out_after_its_session(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    bench_pass(&b, 999);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_OK);
    bench_pass(&b, 999);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_OK);
    bench_pass(&b, 1000);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_UNKNOWN_MEMBER);
    expect_str(bench_state(&b, "g"), "Empty");
    bench_close(&b);
}

void test_who_does_not_sync_in_time_is_out(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    (void)bench_join(&b, "g", ids[0]);
    (void)bench_join(&b, "g", ids[1]);
    int waits = bench_sync(&b, "g", ids[0], 3, NULL, 0);
    expect_eq(ANSWER(&b, waits)->outcome, OUT_OK);
    for (int i = 0; i < 7; i++) {
        bench_pass(&b, 450);
        (void)bench_heartbeat(&b, "g", ids[0], 3);
        (void)bench_heartbeat(&b, "g", ids[1], 3);
    }
    expect_eq(bench_heartbeat(&b, "g", ids[1], 3), OUT_UNKNOWN_MEMBER);
    expect_eq(bench_heartbeat(&b, "g", ids[0], 3), OUT_REBALANCE_IN_PROGRESS);
    bench_close(&b);
}

void test_the_leader_that_joins_again_begins_a_generation_a_follower_does_not(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    const struct answer *follower = ANSWER(&b, bench_join(&b, "g", ids[1]));
    expect_eq(follower->outcome, OUT_OK);
    expect_eq(follower->generation, 2);
    expect_eq(follower->count_of, 0);
    expect_str(bench_state(&b, "g"), "Stable");
    (void)bench_join(&b, "g", ids[0]);
    expect_str(bench_state(&b, "g"), "PreparingRebalance");
    bench_close(&b);
}

void test_a_follower_with_other_metadata_rebalances(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    struct group_protocol changed = {bytes_of("range"), bytes_of("other")};
    struct group_event e = join_event("g", ids[1]);
    e.join.protocols = &changed;
    (void)bench_step(&b, &e);
    expect_str(bench_state(&b, "g"), "PreparingRebalance");
    bench_close(&b);
}

void test_sync_is_checked(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    expect_eq(ANSWER(&b, bench_sync(&b, "g", id, 9, NULL, 0))->outcome, OUT_ILLEGAL_GENERATION);
    expect_eq(ANSWER(&b, bench_sync(&b, "g", "no", 1, NULL, 0))->outcome, OUT_UNKNOWN_MEMBER);
    expect_eq(ANSWER(&b, bench_sync(&b, "h", id, 1, NULL, 0))->outcome, OUT_UNKNOWN_MEMBER);
    struct group_event e = {.kind = GROUP_SYNC, .group_id = bytes_of("g"),
                            .sync = {.member_id = bytes_of(id), .generation = 1,
                                     .protocol_name = bytes_of("roundrobin")}};
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INCONSISTENT_PROTOCOL);
    e.sync.protocol_name = bytes_of("range");
    e.sync.protocol_type = bytes_of("connect");
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INCONSISTENT_PROTOCOL);
    expect_str(ANSWER(&b, bench_sync(&b, "g", id, 1, NULL, 0))->assignment, "all");
    bench_close(&b);
}

void test_waiting_syncs_end_when_somebody_joins(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    (void)bench_join(&b, "g", ids[0]);
    (void)bench_join(&b, "g", ids[1]);
    int waits = bench_sync(&b, "g", ids[1], 3, NULL, 0);
    expect_eq(ANSWER(&b, waits)->count, 0);
    (void)bench_join(&b, "g", "");
    expect_eq(ANSWER(&b, waits)->outcome, OUT_REBALANCE_IN_PROGRESS);
    bench_close(&b);
}

void test_leaving(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    expect_eq(bench_leave(&b, "g", "nobody"), OUT_UNKNOWN_MEMBER);
    expect_str(bench_state(&b, "g"), "Stable");
    expect_eq(bench_leave(&b, "h", ids[0]), OUT_UNKNOWN_MEMBER);
    expect_eq(bench_leave(&b, "g", ids[0]), OUT_OK);
    expect_eq(bench_heartbeat(&b, "g", ids[1], 2), OUT_REBALANCE_IN_PROGRESS);
    expect_eq(bench_leave(&b, "g", ids[1]), OUT_OK);
    expect_str(bench_state(&b, "g"), "Empty");
    bench_close(&b);
}

void test_a_full_group_takes_no_more(void)
{
    bench_open(&b);
    b.options.members_max = 1;
    group_shard_free(b.shard);
    b.shard = group_shard_new(&b.options);
    const char *id = bench_single(&b, "g");
    expect_eq(ANSWER(&b, bench_join(&b, "g", ""))->outcome, OUT_GROUP_MAX_SIZE);
    expect_eq(ANSWER(&b, bench_join(&b, "g", id))->outcome, OUT_OK);
    bench_close(&b);
}

void test_a_cancelled_join_is_answered_and_the_member_may_come_again(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    int waits = bench_join(&b, "g", "");
    struct group_event e = {.kind = GROUP_CANCEL, .group_id = bytes_of("g"),
                            .token = (void *)(intptr_t)waits};
    (void)bench_step(&b, &e);
    expect_eq(ANSWER(&b, waits)->outcome, OUT_CLOSED);
    int first = bench_join(&b, "g", id);
    bench_pass(&b, 3000);
    expect_eq(ANSWER(&b, first)->outcome, OUT_OK);
    expect_eq(ANSWER(&b, first)->count_of, 1);
    bench_close(&b);
}

/* Its place is not kept for the five minutes that a new member may wait: the others wait for it. */
void test_a_new_member_that_went_away_delays_the_others_for_a_session_only(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    struct group_event e = join_event("g", "");
    e.join.rebalance_ms = 300000;
    e.join.session_ms = 500;
    int gone = bench_step(&b, &e);
    struct group_event cancel = {.kind = GROUP_CANCEL, .group_id = bytes_of("g"),
                                 .token = (void *)(intptr_t)gone};
    (void)bench_step(&b, &cancel);
    int first = bench_join(&b, "g", id);
    bench_pass(&b, 499);
    expect_eq(ANSWER(&b, first)->count, 0);
    bench_pass(&b, 1);
    expect_eq(ANSWER(&b, first)->outcome, OUT_OK);
    expect_eq(ANSWER(&b, first)->count_of, 1);
    bench_close(&b);
}

void test_a_new_member_that_comes_again_may_wait_as_long_as_any(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    int gone = bench_join(&b, "g", "");
    struct group_event cancel = {.kind = GROUP_CANCEL, .group_id = bytes_of("g"),
                                 .token = (void *)(intptr_t)gone};
    (void)bench_step(&b, &cancel);
    int again = bench_join(&b, "g", ANSWER(&b, gone)->member_id);
    for (int i = 0; i < 3; i++) {
        bench_pass(&b, 900);
        expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_REBALANCE_IN_PROGRESS);
    }
    expect_eq(ANSWER(&b, again)->count, 0);
    int first = bench_join(&b, "g", id);
    expect_eq(ANSWER(&b, again)->outcome, OUT_OK);
    expect_eq(ANSWER(&b, first)->count_of, 2);
    bench_close(&b);
}

void test_a_join_again_while_one_waits_ends_the_older(void)
{
    bench_open(&b);
    const char *ids[2];
    pair(ids);
    int older = bench_join(&b, "g", ids[0]);
    int newer = bench_join(&b, "g", ids[0]);
    expect_eq(ANSWER(&b, older)->outcome, OUT_REBALANCE_IN_PROGRESS);
    (void)bench_join(&b, "g", ids[1]);
    expect_eq(ANSWER(&b, newer)->outcome, OUT_OK);
    bench_close(&b);
}

void test_other_protocol_types_are_as_good(void)
{
    bench_open(&b);
    struct group_protocol any = {bytes_of("sessioned"), bytes_of("\xff\xfe")};
    struct group_event e = join_event("connect-cluster", "");
    e.join.protocol_type = bytes_of("connect");
    e.join.protocols = &any;
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    bench_pass(&b, 0);
    expect_eq(a->outcome, OUT_OK);
    expect_str(a->type, "connect");
    expect_eq(bench_commit(&b, "connect-cluster", a->member_id, 1, "t", 0, 1),
              OUT_REBALANCE_IN_PROGRESS);
    (void)bench_sync(&b, "connect-cluster", a->member_id, 1, NULL, 0);
    expect_eq(bench_commit(&b, "connect-cluster", a->member_id, 1, "t", 0, 1), OUT_OK);
    bench_close(&b);
}

/* SPDX-License-Identifier: MIT */
/* Offsets of transactions: pending until the marker, and what may happen to them meanwhile. */
#include "bench.h"

static struct bench b;

static enum outcome promise(int64_t producer_id, const char *group, int64_t offset)
{
    struct group_offset o = {.topic = bytes_of("t"), .offset = offset, .leader_epoch = -1,
                             .metadata = bytes_of("m")};
    struct group_event e = {.kind = GROUP_TXN_COMMIT, .group_id = bytes_of(group),
                            .commit = {.member_id = bytes_of(""), .generation = -1,
                                       .if_unknown = OUT_ILLEGAL_GENERATION,
                                       .producer_id = producer_id, .offsets = &o,
                                       .offset_count = 1}};
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    return a->outcome;
}

static void end(int64_t producer_id, bool commit)
{
    struct group_event e = {.kind = GROUP_TXN_END,
                            .end = {.producer_id = producer_id, .commit = commit}};
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect_eq(a->outcome, OUT_OK);
    expect(a->after_records);
}

static const struct answer *fetch(const char *group, bool stable, bool all)
{
    struct group_place place = {.topic = bytes_of("t")};
    struct group_event e = {.kind = GROUP_OFFSET_FETCH, .group_id = bytes_of(group),
                            .places = {.places = &place, .count = 1, .stable = stable,
                                       .all = all}};
    return ANSWER(&b, bench_step(&b, &e));
}

void test_offsets_count_from_the_commit_marker_on(void)
{
    bench_open(&b);
    expect_eq(promise(7, "g", 5), OUT_OK);
    expect_eq(b.step_records, 1);
    expect_eq(fetch("g", false, false)->offsets[0], -1);
    end(8, true); /* somebody else's */
    expect_eq(fetch("g", false, false)->offsets[0], -1);
    end(7, true);
    expect_eq(fetch("g", false, false)->offsets[0], 5);
    promise(7, "g", 6);
    expect_eq(fetch("g", false, false)->offsets[0], 5);
    expect_eq(fetch("g", true, false)->offsets[0], -1);
    expect_eq(fetch("g", true, true)->count_of, 0);
    end(7, false);
    expect_eq(fetch("g", true, false)->offsets[0], 5);
    expect_eq(fetch("g", true, true)->count_of, 1);
    bench_close(&b);
}

void test_a_later_commit_overtakes_the_transaction(void)
{
    bench_open(&b);
    promise(7, "g", 5);
    expect_eq(bench_commit(&b, "g", "", -1, "t", 0, 9), OUT_OK);
    end(7, true);
    expect_eq(fetch("g", false, false)->offsets[0], 9);
    promise(7, "g", 3);
    promise(7, "g", 4);
    end(7, true);
    expect_eq(fetch("g", false, false)->offsets[0], 4);
    bench_close(&b);
}

void test_one_marker_ends_it_in_all_groups(void)
{
    bench_open(&b);
    promise(7, "g", 5);
    promise(7, "h", 6);
    promise(8, "h", 7);
    end(7, true);
    expect_eq(fetch("g", true, false)->offsets[0], 5);
    expect_eq(fetch("h", true, false)->offsets[0], -1);
    expect_eq(fetch("h", false, false)->offsets[0], 6);
    end(8, false);
    expect_eq(fetch("h", true, false)->offsets[0], 6);
    bench_close(&b);
}

void test_a_deleted_group_gets_nothing_back(void)
{
    struct group_event e = {.kind = GROUP_DELETE, .group_id = bytes_of("g")};
    bench_open(&b);
    bench_commit(&b, "g", "", -1, "t", 0, 1);
    promise(7, "g", 5);
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_OK);
    end(7, true);
    expect_eq(fetch("g", false, false)->offsets[0], -1);
    bench_close(&b);
}

void test_a_deleted_offset_is_not_brought_back_by_the_commit(void)
{
    for (int committed = 0; committed < 2; committed++) {
        struct group_place place = {.topic = bytes_of("t")};
        struct group_event e = {.kind = GROUP_OFFSET_DELETE, .group_id = bytes_of("g"),
                                .places = {.places = &place, .count = 1}};
        bench_open(&b);
        if (committed == 1)
            bench_commit(&b, "g", "", -1, "t", 0, 1);
        promise(7, "g", 5);
        expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_OK);
        bench_reload(&b); /* the tombstone says it, too */
        end(7, true);
        expect_eq(fetch("g", true, false)->offsets[0], -1);
        bench_close(&b);
    }
}

void test_offsets_of_an_open_transaction_do_not_expire(void)
{
    struct group_event sweep = {.kind = GROUP_EXPIRE};
    bench_open(&b);
    bench_commit(&b, "g", "", -1, "t", 0, 1);
    promise(7, "g", 5);
    promise(7, "h", 5);
    b.wall += b.options.retention_ms + 1;
    (void)bench_step(&b, &sweep);
    expect_eq(fetch("g", false, false)->offsets[0], 1);
    end(7, true);
    expect_eq(fetch("h", false, false)->offsets[0], 5);
    (void)bench_step(&b, &sweep);
    expect_eq(fetch("g", false, false)->offsets[0], -1);
    bench_close(&b);
}

void test_a_topics_end_takes_its_promised_offsets(void)
{
    struct group_event gone = {.kind = GROUP_TOPIC_DELETED, .group_id = bytes_of("t")};
    bench_open(&b);
    promise(7, "g", 5);
    (void)bench_step(&b, &gone);
    end(7, true);
    expect_eq(fetch("g", false, false)->offsets[0], -1);
    bench_close(&b);
}

void test_members_are_checked_when_they_are_named(void)
{
    struct group_offset o = {.topic = bytes_of("t"), .metadata = bytes_of("")};
    struct group_event e = {.kind = GROUP_TXN_COMMIT, .group_id = bytes_of("g"),
                            .commit = {.member_id = bytes_of("x"), .generation = 1,
                                       .if_unknown = OUT_ILLEGAL_GENERATION, .offsets = &o,
                                       .offset_count = 1}};
    bench_open(&b);
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_ILLEGAL_GENERATION);
    const char *id = bench_single(&b, "g");
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_UNKNOWN_MEMBER);
    e.commit.member_id = bytes_of(id);
    e.commit.generation = 7;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_ILLEGAL_GENERATION);
    e.commit.generation = 1;
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_OK);
    expect_eq(promise(9, "g", 1), OUT_OK); /* without a member: in any group */
    e.group_id = bytes_of("");
    expect_eq(ANSWER(&b, bench_step(&b, &e))->outcome, OUT_INVALID_GROUP_ID);
    bench_close(&b);
}

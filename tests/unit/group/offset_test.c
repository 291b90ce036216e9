/* SPDX-License-Identifier: MIT */
/* Commits, fetches, deletions and the end of offsets. */
#include "bench.h"

#define DAY (INT64_C(24) * 3600 * 1000)

static struct bench b;

static enum outcome commit_metadata(struct bytes metadata)
{
    struct group_offset o = {.topic = bytes_of("t"), .metadata = metadata, .leader_epoch = -1};
    struct group_event e = {.kind = GROUP_OFFSET_COMMIT, .group_id = bytes_of("s"),
                            .commit = {.member_id = bytes_of(""), .generation = -1,
                                       .offsets = &o, .offset_count = 1}};
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect_eq(a->outcome, OUT_OK);
    return a->each[0];
}

static const struct answer *delete_offset(const char *group, const char *topic)
{
    struct group_place place = {.topic = bytes_of(topic)};
    struct group_event e = {.kind = GROUP_OFFSET_DELETE, .group_id = bytes_of(group),
                            .places = {.places = &place, .count = 1}};
    return ANSWER(&b, bench_step(&b, &e));
}

static enum outcome delete_group(const char *group)
{
    struct group_event e = {.kind = GROUP_DELETE, .group_id = bytes_of(group)};
    return ANSWER(&b, bench_step(&b, &e))->outcome;
}

static void sweep(void)
{
    struct group_event e = {.kind = GROUP_EXPIRE};
    (void)bench_step(&b, &e);
}

void test_commits_without_a_member_need_a_group_without_members(void)
{
    bench_open(&b);
    expect_eq(bench_commit(&b, "s", "", -1, "t", 0, 5), OUT_OK);
    expect_eq(b.step_records, 1);
    expect_eq(bench_commit(&b, "s", "m", -1, "t", 1, 6), OUT_OK);
    expect_eq(bench_commit(&b, "", "", -1, "t", 0, 7), OUT_OK);
    expect_eq(bench_fetch(&b, "s", "t", 0), 5);
    expect_eq(bench_fetch(&b, "", "t", 0), 7);
    expect_eq(bench_fetch(&b, "s", "t", 9), -1);
    expect_eq(bench_fetch(&b, "nobody", "t", 0), -1);
    expect_str(bench_state(&b, "s"), "Empty");
    expect_eq(bench_commit(&b, "s", "m", 5, "t", 0, 5), OUT_UNKNOWN_MEMBER);
    expect_eq(bench_commit(&b, "unknown", "m", 5, "t", 0, 5), OUT_GROUP_ID_NOT_FOUND);
    (void)bench_join(&b, "s", "");
    expect_eq(bench_commit(&b, "s", "", -1, "t", 0, 5), OUT_UNKNOWN_MEMBER);
    bench_close(&b);
}

void test_all_offsets_come_in_pieces_too(void)
{
    enum { COMMITTED = 40 };
    bool seen[COMMITTED] = {false};
    size_t count = 0, from = 0, pieces = 0;
    bench_open(&b);
    for (int i = 0; i < COMMITTED; i++)
        expect_eq(bench_commit(&b, "s", "", -1, "t", i, i), OUT_OK);
    do {
        struct group_event e = {.kind = GROUP_OFFSET_FETCH, .group_id = bytes_of("s"),
                                .places = {.all = true, .from = from, .most = 3}};
        const struct answer *a = ANSWER(&b, bench_step(&b, &e));
        expect(a->count_of < MEMBERS);
        for (size_t i = 0; i < a->count_of; i++)
            seen[a->offsets[i]] = true;
        count += a->count_of;
        from = a->rest;
        pieces++;
    } while (from > 0 && pieces <= COMMITTED);
    expect_eq(count, COMMITTED);
    expect(pieces > 4);
    for (int i = 0; i < COMMITTED; i++)
        expect(seen[i]);
    bench_close(&b);
}

void test_commits_of_members_by_state(void)
{
    bench_open(&b);
    const struct answer *a = ANSWER(&b, bench_join(&b, "g", ""));
    const char *id = a->member_id;
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_REBALANCE_IN_PROGRESS);
    (void)bench_sync(&b, "g", id, 1, NULL, 0);
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_OK);
    expect_eq(bench_commit(&b, "g", id, 4, "t", 0, 1), OUT_ILLEGAL_GENERATION);
    expect_eq(bench_commit(&b, "g", id, -1, "t", 0, 1), OUT_ILLEGAL_GENERATION);
    expect_eq(bench_commit(&b, "g", "x", 1, "t", 0, 1), OUT_UNKNOWN_MEMBER);
    (void)bench_join(&b, "g", "");
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 2), OUT_OK); /* while it prepares */
    expect_eq(bench_fetch(&b, "g", "t", 0), 2);
    bench_close(&b);
}

void test_a_commit_counts_as_a_heartbeat(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    bench_pass(&b, 900);
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_OK);
    bench_pass(&b, 900);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_OK);
    bench_close(&b);
}

void test_the_metadata_limit_counts_utf16_units(void)
{
    static uint8_t text[4 * 4097];
    bench_open(&b);
    memset(text, 'm', sizeof text);
    expect_eq(commit_metadata(bytes_view(text, 4097)), OUT_OFFSET_METADATA_TOO_LARGE);
    expect_eq(b.step_records, 0);
    expect_eq(commit_metadata(bytes_view(text, 4096)), OUT_OK);
    for (size_t i = 0; i < 4097; i++)
        memcpy(text + 2 * i, "é", 2);
    expect_eq(commit_metadata(bytes_view(text, 2 * 4096)), OUT_OK);
    expect_eq(commit_metadata(bytes_view(text, 2 * 4097)), OUT_OFFSET_METADATA_TOO_LARGE);
    for (size_t i = 0; i < 4097; i++)
        memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
    expect_eq(commit_metadata(bytes_view(text, 4 * 2048)), OUT_OK);
    expect_eq(commit_metadata(bytes_view(text, 4 * 2049)), OUT_OFFSET_METADATA_TOO_LARGE);
    expect_eq(commit_metadata((struct bytes){0}), OUT_OK);
    bench_close(&b);
}

void test_fetching_all_is_in_order(void)
{
    bench_open(&b);
    for (int i = 9; i >= 0; i--)
        expect_eq(bench_commit(&b, "s", "", -1, i % 2 ? "u" : "t", i, i), OUT_OK);
    struct group_event e = {.kind = GROUP_OFFSET_FETCH, .group_id = bytes_of("s"),
                            .places = {.all = true}};
    const struct answer *a = ANSWER(&b, bench_step(&b, &e));
    expect_eq(a->count_of, 10);
    static const int64_t order[] = {0, 2, 4, 6, 8, 1, 3, 5, 7, 9};
    for (int i = 0; i < 10; i++)
        expect_eq(a->offsets[i], order[i]);
    expect_str(a->topics[5], "u");
    bench_close(&b);
}

void test_offsets_of_subscribed_topics_are_not_deleted(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g"); /* subscribed to t */
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_OK);
    expect_eq(bench_commit(&b, "g", id, 1, "u", 0, 2), OUT_OK);
    expect_eq(delete_offset("g", "t")->each[0], OUT_GROUP_SUBSCRIBED);
    expect_eq(delete_offset("g", "u")->each[0], OUT_OK);
    expect_eq(b.step_records, 1);
    expect_eq(bench_fetch(&b, "g", "u", 0), -1);
    expect_eq(bench_fetch(&b, "g", "t", 0), 1);
    struct group_protocol unreadable = {bytes_of("range"), bytes_of("?")};
    struct group_event e = join_event("g", id);
    e.join.protocols = &unreadable;
    (void)bench_step(&b, &e);
    (void)bench_sync(&b, "g", id, 2, NULL, 0);
    expect_eq(delete_offset("g", "u")->each[0], OUT_GROUP_SUBSCRIBED);
    expect_eq(bench_leave(&b, "g", id), OUT_OK);
    expect_eq(delete_offset("g", "t")->each[0], OUT_OK);
    expect_eq(delete_offset("nobody", "t")->outcome, OUT_GROUP_ID_NOT_FOUND);
    expect_eq(delete_offset("", "t")->outcome, OUT_INVALID_GROUP_ID);
    bench_close(&b);
}

void test_only_empty_groups_are_deleted(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_OK);
    expect_eq(delete_group("g"), OUT_NON_EMPTY_GROUP);
    expect_eq(delete_group("nobody"), OUT_GROUP_ID_NOT_FOUND);
    (void)bench_leave(&b, "g", id);
    expect_eq(delete_group("g"), OUT_OK);
    expect_eq(b.step_records, 2);
    expect_str(bench_state(&b, "g"), "Dead");
    expect_eq(bench_fetch(&b, "g", "t", 0), -1);
    bench_close(&b);
}

void test_a_topics_end_takes_its_offsets(void)
{
    bench_open(&b);
    expect_eq(bench_commit(&b, "s", "", -1, "t", 0, 5), OUT_OK);
    expect_eq(bench_commit(&b, "s", "", -1, "u", 0, 6), OUT_OK);
    expect_eq(bench_commit(&b, "r", "", -1, "t", 0, 7), OUT_OK);
    struct group_event e = {.kind = GROUP_TOPIC_DELETED, .group_id = bytes_of("t")};
    (void)bench_step(&b, &e);
    expect_eq(b.step_records, 2);
    expect_eq(bench_fetch(&b, "s", "t", 0), -1);
    expect_eq(bench_fetch(&b, "r", "t", 0), -1);
    expect_eq(bench_fetch(&b, "s", "u", 0), 6);
    bench_close(&b);
}

void test_unused_offsets_end_after_the_retention_time(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    expect_eq(bench_commit(&b, "g", id, 1, "t", 0, 1), OUT_OK); /* subscribed */
    expect_eq(bench_commit(&b, "g", id, 1, "u", 0, 2), OUT_OK); /* not */
    expect_eq(bench_commit(&b, "s", "", -1, "t", 0, 3), OUT_OK); /* no members */
    b.wall += 7 * DAY - 1;
    sweep();
    expect_eq(b.step_records, 0);
    b.wall += 1;
    sweep();
    expect_eq(b.step_records, 3); /* u of g, t of s, and s itself */
    expect_eq(bench_fetch(&b, "g", "t", 0), 1);
    expect_eq(bench_fetch(&b, "g", "u", 0), -1);
    expect_str(bench_state(&b, "s"), "Dead");
    (void)bench_leave(&b, "g", id); /* from now on it counts */
    b.wall += 7 * DAY - 1;
    sweep();
    expect_eq(bench_fetch(&b, "g", "t", 0), 1);
    b.wall += 1;
    sweep();
    expect_str(bench_state(&b, "g"), "Dead");
    bench_close(&b);
}

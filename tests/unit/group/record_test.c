/* SPDX-License-Identifier: MIT */
/* The bytes of records, taken from a real broker's log, and loading them. */
#include "bench.h"

static struct bench b;

static size_t unhex(const char *hex, uint8_t *to)
{
    size_t size = 0;
    for (; hex[0] != 0; hex += 2) {
        unsigned value;
        expect(sscanf(hex, "%2x", &value) == 1);
        to[size++] = (uint8_t)value;
    }
    return size;
}

static void expect_bytes(struct bytes got, const char *hex)
{
    uint8_t want[512];
    size_t size = unhex(hex, want);
    expect_eq(got.size, size);
    expect(memcmp(got.at, want, size) == 0);
}

void test_the_record_of_a_new_group(void)
{
    bench_open(&b);
    b.wall = 0x1a1fbe1644d;
    struct group_event e = join_event("classic-group", "");
    (void)bench_step(&b, &e);
    expect_eq(b.record_count, 1);
    expect_bytes(b.records[0].key, "0002000d636c61737369632d67726f7570");
    expect_bytes(b.records[0].value, "0003000000000000ffffffff000001a1fbe1644d00000000");
    bench_close(&b);
}

void test_the_record_of_an_offset(void)
{
    bench_open(&b);
    b.wall = 0x1a1fbe16525;
    struct group_offset o = {.topic = bytes_of("three"), .offset = 3, .leader_epoch = 0,
                             .metadata = bytes_of("classic metadata 1")};
    expect_eq(unhex("d6bf9c1233cc4a1c9e283988e5ec070f", o.topic_id.b), 16);
    struct group_event e = {.kind = GROUP_OFFSET_COMMIT, .group_id = bytes_of("classic-group"),
                            .commit = {.member_id = bytes_of(""), .generation = -1,
                                       .offsets = &o, .offset_count = 1}};
    (void)bench_step(&b, &e);
    expect_eq(b.record_count, 1);
    expect_bytes(b.records[0].key, "0001000d636c61737369632d67726f757000057468726565"
                                   "00000000");
    expect_bytes(b.records[0].value,
                 "0004000000000000000300000000" "13636c6173736963206d657461646174612031"
                 "000001a1fbe16525010010d6bf9c1233cc4a1c9e283988e5ec070f");
    bench_close(&b);
}

/* OffsetCommit 1 says itself when it was. */
void test_the_record_of_an_offset_with_a_time_of_its_own(void)
{
    bench_open(&b);
    b.wall = 0x1a1fbe16525;
    struct group_offset o = {.topic = bytes_of("three"), .offset = 3, .leader_epoch = 0,
                             .metadata = bytes_of(""), .commit_ms = 0x1a000000001};
    struct group_event e = {.kind = GROUP_OFFSET_COMMIT, .group_id = bytes_of("classic-group"),
                            .commit = {.member_id = bytes_of(""), .generation = -1,
                                       .offsets = &o, .offset_count = 1}};
    (void)bench_step(&b, &e);
    expect_eq(b.record_count, 1);
    expect_bytes(b.records[0].value, "0004000000000000000300000000" "01" "000001a000000001" "00");
    bench_close(&b);
}

void test_a_loaded_group_goes_on_where_it_was(void)
{
    bench_open(&b);
    const char *id = bench_single(&b, "g");
    expect_eq(bench_commit(&b, "g", id, 1, "t", 3, 42), OUT_OK);
    bench_reload(&b);
    expect_str(bench_state(&b, "g"), "Stable");
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_OK);
    expect_str(ANSWER(&b, bench_sync(&b, "g", id, 1, NULL, 0))->assignment, "all");
    expect_eq(bench_fetch(&b, "g", "t", 3), 42);
    expect_eq(bench_commit(&b, "g", id, 1, "t", 3, 43), OUT_OK);
    bench_pass(&b, 1000);
    expect_eq(bench_heartbeat(&b, "g", id, 1), OUT_UNKNOWN_MEMBER);
    expect_str(bench_state(&b, "g"), "Empty");
    bench_reload(&b);
    const struct answer *a = ANSWER(&b, bench_join(&b, "g", ""));
    expect_eq(a->generation, 3); /* 2 was the empty one */
    bench_close(&b);
}

void test_what_is_gone_stays_gone(void)
{
    bench_open(&b);
    expect_eq(bench_commit(&b, "s", "", -1, "t", 0, 5), OUT_OK);
    struct group_event e = {.kind = GROUP_DELETE, .group_id = bytes_of("s")};
    (void)bench_step(&b, &e);
    bench_reload(&b);
    expect_str(bench_state(&b, "s"), "Dead");
    expect_eq(bench_fetch(&b, "s", "t", 0), -1);
    bench_close(&b);
}

void test_records_that_mean_nothing_here_are_passed_over(void)
{
    static const char *const keys[] = {"", "00", "0003000167", "ffff", "000b0000", "0002", "0001",
                                       "00020005676767", "0001000167000174"};
    bench_open(&b);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        uint8_t key[64];
        size_t size = unhex(keys[i], key);
        struct group_event e = {.kind = GROUP_LOAD,
                                .load = {bytes_view(key, size), bytes_view("\0\3\0\0", 4)}};
        (void)bench_step(&b, &e);
        e.load.value = (struct bytes){0};
        (void)bench_step(&b, &e);
    }
    struct group_event e = {.kind = GROUP_LIST};
    expect_eq(ANSWER(&b, bench_step(&b, &e))->count_of, 0);
    bench_close(&b);
}

void test_old_forms_of_records_are_read(void)
{
    bench_open(&b);
    /* offset key 0; value version 1 with an expiry of its own: 1000 ms after the commit */
    uint8_t key[64], value[64];
    size_t key_size = unhex("0000" "000173" "000174" "00000000", key);
    size_t size = unhex("0001" "0000000000000007" "00016d" "0000018bcfe56800" "0000018bcfe56be8",
                        value);
    struct group_event e = {.kind = GROUP_LOAD,
                            .load = {bytes_view(key, key_size), bytes_view(value, size)}};
    (void)bench_step(&b, &e);
    expect_eq(bench_fetch(&b, "s", "t", 0), 7);
    struct group_event expire = {.kind = GROUP_EXPIRE};
    b.wall = 0x18bcfe56be7;
    (void)bench_step(&b, &expire);
    expect_eq(bench_fetch(&b, "s", "t", 0), 7);
    b.wall++;
    (void)bench_step(&b, &expire);
    expect_eq(bench_fetch(&b, "s", "t", 0), -1);
    bench_close(&b);
}

/* From a real broker: the absolute value of Java's hash of the id, mod 50. */
void test_the_partition_of_a_group(void)
{
    expect_eq(group_partition(bytes_of(""), 50), 0);
    expect_eq(group_partition(bytes_of("g"), 50), 3);
    expect_eq(group_partition(bytes_of("my-group"), 50), 12);
    expect_eq(group_partition(bytes_of("console-consumer-12345"), 50), 6);
    expect_eq(group_partition(bytes_of("grüße"), 50), 23);
    expect_eq(group_partition(bytes_of("\xf0\x9f\x98\x80group"), 50), 32);
    expect_eq(group_partition(bytes_of("zzzzzzzzzzzz"), 50), 42);
}

/* SPDX-License-Identifier: MIT */
/* Repeated entries of a request: against a plain list, in numbers a hostile peer would send. */
#include "kafka/call.h"

#include "tap.h"

static struct arena arena;
static struct call call;

static void begin(size_t limit)
{
    arena_init(&arena, limit);
    call = (struct call){.arena = &arena};
}

void test_names_and_numbers_are_told_apart(void)
{
    begin(MiB(1));
    struct bytes a = bytes_of("a"), b = bytes_of("b"), empty = bytes_of(""), null = {0};
    expect(!seen_has(&call, a, 0)); /* nothing was noted yet */
    expect(!seen_before(&call, a, 0));
    expect(seen_before(&call, a, 0));
    expect(!seen_before(&call, a, 1));
    expect(!seen_before(&call, b, 0));
    expect(seen_has(&call, a, 1) && !seen_has(&call, b, 1));
    expect(!seen_before(&call, empty, -1));
    expect(seen_before(&call, null, -1) == bytes_equal(null, empty));
    expect(!seen_before(&call, a, INT32_MIN));
    expect(!seen_before(&call, a, INT32_MAX));
    arena_fini(&arena);
}

void test_entries_that_must_come_once(void)
{
    begin(MiB(1));
    const char *names[] = {"x", "y", "x", "z", "x"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        entry_note(&call, bytes_of(names[i]));
    expect(entry_repeated(&call, bytes_of("x")));
    expect(!entry_repeated(&call, bytes_of("y")) && !entry_repeated(&call, bytes_of("z")));
    int served = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        served += entry_first(&call, bytes_of(names[i]));
    expect_eq(served, 3);
    arena_fini(&arena);
}

/* 200,000 different ones and each again: an alarm ends this if it were quadratic. */
void test_very_many(void)
{
    enum { MANY = 200000 };
    begin(MiB(256));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            char name[24];
            int size = snprintf(name, sizeof name, "topic-%d", i / 4);
            struct bytes kept = arena_copy(&arena, bytes_view(name, (size_t)size));
            expect(kept.at != NULL);
            expect_eq(seen_before(&call, kept, i % 4), round == 1);
        }
    }
    arena_fini(&arena);
}

void test_out_of_memory_marks_the_call(void)
{
    char names[4000][8];
    begin(KiB(64));
    for (int i = 0; i < 4000; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        (void)seen_before(&call, bytes_of(names[i]), 0);
    }
    expect(arena.failed);
    arena_fini(&arena);
}

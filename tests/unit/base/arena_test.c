/* SPDX-License-Identifier: MIT */
/* Request memory: alignment, the limit, reset. */
#include "base/arena.h"
#include "tap.h"

void test_pieces_are_aligned_and_apart(void)
{
    struct arena a;
    arena_init(&a, MiB(1));
    uint8_t *before = NULL;
    for (size_t size = 1; size < 5000; size += 37) {
        uint8_t *p = arena_take(&a, size);
        expect(p != NULL && (uintptr_t)p % 16 == 0 && p != before);
        memset(p, 0xaa, size);
        before = p;
    }
    arena_fini(&a);
}

void test_the_limit_holds_and_marks_the_arena(void)
{
    struct arena a;
    arena_init(&a, KiB(64));
    expect(arena_take(&a, KiB(40)) != NULL);
    expect(arena_take(&a, KiB(40)) == NULL);
    expect(a.failed);
    expect(a.total_bytes <= KiB(64));
    arena_reset(&a);
    expect(!a.failed && arena_take(&a, KiB(40)) != NULL);
    arena_fini(&a);
}

void test_a_huge_count_does_not_wrap(void)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    expect(arena_take_zeroed(&a, SIZE_MAX / 2, 16) == NULL && a.failed);
    expect(arena_take(&a, SIZE_MAX) == NULL);
    arena_fini(&a);
}

void test_reset_reuses_the_first_chunk(void)
{
    struct arena a;
    arena_init(&a, MiB(1));
    void *first = arena_take(&a, 100);
    for (int i = 0; i < 100; i++)
        expect(arena_take(&a, 1000) != NULL);
    arena_reset(&a);
    expect(arena_take(&a, 100) == first);
    arena_fini(&a);
}

void test_printed_text_is_terminated(void)
{
    struct arena a;
    arena_init(&a, MiB(1));
    struct bytes text = arena_print(&a, "%s-%d", "x", 7);
    expect(text.size == 3 && memcmp(text.at, "x-7", 4) == 0);
    expect(bytes_equal(arena_copy(&a, text), text));
    expect(arena_copy(&a, (struct bytes){NULL, 0}).at == NULL);
    arena_fini(&a);
}

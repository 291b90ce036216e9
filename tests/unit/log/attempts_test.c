/* SPDX-License-Identifier: MIT */
/* The least sequence that a transaction tried to begin with. */
#include "log/attempts.h"
#include "tap.h"

void test_what_comes_behind_it_waits(void)
{
    struct attempts a = {0};
    expect(attempts_allow(&a, 1, 0, 7));
    attempts_note(&a, 1, 0, 5);
    attempts_note(&a, 1, 0, 9);
    expect(!attempts_allow(&a, 1, 0, 6) && !attempts_allow(&a, 1, 0, 9));
    expect(attempts_allow(&a, 1, 0, 5) && attempts_allow(&a, 1, 0, 2));
    expect(attempts_allow(&a, 2, 0, 9));
    attempts_note(&a, 1, 0, 3);
    expect(!attempts_allow(&a, 1, 0, 5) && attempts_allow(&a, 1, 0, 3));
    attempts_forget(&a, 2);
    attempts_forget(&a, 1);
    expect(a.count == 0 && attempts_allow(&a, 1, 0, 9));
    attempts_fini(&a);
}

void test_a_new_epoch_begins_anew(void)
{
    struct attempts a = {0};
    attempts_note(&a, 1, 1, 2);
    attempts_note(&a, 1, 2, 8);
    attempts_note(&a, 1, 1, 0); /* of the one before: too late */
    expect(attempts_allow(&a, 1, 2, 8) && !attempts_allow(&a, 1, 2, 9));
    attempts_fini(&a);
}

void test_the_list_is_bounded(void)
{
    struct attempts a = {0};
    for (int64_t id = 0; id < 3 * ATTEMPTS_MAX; id++)
        attempts_note(&a, id, 0, 1);
    expect(a.count == ATTEMPTS_MAX && a.room <= ATTEMPTS_MAX);
    for (int64_t id = 2 * ATTEMPTS_MAX; id < 3 * ATTEMPTS_MAX; id++)
        expect(!attempts_allow(&a, id, 0, 2));
    for (int64_t id = 0; id < 3 * ATTEMPTS_MAX; id++)
        attempts_forget(&a, id);
    expect(a.count == 0);
    attempts_note(&a, 7, 0, 1);
    expect(!attempts_allow(&a, 7, 0, 2));
    attempts_fini(&a);
}

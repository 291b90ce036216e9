/* SPDX-License-Identifier: MIT */
/* The deadline heap against a sorted model under random operations. */
#include "base/heap.h"
#include "tap.h"

static uint64_t seed = 12345;

static unsigned next_random(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

void test_random_operations_keep_the_earliest_first(void)
{
    struct heap h = {0};
    struct heap_node nodes[200] = {0};
    for (int step = 0; step < 20000; step++) {
        struct heap_node *n = &nodes[next_random(200)];
        if (heap_holds(n))
            heap_remove(&h, n);
        else
            expect(heap_add(&h, n, (int64_t)next_random(1000)) == OUT_OK);
        int64_t least = INT64_MAX;
        size_t held = 0;
        for (size_t i = 0; i < COUNT_OF(nodes); i++) {
            held += heap_holds(&nodes[i]);
            if (heap_holds(&nodes[i]) && nodes[i].key < least)
                least = nodes[i].key;
        }
        expect(held == h.count);
        expect((heap_first(&h) == NULL) == (held == 0));
        expect(held == 0 || heap_first(&h)->key == least);
    }
    heap_fini(&h);
}

void test_removing_what_is_not_there_does_nothing(void)
{
    struct heap h = {0};
    struct heap_node a = {0}, b = {0};
    expect(heap_add(&h, &a, 1) == OUT_OK);
    heap_remove(&h, &b);
    expect(h.count == 1 && heap_first(&h) == &a);
    heap_fini(&h);
}

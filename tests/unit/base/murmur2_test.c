/* SPDX-License-Identifier: MIT */
/* Values that Kafka's own Utils.murmur2 gives. */
#include "base/murmur2.h"

#include "tap.h"

void test_kafkas_values(void)
{
    static const struct {
        const char *key;
        int32_t hash;
    } rows[] = {
        {"21", -973932308}, {"foobar", -790332482}, {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}, {"abc", 479470107},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_eq((int32_t)murmur2(bytes_of(rows[i].key)), rows[i].hash);
}

void test_partitions_are_in_range(void)
{
    for (uint32_t i = 0; i < 10000; i++) {
        int32_t p = murmur2_partition(bytes_view(&i, sizeof i), 7);
        expect(p >= 0 && p < 7);
    }
}

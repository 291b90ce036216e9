/* SPDX-License-Identifier: MIT */
/* Variable-length integers: known bytes, round trips, malformed input. */
#include "base/varint.h"
#include "tap.h"

void test_known_bytes(void)
{
    uint8_t out[VARINT64_MAX];
    expect(uvarint_put(out, 0) == 1 && out[0] == 0);
    expect(uvarint_put(out, 300) == 2 && out[0] == 0xac && out[1] == 2);
    expect(uvarint_put(out, UINT32_MAX) == 5 && out[4] == 0x0f);
    expect(zigzag32(-1) == 1 && zigzag32(1) == 2 && zigzag32(INT32_MIN) == UINT32_MAX);
    expect(zigzag64(INT64_MIN) == UINT64_MAX);
}

void test_round_trip_and_size(void)
{
    for (int shift = 0; shift < 64; shift++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = ((uint64_t)1 << shift) + (uint64_t)d, back = 0;
            uint8_t out[VARINT64_MAX];
            size_t size = uvarlong_put(out, v);
            expect(size == uvarlong_size(v));
            expect(uvarlong_get(out, out + size, &back) == size && back == v);
            expect(uvarlong_get(out, out + size - 1, &back) == 0);
            expect(unzigzag64(zigzag64((int64_t)v)) == (int64_t)v);
            expect(unzigzag32(zigzag32((int32_t)v)) == (int32_t)v);
        }
    }
}

void test_too_long_is_malformed(void)
{
    uint8_t long_one[11];
    memset(long_one, 0x80, sizeof long_one);
    uint32_t v32;
    uint64_t v64;
    expect(uvarint_get(long_one, long_one + 11, &v32) == 0);
    expect(uvarlong_get(long_one, long_one + 11, &v64) == 0);
    long_one[5] = 1;
    expect(uvarint_get(long_one, long_one + 11, &v32) == 0);
}

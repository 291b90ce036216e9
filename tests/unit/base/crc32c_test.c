/* SPDX-License-Identifier: MIT */
/* The checksum against its published check value and a bitwise model. */
#include "base/crc32c.h"
#include "tap.h"

static uint32_t model(uint32_t start, const uint8_t *p, size_t size)
{
    uint32_t crc = ~start;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

void test_check_value(void)
{
    expect(crc32c(0, "123456789", 9) == 0xe3069283u);
    expect(crc32c(0, "", 0) == 0);
}

void test_every_size_against_the_model(void)
{
    uint8_t data[600];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 + 7);
    for (size_t size = 0; size < sizeof data; size++)
        expect(crc32c(0, data, size) == model(0, data, size));
}

void test_pieces_chain(void)
{
    const char *text = "a longer text that is cut in two at every place";
    size_t size = strlen(text);
    for (size_t cut = 0; cut <= size; cut++)
        expect(crc32c(crc32c(0, text, cut), text + cut, size - cut) == crc32c(0, text, size));
}

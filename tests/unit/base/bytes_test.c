/* SPDX-License-Identifier: MIT */
/* Views, UUID text, byte order. */
#include "base/bytes.h"
#include "tap.h"

void test_null_and_empty_views_differ(void)
{
    struct bytes null = {NULL, 0}, empty = bytes_of("");
    expect(bytes_equal(null, null));
    expect(bytes_equal(empty, empty));
    expect(!bytes_equal(null, empty));
}

void test_compare_puts_a_prefix_first(void)
{
    expect(bytes_compare(bytes_of("ab"), bytes_of("abc")) < 0);
    expect(bytes_compare(bytes_of("b"), bytes_of("abc")) > 0);
    expect(bytes_compare(bytes_of("abc"), bytes_of("abc")) == 0);
    expect(bytes_compare(bytes_view("\xff", 1), bytes_of("a")) > 0);
}

void test_hash_depends_on_every_byte(void)
{
    uint8_t block[40] = {0};
    for (size_t size = 0; size <= sizeof block; size++) {
        uint64_t before = bytes_hash(bytes_view(block, size));
        expect(before == bytes_hash(bytes_view(block, size)));
        for (size_t i = 0; i < size; i++) {
            block[i] ^= 1;
            expect(bytes_hash(bytes_view(block, size)) != before);
            block[i] ^= 1;
        }
    }
}

void test_uuid_text_goes_round(void)
{
    for (int i = 0; i < 1000; i++) {
        struct uuid u = uuid_random(), back;
        char text[UUID_TEXT_SIZE];
        uuid_print(&u, text);
        expect(strlen(text) == 22 && text[0] != '-');
        expect(uuid_parse(bytes_of(text), &back));
        expect(uuid_equal(&u, &back));
    }
}

void test_uuid_text_is_kafkas(void)
{
    /* Kafka's reserved id of the metadata topic: 0, ..., 0, 1. */
    struct uuid u = {.b = {[15] = 1}};
    char text[UUID_TEXT_SIZE];
    uuid_print(&u, text);
    expect_str(text, "AAAAAAAAAAAAAAAAAAAAAQ");
}

void test_uuid_refuses_other_text(void)
{
    struct uuid u;
    expect(!uuid_parse(bytes_of(""), &u));
    expect(!uuid_parse(bytes_of("AAAAAAAAAAAAAAAAAAAAAQ=="), &u));
    expect(!uuid_parse(bytes_of("AAAAAAAAAAAAAAAAAAAAA+"), &u));
}

void test_big_endian_at_odd_addresses(void)
{
    uint8_t block[9] = {0};
    put_be64(block + 1, 0x0102030405060708u);
    expect(block[1] == 1 && block[8] == 8);
    expect(get_be64(block + 1) == 0x0102030405060708u);
    expect(get_be32(block + 1) == 0x01020304u);
    expect(get_be16(block + 1) == 0x0102u);
}

/* SPDX-License-Identifier: MIT */
/* Comparing and hashing views, and UUIDs in Kafka's text form. */
#include "base/bytes.h"

#include "base/check.h"

#include <stdatomic.h>
#include <sys/random.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = MIN(a.size, b.size);
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static uint64_t hash_secret(void)
{
    static _Atomic uint64_t secret;
    uint64_t s = atomic_load_explicit(&secret, memory_order_relaxed);
    if (s != 0)
        return s;
    uint64_t fresh = 0;
    if (getrandom(&fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh || fresh == 0)
        fresh = 0x9e3779b97f4a7c15u;
    uint64_t none = 0;
    atomic_compare_exchange_strong(&secret, &none, fresh);
    return atomic_load(&secret);
}

/* Multiply-and-fold over 8-byte words; the secret keeps peers from choosing collisions. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t bytes_hash(struct bytes a)
{
    uint64_t seed = hash_secret();
    uint64_t h = seed ^ ((uint64_t)a.size * 0x9e3779b97f4a7c15u);
    size_t at = 0;
    for (; at + 8 <= a.size; at += 8) {
        uint64_t word;
        memcpy(&word, a.at + at, 8);
        h = fold(h ^ word, 0xd6e8feb86659fd93u);
    }
    uint64_t tail = 0;
    if (at < a.size)
        memcpy(&tail, a.at + at, a.size - at);
    return fold(h ^ tail, 0xa0761d6478bd642fu ^ seed);
}

struct uuid uuid_random(void)
{
    struct uuid u;
    char text[UUID_TEXT_SIZE];
    do {
        check(getrandom(u.b, sizeof u.b, 0) == (ssize_t)sizeof u.b);
        u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
        u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
        uuid_print(&u, text);
    } while (text[0] == '-');
    return u;
}

void uuid_print(const struct uuid *u, char text[static UUID_TEXT_SIZE])
{
    size_t out = 0;
    for (size_t i = 0; i < 15; i += 3) {
        uint32_t word = (uint32_t)u->b[i] << 16 | (uint32_t)u->b[i + 1] << 8 | u->b[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            text[out++] = alphabet[word >> shift & 63];
    }
    text[out++] = alphabet[u->b[15] >> 2];
    text[out++] = alphabet[(u->b[15] & 3) << 4];
    text[out] = '\0';
}

bool uuid_parse(struct bytes text, struct uuid *u)
{
    if (text.size != 22)
        return false;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t out = 0;
    for (size_t i = 0; i < 22; i++) {
        const char *found = memchr(alphabet, text.at[i], 64);
        if (found == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        held += 6;
        if (held >= 8 && out < 16) {
            held -= 8;
            u->b[out++] = (uint8_t)(bits >> held);
        }
    }
    return out == 16;
}

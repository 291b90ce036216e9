/* SPDX-License-Identifier: MIT */
/*
 * Properties that hold for every message and version: what was made up survives encoding and
 * decoding; every cut-off body is malformed and nothing behind the cut is read (run it under
 * asan); damaged bodies end in an outcome, and what is still decoded can be encoded again.
 *
 * Usage: property_test VECTORS.jsonl.gz OLD-VECTORS.jsonl.gz
 */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 40           /* made-up values for each message and version */
#define CUTS_MAX 400        /* longer bodies are cut at this many places */
#define DAMAGED 20          /* damaged copies of each vector */

static struct arena arena;
static struct vectors vectors;

static void *new_value(const struct wire_message *m)
{
    void *value = arena_take(&arena, m->size);
    if (value == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }
    return value;
}

static bool complain(const struct wire_message *m, int version, const char *why)
{
    printf("# %s v%d: %s\n", m->struct_name, version, why);
    return false;
}

/* A copy that ends where its malloc'ed block does, so that asan sees a read behind it. */
static uint8_t *exact_copy(const uint8_t *from, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }
    memcpy(copy, from, size);
    return copy;
}

static bool survives(const struct wire_message *m, int version, uint64_t *seed)
{
    arena_reset(&arena);
    void *value = new_value(m), *again = new_value(m);
    struct bytes out;
    if (!wire_random(m, version, seed, &arena, value))
        return complain(m, version, "no memory");
    if (wire_encode_new(m, version, value, &arena, &out) != OUT_OK)
        return complain(m, version, outcome_trail());
    uint8_t *copy = exact_copy(out.at, out.size);
    size_t used = 0;
    bool good = wire_decode(m, version, bytes_view(copy, out.size), &arena, again, &used) == OUT_OK;
    if (!good || used != out.size)
        complain(m, version, "not decoded");
    else if (!(good = wire_equal(m, version, value, again) && wire_equal(m, version, again, value)))
        complain(m, version, "decoded to something else");
    free(copy);
    return good;
}

static bool every_value_survives(void)
{
    bool good = true;
    uint64_t seed = 7;
    for (size_t i = 0; i < wire_message_count; i++)
        for (int v = wire_messages[i]->lowest; v <= wire_messages[i]->highest; v++)
            for (int round = 0; round < ROUNDS; round++)
                good &= survives(wire_messages[i], v, &seed);
    return good;
}

/* Two made-up values are not equal, or else they have the same bytes. */
static bool equality_agrees_with_bytes(void)
{
    bool good = true;
    uint64_t seed = 11;
    size_t differ = 0;
    for (size_t i = 0; i < wire_message_count; i++) {
        const struct wire_message *m = wire_messages[i];
        for (int v = m->lowest; v <= m->highest; v++) {
            arena_reset(&arena);
            void *a = new_value(m), *b = new_value(m);
            struct bytes x, y;
            if (!wire_random(m, v, &seed, &arena, a) || !wire_random(m, v, &seed, &arena, b) ||
                wire_encode_new(m, v, a, &arena, &x) != OUT_OK ||
                wire_encode_new(m, v, b, &arena, &y) != OUT_OK)
                return complain(m, v, "no memory");
            differ += !bytes_equal(x, y);
            if (wire_equal(m, v, a, b) != bytes_equal(x, y))
                good = complain(m, v, "equal values have other bytes, or other values the same");
        }
    }
    return good && differ > 400;
}

static bool cut_is_malformed(const struct vector *v, size_t size)
{
    arena_reset(&arena);
    void *value = new_value(v->message);
    uint8_t *copy = exact_copy(v->body.at, size);
    struct bytes in = {copy, size};
    enum outcome o = wire_decode(v->message, v->version, in, &arena, value, NULL);
    free(copy);
    return o == OUT_MALFORMED || complain(v->message, v->version, "cut off, but decoded");
}

static bool every_cut_is_malformed(void)
{
    bool good = true;
    for (size_t i = 0; i < vectors.count; i++) {
        size_t size = vectors.rows[i].body.size, step = size / CUTS_MAX + 1;
        for (size_t cut = 0; cut < size; cut += step)
            good &= cut_is_malformed(&vectors.rows[i], cut);
        good &= size == 0 || cut_is_malformed(&vectors.rows[i], size - 1);
    }
    return good;
}

static bool bytes_behind_are_ignored(void)
{
    bool good = true;
    for (size_t i = 0; i < vectors.count; i++) {
        const struct vector *v = &vectors.rows[i];
        arena_reset(&arena);
        void *value = new_value(v->message);
        uint8_t *longer = malloc(v->body.size + 3);
        size_t used = 0;
        if (longer == NULL)
            return false;
        memcpy(longer, v->body.at, v->body.size);
        memset(longer + v->body.size, 255, 3);
        struct bytes in = {longer, v->body.size + 3};
        if (wire_decode(v->message, v->version, in, &arena, value, &used) != OUT_OK ||
            used != v->body.size)
            good = complain(v->message, v->version, "bytes behind the body matter");
        free(longer);
    }
    return good;
}

static void damage(uint8_t *at, size_t size, uint64_t *seed)
{
    static const uint8_t bad[] = {0, 1, 127, 128, 254, 255};
    for (int hits = 0; hits < 3 && size > 0; hits++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        at[(*seed >> 33) % size] = bad[(*seed >> 20) % COUNT_OF(bad)];
    }
}

/* What comes out of a damaged body is a whole value: it has bytes, and these decode to it. */
static bool damaged_is_safe(const struct vector *v, uint64_t *seed)
{
    arena_reset(&arena);
    void *value = new_value(v->message), *again = new_value(v->message);
    uint8_t *copy = exact_copy(v->body.at, v->body.size);
    damage(copy, v->body.size, seed);
    bool good = true;
    struct bytes in = {copy, v->body.size}, out;
    enum outcome o = wire_decode(v->message, v->version, in, &arena, value, NULL);
    if (o == OUT_OK) {
        good = wire_encode_new(v->message, v->version, value, &arena, &out) == OUT_OK &&
               wire_decode(v->message, v->version, out, &arena, again, NULL) == OUT_OK &&
               wire_equal(v->message, v->version, value, again);
        if (!good)
            complain(v->message, v->version, "a damaged body's value does not come back");
    } else if (o != OUT_MALFORMED) {
        good = complain(v->message, v->version, outcome_name(o));
    }
    free(copy);
    return good;
}

static bool every_damage_is_safe(void)
{
    bool good = true;
    uint64_t seed = 13;
    for (size_t i = 0; i < vectors.count; i++)
        for (int round = 0; round < DAMAGED; round++)
            good &= damaged_is_safe(&vectors.rows[i], &seed);
    return good;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*holds)(void);
    } properties[] = {
        {"every made-up value survives encoding and decoding", every_value_survives},
        {"values are equal exactly when their bytes are", equality_agrees_with_bytes},
        {"every cut-off body is malformed", every_cut_is_malformed},
        {"bytes behind the body are ignored", bytes_behind_are_ignored},
        {"damaged bodies are refused or whole", every_damage_is_safe},
    };
    if (argc != 3) {
        fprintf(stderr, "usage: property_test VECTORS OLD-VECTORS\n");
        return 2;
    }
    arena_init(&arena, MiB(64));
    vectors_load(&vectors, argv[1]);
    vectors_load(&vectors, argv[2]);
    int failed = 0;
    for (size_t i = 0; i < COUNT_OF(properties); i++) {
        bool good = properties[i].holds();
        failed += !good;
        printf("%s %zu - %s\n", good ? "ok" : "not ok", i + 1, properties[i].name);
        fflush(stdout);
    }
    printf("1..%zu\n", COUNT_OF(properties));
    vectors_free(&vectors);
    arena_fini(&arena);
    return failed != 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Golden bytes, both ways, for every message and version: decode, compare with the values Kafka's
 * own classes hold, encode, compare with the bytes they wrote. One TAP case a message.
 *
 * Usage: golden_test VECTORS.jsonl.gz OLD-VECTORS.jsonl.gz
 */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

#define VECTOR_COUNT (5471 + 266)

static struct arena arena;

static bool complain(const struct vector *v, const char *why, struct bytes printed)
{
    printf("# %s v%d %s: %s\n", v->message->struct_name, v->version, v->variant, why);
    if (printed.at != NULL)
        printf("#   got %.*s\n", (int)MIN(printed.size, (size_t)2000), (const char *)printed.at);
    return false;
}

static bool has_values(const struct vector *v, const void *value)
{
    struct bytes printed = wire_print(v->message, v->version, value, &arena);
    if (printed.at == NULL)
        return complain(v, "cannot be printed", printed);
    json_t *got = json_loadb((const char *)printed.at, printed.size, JSON_ALLOW_NUL, NULL);
    bool same = got != NULL && json_equal(got, json_object_get(v->json, "json"));
    json_decref(got);
    return same || complain(v, "other values", printed);
}

/* Unknown tagged fields are dropped, so their vectors only come back as values. */
static bool encodes_back(const struct vector *v, const void *value, void *again)
{
    struct bytes null = {NULL, 0}, out;
    if (wire_encode_new(v->message, v->version, value, &arena, &out) != OUT_OK)
        return complain(v, outcome_trail(), null);
    if (strcmp(v->variant, "unknown-tags") != 0)
        return bytes_equal(out, v->body) || complain(v, "other bytes", null);
    size_t used = 0;
    if (wire_decode(v->message, v->version, out, &arena, again, &used) != OUT_OK ||
        used != out.size)
        return complain(v, "own encoding is not decoded", null);
    return wire_equal(v->message, v->version, value, again) ||
           complain(v, "own encoding has other values", null);
}

static bool passes(const struct vector *v)
{
    struct bytes null = {NULL, 0};
    size_t used = 0;
    arena_reset(&arena);
    void *value = arena_take(&arena, v->message->size);
    void *again = arena_take(&arena, v->message->size);
    if (value == NULL || again == NULL)
        return complain(v, "no memory", null);
    enum outcome o = wire_decode(v->message, v->version, v->body, &arena, value, &used);
    if (o != OUT_OK || used != v->body.size)
        return complain(v, outcome_name(o), null);
    return has_values(v, value) && encodes_back(v, value, again) &&
           (wire_equal(v->message, v->version, value, value) ||
            complain(v, "is not equal to itself", null));
}

/* Vectors of one message stand together in no promised order: walk all for each message. */
static bool run_message(const struct wire_message *m, const struct vectors *all, int number)
{
    size_t good = 0, count = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->rows[i].message == m) {
            count++;
            good += passes(&all->rows[i]);
        }
    }
    bool ok = count > 0 && good == count;
    printf("%s %d - %s: %zu of %zu vectors\n", ok ? "ok" : "not ok", number, m->struct_name, good,
           count);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: golden_test VECTORS OLD-VECTORS\n");
        return 2;
    }
    arena_init(&arena, MiB(64));
    struct vectors all = {NULL, 0};
    vectors_load(&all, argv[1]);
    vectors_load(&all, argv[2]);
    int failed = 0, number = 0;
    for (size_t i = 0; i < wire_message_count; i++)
        failed += !run_message(wire_messages[i], &all, ++number);
    bool complete = all.count == VECTOR_COUNT;
    printf("%s %d - there are %zu vectors\n", complete ? "ok" : "not ok", ++number, all.count);
    printf("1..%d\n", number);
    vectors_free(&all);
    arena_fini(&arena);
    return failed != 0 || !complete;
}

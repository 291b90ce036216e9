/* SPDX-License-Identifier: MIT */
/*
 * A main for fuzz targets where there is no libFuzzer: with files as arguments it feeds them to the
 * target; without, the target's seeds and damaged copies of them, the same ones every time.
 * `--seeds DIR` writes the seeds as files, for a corpus. TAP on stdout.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM (1 << 20)
#define COPIES 25

static uint8_t seed[ROOM];

/* A block of the input's exact size, so that asan sees reads behind it. */
static void feed(const uint8_t *at, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL)
        abort();
    memcpy(copy, at, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint64_t state = 17;

static uint32_t number(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Up to four hits: a byte of noise, an edge value, a piece copied elsewhere, or a cut. */
static size_t damage(uint8_t *at, size_t size)
{
    static const uint8_t edges[] = {0, 1, 127, 128, 254, 255};
    for (uint32_t hits = 1 + number() % 4; hits > 0 && size > 2; hits--) {
        size_t where = number() % size;
        switch (number() % 8) {
        case 0:
            size = where;
            break;
        case 1: {
            size_t from = number() % size, n = number() % 9;
            if (from + n <= size && where + n <= size)
                memmove(at + where, at + from, n);
            break;
        }
        case 2:
        case 3:
            at[where] = (uint8_t)number();
            break;
        default:
            at[where] = edges[number() % sizeof edges];
            break;
        }
    }
    return size;
}

static size_t replay_seeds(void)
{
    static uint8_t copy[ROOM];
    size_t fed = 0, size;
    for (size_t i = 0; (size = fuzz_seed(i, seed, ROOM)) != 0; i++) {
        feed(seed, size);
        for (int n = 0; n < COPIES; n++) {
            memcpy(copy, seed, size);
            feed(copy, damage(copy, size));
        }
        fed += 1 + COPIES;
    }
    return fed;
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        printf("# cannot read %s\n", path);
        return 0;
    }
    size_t size = fread(seed, 1, ROOM, f);
    fclose(f);
    feed(seed, size);
    return 1;
}

static int write_seeds(const char *folder)
{
    size_t size;
    for (size_t i = 0; (size = fuzz_seed(i, seed, ROOM)) != 0; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%05zu", folder, i);
        FILE *f = fopen(path, "wb");
        if (f == NULL || fwrite(seed, 1, size, f) != size) {
            perror(path);
            return 1;
        }
        fclose(f);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    if (argc == 1) {
        size_t fed = replay_seeds();
        printf("%s 1 - %zu inputs\n1..1\n", fed > 0 ? "ok" : "not ok", fed);
        return fed == 0;
    }
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        int good = replay_file(argv[i]);
        printf("%s %d - %s\n", good ? "ok" : "not ok", i, argv[i]);
        failed += !good;
    }
    printf("1..%d\n", argc - 1);
    return failed != 0;
}

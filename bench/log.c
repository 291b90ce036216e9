/* SPDX-License-Identifier: MIT */
/*
 * The log library by itself, through its door: reading and appending, each beside what the machine
 * can do with the same bytes. One line of JSON for each figure.
 *
 *     log DIR MIB SCENARIO     view | chunks | segments | cold | random | readers | active | append
 *
 * A read takes a view of mapped memory, looks at every byte of it (or copies it, or verifies the
 * checksums of its batches) and goes on behind its last batch. Every pass checks that offsets are
 * continuous and that as many bytes came as the log holds; what is wrong ends the program.
 */
#include "logbench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSES 5

static const char *const ways[] = {"view", "copy", "crc"};

/* The best of some passes in turns, in GiB/s; our first is kept apart, as it maps and faults. */
struct best {
    double ours, first, limit;
};

static struct best passes(const struct book *b, enum way way, size_t chunk, const struct bare *m)
{
    struct best best = {0};
    for (int i = 0; i < PASSES; i++) {
        double ours = book_pass(b, way, chunk), limit = bare_pass(m, way);
        if (i == 0)
            best.first = ours;
        best.ours = MAX(best.ours, ours);
        best.limit = MAX(best.limit, limit);
    }
    return best;
}

static void print(const char *scenario, const char *name, const struct best *b)
{
    printf("{\"scenario\": \"%s\", \"name\": \"%s\", \"gib_per_s\": %.2f, "
           "\"first_pass\": %.2f, \"limit\": %.2f, \"share\": %.3f}\n", scenario, name, b->ours,
           b->first, b->limit, b->ours / b->limit);
}

static void view(const char *dir, size_t mib)
{
    static const size_t sizes[] = {128, 512, 1024};
    struct bare m;
    bare_init(&m, mib << 20, MiB(1));
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct book b;
        book_fill(&b, dir, mib << 20, sizes[s], KiB(64), MiB(100));
        for (int way = 0; way < WAYS; way++) {
            char name[64];
            struct best best = passes(&b, (enum way)way, MiB(1), &m);
            snprintf(name, sizeof name, "%s, %zu B records", ways[way], sizes[s]);
            print("view", name, &best);
        }
        book_end(&b);
    }
    bare_fini(&m);
}

static void chunks(const char *dir, size_t mib)
{
    static const size_t list[] = {KiB(1), KiB(4), KiB(16), KiB(64), KiB(256), MiB(1), MiB(10)};
    for (int kind = 0; kind < 2; kind++) { /* views as small as asked for; ordinary batches */
        struct book b;
        book_fill(&b, dir, mib << 20, 900, kind == 0 ? 1 : KiB(64), MiB(100));
        for (size_t i = 0; i < COUNT_OF(list); i++) {
            struct bare m;
            char name[64];
            if (kind == 1 && list[i] < KiB(64))
                continue;
            bare_init(&m, mib << 20, list[i]);
            struct best best = passes(&b, WAY_VIEW, list[i], &m);
            bare_fini(&m);
            snprintf(name, sizeof name, "%zu KiB at once, batches of %s", list[i] >> 10,
                     kind == 0 ? "a record of 900 B" : "64 KiB");
            print("chunks", name, &best);
        }
        book_end(&b);
    }
}

static void segments(const char *dir, size_t mib)
{
    static const size_t list[] = {1, 10, 100};
    struct bare m;
    bare_init(&m, mib << 20, MiB(1));
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        struct book b;
        char name[64];
        book_fill(&b, dir, mib << 20, 512, KiB(64), MiB(list[i]));
        struct best best = passes(&b, WAY_VIEW, MiB(1), &m);
        snprintf(name, sizeof name, "segments of %zu MiB", list[i]);
        print("segments", name, &best);
        book_end(&b);
    }
    bare_fini(&m);
}

static void cold(const char *dir, size_t mib)
{
    struct book b;
    book_fill(&b, dir, mib << 20, 512, KiB(64), MiB(100));
    book_reopen(&b); /* no map holds the pages */
    double left = book_drop_cache(&b);
    double gib = book_pass(&b, WAY_CRC, MiB(1));
    book_reopen(&b);
    double left_too = book_drop_cache(&b), limit = book_pread_pass(&b, MiB(1));
    printf("{\"scenario\": \"cold\", \"name\": \"from the disk, checksums verified\", "
           "\"gib_per_s\": %.3f, \"limit\": %.3f, \"share\": %.3f, \"resident_before\": %.4f, "
           "\"resident_before_limit\": %.4f}\n", gib, limit, gib / limit, left, left_too);
    book_end(&b);
}

static void random_reads(const char *dir, size_t mib)
{
    static const struct {
        size_t record, batch, bytes;
        const char *name;
    } rows[] = {{100, 1, 1, "a record of 100 B, its own batch"},
                {1024, 1, 1, "a record of 1 KiB, its own batch"},
                {100, KiB(4), 1, "a record of 100 B in a 4 KiB batch"},
                {100, KiB(64), 1, "a record of 100 B in a 64 KiB batch"},
                {100, 1, KiB(4), "4 KiB of 100 B records"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct book b;
        book_fill(&b, dir, mib << 20, rows[i].record, rows[i].batch, MiB(100));
        book_pass(&b, WAY_VIEW, MiB(1));
        double ns = book_random(&b, rows[i].bytes, 300000);
        double limit = book_random_pread(&b, MAX(rows[i].bytes, rows[i].record), 300000);
        printf("{\"scenario\": \"random\", \"name\": \"%s\", \"ns\": %.0f, \"pread_ns\": %.0f}\n",
               rows[i].name, ns, limit);
        book_end(&b);
    }
}

/* ---- several readers ---- */

struct reader {
    const struct book *book;
    pthread_barrier_t *start;
};

static void *read_passes(void *context)
{
    struct reader *r = context;
    pthread_barrier_wait(r->start);
    for (int i = 0; i < PASSES; i++)
        book_pass(r->book, WAY_VIEW, MiB(1));
    return NULL;
}

static void readers(const char *dir, size_t mib)
{
    struct book b;
    book_fill(&b, dir, mib << 20, 512, KiB(64), MiB(100));
    book_pass(&b, WAY_VIEW, MiB(1));
    struct bare m;
    double limit = 0;
    bare_init(&m, mib << 20, MiB(1));
    for (int i = 0; i < PASSES; i++)
        limit = MAX(limit, bare_pass(&m, WAY_VIEW));
    bare_fini(&m);
    for (unsigned count = 1; count <= 8; count *= 2) {
        pthread_t list[8];
        pthread_barrier_t start;
        struct reader r = {&b, &start};
        pthread_barrier_init(&start, NULL, count + 1);
        for (unsigned i = 0; i < count; i++) {
            if (pthread_create(&list[i], NULL, read_passes, &r) != 0)
                die("a thread");
        }
        pthread_barrier_wait(&start);
        int64_t begin = now_ns();
        for (unsigned i = 0; i < count; i++)
            pthread_join(list[i], NULL);
        double gib = gib_per_s(b.bytes * PASSES * count, begin);
        pthread_barrier_destroy(&start);
        printf("{\"scenario\": \"readers\", \"name\": \"%u readers\", \"gib_per_s\": %.2f, "
               "\"limit\": %.2f, \"share\": %.3f}\n", count, gib, limit, gib / limit);
    }
    book_end(&b);
}

/* The same bytes, once as the active segment and once sealed, in turns. */
static void active(const char *dir, size_t mib)
{
    char other[900];
    struct book open, sealed;
    size_t size = MIN(mib, 900) << 20;
    snprintf(other, sizeof other, "%s-sealed", dir);
    book_fill(&open, dir, size, 512, KiB(64), GiB(1));
    book_fill(&sealed, other, size, 512, KiB(64), GiB(1));
    book_seal(&sealed);
    for (int way = 0; way < WAYS; way++) {
        double best[2] = {0};
        for (int i = 0; i < 2 * PASSES; i++) {
            double one = book_pass(&open, (enum way)way, MiB(1));
            double other_one = book_pass(&sealed, (enum way)way, MiB(1));
            best[0] = MAX(best[0], one);
            best[1] = MAX(best[1], other_one);
        }
        printf("{\"scenario\": \"active\", \"name\": \"active beside sealed, %s\", "
               "\"gib_per_s\": %.2f, \"sealed_gib_per_s\": %.2f, \"share\": %.3f}\n", ways[way],
               best[0], best[1], best[0] / best[1]);
    }
    book_end(&open);
    book_end(&sealed);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const char *dir, size_t mib);
    } scenarios[] = {{"view", view}, {"chunks", chunks}, {"segments", segments}, {"cold", cold},
                     {"random", random_reads}, {"readers", readers}, {"active", active},
                     {"append", book_appends}};
    char dir[800];
    for (size_t i = 0; argc == 4 && i < COUNT_OF(scenarios); i++) {
        if (strcmp(argv[3], scenarios[i].name) != 0)
            continue;
        snprintf(dir, sizeof dir, "%s/bench-%d-0", argv[1], (int)getpid());
        scenarios[i].run(dir, strtoul(argv[2], NULL, 10));
        return 0;
    }
    fprintf(stderr, "usage: log DIR MIB SCENARIO; the first lines of bench/log.c\n");
    return 2;
}

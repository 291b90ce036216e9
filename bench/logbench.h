/* SPDX-License-Identifier: MIT */
/* A log that is filled for measuring, and passes over it (bench/log.c). */
#ifndef BENCH_LOGBENCH_H
#define BENCH_LOGBENCH_H

#include "log/log.h"

enum way { WAY_VIEW, WAY_COPY, WAY_CRC, WAYS };

struct book {
    struct log *log;
    struct store *store;
    struct log_options options;
    char path[LOG_PATH_MAX];
    size_t bytes;            /* of all segments */
    int64_t records, each;   /* each: records in a batch */
    size_t batch;            /* bytes */
};

NORETURN PRINTF(1, 2) void die(const char *format, ...);
int64_t now_ns(void);
double gib_per_s(size_t bytes, int64_t begin_ns);

/* A new log of about `bytes`: records of `record` bytes in batches of about `batch` bytes (at
 * least one record). */
void book_fill(struct book *b, const char *path, size_t bytes, size_t record, size_t batch,
               size_t segment);
void book_seal(struct book *b);   /* an empty segment behind it */
void book_reopen(struct book *b);
void book_end(struct book *b);    /* removes it */

/* Reads all of it in views of at least `chunk`, in GiB/s; what is wrong ends the program. */
double book_pass(const struct book *b, enum way way, size_t chunk);
/* The same work on plain memory. */
struct bare {
    uint8_t *from, *room;
    size_t bytes, chunk;
};
void bare_init(struct bare *m, size_t bytes, size_t chunk);
void bare_fini(struct bare *m);
double bare_pass(const struct bare *m, enum way way);
/* The segments' files with pread. */
double book_pread_pass(const struct book *b, size_t chunk);
/* Nanoseconds for a view of one record (or `bytes`) at a random offset, the record looked at. */
double book_random(const struct book *b, size_t bytes, int count);
double book_random_pread(const struct book *b, size_t bytes, int count);

/* Writes everything to disk and drops the files from the page cache; the share that stayed
 * (mincore). */
double book_drop_cache(const struct book *b);

void book_appends(const char *path, size_t mib);

#endif

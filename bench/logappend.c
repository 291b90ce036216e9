/* SPDX-License-Identifier: MIT */
/* Appending to a log under several promises, beside writes of the same bytes. */
#include "logbench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WALL_MS 1700000000000
#define INTERVAL_NS 100000000
#define GROUP 16             /* appenders that wait for one flush together */

enum promise { PROMISE_NONE, PROMISE_INTERVAL, PROMISE_GROUP, PROMISE_EVERY, PROMISES };
static const char *const promises[] = {"no sync", "sync each 100 ms", "group sync, 16 appenders",
                                       "sync of every batch"};

struct appends {
    struct book b;
    enum promise promise;
    size_t record, batch;
    int64_t share;           /* batches of one appender */
    size_t size;             /* of a batch as it came out */
    pthread_mutex_t lock;    /* group: */
    pthread_cond_t flushed, wanted;
    int64_t flushed_to, wanted_to;
    bool ended;
};

static void flush(struct appends *a, int64_t *to)
{
    errno = 0;
    if (store_flush(a->b.store, to) != OUT_OK)
        die("flush %s", a->b.path);
}

/* One flush for all that wait. */
static void *flush_for_group(void *context)
{
    struct appends *a = context;
    pthread_mutex_lock(&a->lock);
    while (!a->ended) {
        if (a->wanted_to <= a->flushed_to) {
            pthread_cond_wait(&a->wanted, &a->lock);
            continue;
        }
        int64_t to;
        pthread_mutex_unlock(&a->lock);
        flush(a, &to);
        pthread_mutex_lock(&a->lock);
        a->flushed_to = to;
        pthread_cond_broadcast(&a->flushed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void *flush_at_times(void *context)
{
    struct appends *a = context;
    struct timespec wait = {.tv_nsec = INTERVAL_NS};
    int64_t to;
    pthread_mutex_lock(&a->lock);
    while (!a->ended) {
        pthread_mutex_unlock(&a->lock);
        nanosleep(&wait, NULL);
        flush(a, &to);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void wait_for_flush(struct appends *a, int64_t offset)
{
    pthread_mutex_lock(&a->lock);
    if (offset > a->wanted_to) {
        a->wanted_to = offset;
        pthread_cond_signal(&a->wanted);
    }
    while (a->flushed_to < offset)
        pthread_cond_wait(&a->flushed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static void *append(void *context)
{
    struct appends *a = context;
    struct log_builder l;
    struct log_builder_end end = log_builder_plain();
    uint8_t *at;
    size_t size;
    char *value = calloc(1, a->record);
    if (value == NULL)
        die("memory");
    log_builder_init(&l, MiB(64));
    do
        size = log_builder_add(&l, WALL_MS, (struct bytes){NULL, 0}, bytes_view(value, a->record),
                               NULL, 0);
    while (size + a->record < a->batch);
    if (log_builder_finish(&l, &end, &at, &size) != OUT_OK)
        die("a batch");
    for (int64_t i = 0; i < a->share; i++) {
        struct store_append what = {.at = at, .size = size, .origin = STORE_COORDINATOR,
                                    .now_ms = WALL_MS};
        struct store_appended done;
        int64_t to;
        if (store_append(a->b.store, &what, &done) != OUT_OK)
            die("append to %s", a->b.path);
        if (a->promise == PROMISE_EVERY)
            flush(a, &to);
        else if (a->promise == PROMISE_GROUP)
            wait_for_flush(a, done.last_offset + 1);
    }
    pthread_mutex_lock(&a->lock);
    a->b.each = l.count;
    a->size = size;
    pthread_mutex_unlock(&a->lock);
    log_builder_fini(&l);
    free(value);
    return NULL;
}

/* Seconds. */
static double run(struct appends *a)
{
    pthread_t list[GROUP], flusher;
    int count = a->promise == PROMISE_GROUP ? GROUP : 1;
    bool flushes = a->promise == PROMISE_GROUP || a->promise == PROMISE_INTERVAL;
    a->share /= count;
    int64_t begin = now_ns();
    if (flushes && pthread_create(&flusher, NULL, a->promise == PROMISE_GROUP ? flush_for_group
                                                                             : flush_at_times, a))
        die("a thread");
    for (int i = 0; i < count; i++) {
        if (pthread_create(&list[i], NULL, append, a) != 0)
            die("a thread");
    }
    for (int i = 0; i < count; i++)
        pthread_join(list[i], NULL);
    double seconds = (double)(now_ns() - begin) / 1e9;
    pthread_mutex_lock(&a->lock);
    a->ended = true;
    pthread_cond_signal(&a->wanted);
    pthread_mutex_unlock(&a->lock);
    if (flushes)
        pthread_join(flusher, NULL);
    a->share *= count;
    return seconds;
}

/* The same bytes with plain writes into a file; seconds. */
static double plain(const char *path, enum promise promise, size_t size, int64_t count)
{
    char *room = calloc(1, size);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (room == NULL || file < 0 || unlink(path) != 0)
        die("%s", path);
    int64_t each = promise == PROMISE_GROUP ? GROUP : promise == PROMISE_EVERY ? 1 : count;
    int64_t begin = now_ns(), synced = begin;
    for (int64_t i = 0; i < count; i++) {
        if (pwrite(file, room, size, (off_t)((size_t)i * size)) != (ssize_t)size)
            die("pwrite");
        bool due = promise == PROMISE_INTERVAL ? now_ns() - synced > INTERVAL_NS
                                               : promise != PROMISE_NONE && (i + 1) % each == 0;
        if (!due)
            continue;
        if (fdatasync(file) != 0)
            die("fdatasync");
        synced = now_ns();
    }
    double seconds = (double)(now_ns() - begin) / 1e9;
    close(file);
    free(room);
    return seconds;
}

static void one(const char *path, enum promise promise, size_t record, size_t batch, int64_t count)
{
    struct appends a = {.promise = promise, .record = record, .batch = batch, .share = count,
                        .lock = PTHREAD_MUTEX_INITIALIZER, .flushed = PTHREAD_COND_INITIALIZER,
                        .wanted = PTHREAD_COND_INITIALIZER};
    char other[LOG_PATH_MAX + 16];
    book_fill(&a.b, path, 0, record, batch, GiB(1));
    double seconds = run(&a);
    /* All of it is there, and right. */
    a.b.records = a.share * a.b.each;
    a.b.bytes = (size_t)a.share * a.size;
    a.b.batch = a.size;
    book_pass(&a.b, WAY_CRC, MiB(1));
    snprintf(other, sizeof other, "%s.plain", path);
    double limit = plain(other, promise, a.size, a.share);
    double records = (double)a.b.records;
    printf("{\"scenario\": \"append\", \"name\": \"%zu B records, %lld a batch, %s\", "
           "\"records_per_s\": %.0f, \"mib_per_s\": %.1f, \"limit_records_per_s\": %.0f, "
           "\"share\": %.3f}\n", record, (long long)a.b.each, promises[promise], records / seconds,
           records * (double)record / (double)MiB(1) / seconds, records / limit, limit / seconds);
    book_end(&a.b);
}

void book_appends(const char *path, size_t mib)
{
    size_t bytes = mib << 20;
    for (int p = 0; p < PROMISES; p++) {
        bool syncs = p == PROMISE_GROUP || p == PROMISE_EVERY;
        int64_t small = syncs ? 2000 : (int64_t)(bytes / 8 / 160);
        int64_t large = syncs ? 800 : (int64_t)(bytes / KiB(64));
        one(path, (enum promise)p, 100, 1, small);
        one(path, (enum promise)p, 100, KiB(64), large);
    }
}

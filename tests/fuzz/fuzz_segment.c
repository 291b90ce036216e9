/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the files of a partition. Five bytes head the input: whether the stop was clean, and
 * how the rest is shared out among .index, .timeindex, .snapshot and .log. Whatever the bytes, the
 * log opens, is read, appended to, closed, and then opens to what it was.
 */
#include "base/check.h"
#include "fuzz.h"
#include "log/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1700000000000)
#define BASE "00000000000000000000"

static char dir[64];
static struct log_io io;

/* Thousands of opens: none of them waits for the disk. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static void away(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (dir[0] != '\0' && system(command) != 0)
        perror(command);
}

static void path_of(char *to, size_t room, const char *name)
{
    snprintf(to, room, "%s/t-0/%s", dir, name);
}

static void put_file(const char *name, const uint8_t *at, size_t size)
{
    char path[128];
    path_of(path, sizeof path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, at, size) == (ssize_t)size);
    close(fd);
}

/* Clears what the last input left behind: segments, snapshots, epochs. */
static void fresh_directory(void)
{
    char path[100];
    if (dir[0] == '\0') {
        bool memory = access("/dev/shm", W_OK) == 0;
        snprintf(dir, sizeof dir, "%s/fluxmq-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
        check(mkdtemp(dir) != NULL);
        atexit(away);
    }
    snprintf(path, sizeof path, "%s/t-0", dir);
    check(log_delete_finish(path) == OUT_OK);
    check(mkdir(path, 0700) == 0);
}

static struct log *open_log(enum log_shutdown was, enum outcome *o)
{
    char path[128];
    struct log *l = NULL;
    snprintf(path, sizeof path, "%s/t-0", dir);
    io = log_io_kernel;
    io.fdatasync = io.fsync = no_sync;
    struct log_open what = {.path = path, .now_ms = NOW, .was = was, .io = &io};
    log_options_default(&what.options);
    *o = log_open(&what, &l);
    return l;
}

static enum outcome each(void *context, const struct log_batch *b)
{
    struct log_records walk;
    struct log_record r;
    int64_t *next = context;
    check(b->base_offset >= *next || *next < 0);
    if (*next >= 0)
        *next = b->last_offset + 1;
    enum outcome o = log_records_begin(&walk, b, MiB(4));
    while (o == OUT_OK)
        o = log_records_next(&walk, &r);
    log_records_fini(&walk);
    return OUT_OK;
}

/* Reads and appends; returns the log's end, -1 when it was too odd to go on. */
static int64_t use(struct log *l, enum log_shutdown was)
{
    struct store_stat st;
    struct store_place p;
    struct store_view v;
    struct store_appended done;
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    int64_t next = was == LOG_CLEAN ? -1 : 0; /* after a clean stop offsets are trusted */
    store_stat(log_store(l), &st);
    if (log_scan(l, st.start_offset, INT64_MAX, each, &next) != OUT_OK)
        return -1;
    (void)!store_seek(log_store(l), NOW, &p);
    (void)!store_seek(log_store(l), STORE_MAX_TIMESTAMP, &p);
    struct store_read r =
        {.offset = (st.start_offset + st.end_offset) / 2, .limit_offset = INT64_MAX};
    if (store_read(log_store(l), &r, &v) == OUT_OK)
        store_hold_drop(v.hold);
    log_builder_init(&b, MiB(1));
    log_builder_add(&b, NOW, bytes_of("k"), bytes_of("v"), NULL, 0);
    struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW};
    check(log_builder_finish(&b, &end, &a.at, &a.size) == OUT_OK);
    enum outcome o = store_append(log_store(l), &a, &done);
    if (o != OUT_OK)
        fprintf(stderr, "%s: %s\n", outcome_name(o), outcome_trail());
    check(o == OUT_OK);
    check(done.base_offset == st.end_offset);
    log_builder_fini(&b);
    return done.last_offset + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5)
        return 0;
    size_t rest = size - 5, part[3];
    const uint8_t *at = data + 5;
    fresh_directory();
    static const char *const names[] = {BASE ".index", BASE ".timeindex", BASE ".snapshot"};
    for (int i = 0; i < 3; i++) {
        part[i] = MIN((size_t)data[1 + i], rest);
        put_file(names[i], at, part[i]);
        at += part[i];
        rest -= part[i];
    }
    put_file(BASE ".log", at, rest);
    enum outcome o;
    enum log_shutdown was = data[0] & 1 ? LOG_CLEAN : LOG_UNCLEAN;
    struct log *l = open_log(was, &o);
    if (l == NULL)
        return 0;
    int64_t end = use(l, was);
    check(log_close(&l, data[0] & 2 ? LOG_CLEAN : LOG_UNCLEAN) == OUT_OK);
    if (end < 0)
        return 0;
    struct store_stat st;
    l = open_log(data[0] & 2 ? LOG_CLEAN : LOG_UNCLEAN, &o);
    check(l != NULL);
    store_stat(log_store(l), &st);
    /* After a clean stop checksums are trusted; recovery may find a bad one and cut. */
    check(was == LOG_CLEAN || st.end_offset == end);
    check(log_close(&l, LOG_UNCLEAN) == OUT_OK);
    return 0;
}

static size_t take_file(const char *name, uint8_t *to, size_t room)
{
    char path[128];
    path_of(path, sizeof path, name);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, to, room);
    if (fd >= 0)
        close(fd);
    return got < 0 ? 0 : (size_t)got;
}

/* Partitions of some batches, stopped or killed. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room)
{
    struct log_builder b;
    enum outcome o;
    if (number >= 12)
        return 0;
    fresh_directory();
    struct log *l = open_log(LOG_CLEAN, &o);
    check(l != NULL);
    struct log_options opts;
    log_options_default(&opts);
    opts.index_interval_bytes = 100;
    check(log_configure(l, &opts) == OUT_OK);
    log_builder_init(&b, MiB(1));
    for (int i = 0; i < 8; i++) {
        struct store_appended done;
        struct log_builder_end end =
            {.producer_id = i % 2 ? 5 : -1, .producer_epoch = 0,
             .base_sequence = i / 2 * (int)(number % 3 + 1)};
        struct store_append a = {.origin = STORE_CLIENT, .now_ms = NOW, .leader_epoch = i / 3};
        log_builder_reset(&b);
        for (size_t k = 0; k <= number % 3; k++)
            log_builder_add(&b, NOW + i, bytes_of("key"), bytes_of("some value"), NULL, 0);
        check(log_builder_finish(&b, &end, &a.at, &a.size) == OUT_OK);
        check(store_append(log_store(l), &a, &done) == OUT_OK);
    }
    log_builder_fini(&b);
    int64_t end = (int64_t)(8 * (number % 3 + 1));
    check(log_close(&l, LOG_CLEAN) == OUT_OK);
    char snapshot[64];
    snprintf(snapshot, sizeof snapshot, "%020lld.snapshot", (long long)end);
    size_t at = 5, index = take_file(BASE ".index", out + at, 255);
    size_t times = take_file(BASE ".timeindex", out + at + index, 255);
    size_t state = take_file(snapshot, out + at + index + times, 255);
    at += index + times + state;
    out[0] = (uint8_t)(number % 4);
    out[1] = (uint8_t)index;
    out[2] = (uint8_t)times;
    out[3] = (uint8_t)state;
    out[4] = 0;
    return at + take_file(BASE ".log", out + at, room - at);
}

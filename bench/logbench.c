/* SPDX-License-Identifier: MIT */
/* Filling a log, passes over it, and the same work without it. */
#include "logbench.h"

#include "base/crc32c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WALL_MS 1700000000000
#define FILES_MAX 4096

static volatile uint64_t nothing; /* so that no result is unused */

void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, ": %s\n", errno != 0 ? strerror(errno) : outcome_trail());
    exit(2);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double gib_per_s(size_t bytes, int64_t begin_ns)
{
    return (double)bytes / (double)GiB(1) / ((double)(now_ns() - begin_ns) / 1e9);
}

/* ---- filling ---- */

static void open_log(struct book *b)
{
    struct log_open what = {.path = b->path, .was = LOG_CLEAN, .now_ms = WALL_MS,
                            .options = b->options};
    errno = 0;
    if (log_open(&what, &b->log) != OUT_OK)
        die("%s", b->path);
    b->store = log_store(b->log);
}

/* The builder holds the batch; its bytes are appended again and again. */
static void build(struct log_builder *l, size_t record, size_t batch, uint8_t **at, size_t *size)
{
    struct log_builder_end end = log_builder_plain();
    char *value = malloc(record);
    if (value == NULL)
        die("memory");
    for (size_t i = 0; i < record; i++)
        value[i] = (char)('a' + i * 7 % 26);
    log_builder_init(l, MiB(64));
    do
        *size = log_builder_add(l, WALL_MS, (struct bytes){NULL, 0}, bytes_view(value, record),
                                NULL, 0);
    while (*size + record < batch);
    if (log_builder_finish(l, &end, at, size) != OUT_OK)
        die("a batch");
    free(value);
}

void book_fill(struct book *b, const char *path, size_t bytes, size_t record, size_t batch,
               size_t segment)
{
    struct log_builder l;
    uint8_t *at;
    *b = (struct book){.log = NULL};
    log_options_default(&b->options);
    b->options.segment_bytes = (int64_t)segment;
    snprintf(b->path, sizeof b->path, "%s", path);
    open_log(b);
    build(&l, record, batch, &at, &b->batch);
    b->each = l.count;
    for (b->bytes = 0; b->bytes < bytes; b->bytes += b->batch) {
        struct store_append a = {.at = at, .size = b->batch, .origin = STORE_COORDINATOR,
                                 .now_ms = WALL_MS};
        struct store_appended done;
        if (store_append(b->store, &a, &done) != OUT_OK || done.base_offset != b->records)
            die("append to %s", path);
        b->records += b->each;
    }
    log_builder_fini(&l);
}

void book_seal(struct book *b)
{
    if (log_roll(b->log, WALL_MS) != OUT_OK)
        die("roll %s", b->path);
}

void book_reopen(struct book *b)
{
    if (log_close(&b->log, LOG_CLEAN) != OUT_OK)
        die("close %s", b->path);
    open_log(b);
}

void book_end(struct book *b)
{
    char path[LOG_PATH_MAX];
    if (log_delete(&b->log, path) != OUT_OK || log_delete_finish(path) != OUT_OK)
        die("delete %s", b->path);
}

/* ---- passes ---- */

/* Every byte is looked at, as fast as the compiler can make it. */
static void scan(const uint8_t *at, size_t size)
{
    uint64_t sums[8] = {0}, words[8];
    size_t i = 0;
    for (; i + sizeof words <= size; i += sizeof words) {
        memcpy(words, at + i, sizeof words);
        for (int k = 0; k < 8; k++)
            sums[k] += words[k];
    }
    for (; i < size; i++)
        sums[0] += at[i];
    for (int k = 0; k < 8; k++)
        nothing += sums[k];
}

/* Goes through the batches of a view; the offset behind the last whole one. */
static int64_t walk(struct bytes view, int64_t next, bool checks, size_t *whole)
{
    struct log_batch batch;
    struct bytes rest = view;
    while (rest.size > 0 && log_batch_next(&rest, &batch) == OUT_OK) {
        errno = 0;
        if (batch.base_offset != next)
            die("offset %lld where %lld was due", (long long)batch.base_offset, (long long)next);
        if (checks && !log_batch_crc_good(&batch))
            die("a wrong checksum at offset %lld", (long long)next);
        next = batch.last_offset + 1;
        *whole += batch.size;
    }
    return next;
}

double book_pass(const struct book *b, enum way way, size_t chunk)
{
    static _Thread_local uint8_t *room;
    static _Thread_local size_t room_size;
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = chunk,
                           .least = STORE_WHOLE_BATCH, .map = STORE_MAPPED};
    size_t whole = 0;
    if (room_size < chunk + b->batch) {
        room_size = chunk + b->batch;
        room = realloc(room, room_size);
        if (room == NULL)
            die("memory");
    }
    int64_t begin = now_ns();
    while (r.offset < b->records) {
        struct store_view v;
        size_t before = whole;
        if (store_read(b->store, &r, &v) != OUT_OK || v.size == 0)
            die("read %s at %lld", b->path, (long long)r.offset);
        r.offset = walk(bytes_view(v.at, v.size), r.offset, way == WAY_CRC, &whole);
        if (way == WAY_VIEW)
            scan(v.at, whole - before);
        else if (way == WAY_COPY)
            memcpy(room, v.at, whole - before);
        store_hold_drop(v.hold);
    }
    if (whole != b->bytes)
        die("%zu bytes of %zu", whole, b->bytes);
    if (room != NULL)
        nothing += room[0];
    return gib_per_s(whole, begin);
}

void bare_init(struct bare *m, size_t bytes, size_t chunk)
{
    *m = (struct bare){aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095), malloc(chunk), bytes,
                       chunk};
    if (m->from == NULL || m->room == NULL)
        die("memory");
    memset(m->from, 0x5a, bytes);
    memset(m->room, 0, chunk);
}

void bare_fini(struct bare *m)
{
    free(m->from);
    free(m->room);
}

double bare_pass(const struct bare *m, enum way way)
{
    int64_t begin = now_ns();
    for (size_t at = 0; at < m->bytes; at += m->chunk) {
        size_t part = MIN(m->chunk, m->bytes - at);
        if (way == WAY_VIEW)
            scan(m->from + at, part);
        else if (way == WAY_COPY)
            memcpy(m->room, m->from + at, part);
        else
            nothing += crc32c(0, m->from + at, part);
    }
    double gib = gib_per_s(m->bytes, begin);
    nothing += m->room[m->chunk / 2];
    return gib;
}

/* ---- the files ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct names {
    char list[FILES_MAX][64];
    size_t count;
};

/* The segments' files, in order. */
static struct names *files_of(const struct book *b)
{
    struct names *n = calloc(1, sizeof *n);
    DIR *dir = opendir(b->path);
    struct dirent *entry;
    if (n == NULL || dir == NULL)
        die("%s", b->path);
    while ((entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (size > 4 && size < 64 && strcmp(entry->d_name + size - 4, ".log") == 0 &&
            n->count < FILES_MAX)
            memcpy(n->list[n->count++], entry->d_name, size + 1);
    }
    closedir(dir);
    qsort(n->list, n->count, sizeof n->list[0], by_name);
    return n;
}

static int open_file(const struct book *b, const char *name, size_t *size)
{
    char path[LOG_PATH_MAX + 64];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", b->path, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &s) != 0)
        die("%s", path);
    *size = (size_t)s.st_size;
    return file;
}

static size_t resident_pages(int file, size_t size)
{
    static unsigned char pages[GiB(2) / 4096];
    size_t count = (size + 4095) / 4096, resident = 0;
    void *at = size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED)
        return 0;
    if (mincore(at, size, pages) != 0)
        die("mincore");
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    munmap(at, size);
    return resident;
}

double book_drop_cache(const struct book *b)
{
    struct names *n = files_of(b);
    size_t pages = 0, resident = 0;
    for (size_t i = 0; i < n->count; i++) {
        size_t size;
        int file = open_file(b, n->list[i], &size);
        if (fsync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
            die("drop %s from the cache", n->list[i]);
        pages += (size + 4095) / 4096;
        resident += resident_pages(file, size);
        close(file);
    }
    free(n);
    return pages == 0 ? 0 : (double)resident / (double)pages;
}

double book_pread_pass(const struct book *b, size_t chunk)
{
    struct names *n = files_of(b);
    uint8_t *room = malloc(chunk);
    size_t bytes = 0;
    if (room == NULL)
        die("memory");
    int64_t begin = now_ns();
    for (size_t i = 0; i < n->count; i++) {
        size_t size, at = 0;
        int file = open_file(b, n->list[i], &size);
        ssize_t got;
        while ((got = pread(file, room, chunk, (off_t)at)) > 0) {
            nothing += crc32c(0, room, (size_t)got);
            at += (size_t)got;
        }
        bytes += at;
        close(file);
    }
    double gib = gib_per_s(bytes, begin);
    free(n);
    free(room);
    return gib;
}

/* ---- random places ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 16;
}

/* The record at `offset` of the batches in a view: looked for, then looked at. */
static void find_record(struct bytes view, int64_t offset)
{
    struct log_batch batch;
    struct log_records walk;
    struct log_record record = {.offset = -1};
    if (log_batch_next(&view, &batch) != OUT_OK || offset > batch.last_offset ||
        log_records_begin(&walk, &batch, MiB(64)) != OUT_OK)
        die("no batch at %lld", (long long)offset);
    while (record.offset != offset && log_records_next(&walk, &record) == OUT_OK)
        continue;
    if (record.offset != offset)
        die("no record at %lld", (long long)offset);
    scan(record.value.at, record.value.size);
    log_records_fini(&walk);
}

double book_random(const struct book *b, size_t bytes, int count)
{
    uint64_t seed = 7;
    int64_t begin = now_ns();
    for (int i = 0; i < count; i++) {
        struct store_read r = {.offset = (int64_t)(next_random(&seed) % (uint64_t)b->records),
                               .limit_offset = INT64_MAX, .max_bytes = bytes,
                               .least = STORE_WHOLE_BATCH, .map = STORE_MAPPED};
        struct store_view v;
        if (store_read(b->store, &r, &v) != OUT_OK || v.size == 0)
            die("read %s at %lld", b->path, (long long)r.offset);
        if (bytes > 1)
            scan(v.at, v.size);
        else
            find_record(bytes_view(v.at, v.size), r.offset);
        store_hold_drop(v.hold);
    }
    return (double)(now_ns() - begin) / count;
}

double book_random_pread(const struct book *b, size_t bytes, int count)
{
    struct names *n = files_of(b);
    uint8_t room[KiB(16)];
    size_t size;
    uint64_t seed = 7;
    int file = open_file(b, n->list[0], &size);
    int64_t begin = now_ns();
    for (int i = 0; i < count; i++) {
        if (pread(file, room, MIN(bytes, sizeof room),
                  (off_t)(next_random(&seed) % (size - bytes))) <= 0)
            die("pread");
        scan(room, MIN(bytes, sizeof room));
    }
    close(file);
    free(n);
    return (double)(now_ns() - begin) / count;
}

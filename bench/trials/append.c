/* SPDX-License-Identifier: MIT */
/*
 * How batches come into a log file. The batches of a round are checked in the end.
 *
 *     append WAY FOLDER SIZE COUNT
 *
 * pwrite     a call for each batch
 * gathered   a pwritev of eight batches: what waiting for more of them would save
 * mapping    copied into a mapping of a file that was made long enough before
 * ahead      pwrite, 16 MiB of blocks asked for ahead (fallocate, the size stays)
 * writeback  pwrite; the writer starts write-back of each whole MiB (sync_file_range)
 * uring      a write for each batch in a ring, waited for
 * uring8     eight at once
 *
 *     flush WAY FOLDER SIZE COUNT      each append is followed by fdatasync
 *
 * grow       the file grows by each append
 * ahead      blocks asked for ahead, the size grows
 * sized      blocks asked for ahead with the size: reads of the rest give zeros
 * zeroed     zeros are on the disk before, as in a segment that is used again
 *
 * Times are those of one append (eight, where eight go at once, divided by it). What an append only
 * puts off (to find blocks, to write) is counted apart: the CPU of an fdatasync at the end.
 */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#if HAVE_URING
#include <liburing.h>
#endif

enum way { PWRITE, GATHERED, MAPPING, AHEAD, WRITEBACK, URING, URING8 };
enum flush_way { GROW, FLUSH_AHEAD, SIZED, ZEROED };
static const char *const ways[] = {"pwrite", "gathered", "mapping", "ahead", "writeback", "uring",
                                   "uring8", NULL};
static const char *const flush_ways[] = {"grow", "ahead", "sized", "zeroed", NULL};
enum { TOGETHER = 8, EXTENT = 16 << 20, PART = 1 << 20 };

struct append {
    enum way way;
    int file;
    size_t size;
    uint64_t count;
    uint8_t *map, *room; /* the room: eight batches */
    uint64_t asked, started; /* bytes with blocks; with write-back begun */
#if HAVE_URING
    struct io_uring uring;
#endif
};

static struct histogram times;

static int file_new(const char *folder)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/append.data", folder);
    int file = file_open(path, O_RDWR | O_CREAT | O_TRUNC);
    if (unlink(path) != 0)
        die("%s", path);
    return file;
}

static void write_at(const struct append *a, uint64_t at)
{
    if (pwrite(a->file, a->room, a->size, (off_t)at) != (ssize_t)a->size)
        die("pwrite");
}

static void write_gathered(const struct append *a, uint64_t at)
{
    struct iovec parts[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++)
        parts[i] = (struct iovec){a->room + i * a->size, a->size};
    if (pwritev(a->file, parts, TOGETHER, (off_t)at) != (ssize_t)(a->size * TOGETHER))
        die("pwritev");
}

static void ask_ahead(struct append *a, uint64_t at, int mode)
{
    if (at + a->size <= a->asked)
        return;
    if (fallocate(a->file, mode, (off_t)a->asked, EXTENT) != 0)
        trial_skip("the file system has no fallocate");
    a->asked += EXTENT;
}

static void start_writeback(struct append *a, uint64_t end)
{
    while (end - a->started >= PART) {
        if (sync_file_range(a->file, (off_t)a->started, PART, SYNC_FILE_RANGE_WRITE) != 0)
            trial_skip("no sync_file_range");
        a->started += PART;
    }
}

#if HAVE_URING
static void ring_open(struct append *a)
{
    int error = io_uring_queue_init(TOGETHER * 2, &a->uring, 0);
    if (error != 0)
        trial_skip(strerror(-error));
}

static void write_ring(struct append *a, uint64_t at, unsigned count)
{
    struct io_uring_cqe *cqe;
    for (unsigned i = 0; i < count; i++)
        io_uring_prep_write(io_uring_get_sqe(&a->uring), a->file, a->room + i * a->size,
                            (unsigned)a->size, at + i * a->size);
    io_uring_submit_and_wait(&a->uring, count);
    for (unsigned i = 0; i < count; i++) {
        if (io_uring_wait_cqe(&a->uring, &cqe) != 0 || cqe->res != (int)a->size)
            die("a write of the ring");
        io_uring_cqe_seen(&a->uring, cqe);
    }
}
#else
static void ring_open(struct append *a)
{
    (void)a;
    trial_skip("built without liburing");
}

static void write_ring(struct append *a, uint64_t at, unsigned count)
{
    (void)a, (void)at, (void)count;
}
#endif

static void append_one(struct append *a, uint64_t at)
{
    switch (a->way) {
    case MAPPING:
        memcpy(a->map + at, a->room, a->size);
        break;
    case AHEAD:
        ask_ahead(a, at, FALLOC_FL_KEEP_SIZE);
        write_at(a, at);
        break;
    case WRITEBACK:
        write_at(a, at);
        start_writeback(a, at + a->size);
        break;
    case URING:
        write_ring(a, at, 1);
        break;
    case URING8:
        write_ring(a, at, TOGETHER);
        break;
    case GATHERED:
        write_gathered(a, at);
        break;
    case PWRITE:
        write_at(a, at);
        break;
    }
}

/* A batch's first word tells its number; the rest is the same in all. */
static void check_file(const struct append *a, struct result *r)
{
    for (uint64_t i = 0; i < a->count; i++) {
        if (pread(a->file, a->room, a->size, (off_t)(i * a->size)) != (ssize_t)a->size)
            die("pread");
        r->wrong += !pattern_good(a->room, i * 8, 8) || !pattern_good(a->room + 8, 8, a->size - 8);
    }
}

static void number_batches(const struct append *a, uint64_t first, uint64_t together)
{
    for (uint64_t k = 0; k < together; k++)
        pattern_fill(a->room + k * a->size, (first + k) * 8, 8);
}

/* All appends; their seconds, CPU and times. */
static void run(struct append *a, struct result *r, uint64_t together,
                void (*one)(struct append *, uint64_t))
{
    for (uint64_t k = 0; k < TOGETHER; k++)
        pattern_fill(a->room + k * a->size, 0, a->size);
    struct cpu before = cpu_now(RUSAGE_SELF);
    int64_t begin = now_ns(), last = begin;
    for (uint64_t i = 0; i < a->count; i += together) {
        number_batches(a, i, together);
        one(a, i * a->size);
        int64_t now = now_ns();
        histogram_add(&times, (now - last) / (int64_t)together, together);
        last = now;
    }
    r->seconds = (double)(last - begin) / 1e9;
    r->cpu = cpu_since(RUSAGE_SELF, before);
}

int trial_append(char **words)
{
    struct append a = {.way = (enum way)word_of(words[0], ways), .file = file_new(words[1]),
                       .size = number(words[2]) / 8 * 8,
                       .count = (number(words[3]) + TOGETHER - 1) / TOGETHER * TOGETHER};
    struct result r = {.count = a.count, .bytes = a.count * a.size, .times = &times};
    uint64_t together = a.way == GATHERED || a.way == URING8 ? TOGETHER : 1;
    a.room = room_of(a.size * TOGETHER);
    if (a.way == MAPPING) {
        if (ftruncate(a.file, (off_t)r.bytes) != 0)
            die("ftruncate");
        a.map = mmap(NULL, r.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a.file, 0);
        if (a.map == MAP_FAILED)
            die("mmap");
    }
    if (a.way == URING || a.way == URING8)
        ring_open(&a);
    run(&a, &r, together, append_one);
    struct cpu before = cpu_now(RUSAGE_SELF);
    if (fdatasync(a.file) != 0)
        die("fdatasync");
    r.puts_off = true;
    r.later = cpu_since(RUSAGE_SELF, before);
    check_file(&a, &r);
    return trial_print(&r);
}

static void append_and_flush(struct append *a, uint64_t at)
{
    if (a->asked > 0)
        ask_ahead(a, at, FALLOC_FL_KEEP_SIZE);
    write_at(a, at);
    if (fdatasync(a->file) != 0)
        die("fdatasync");
}

int trial_flush(char **words)
{
    int way = word_of(words[0], flush_ways);
    struct append a = {.file = file_new(words[1]), .size = number(words[2]) / 8 * 8,
                       .count = (number(words[3]) + TOGETHER - 1) / TOGETHER * TOGETHER};
    struct result r = {.count = a.count, .bytes = a.count * a.size, .times = &times};
    a.room = room_of(a.size * TOGETHER);
    if (way == SIZED && fallocate(a.file, 0, 0, (off_t)r.bytes) != 0)
        trial_skip("the file system has no fallocate");
    if (way == FLUSH_AHEAD)
        ask_ahead(&a, 0, FALLOC_FL_KEEP_SIZE);
    if (way == ZEROED) {
        memset(a.room, 0, a.size);
        for (uint64_t i = 0; i < a.count; i++)
            write_at(&a, i * a.size);
    }
    if (fdatasync(a.file) != 0)
        die("fdatasync");
    run(&a, &r, 1, append_and_flush);
    check_file(&a, &r);
    return trial_print(&r);
}

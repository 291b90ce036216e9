/* SPDX-License-Identifier: MIT */
/*
 * Reads of what is not in memory: the file is dropped from the page cache, then a client asks for
 * one chunk after the other.
 *
 *     cold WAY PATH order|random SIZE COUNT
 *
 * sendfile   as for hot data: the thread sleeps in it until the disk has answered
 * pread      into a buffer, then sent
 * willneed   sendfile; after each reply the kernel is told the chunk that follows
 * uring      a read in a ring; the thread is free until it completes, then sends
 *
 * Times are how long the thread was kept by a read and could not serve others; for sendfile that
 * is with the send, for the ring it is the submission alone.
 */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#if HAVE_URING
#include <liburing.h>
#endif

enum way { SENDFILE, PREAD, WILLNEED, URING };
static const char *const ways[] = {"sendfile", "pread", "willneed", "uring", NULL};
static const char *const orders[] = {"order", "random", NULL};
/* A prime: chunks asked for at random are far from each other, and none comes twice. */
enum { REQUEST = 96, STRIDE = 1009 };

struct cold {
    enum way way;
    int file, socket;
    bool random;
    size_t size;
    uint64_t file_size, count;
    uint8_t *room;
    struct histogram *times; /* shared with the client's process */
#if HAVE_URING
    struct io_uring uring;
#endif
};

/* Whether the file is out of memory now. */
static bool drop_cache(const struct cold *c)
{
    size_t pages = (size_t)c->file_size / 4096, there = 0;
    if (posix_fadvise(c->file, 0, 0, POSIX_FADV_DONTNEED) != 0)
        return false;
    void *map = mmap(NULL, (size_t)c->file_size, PROT_READ, MAP_SHARED, c->file, 0);
    unsigned char *each = room_of(pages + 1);
    if (map == MAP_FAILED || mincore(map, (size_t)c->file_size, each) != 0)
        die("mincore");
    for (size_t i = 0; i < pages; i++)
        there += each[i] & 1;
    munmap(map, (size_t)c->file_size);
    return there < pages / 10;
}

static void send_file(const struct cold *c, uint64_t at)
{
    off_t from = (off_t)at, end = (off_t)(at + c->size);
    while (from < end) {
        if (sendfile(c->socket, c->file, &from, (size_t)(end - from)) <= 0)
            die("sendfile");
    }
}

static void read_ring(struct cold *c, uint64_t at, int64_t begin)
{
#if HAVE_URING
    struct io_uring_cqe *cqe;
    io_uring_prep_read(io_uring_get_sqe(&c->uring), c->file, c->room, (unsigned)c->size, at);
    io_uring_submit(&c->uring);
    histogram_add(c->times, now_ns() - begin, 1);
    if (io_uring_wait_cqe(&c->uring, &cqe) != 0 || cqe->res != (int)c->size)
        die("a read of the ring");
    io_uring_cqe_seen(&c->uring, cqe);
#else
    (void)c, (void)at, (void)begin;
#endif
}

static void answer(struct cold *c, uint64_t at)
{
    int64_t begin = now_ns();
    switch (c->way) {
    case SENDFILE:
    case WILLNEED:
        send_file(c, at);
        histogram_add(c->times, now_ns() - begin, 1);
        if (c->way == WILLNEED)
            (void)posix_fadvise(c->file, (off_t)(at + c->size), (off_t)c->size,
                                POSIX_FADV_WILLNEED);
        return;
    case PREAD:
        if (pread(c->file, c->room, c->size, (off_t)at) != (ssize_t)c->size)
            die("pread");
        histogram_add(c->times, now_ns() - begin, 1);
        break;
    case URING:
        read_ring(c, at, begin);
        break;
    }
    transmit(c->socket, c->room, c->size, 0);
}

static void serve(struct side *side, void *argument)
{
    struct cold *c = argument;
    uint8_t request[REQUEST];
    uint64_t at;
    c->socket = side_accept(side);
    c->room = room_of(c->size);
    if (c->way == URING) {
#if HAVE_URING
        int error = io_uring_queue_init(4, &c->uring, 0);
        if (error != 0)
            side_skip(side, -error);
#else
        side_skip(side, ENOPKG);
#endif
    }
    side_begin(side);
    while (receive(c->socket, request, REQUEST)) {
        memcpy(&at, request, sizeof at);
        answer(c, at);
    }
}

int trial_cold(char **words)
{
    struct cold c = {.way = (enum way)word_of(words[0], ways),
                     .file = file_open(words[1], O_RDONLY),
                     .random = word_of(words[2], orders) == 1,
                     .size = number(words[3]) / 8 * 8, .count = number(words[4])};
    struct stat about;
    struct side side;
    uint8_t request[REQUEST] = {0}, *reply = room_of(c.size);
    if (fstat(c.file, &about) != 0 || (size_t)about.st_size < c.size * c.count) {
        errno = EFBIG;
        die("the file is too small");
    }
    c.file_size = (uint64_t)about.st_size;
    c.times = mmap(NULL, sizeof *c.times, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    struct result r = {.count = c.count, .bytes = c.count * c.size, .times = c.times};
    if (c.times == MAP_FAILED)
        die("memory");
    if (!drop_cache(&c))
        trial_skip("the file stays in memory");
    side_open(&side);
    side_run(&side, serve, &c);
    int s = side_dial(&side);
    side_wait_ready(&side);
    uint64_t chunks = c.file_size / c.size;
    int64_t begin = now_ns();
    for (uint64_t i = 0; i < c.count; i++) {
        uint64_t at = (c.random ? i * STRIDE % chunks : i) * c.size;
        memcpy(request, &at, sizeof at);
        transmit(s, request, REQUEST, 0);
        if (!receive(s, reply, c.size))
            die("the broker's side ended");
        r.wrong += !pattern_good(reply, at, c.size);
    }
    r.seconds = (double)(now_ns() - begin) / 1e9;
    close(s);
    side_end(&side, &r);
    return trial_print(&r);
}

/* SPDX-License-Identifier: MIT */
/*
 * Pages of memory: those of a mapping through which logs are read, and those of receive buffers.
 *
 *     pages WAY PATH SIZE COUNT        batches are read (CRC-32C) from a fresh mapping, in order
 *
 * plain      page faults as they come
 * populate   MAP_POPULATE: page tables are filled before (which is counted)
 * willneed   MADV_WILLNEED
 * huge       MADV_HUGEPAGE
 * pread      no mapping: read into a buffer
 *
 *     rooms WAY SIZE COUNT             frames are received into 256 buffers in turns, and CRCed
 *
 * pooled     ordinary pages, kept
 * huge       the same, MADV_HUGEPAGE, aligned
 * fresh      each frame into new pages, given back afterwards
 */
#include "trial.h"

#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum way { PLAIN, POPULATE, MAP_ADVISED, MAP_HUGE, PREAD };
enum rooms_way { POOLED, ROOMS_HUGE, FRESH };
static const char *const ways[] = {"plain", "populate", "willneed", "huge", "pread", NULL};
static const char *const rooms_ways[] = {"pooled", "huge", "fresh", NULL};
enum { ROOMS = 256, HUGE = 2 << 20 };

static volatile uint32_t seen; /* so that no sum is unused */

/* The file from its begin, again and again: each time in a mapping of its own. */
static void read_mapped(int way, int file, size_t file_size, size_t size, struct result *r)
{
    for (uint64_t done = 0; done < r->count;) {
        int flags = MAP_SHARED | (way == POPULATE ? MAP_POPULATE : 0);
        uint8_t *map = mmap(NULL, file_size, PROT_READ, flags, file, 0);
        if (map == MAP_FAILED)
            die("mmap");
        if ((way == MAP_HUGE && madvise(map, file_size, MADV_HUGEPAGE) != 0) ||
            (way == MAP_ADVISED && madvise(map, file_size, MADV_WILLNEED) != 0))
            trial_skip("the kernel does not take the advice");
        for (size_t at = 0; at + size <= file_size && done < r->count; at += size, done++) {
            seen += crc32c(0, map + at, size);
            r->wrong += !pattern_good(map + at, at, size);
        }
        munmap(map, file_size);
    }
}

static void read_copied(int file, size_t file_size, size_t size, struct result *r)
{
    uint8_t *room = room_of(size);
    size_t at = 0;
    for (uint64_t done = 0; done < r->count; done++) {
        if (pread(file, room, size, (off_t)at) != (ssize_t)size)
            die("pread");
        seen += crc32c(0, room, size);
        r->wrong += !pattern_good(room, at, size);
        at = at + 2 * size <= file_size ? at + size : 0;
    }
}

int trial_pages(char **words)
{
    int way = word_of(words[0], ways), file = file_open(words[1], O_RDONLY);
    size_t size = number(words[2]) / 8 * 8;
    struct result r = {.count = number(words[3])};
    struct stat about;
    if (fstat(file, &about) != 0 || (size_t)about.st_size < size) {
        errno = EFBIG;
        die("the file is too small");
    }
    r.bytes = r.count * size;
    struct cpu before = cpu_now(RUSAGE_SELF);
    int64_t begin = now_ns();
    if (way == PREAD)
        read_copied(file, (size_t)about.st_size, size, &r);
    else
        read_mapped(way, file, (size_t)about.st_size, size, &r);
    r.seconds = (double)(now_ns() - begin) / 1e9;
    r.cpu = cpu_since(RUSAGE_SELF, before);
    return trial_print(&r);
}

/* ---- receive buffers ---- */

struct rooms {
    enum rooms_way way;
    size_t size;
    uint64_t count;
};

static uint8_t *fresh_pages(size_t size)
{
    uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        die("memory");
    return at;
}

static uint8_t *pool(struct side *side, const struct rooms *r)
{
    size_t size = r->size * ROOMS + HUGE;
    uint8_t *at = fresh_pages(size);
    at += HUGE - (uintptr_t)at % HUGE;
    if (r->way == ROOMS_HUGE && madvise(at, size - HUGE, MADV_HUGEPAGE) != 0)
        side_skip(side, errno);
    memset(at, 0, size - HUGE);
    return at;
}

static void take(struct side *side, void *argument)
{
    struct rooms *r = argument;
    int s = side_accept(side);
    uint8_t *rooms = pool(side, r);
    uint64_t wrong = 0;
    side_begin(side);
    for (uint64_t i = 0; i < r->count; i++) {
        uint8_t *room = r->way == FRESH ? fresh_pages(r->size) : rooms + i % ROOMS * r->size;
        if (!receive(s, room, r->size))
            die("the client ended");
        seen += crc32c(0, room, r->size);
        wrong += !pattern_good(room, 0, r->size);
        if (r->way == FRESH)
            munmap(room, r->size);
    }
    side->served->wrong = wrong;
}

int trial_rooms(char **words)
{
    struct rooms rooms = {.way = (enum rooms_way)word_of(words[0], rooms_ways),
                          .size = number(words[1]) / 8 * 8, .count = number(words[2])};
    struct result r = {.count = rooms.count, .bytes = rooms.count * rooms.size};
    struct side side;
    uint8_t *frame = room_of(rooms.size);
    pattern_fill(frame, 0, rooms.size);
    side_open(&side);
    side_run(&side, take, &rooms);
    int s = side_dial(&side);
    side_wait_ready(&side);
    int64_t begin = now_ns();
    for (uint64_t i = 0; i < rooms.count; i++)
        transmit(s, frame, rooms.size, 0);
    side_end(&side, &r);
    r.seconds = (double)(now_ns() - begin) / 1e9;
    return trial_print(&r);
}

/* SPDX-License-Identifier: MIT */
/*
 * How a fetch of hot data is answered: a request comes, the batch is found, and a head, the
 * records and a tail of some bytes leave.
 *
 *     fetch WAY PATH SIZE COUNT UNDER_WAY
 *
 * sendfile   4 KiB are read to find the batch; head, sendfile of the records, tail: four calls
 * lookup     the batch is found in a mapping of the file; the rest as above: three calls
 * corked     as sendfile, but the socket is corked meanwhile, so that the tail is no segment of its
 *            own: two calls more
 * copy       one read of the records (4 KiB at least), which also finds the batch; one gathered
 *            send: two calls, one more copy
 * chunks     the same in pieces of 64 KiB, so that the buffer stays small: two calls a piece
 * mapped     found in a mapping and sent from it in one gathered send: one call, page faults on
 *            the first touch
 * populated  the same with page tables that were filled before
 *
 * Batches lie one behind the other, not aligned; each is read once, as a consumer does. The client
 * has so many requests under way and looks at what came: with one it sleeps until an answer comes,
 * with several it seldom does.
 */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUEST = 96, HEAD = 88, TAIL = 8, PEEK = 4096, CHUNK = 65536, GAP = 104 };
enum way { SENDFILE, LOOKUP, CORKED, COPY, CHUNKS, MAPPED, POPULATED };
static const char *const ways[] = {"sendfile", "lookup", "corked", "copy", "chunks", "mapped",
                                   "populated", NULL};

struct fetch {
    enum way way;
    int file, socket;
    size_t size, file_size;
    const uint8_t *map; /* NULL: none */
    uint8_t *room;
    uint64_t count;
};

static volatile uint64_t seen; /* what was found: so that it is looked at */

static uint64_t place_of(const struct fetch *f, uint64_t number)
{
    return number * (f->size + GAP) % (f->file_size - f->size - PEEK) / 8 * 8;
}

static void read_at(const struct fetch *f, uint64_t at, size_t size)
{
    if (pread(f->file, f->room, size, (off_t)at) != (ssize_t)size)
        die("pread");
}

/* The batch's head: its first words. */
static void look(const uint8_t *at)
{
    uint64_t words[8];
    memcpy(words, at, sizeof words);
    seen += words[0] + words[7];
}

static void cork(const struct fetch *f, int on)
{
    if (f->way == CORKED && setsockopt(f->socket, IPPROTO_TCP, TCP_CORK, &on, sizeof on) != 0)
        die("TCP_CORK");
}

static void answer_by_file(const struct fetch *f, uint64_t at, const uint8_t *frame)
{
    if (f->way != LOOKUP)
        read_at(f, at, PEEK);
    look(f->way == LOOKUP ? f->map + at : f->room);
    cork(f, 1);
    transmit(f->socket, frame, HEAD, MSG_MORE);
    off_t from = (off_t)at, end = (off_t)(at + f->size);
    while (from < end) {
        if (sendfile(f->socket, f->file, &from, (size_t)(end - from)) <= 0)
            die("sendfile");
    }
    transmit(f->socket, frame + HEAD, TAIL, 0);
    cork(f, 0);
}

/* Three parts in one call, or in as many as the socket wants. */
static void send_all(const struct fetch *f, struct iovec parts[3], int flags)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    size_t left = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
    while (left > 0) {
        ssize_t sent = sendmsg(f->socket, &message, MSG_NOSIGNAL | flags);
        if (sent < 0)
            die("sendmsg");
        left -= (size_t)sent;
        for (size_t i = 0; sent > 0; i++) {
            size_t part = MIN((size_t)sent, parts[i].iov_len);
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            sent -= (ssize_t)part;
        }
    }
}

/* The first piece goes with the head, the last one with the tail. */
static void answer_by_chunks(const struct fetch *f, uint64_t at, uint8_t *frame)
{
    for (size_t done = 0; done < f->size; done += CHUNK) {
        size_t part = MIN(f->size - done, (size_t)CHUNK);
        bool last = done + part == f->size;
        read_at(f, at + done, last && done == 0 ? MAX(part, (size_t)PEEK) : part);
        if (done == 0)
            look(f->room);
        struct iovec parts[] = {{frame, done == 0 ? HEAD : 0}, {f->room, part},
                                {frame + HEAD, last ? TAIL : 0}};
        send_all(f, parts, last ? 0 : MSG_MORE);
    }
}

static void answer_by_memory(const struct fetch *f, uint64_t at, uint8_t *frame)
{
    const uint8_t *records = f->way == COPY ? f->room : f->map + at;
    if (f->way == COPY)
        read_at(f, at, MAX(f->size, (size_t)PEEK));
    look(records);
    struct iovec parts[] = {{frame, HEAD}, {(void *)(uintptr_t)records, f->size},
                            {frame + HEAD, TAIL}};
    send_all(f, parts, 0);
}

static void serve(struct side *side, void *argument)
{
    struct fetch *f = argument;
    uint8_t request[REQUEST], frame[HEAD + TAIL];
    uint64_t at;
    f->socket = side_accept(side);
    f->room = room_of(MAX(f->size, (size_t)PEEK));
    if (f->way == LOOKUP || f->way >= MAPPED) {
        int flags = MAP_SHARED | (f->way == POPULATED ? MAP_POPULATE : 0);
        f->map = mmap(NULL, f->file_size, PROT_READ, flags, f->file, 0);
        if (f->map == MAP_FAILED)
            die("mmap");
    }
    side_begin(side);
    while (receive(f->socket, request, REQUEST)) {
        memcpy(&at, request, sizeof at);
        memset(frame, 0, sizeof frame);
        memcpy(frame, request, sizeof at);
        memcpy(frame + HEAD, request, sizeof at);
        if (f->way <= CORKED)
            answer_by_file(f, at, frame);
        else if (f->way == CHUNKS)
            answer_by_chunks(f, at, frame);
        else
            answer_by_memory(f, at, frame);
    }
}

static bool good(const struct fetch *f, uint64_t at, const uint8_t *reply)
{
    return memcmp(reply, &at, sizeof at) == 0 && pattern_good(reply + HEAD, at, f->size) &&
           memcmp(reply + HEAD + f->size, &at, sizeof at) == 0;
}

int trial_fetch(char **words)
{
    struct fetch f = {.way = (enum way)word_of(words[0], ways),
                      .file = file_open(words[1], O_RDONLY),
                      .size = number(words[2]) / 8 * 8, .count = number(words[3])};
    struct result r = {.count = f.count, .bytes = f.count * f.size};
    struct stat about;
    struct side side;
    uint64_t asked = 0, under_way = number(words[4]);
    uint8_t request[REQUEST] = {0}, *reply = room_of(HEAD + f.size + TAIL);
    if (fstat(f.file, &about) != 0 || (size_t)about.st_size < 2 * (f.size + PEEK)) {
        errno = EFBIG;
        die("the file is too small");
    }
    f.file_size = (size_t)about.st_size;
    side_open(&side);
    side_run(&side, serve, &f);
    int s = side_dial(&side);
    side_wait_ready(&side);
    int64_t begin = now_ns();
    for (uint64_t i = 0; i < f.count; i++) {
        uint64_t at = place_of(&f, i);
        for (; asked < f.count && asked < i + under_way; asked++) {
            uint64_t wanted = place_of(&f, asked);
            memcpy(request, &wanted, sizeof wanted);
            transmit(s, request, REQUEST, 0);
        }
        if (!receive(s, reply, HEAD + f.size + TAIL))
            die("the broker's side ended");
        r.wrong += !good(&f, at, reply);
    }
    r.seconds = (double)(now_ns() - begin) / 1e9;
    close(s);
    side_end(&side, &r);
    return trial_print(&r);
}

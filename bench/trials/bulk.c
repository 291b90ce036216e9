/* SPDX-License-Identifier: MIT */
/*
 * A stream of large pieces out of the page cache, with and without zero-copy send.
 *
 *     bulk WAY PATH SIZE COUNT
 *
 * sendfile   the kernel hands over pages of its cache
 * copy       read into a buffer of the piece's size, and sent
 * send       from a mapping of the file: copied into the socket
 * zerocopy   from the same mapping, MSG_ZEROCOPY; completions are taken from the error queue
 *
 * Over loopback the kernel copies what was to be sent without copying, when it is delivered: there
 * the trial shows what the completions cost and no gain. The note says when that happened.
 */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum way { SENDFILE, COPY, SEND, ZEROCOPY };
static const char *const ways[] = {"sendfile", "copy", "send", "zerocopy", NULL};
enum { REAP_EVERY = 8 };

struct bulk {
    enum way way;
    int file, socket;
    size_t size, file_size;
    uint64_t count;
    uint8_t *map, *room;
    uint64_t called, completed; /* sends without copy */
};

static uint64_t place_of(const struct bulk *b, uint64_t number)
{
    return number * b->size % (b->file_size - b->size) / 8 * 8;
}

/* Takes the completions that are there: each tells a range of calls. */
static void reap(struct side *side, struct bulk *b)
{
    for (;;) {
        char room[256];
        struct msghdr message = {.msg_control = room, .msg_controllen = sizeof room};
        if (recvmsg(b->socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head == NULL)
            return;
        struct sock_extended_err about;
        memcpy(&about, CMSG_DATA(head), sizeof about);
        if (about.ee_errno != 0 || about.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
            die("the error queue");
        b->completed += about.ee_data - about.ee_info + 1;
        if ((about.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0)
            side->served->copied = 1;
    }
}

static void send_without_copy(struct side *side, struct bulk *b, const uint8_t *from)
{
    for (size_t sent = 0; sent < b->size;) {
        ssize_t n = send(b->socket, from + sent, b->size - sent, MSG_ZEROCOPY | MSG_NOSIGNAL);
        if (n < 0 && errno != ENOBUFS)
            die("send");
        if (n < 0) { /* too many under way: only completions help */
            poll(&(struct pollfd){.fd = b->socket}, 1, -1);
            reap(side, b);
            continue;
        }
        sent += (size_t)n;
        if (++b->called % REAP_EVERY == 0)
            reap(side, b);
    }
}

static void give(struct side *side, struct bulk *b, uint64_t at)
{
    off_t from = (off_t)at, end = (off_t)(at + b->size);
    switch (b->way) {
    case SENDFILE:
        while (from < end) {
            if (sendfile(b->socket, b->file, &from, (size_t)(end - from)) <= 0)
                die("sendfile");
        }
        break;
    case COPY:
        if (pread(b->file, b->room, b->size, from) != (ssize_t)b->size)
            die("pread");
        transmit(b->socket, b->room, b->size, 0);
        break;
    case SEND:
        transmit(b->socket, b->map + at, b->size, 0);
        break;
    case ZEROCOPY:
        send_without_copy(side, b, b->map + at);
        break;
    }
}

static void serve(struct side *side, void *argument)
{
    struct bulk *b = argument;
    int yes = 1;
    b->room = room_of(b->size);
    b->socket = side_accept(side);
    if (b->way == ZEROCOPY &&
        setsockopt(b->socket, SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof yes) != 0)
        side_skip(side, errno);
    b->map = mmap(NULL, b->file_size, PROT_READ, MAP_SHARED | MAP_POPULATE, b->file, 0);
    if (b->map == MAP_FAILED)
        die("mmap");
    side_begin(side);
    for (uint64_t i = 0; i < b->count; i++)
        give(side, b, place_of(b, i));
    while (b->completed < b->called) {
        poll(&(struct pollfd){.fd = b->socket}, 1, -1);
        reap(side, b);
    }
}

int trial_bulk(char **words)
{
    struct bulk b = {.way = (enum way)word_of(words[0], ways),
                     .file = file_open(words[1], O_RDONLY),
                     .size = number(words[2]) / 8 * 8, .count = number(words[3])};
    struct result r = {.count = b.count, .bytes = b.count * b.size};
    struct stat about;
    struct side side;
    uint8_t *room = room_of(b.size);
    if (fstat(b.file, &about) != 0 || (size_t)about.st_size < 2 * b.size) {
        errno = EFBIG;
        die("the file is too small");
    }
    b.file_size = (size_t)about.st_size;
    side_open(&side);
    side_run(&side, serve, &b);
    int s = side_dial(&side);
    side_wait_ready(&side);
    int64_t begin = now_ns();
    for (uint64_t i = 0; i < b.count; i++) {
        if (!receive(s, room, b.size))
            die("the broker's side ended");
        r.wrong += !pattern_good(room, place_of(&b, i), b.size);
    }
    r.seconds = (double)(now_ns() - begin) / 1e9;
    side_end(&side, &r);
    r.note = side.served->copied ? "the kernel copied after all" : NULL;
    return trial_print(&r);
}

/* SPDX-License-Identifier: MIT */
/*
 * What the machine can do, in the shape of a broker's work: the figures beside which those of the
 * broker are shown. Each prints one line of JSON.
 *
 *     limits sink DIR CONNECTIONS FRAME REPLY IN_FLIGHT MIB   receive, CRC-32C, write, answer
 *     limits loopback DIR CONNECTIONS CHUNK MIB HOW              send a file's bytes over loopback:
 *         HOW: sendfile; write: from memory that holds all of them; again: one chunk of them again
 *         and again, which stays in the processor's cache
 *     limits pingpong REQUEST REPLY COUNT                     TCP, one message under way
 *     limits sync DIR SIZE COUNT                              append and fdatasync
 *     limits memory MIB                                       scan, copy, CRC-32C of memory
 *
 * CPU is that of the side a broker would be (a process of its own), in seconds a GiB.
 */
#include "machine.h"

#include "base/crc32c.h"
#include "base/histogram.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64 };

static struct histogram times;

static double cpu_of(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_times(const char *what)
{
    printf("{\"what\": \"%s\", \"count\": %llu, \"p50_us\": %.2f, \"p90_us\": %.2f, "
           "\"p99_us\": %.2f, \"max_us\": %.2f}\n", what, (unsigned long long)times.count,
           (double)histogram_at(&times, 0.5) / 1e3, (double)histogram_at(&times, 0.9) / 1e3,
           (double)histogram_at(&times, 0.99) / 1e3, (double)times.largest / 1e3);
}

static void *room_of(size_t size)
{
    void *at = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
    if (at == NULL)
        die("memory");
    memset(at, 0x5a, size);
    return at;
}

static void threads(int count, void *(*run)(void *), void *arguments, size_t size)
{
    pthread_t list[CONNECTIONS_MAX];
    for (int i = 0; i < count; i++) {
        if (pthread_create(&list[i], NULL, run, (char *)arguments + (size_t)i * size) != 0)
            die("a thread");
    }
    for (int i = 0; i < count; i++)
        pthread_join(list[i], NULL);
}

/* ---- sink: what a broker does at least for a produced batch ---- */

struct stream {
    int socket, file;
    size_t frame, reply;
    int in_flight;
    uint64_t frames;
    uint32_t crc;
    uint8_t *bytes;  /* of all frames, or of one that is sent again; NULL: the file's */
    bool again;
};

static void *sink(void *argument)
{
    struct stream *s = argument;
    uint8_t *room = room_of(s->frame), *reply = room_of(s->reply);
    off_t at = 0;
    while (receive(s->socket, room, s->frame)) {
        s->crc ^= crc32c(0, room, s->frame);
        if (pwrite(s->file, room, s->frame, at) != (ssize_t)s->frame)
            die("pwrite");
        at += (off_t)s->frame;
        transmit(s->socket, reply, s->reply, 0);
    }
    free(room);
    free(reply);
    return NULL;
}

static void *feed(void *argument)
{
    struct stream *s = argument;
    uint8_t *room = room_of(s->frame), *reply = room_of(s->reply);
    uint64_t sent = 0, answered = 0;
    while (answered < s->frames) {
        while (sent < s->frames && sent - answered < (uint64_t)s->in_flight) {
            memcpy(room, &sent, sizeof sent);
            transmit(s->socket, room, s->frame, 0);
            sent++;
        }
        if (!receive(s->socket, reply, s->reply))
            die("the sink ended early");
        answered++;
    }
    close(s->socket);
    free(room);
    free(reply);
    return NULL;
}

/* The child's CPU and what it did; the parent's is in *own. */
static void wait_child(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        die("the other side failed");
}

static int file_at(const char *dir, int number, int flags)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/limits-%d.data", dir, number);
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0)
        die("%s", path);
    if (unlink(path) != 0)
        die("%s", path);
    return file;
}

static int do_sink(char **a)
{
    static struct stream streams[CONNECTIONS_MAX];
    int count = (int)strtol(a[1], NULL, 10);
    size_t frame = strtoul(a[2], NULL, 10), mib = strtoul(a[5], NULL, 10);
    struct sockaddr_in address;
    int listener = listen_at(&address, CONNECTIONS_MAX);
    if (count < 1 || count > CONNECTIONS_MAX || frame < 8)
        die("1 to %d connections", CONNECTIONS_MAX);
    for (int i = 0; i < count; i++)
        streams[i] = (struct stream){.frame = frame, .reply = strtoul(a[3], NULL, 10),
                                     .in_flight = (int)strtol(a[4], NULL, 10),
                                     .frames = (mib << 20) / frame / (size_t)count};
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < count; i++) {
            streams[i].socket = accept_from(listener);
            streams[i].file = file_at(a[0], i, O_RDWR | O_CREAT | O_TRUNC);
        }
        threads(count, sink, streams, sizeof streams[0]);
        exit(0);
    }
    for (int i = 0; i < count; i++)
        streams[i].socket = dial(&address);
    int64_t begin = now_ns();
    threads(count, feed, streams, sizeof streams[0]);
    double seconds = (double)(now_ns() - begin) / 1e9;
    wait_child(child);
    double gib = (double)(streams[0].frames * (uint64_t)count * frame) / (double)GiB(1);
    printf("{\"what\": \"sink\", \"connections\": %d, \"frame\": %zu, \"gib\": %.3f, "
           "\"mib_per_s\": %.1f, \"cpu_s\": %.3f, \"cpu_s_per_gib\": %.4f}\n", count, frame, gib,
           gib * 1024 / seconds, cpu_of(RUSAGE_CHILDREN), cpu_of(RUSAGE_CHILDREN) / gib);
    return 0;
}

/* ---- loopback: what a broker does at least for a fetched byte ---- */

static void *give(void *argument)
{
    struct stream *s = argument;
    for (uint64_t i = 0; i < s->frames; i++) {
        off_t at = (off_t)(i * s->frame), end = at + (off_t)s->frame;
        while (s->bytes == NULL && at < end) {
            if (sendfile(s->socket, s->file, &at, (size_t)(end - at)) <= 0)
                die("sendfile");
        }
        if (s->bytes != NULL)
            transmit(s->socket, s->bytes + (s->again ? 0 : at), s->frame, 0);
    }
    close(s->socket);
    return NULL;
}

static void *take(void *argument)
{
    struct stream *s = argument;
    uint8_t *room = room_of(MiB(1));
    for (;;) {
        ssize_t n = recv(s->socket, room, MiB(1), 0);
        if (n < 0)
            die("recv");
        if (n == 0)
            break;
    }
    free(room);
    return NULL;
}

static void fill(int file, size_t size)
{
    uint8_t *room = room_of(MiB(1));
    for (size_t at = 0; at < size; at += MiB(1)) {
        size_t part = MIN(MiB(1), size - at);
        if (pwrite(file, room, part, (off_t)at) != (ssize_t)part)
            die("pwrite");
    }
    free(room);
}

static int do_loopback(char **a)
{
    static struct stream streams[CONNECTIONS_MAX];
    int count = (int)strtol(a[1], NULL, 10);
    size_t chunk = strtoul(a[2], NULL, 10), mib = strtoul(a[3], NULL, 10);
    struct sockaddr_in address;
    int listener = listen_at(&address, CONNECTIONS_MAX);
    if (count < 1 || count > CONNECTIONS_MAX || chunk < 1)
        die("1 to %d connections", CONNECTIONS_MAX);
    for (int i = 0; i < count; i++) {
        struct stream *s = &streams[i];
        *s = (struct stream){.frame = chunk, .frames = (mib << 20) / chunk / (size_t)count,
                             .again = strcmp(a[4], "again") == 0};
        if (strcmp(a[4], "sendfile") == 0) {
            s->file = file_at(a[0], i, O_RDWR | O_CREAT | O_TRUNC);
            fill(s->file, chunk * s->frames);
        } else {
            s->bytes = room_of(s->again ? chunk : chunk * s->frames);
        }
    }
    double before = cpu_of(RUSAGE_CHILDREN);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < count; i++)
            streams[i].socket = accept_from(listener);
        threads(count, give, streams, sizeof streams[0]);
        exit(0);
    }
    for (int i = 0; i < count; i++)
        streams[i].socket = dial(&address);
    int64_t begin = now_ns();
    threads(count, take, streams, sizeof streams[0]);
    double seconds = (double)(now_ns() - begin) / 1e9;
    wait_child(child);
    double gib = (double)(streams[0].frames * (uint64_t)count * chunk) / (double)GiB(1);
    double cpu = cpu_of(RUSAGE_CHILDREN) - before;
    printf("{\"what\": \"loopback %s\", \"connections\": %d, \"chunk\": %zu, \"gib\": %.3f, "
           "\"mib_per_s\": %.1f, \"cpu_s\": %.3f, \"cpu_s_per_gib\": %.4f}\n", a[4], count, chunk,
           gib, gib * 1024 / seconds, cpu, cpu / gib);
    return 0;
}

/* ---- ping-pong ---- */

static int do_pingpong(char **a)
{
    size_t request = strtoul(a[0], NULL, 10), reply = strtoul(a[1], NULL, 10);
    long count = strtol(a[2], NULL, 10);
    uint8_t *out = room_of(request), *in = room_of(reply);
    struct sockaddr_in address;
    int listener = listen_at(&address, CONNECTIONS_MAX);
    pid_t child = fork();
    if (child == 0) {
        int s = accept_from(listener);
        while (receive(s, out, request))
            transmit(s, in, reply, 0);
        exit(0);
    }
    int s = dial(&address);
    for (long i = -count / 10; i < count; i++) {
        int64_t begin = now_ns();
        transmit(s, out, request, 0);
        if (!receive(s, in, reply))
            die("the other side ended");
        if (i >= 0)
            histogram_add(&times, now_ns() - begin, 1);
    }
    close(s);
    wait_child(child);
    print_times("pingpong");
    return 0;
}

/* ---- disk ---- */

static int do_sync(char **a)
{
    size_t size = strtoul(a[1], NULL, 10);
    long count = strtol(a[2], NULL, 10);
    int file = file_at(a[0], 0, O_RDWR | O_CREAT | O_TRUNC);
    uint8_t *room = room_of(size);
    off_t at = 0;
    for (long i = -count / 10; i < count; i++, at += (off_t)size) {
        int64_t begin = now_ns();
        if (pwrite(file, room, size, at) != (ssize_t)size || fdatasync(file) != 0)
            die("write and sync");
        if (i >= 0)
            histogram_add(&times, now_ns() - begin, 1);
    }
    print_times("write and fdatasync");
    return 0;
}

/* ---- memory ---- */

static volatile uint64_t nothing; /* so that no result is unused */

static void scan(const uint64_t *from, size_t words)
{
    uint64_t sums[4] = {0};
    for (size_t i = 0; i + 4 <= words; i += 4) {
        for (int k = 0; k < 4; k++)
            sums[k] += from[i + (size_t)k];
    }
    nothing += sums[0] + sums[1] + sums[2] + sums[3];
}

static double best_gib(int what, uint8_t *from, uint8_t *to, size_t size)
{
    double best = 0;
    for (int round = 0; round < 5; round++) {
        int64_t begin = now_ns();
        if (what == 0)
            scan((const uint64_t *)(const void *)from, size / 8);
        else if (what == 1)
            memcpy(to, from, size);
        else
            nothing += crc32c(0, from, size);
        double gib = (double)size / (double)GiB(1) / ((double)(now_ns() - begin) / 1e9);
        best = MAX(best, gib);
    }
    nothing += to[size / 2];
    return best;
}

static int do_memory(char **a)
{
    size_t size = strtoul(a[0], NULL, 10) << 20;
    uint8_t *from = room_of(size), *to = room_of(size);
    printf("{\"what\": \"memory\", \"mib\": %zu, \"scan_gib_per_s\": %.2f, "
           "\"copy_gib_per_s\": %.2f, \"crc_gib_per_s\": %.2f}\n", size >> 20,
           best_gib(0, from, to, size), best_gib(1, from, to, size), best_gib(2, from, to, size));
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int words;
        int (*run)(char **);
    } verbs[] = {{"sink", 6, do_sink}, {"loopback", 5, do_loopback}, {"pingpong", 3, do_pingpong},
                 {"sync", 3, do_sync}, {"memory", 1, do_memory}};
    for (size_t i = 0; argc > 1 && i < COUNT_OF(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].words + 2)
            return verbs[i].run(argv + 2);
    }
    fprintf(stderr, "usage: the first lines of bench/limits.c\n");
    return 2;
}

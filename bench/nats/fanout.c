/* SPDX-License-Identifier: MIT */
/*
 * A load generator for NATS servers: publishers and subscribers over plain sockets, one thread.
 *
 *     fanout run HOST:PORT [pid=N] [publishers=1] [subscribers=48] [subjects=1] [size=16]
 *            [messages=N | seconds=N] [warm=N] [rate=N] [window=N] [filter=SUBJECT] [prefix=bench]
 *     fanout idle-subscriptions HOST:PORT [pid=N] [count=100000] [connections=10]
 *     fanout idle-connections HOST:PORT [pid=N] [count=10000]
 *     fanout churn HOST:PORT [pid=N] [count=100000]
 *
 * Publisher p publishes `messages` messages to subject p % subjects; subscriber i is subscribed to
 * subject i % subjects. With a rate (messages a second, of all publishers) the loop is open: a
 * message is due at a time that does not depend on anything that happened, and that time stands in
 * it, so that waiting counts. Without one, publishers go on while no subscriber is more than
 * `window` messages behind. Every message is checked by every subscriber: subject, size, contents,
 * and order from each publisher. `warm` messages come first and are not measured; with `seconds`,
 * as many as at their pace take that long.
 *
 * Latency is up to when a message was read (p50_us, ...): one thread reads for all subscribers, so
 * with many of them a part of it is the generator's own. arrived_p50_us and arrived_p99_us are up
 * to when the kernel had the bytes for the subscriber's socket (SO_TIMESTAMPNS): the server's part.
 *
 * Prints one line of JSON. Exit status 1 when something was lost, doubled, disordered or changed.
 */
#include "hist.h"
#include "peer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    STAMP = 16,              /* due time, sequence, publisher */
    OUT_SIZE = 64 << 10,
    READ_SIZE = 256 << 10,
    READ_ROOM = 2 << 20,     /* the rest of a message, and a read */
    LOST_AFTER_S = 10,       /* nothing arrives for so long */
    EVENTS = 256,
    LATE_MAX = 2048,         /* messages caught up with between two looks at the sockets */
};

struct stamp {
    int64_t due_ns;
    uint32_t sequence, publisher;
};

struct publisher {
    int fd;
    bool blocked;
    char *out;               /* whole frames; unsent from `sent` to `filled` */
    size_t sent, filled;
    char head[256];          /* "PUB subject size\r\n" */
    size_t head_size;
    uint32_t next;           /* sequence */
};

struct subscriber {
    int fd;
    char *carry;             /* the begin of a frame that is not all here */
    size_t carried;
    char head[256];          /* "MSG subject sid size\r\n" */
    size_t head_size;
    uint32_t *next;          /* by publisher */
    uint64_t received;
};

struct bench {
    struct server server;
    int64_t publishers, subscribers, subjects, size, messages, warm, rate, window;
    int poll;
    struct publisher *p;
    struct subscriber *s;
    const char *prefix;      /* of subjects */
    char *pattern;           /* what follows the stamp */
    char *room;              /* READ_ROOM */
    uint64_t published, received, wrong;
    int64_t begin_ns, last_ns; /* of the phase; of what was received last */
    uint64_t phase_first;    /* messages published before this phase */
    int64_t wall_ns;         /* wall clock less monotonic clock */
    struct hist latency, arrival;
};

/* ---- subscribers ---- */

/* `now` it is read, it was there since `arrived`. */
static void take(struct bench *b, struct subscriber *s, const char *payload, int64_t now,
                 int64_t arrived)
{
    struct stamp stamp;
    memcpy(&stamp, payload, sizeof stamp);
    bool good = stamp.publisher < b->publishers && stamp.sequence == s->next[stamp.publisher] &&
                memcmp(payload + STAMP, b->pattern, (size_t)b->size - STAMP) == 0;
    if (good)
        s->next[stamp.publisher]++;
    else if (stamp.publisher < b->publishers)
        s->next[stamp.publisher] = stamp.sequence + 1;
    b->wrong += !good;
    s->received++;
    b->received++;
    hist_add(&b->latency, now - stamp.due_ns);
    hist_add(&b->arrival, arrived - stamp.due_ns);
}

/* A line that is no message; its length, 0 when it is not all here. */
static size_t other_line(struct subscriber *s, const char *at, size_t size)
{
    const char *end = memchr(at, '\n', size);
    if (end == NULL)
        return 0;
    size_t length = (size_t)(end - at) + 1;
    if (strncmp(at, "PING", 4) == 0)
        peer_send(s->fd, "PONG\r\n", 6);
    else if (strncmp(at, "INFO ", 5) != 0 && strncmp(at, "PONG", 4) != 0)
        die("a subscriber was sent %.*s", (int)length, at);
    return length;
}

/* How much of it was whole. */
static size_t parse(struct bench *b, struct subscriber *s, const char *at, size_t size, int64_t now,
                    int64_t arrived)
{
    size_t done = 0, frame = s->head_size + (size_t)b->size + 2;
    while (done < size) {
        size_t left = size - done, same = left < s->head_size ? left : s->head_size;
        if (memcmp(at + done, s->head, same) != 0) {
            size_t line = other_line(s, at + done, left);
            if (line == 0)
                break;
            done += line;
            continue;
        }
        if (left < frame)
            break;
        if (memcmp(at + done + frame - 2, "\r\n", 2) != 0)
            die("no line end after a message");
        take(b, s, at + done + s->head_size, now, arrived);
        done += frame;
    }
    return done;
}

/* As recv; and when the last of the bytes came to the socket, 0: not known. */
static ssize_t receive(const struct bench *b, int fd, void *to, size_t size, int64_t *arrived)
{
    char control[256];
    struct iovec piece = {to, size};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &m, 0);
    *arrived = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n > 0 && c != NULL; c = CMSG_NXTHDR(&m, c)) {
        struct timespec at;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&at, CMSG_DATA(c), sizeof at);
        *arrived = (int64_t)at.tv_sec * 1000000000 + at.tv_nsec - b->wall_ns;
    }
    return n;
}

static void read_subscriber(struct bench *b, struct subscriber *s)
{
    int64_t arrived;
    memcpy(b->room, s->carry, s->carried);
    ssize_t n = receive(b, s->fd, b->room + s->carried, READ_SIZE, &arrived);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        die("the server closed a subscriber's connection after %llu messages",
            (unsigned long long)s->received);
    size_t have = s->carried + (size_t)n;
    b->last_ns = now_ns();
    size_t done = parse(b, s, b->room, have, b->last_ns, arrived != 0 ? arrived : b->last_ns);
    s->carried = have - done;
    memcpy(s->carry, b->room + done, s->carried);
}

/* ---- publishers ---- */

static void write_publisher(struct bench *b, struct publisher *p)
{
    while (p->sent < p->filled) {
        ssize_t n = send(p->fd, p->out + p->sent, p->filled - p->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            die("the server closed a publisher's connection");
        if (n < 0)
            break;
        p->sent += (size_t)n;
    }
    bool blocked = p->sent < p->filled;
    if (!blocked)
        p->sent = p->filled = 0;
    if (blocked != p->blocked) {
        struct epoll_event e = {.events = EPOLLIN | (blocked ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = p};
        epoll_ctl(b->poll, EPOLL_CTL_MOD, p->fd, &e);
        p->blocked = blocked;
    }
}

static void read_publisher(struct bench *b, struct publisher *p)
{
    char text[4096];
    ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
    if (n == 0)
        die("the server closed a publisher's connection");
    if (n < 0)
        return;
    text[n] = '\0';
    if (strstr(text, "-ERR") != NULL)
        die("a publisher was sent %s", text);
    if (strstr(text, "PING") != NULL && p->filled == 0)
        peer_send(p->fd, "PONG\r\n", 6);
    (void)b;
}

/* false: no room now */
static bool put(struct bench *b, struct publisher *p, int64_t due_ns)
{
    size_t frame = p->head_size + (size_t)b->size + 2;
    if (p->filled + frame > OUT_SIZE && p->filled > 0)
        return false;
    struct stamp stamp = {due_ns, p->next++, (uint32_t)(p - b->p)};
    char *at = p->out + p->filled;
    memcpy(at, p->head, p->head_size);
    at += p->head_size;
    memcpy(at, &stamp, sizeof stamp);
    memcpy(at + STAMP, b->pattern, (size_t)b->size - STAMP);
    memcpy(at + b->size, "\r\n", 2);
    p->filled += frame;
    b->published++;
    return true;
}

/* ---- a phase ---- */

/* Nothing is behind when this is 0: the messages the slowest subscriber of the subject lacks. */
static uint64_t lag(const struct bench *b, int64_t subject)
{
    uint64_t published = 0, least = UINT64_MAX;
    for (int64_t i = subject; i < b->publishers; i += b->subjects)
        published += b->p[i].next;
    for (int64_t i = subject; i < b->subscribers; i += b->subjects)
        least = b->s[i].received < least ? b->s[i].received : least;
    return least == UINT64_MAX || least > published ? 0 : published - least;
}

static uint64_t expected(const struct bench *b)
{
    uint64_t all = 0;
    for (int64_t i = 0; i < b->publishers; i++) {
        int64_t subject = i % b->subjects;
        int64_t hearers = (b->subscribers - subject + b->subjects - 1) / b->subjects;
        all += (uint64_t)b->p[i].next * (uint64_t)hearers;
    }
    return all;
}

/* As fast as possible. true: there is more that could be sent at once. */
static bool publish_window(struct bench *b, uint32_t until)
{
    bool more = false;
    for (int64_t i = 0; i < b->publishers; i++) {
        struct publisher *p = &b->p[i];
        if (p->blocked || p->next == until)
            continue;
        uint64_t behind = lag(b, i % b->subjects);
        int64_t now = now_ns();
        while (p->next < until && behind < (uint64_t)b->window && put(b, p, now))
            behind++;
        write_publisher(b, p);
        more |= !p->blocked && p->next < until && behind < (uint64_t)b->window;
    }
    return more;
}

static int64_t due(const struct bench *b, int64_t rate, uint64_t number)
{
    return b->begin_ns + (int64_t)((double)number * 1e9 / (double)rate);
}

/* What is due, round robin; the time the next one is due, INT64_MAX after the last. */
static int64_t publish_due(struct bench *b, int64_t rate, uint64_t count, struct hist *late)
{
    int64_t now = now_ns();
    uint64_t first = b->published - b->phase_first;
    for (int n = 0; n < LATE_MAX && b->published - b->phase_first < count; n++) {
        uint64_t number = b->published - b->phase_first;
        int64_t when = due(b, rate, number);
        if (when > now || !put(b, &b->p[number % (uint64_t)b->publishers], when))
            break;
        hist_add(late, now - when);
    }
    if (b->published - b->phase_first > first)
        for (int64_t i = 0; i < b->publishers; i++)
            write_publisher(b, &b->p[i]);
    uint64_t next = b->published - b->phase_first;
    return next < count ? due(b, rate, next) : INT64_MAX;
}

static void look(struct bench *b, int64_t wait_ns)
{
    static struct epoll_event events[EVENTS];
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int n = epoll_pwait2(b->poll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        void *who = events[i].data.ptr;
        if ((char *)who < (char *)b->p || (char *)who >= (char *)(b->p + b->publishers)) {
            read_subscriber(b, who);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            write_publisher(b, who);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            read_publisher(b, who);
    }
}

/* `each` messages of every publisher, and until they are all received or lost. */
static void phase(struct bench *b, uint32_t each, int64_t rate, struct hist *late)
{
    uint64_t count = (uint64_t)each * (uint64_t)b->publishers;
    uint32_t until = b->p[0].next + each;
    memset(&b->latency, 0, sizeof b->latency);
    memset(&b->arrival, 0, sizeof b->arrival);
    b->phase_first = b->published;
    b->begin_ns = b->last_ns = now_ns();
    for (;;) {
        int64_t wait = 1000000000, now;
        if (rate > 0) {
            int64_t next = publish_due(b, rate, count, late);
            if (next != INT64_MAX)
                wait = next - now_ns() > 0 ? next - now_ns() : 0;
        } else if (publish_window(b, until)) {
            wait = 0;
        }
        look(b, wait > 0 ? wait : 0);
        bool all = b->published - b->phase_first == count;
        if (all && b->received >= expected(b))
            return;
        now = now_ns();
        if (now - b->last_ns > (int64_t)LOST_AFTER_S * 1000000000 && (all || rate == 0))
            return;
    }
}

/* ---- a run ---- */

static void open_publishers(struct bench *b, int64_t size)
{
    size_t frame = (size_t)size + 300;
    b->p = calloc((size_t)b->publishers, sizeof *b->p);
    for (int64_t i = 0; i < b->publishers; i++) {
        struct publisher *p = &b->p[i];
        p->fd = peer_open(&b->server);
        p->out = malloc(frame > OUT_SIZE ? frame : OUT_SIZE);
        p->head_size = (size_t)snprintf(p->head, sizeof p->head, "PUB %s.%lld %lld\r\n",
                                        b->prefix, (long long)(i % b->subjects), (long long)size);
        peer_unblock(p->fd);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
        epoll_ctl(b->poll, EPOLL_CTL_ADD, p->fd, &e);
    }
}

static void open_subscribers(struct bench *b, const char *filter)
{
    char line[512];
    int stamps = b->rate > 0; /* they cost something */
    b->s = calloc((size_t)b->subscribers, sizeof *b->s);
    for (int64_t i = 0; i < b->subscribers; i++) {
        struct subscriber *s = &b->s[i];
        char subject[64];
        snprintf(subject, sizeof subject, "%s.%lld", b->prefix, (long long)(i % b->subjects));
        s->fd = peer_open(&b->server);
        s->carry = malloc((size_t)b->size + (64 << 10));
        s->next = calloc((size_t)b->publishers, sizeof *s->next);
        s->head_size = (size_t)snprintf(s->head, sizeof s->head, "MSG %s 7 %lld\r\n", subject,
                                        (long long)b->size);
        int size = snprintf(line, sizeof line, "SUB %s 7\r\n", filter ? filter : subject);
        peer_send(s->fd, line, (size_t)size);
        peer_flush(s->fd);
        peer_unblock(s->fd);
        setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &stamps, sizeof stamps);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
        epoll_ctl(b->poll, EPOLL_CTL_ADD, s->fd, &e);
    }
}

static int print(const struct bench *b, double cpu, double own_cpu, const struct hist *late,
                 uint64_t received)
{
    double seconds = (double)(b->last_ns - b->begin_ns) / 1e9;
    double published = (double)(b->published - b->phase_first);
    double got = (double)(b->received - received);
    int64_t lost = (int64_t)(expected(b) - b->received);
    const struct hist *h = &b->latency;
    printf("{\"publishers\": %lld, \"subscribers\": %lld, \"size\": %lld, \"rate\": %lld, "
           "\"published\": %.0f, \"deliveries\": %.0f, \"lost\": %lld, \"wrong\": %llu, "
           "\"seconds\": %.3f, \"publishes_per_s\": %.0f, \"deliveries_per_s\": %.0f, ",
           (long long)b->publishers, (long long)b->subscribers, (long long)b->size,
           (long long)b->rate, published, got, (long long)lost, (unsigned long long)b->wrong,
           seconds, published / seconds, got / seconds);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"max_us\": %.1f, \"arrived_p50_us\": %.1f, \"arrived_p99_us\": %.1f, "
           "\"late_p99_us\": %.1f, \"late_max_us\": %.1f, ",
           hist_us(h, 0.5), hist_us(h, 0.9), hist_us(h, 0.99), hist_us(h, 0.999), hist_us(h, 1),
           hist_us(&b->arrival, 0.5), hist_us(&b->arrival, 0.99), hist_us(late, 0.99),
           hist_us(late, 1));
    printf("\"cpu_s\": %.2f, \"cpu_s_per_million\": %.4f, \"generator_cpu_s\": %.2f, "
           "\"rss_mib\": %.1f, \"anon_mib\": %.1f, \"peak_mib\": %.1f}\n",
           cpu, got > 0 ? cpu / got * 1e6 : 0, own_cpu,
           (double)server_kib(&b->server, "VmRSS") / 1024,
           (double)server_kib(&b->server, "RssAnon") / 1024,
           (double)server_kib(&b->server, "VmHWM") / 1024);
    return lost == 0 && b->wrong == 0 ? 0 : 1;
}

static int run(const struct server *server, int argc, char **argv)
{
    static struct bench bench;
    static struct hist late;
    struct bench *b = &bench;
    b->server = *server;
    b->publishers = argument(argc, argv, "publishers", 1);
    b->subscribers = argument(argc, argv, "subscribers", 48);
    b->subjects = argument(argc, argv, "subjects", 1);
    b->size = argument(argc, argv, "size", 16);
    b->messages = argument(argc, argv, "messages", 100000);
    b->warm = argument(argc, argv, "warm", b->messages / 10);
    b->rate = argument(argc, argv, "rate", 0);
    b->window = argument(argc, argv, "window", (4 << 20) / (b->size + 30));
    if (b->size < STAMP || b->size > 1 << 20 || b->publishers < 1 || b->subscribers < 1 ||
        b->messages < 1 || b->subjects < 1)
        die("size 16 to 1048576; one publisher, subscriber, subject, message at least");
    b->prefix = argument_text(argc, argv, "prefix", "bench");
    if (strlen(b->prefix) > 40)
        die("a prefix of at most 40 bytes");
    prctl(PR_SET_TIMERSLACK, 1);
    b->poll = epoll_create1(EPOLL_CLOEXEC);
    b->room = malloc(READ_ROOM);
    b->pattern = malloc((size_t)b->size);
    for (int64_t i = 0; i < b->size; i++)
        b->pattern[i] = (char)('a' + i * 7 % 26);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    b->wall_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec - now_ns();
    open_subscribers(b, argument_text(argc, argv, "filter", NULL));
    open_publishers(b, b->size);
    if (b->warm > 0)
        phase(b, (uint32_t)b->warm, b->rate, &late);
    int64_t wanted_s = argument(argc, argv, "seconds", 0);
    if (wanted_s > 0)
        b->messages = 1 + (int64_t)((double)(b->warm * wanted_s * 1000000000) /
                                    (double)(b->last_ns - b->begin_ns + 1));
    memset(&late, 0, sizeof late);
    struct server self = {.pid = (int)getpid()};
    uint64_t received = b->received;
    double cpu = server_cpu(server), own = server_cpu(&self);
    phase(b, (uint32_t)b->messages, b->rate, &late);
    cpu = server_cpu(server) - cpu;
    return print(b, cpu, server_cpu(&self) - own, &late, received);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: fanout run|idle-subscriptions|idle-connections|churn HOST:PORT "
            "[NAME=VALUE...]");
    struct server server = server_of(argv[2], (int)argument(argc, argv, "pid", 0));
    if (strcmp(argv[1], "run") == 0)
        return run(&server, argc, argv);
    if (strcmp(argv[1], "idle-subscriptions") == 0)
        return idle_subscriptions(&server, argument(argc, argv, "count", 100000),
                                  argument(argc, argv, "connections", 10));
    if (strcmp(argv[1], "idle-connections") == 0)
        return idle_connections(&server, argument(argc, argv, "count", 10000));
    if (strcmp(argv[1], "churn") == 0)
        return churn(&server, argument(argc, argv, "count", 100000));
    die("%s: not known", argv[1]);
}

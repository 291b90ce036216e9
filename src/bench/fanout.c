/* SPDX-License-Identifier: MIT */
/*
 * Fan-out on a NATS server: publishers and subscribers of one subject over plain sockets, one
 * thread. Every subscriber checks every message: size, contents, order from each publisher. With a
 * rate a message is due when it is due; without one, publishers go on while no subscriber is more
 * than `window` messages behind.
 */
#include "bench/private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define OUT_SIZE KiB(64)
#define READ_SIZE KiB(256)
#define CONNECT_MS 10000
#define EVENTS 128
#define LOOK_NS 100000000  /* longest wait: the wish to end is seen */
#define LATE_MAX 2048      /* messages caught up with between two looks at the sockets */
#define HEAD_SIZE 320

struct publisher {
    int fd;
    bool blocked;
    uint8_t *out;            /* whole frames; unsent from `sent` to `filled` */
    size_t sent, filled, room;
    uint32_t next;           /* sequence */
};

struct subscriber {
    int fd;
    uint8_t *in;             /* from `at` to `used`: not looked at yet */
    size_t used, room;
    uint32_t *next;          /* by publisher */
    uint64_t received;
};

struct fan_out {
    const struct bench_options *o;
    struct bench_report *r;
    int poller;
    struct publisher *publishers;
    struct subscriber *subscribers;
    uint8_t *pattern;        /* what follows the stamp */
    char pub[HEAD_SIZE], msg[HEAD_SIZE]; /* "PUB subject size\r\n", "MSG subject 1 size\r\n" */
    size_t pub_size, msg_size;
    struct bench_pace pace;
    uint64_t published, received;             /* messages; deliveries */
    int64_t from_ns, until_ns, last_ns, tick_ns;
    uint64_t end_number;     /* messages in all; UINT64_MAX: until the time is over */
    uint64_t shown_published, shown_received;
    bool ended;
    double server_s, own_s;
};

static enum outcome gone(const char *who)
{
    errno = 0;
    return fail(OUT_CLOSED, "the server closed the connection of a %s", who);
}

/* ---- connecting ---- */

static enum outcome say(int fd, const char *text)
{
    size_t size = strlen(text), sent = 0;
    struct iovec piece = {(void *)(uintptr_t)text, size};
    enum outcome o = os_send(fd, &piece, 1, false, &sent);
    return o == OUT_OK && sent == size ? OUT_OK : gone("client");
}

/* Reads until `wanted` came; a refusal is a failure. */
static enum outcome hear(int fd, const char *wanted)
{
    char text[KiB(16)];
    size_t used = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (used + 1 < sizeof text) {
        size_t got = 0;
        if (poll(&p, 1, CONNECT_MS) <= 0)
            return errno = 0, fail(OUT_TIMED_OUT, "the server says nothing: is it a NATS server?");
        enum outcome o = os_receive(fd, text + used, sizeof text - 1 - used, &got);
        if (o != OUT_OK && o != OUT_AGAIN)
            return gone("client");
        used += got;
        text[used] = '\0';
        const char *refused = strstr(text, "-ERR");
        if (refused != NULL)
            return fail(OUT_INVALID, "the server refuses: %.*s", (int)strcspn(refused, "\r\n"),
                        refused);
        if (strstr(text, wanted) != NULL && text[used - 1] == '\n')
            return OUT_OK;
    }
    return fail(OUT_MALFORMED, "the server is no NATS server");
}

static enum outcome enter(struct fan_out *f, int *fd, void *context)
{
    enum outcome o = f->o->dial(f->o->host, f->o->port, fd);
    if (o == OUT_OK)
        o = hear(*fd, "INFO {");
    if (o == OUT_OK)
        o = say(*fd, "CONNECT {\"verbose\":false,\"name\":\"fluxmq-bench\",\"lang\":\"c\","
                     "\"version\":\"" FLUXMQ_VERSION "\"}\r\nPING\r\n");
    if (o == OUT_OK)
        o = hear(*fd, "PONG\r\n");
    return o == OUT_OK ? os_poller_add(f->poller, *fd, OS_READABLE, context) : o;
}

static enum outcome open_publisher(struct fan_out *f, struct publisher *p)
{
    p->room = MAX(OUT_SIZE, f->pub_size + (size_t)f->o->size + 2);
    p->out = malloc(p->room);
    if (p->out == NULL)
        return fail(OUT_NO_MEMORY, "a publisher");
    return enter(f, &p->fd, p);
}

static enum outcome open_subscriber(struct fan_out *f, struct subscriber *s)
{
    char line[HEAD_SIZE];
    s->room = READ_SIZE + f->msg_size + (size_t)f->o->size + 2;
    s->in = malloc(s->room);
    s->next = calloc((size_t)f->o->publishers, sizeof *s->next);
    if (s->in == NULL || s->next == NULL)
        return fail(OUT_NO_MEMORY, "a subscriber");
    enum outcome o = enter(f, &s->fd, s);
    snprintf(line, sizeof line, "SUB %s 1\r\nPING\r\n", f->o->name);
    if (o == OUT_OK)
        o = say(s->fd, line);
    return o == OUT_OK ? hear(s->fd, "PONG\r\n") : o;
}

/* ---- subscribers ---- */

static void take(struct fan_out *f, struct subscriber *s, const uint8_t *payload, int64_t now)
{
    struct bench_stamp stamp = {0};
    size_t size = (size_t)f->o->size;
    bool known = bench_stamp_read(bytes_view(payload, size), &stamp) &&
                 stamp.lane < f->o->publishers;
    bool good = known && stamp.sequence == s->next[stamp.lane] &&
                memcmp(payload + BENCH_STAMP, f->pattern, size - BENCH_STAMP) == 0;
    if (known)
        s->next[stamp.lane] = stamp.sequence + 1;
    f->r->wrong += !good;
    s->received++;
    f->received++;
    if (stamp.due_ns >= f->from_ns)
        histogram_add(&f->r->latency, now - stamp.due_ns, 1);
}

/* A line that is no message; its length, 0: it is not all here; -1: a refusal. */
static ssize_t other_line(struct subscriber *s, const uint8_t *at, size_t size)
{
    const uint8_t *end = memchr(at, '\n', size);
    if (end == NULL)
        return 0;
    if (size > 4 && memcmp(at, "PING", 4) == 0 && say(s->fd, "PONG\r\n") != OUT_OK)
        return -1;
    if (size > 4 && memcmp(at, "-ERR", 4) == 0) {
        errno = 0;
        outcome_fail(OUT_INVALID, __FILE__, __LINE__, "a subscriber was sent %.*s",
                     (int)(end - at), at);
        return -1;
    }
    return end - at + 1;
}

static enum outcome read_subscriber(struct fan_out *f, struct subscriber *s)
{
    size_t got = 0, at = 0, frame = f->msg_size + (size_t)f->o->size + 2;
    enum outcome o = os_receive(s->fd, s->in + s->used, s->room - s->used, &got);
    if (o == OUT_AGAIN)
        return OUT_OK;
    if (o != OUT_OK)
        return gone("subscriber");
    int64_t now = os_now_ns();
    s->used += got;
    while (at < s->used) {
        size_t left = s->used - at;
        if (memcmp(s->in + at, f->msg, MIN(left, f->msg_size)) == 0) {
            if (left < frame)
                break;
            take(f, s, s->in + at + f->msg_size, now);
            at += frame;
            f->last_ns = now;
            continue;
        }
        ssize_t line = other_line(s, s->in + at, left);
        if (line < 0)
            return OUT_INVALID;
        if (line == 0)
            break;
        at += (size_t)line;
    }
    s->used -= at;
    memmove(s->in, s->in + at, s->used);
    return OUT_OK;
}

/* ---- publishers ---- */

static enum outcome flush(struct fan_out *f, struct publisher *p)
{
    while (p->sent < p->filled) {
        struct iovec piece = {p->out + p->sent, p->filled - p->sent};
        size_t sent = 0;
        enum outcome o = os_send(p->fd, &piece, 1, false, &sent);
        if (o == OUT_AGAIN)
            break;
        if (o != OUT_OK)
            return gone("publisher");
        p->sent += sent;
    }
    bool blocked = p->sent < p->filled;
    if (!blocked)
        p->sent = p->filled = 0;
    if (blocked != p->blocked)
        os_poller_change(f->poller, p->fd, blocked ? OS_READABLE | OS_WRITABLE : OS_READABLE, p);
    p->blocked = blocked;
    return OUT_OK;
}

static enum outcome read_publisher(struct publisher *p)
{
    char text[KiB(4)];
    size_t got = 0;
    enum outcome o = os_receive(p->fd, text, sizeof text - 1, &got);
    if (o == OUT_AGAIN)
        return OUT_OK;
    if (o != OUT_OK)
        return gone("publisher");
    text[got] = '\0';
    const char *refused = strstr(text, "-ERR");
    if (refused != NULL)
        return errno = 0, fail(OUT_INVALID, "a publisher was sent %.*s",
                               (int)strcspn(refused, "\r\n"), refused);
    if (strstr(text, "PING") != NULL && p->filled == 0)
        return say(p->fd, "PONG\r\n");
    return OUT_OK;
}

/* false: no room now */
static bool put(struct fan_out *f, struct publisher *p, int64_t due_ns)
{
    size_t size = (size_t)f->o->size, frame = f->pub_size + size + 2;
    if (p->filled + frame > p->room)
        return false;
    struct bench_stamp stamp = {due_ns, (uint32_t)(p - f->publishers), p->next++};
    uint8_t *at = p->out + p->filled;
    memcpy(at, f->pub, f->pub_size);
    memcpy(at + f->pub_size, &stamp, sizeof stamp);
    memcpy(at + f->pub_size + BENCH_STAMP, f->pattern, size - BENCH_STAMP);
    memcpy(at + f->pub_size + size, "\r\n", 2);
    p->filled += frame;
    f->published++;
    if (due_ns >= f->from_ns)
        f->r->records++;
    return true;
}

static uint64_t slowest(const struct fan_out *f)
{
    uint64_t least = UINT64_MAX;
    for (int64_t i = 0; i < f->o->subscribers; i++)
        least = MIN(least, f->subscribers[i].received);
    return least;
}

static bool is_over(const struct fan_out *f, int64_t due_ns)
{
    return f->published >= f->end_number || due_ns >= f->until_ns || f->o->stopped();
}

/* As much as the window has room for; *wake is now when there is more. */
static enum outcome publish_window(struct fan_out *f, int64_t now, int64_t *wake)
{
    enum outcome o = OUT_OK;
    for (int64_t i = 0; i < f->o->publishers && o == OUT_OK && !f->ended; i++) {
        struct publisher *p = &f->publishers[i];
        if (p->blocked)
            continue;
        uint64_t least = slowest(f);
        while (f->published - least < (uint64_t)f->o->window && !f->ended) {
            f->ended = is_over(f, now);
            if (f->ended || !put(f, p, now))
                break;
        }
        o = flush(f, p);
        if (!p->blocked && f->published - least < (uint64_t)f->o->window)
            *wake = now;
    }
    return o;
}

static enum outcome publish_due(struct fan_out *f, int64_t now, int64_t *wake)
{
    uint64_t first = f->published;
    enum outcome o = OUT_OK;
    for (int n = 0; n < LATE_MAX && !f->ended; n++) {
        int64_t due = bench_due(&f->pace, f->published);
        f->ended = is_over(f, due);
        *wake = f->ended ? INT64_MAX : due;
        if (f->ended || due > now ||
            !put(f, &f->publishers[f->published % (uint64_t)f->o->publishers], due))
            break;
        if (due >= f->from_ns)
            histogram_add(&f->r->late, now - due, 1);
    }
    for (int64_t i = 0; f->published > first && i < f->o->publishers && o == OUT_OK; i++)
        o = flush(f, &f->publishers[i]);
    return o;
}

/* ---- the loop ---- */

static enum outcome serve(struct fan_out *f, const struct os_event *e)
{
    struct publisher *p = e->context;
    enum outcome o = OUT_OK;
    if (p < f->publishers || p >= f->publishers + f->o->publishers)
        return read_subscriber(f, e->context);
    if (e->what & OS_WRITABLE)
        o = flush(f, p);
    if (o == OUT_OK && (e->what & ~(unsigned)OS_WRITABLE))
        o = read_publisher(p);
    return o;
}

static void show(struct fan_out *f, int64_t now)
{
    if (!f->o->progress || now < f->tick_ns)
        return;
    fprintf(stderr, "%6.1f s%s  published %llu, %.0f/s  delivered %llu, %.0f/s\n",
            (double)(now - f->pace.begin_ns) / 1e9, now < f->from_ns ? " (warming up)" : "",
            (unsigned long long)f->published, (double)(f->published - f->shown_published),
            (unsigned long long)f->received, (double)(f->received - f->shown_received));
    f->shown_published = f->published;
    f->shown_received = f->received;
    f->tick_ns += BENCH_SECOND;
}

static void measure(struct fan_out *f)
{
    f->server_s = bench_cpu_s(f->o->pid);
    f->own_s = bench_cpu_s((int)getpid());
    if (f->o->rate <= 0 && f->o->count > 0)
        f->end_number = f->published + (uint64_t)f->o->count;
}

static enum outcome go(struct fan_out *f)
{
    struct os_event events[EVENTS];
    enum outcome o = OUT_OK;
    bool measures = false;
    int64_t now = os_now_ns();
    while (o == OUT_OK) {
        int64_t wake = INT64_MAX;
        if (!measures && now >= f->from_ns) {
            measures = true;
            measure(f);
        }
        if (!f->ended)
            o = f->o->rate > 0 ? publish_due(f, now, &wake) : publish_window(f, now, &wake);
        bool empty = true;
        for (int64_t i = 0; i < f->o->publishers; i++)
            empty = empty && f->publishers[i].filled == 0;
        if (f->ended && empty && f->received >= f->published * (uint64_t)f->o->subscribers)
            break;
        if (now - f->last_ns > BENCH_WAIT_NS)
            break; /* the rest is lost */
        int64_t wait = bench_until(wake);
        int count = os_poller_wait(f->poller, events, EVENTS, MIN(LOOK_NS, wait));
        for (int i = 0; i < count && o == OUT_OK; i++)
            o = serve(f, &events[i]);
        now = os_now_ns();
        show(f, now);
    }
    return o;
}

static enum outcome prepare(struct fan_out *f)
{
    const struct bench_options *o = f->o;
    f->pub_size = (size_t)snprintf(f->pub, HEAD_SIZE, "PUB %s %lld\r\n", o->name,
                                   (long long)o->size);
    f->msg_size = (size_t)snprintf(f->msg, HEAD_SIZE, "MSG %s 1 %lld\r\n", o->name,
                                   (long long)o->size);
    if (f->msg_size >= HEAD_SIZE)
        return fail(OUT_INVALID, "the subject is too long");
    f->publishers = calloc((size_t)o->publishers, sizeof *f->publishers);
    f->subscribers = calloc((size_t)o->subscribers, sizeof *f->subscribers);
    f->pattern = malloc((size_t)o->size);
    if (f->publishers == NULL || f->subscribers == NULL || f->pattern == NULL)
        return fail(OUT_NO_MEMORY, "publishers and subscribers");
    for (int64_t i = 0; i < o->size; i++)
        f->pattern[i] = (uint8_t)('a' + i * 7 % 26);
    for (int64_t i = 0; i < o->publishers; i++)
        f->publishers[i].fd = -1;
    for (int64_t i = 0; i < o->subscribers; i++)
        f->subscribers[i].fd = -1;
    enum outcome out = os_poller_open(&f->poller);
    for (int64_t i = 0; i < o->subscribers && out == OUT_OK; i++)
        out = open_subscriber(f, &f->subscribers[i]);
    for (int64_t i = 0; i < o->publishers && out == OUT_OK; i++)
        out = open_publisher(f, &f->publishers[i]);
    return out;
}

static void finish(struct fan_out *f)
{
    for (int64_t i = 0; f->publishers != NULL && i < f->o->publishers; i++) {
        os_close(f->publishers[i].fd);
        free(f->publishers[i].out);
    }
    for (int64_t i = 0; f->subscribers != NULL && i < f->o->subscribers; i++) {
        os_close(f->subscribers[i].fd);
        free(f->subscribers[i].in);
        free(f->subscribers[i].next);
    }
    free(f->publishers);
    free(f->subscribers);
    free(f->pattern);
    os_close(f->poller);
}

enum outcome bench_fan_out(const struct bench_options *o, struct bench_report *r)
{
    struct fan_out f = {.o = o, .r = r, .poller = -1, .end_number = UINT64_MAX,
                        .until_ns = INT64_MAX};
    os_files_limit();
    prctl(PR_SET_TIMERSLACK, 1);
    enum outcome out = prepare(&f);
    f.pace.begin_ns = f.last_ns = os_now_ns();
    f.pace.each_ns = o->rate > 0 ? 1e9 / (double)o->rate : 0;
    f.from_ns = f.pace.begin_ns + o->warm_ms * 1000000;
    f.tick_ns = f.pace.begin_ns + BENCH_SECOND;
    if (o->duration_ms > 0)
        f.until_ns = f.from_ns + o->duration_ms * 1000000;
    if (o->count > 0 && o->rate > 0)
        f.end_number = (uint64_t)o->count +
                       (uint64_t)((double)o->warm_ms * (double)o->rate / 1000);
    if (out == OUT_OK)
        out = go(&f);
    r->sent = f.published * (uint64_t)o->subscribers;
    r->received = f.received;
    r->bytes = r->records * (uint64_t)o->size;
    r->seconds = (double)(f.last_ns - f.from_ns) / 1e9;
    r->server_cpu_s = bench_cpu_s(o->pid) - f.server_s;
    r->own_cpu_s = bench_cpu_s((int)getpid()) - f.own_s;
    r->server_rss_mib = bench_memory_mib(o->pid, "VmRSS");
    r->server_anonymous_mib = bench_memory_mib(o->pid, "RssAnon");
    finish(&f);
    return out == OUT_OK && o->stopped() ? OUT_END : out;
}

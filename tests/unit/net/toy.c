/* SPDX-License-Identifier: MIT */
/* The toy door, its worker thread and its clients: see toy.h. */
#include "toy.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define HELD_MAX 4096
#define BATCH 7 /* the worker returns requests in another order than they came */

_Atomic int toy_served, toy_cancelled, toy_closed, toy_released, toy_held;

static struct request *held[HELD_MAX];
static uint32_t held_number[HELD_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct toy *running;
static int file = -1;

static struct request *batch[BATCH];
static int batch_count;

uint8_t toy_file_byte(size_t position)
{
    return (uint8_t)(position * 31 + position / 251);
}

/* ---- the door ---- */

static bool reply(struct request *r, const void *at, size_t size, size_t extra)
{
    uint8_t *prefix = arena_take(&r->arena, 4);
    if (prefix == NULL)
        return false;
    put_be32(prefix, (uint32_t)(size + extra));
    return request_reply_bytes(r, bytes_view(prefix, 4)) &&
           request_reply_bytes(r, bytes_view(at, size));
}

static void echo(struct request *r)
{
    bool good = reply(r, r->frame.at, r->frame.size, 0);
    request_complete(r, good ? REQ_DONE : REQ_CLOSE);
}

static void return_batch(void)
{
    while (batch_count > 0)
        request_return(batch[--batch_count], echo);
}

/* Worker thread. */
static void work(struct request *r)
{
    check(shard_self() == &running->worker);
    batch[batch_count++] = r;
    if (batch_count == BATCH)
        return_batch();
}

static struct request *take_held(uint32_t number, const struct request *r)
{
    struct request *found = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < HELD_MAX && found == NULL; i++) {
        if (held[i] != NULL && (r == NULL ? held_number[i] == number : held[i] == r)) {
            found = held[i];
            held[i] = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

bool toy_release(uint32_t number)
{
    struct request *r = take_held(number, NULL);
    if (r == NULL)
        return false;
    request_return(r, echo);
    return true;
}

static void cancelled(struct request *r)
{
    check(shard_self() == r->home);
    toy_cancelled++;
    if (take_held(0, r) == r)
        echo(r);
}

static enum verdict hold(struct request *r, uint32_t number, char command)
{
    r->cancel = command == 'U' ? NULL : cancelled;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (held[i] != NULL)
        i++;
    check(i < HELD_MAX);
    held[i] = r;
    held_number[i] = number;
    pthread_mutex_unlock(&lock);
    toy_held++;
    return command == 'h' ? REQ_PIPELINED : REQ_PARKED;
}

static void released(void *context)
{
    (void)context;
    toy_released++;
}

static enum verdict file_reply(struct request *r, uint32_t number)
{
    size_t half = number / 2;
    bool good = reply(r, "head", 4, number + 4) &&
                request_reply_file(r, file, 0, half, released, NULL) &&
                request_reply_file(r, file, half, number - half, released, NULL) &&
                request_reply_bytes(r, bytes_of("tail"));
    return good ? REQ_DONE : REQ_CLOSE;
}

static enum verdict big_reply(struct request *r, uint32_t number)
{
    uint8_t *bytes = arena_take_zeroed(&r->arena, number, 1);
    return bytes != NULL && reply(r, bytes, number, 0) ? REQ_DONE : REQ_CLOSE;
}

static enum verdict session(struct request *r)
{
    int *asked = *r->session;
    if (asked == NULL) {
        asked = calloc(1, sizeof *asked);
        *r->session = asked;
    }
    if (asked == NULL)
        return REQ_CLOSE;
    uint8_t *text = arena_take(&r->arena, 4);
    if (text == NULL)
        return REQ_CLOSE;
    put_be32(text, (uint32_t)++*asked);
    return reply(r, text, 4, 0) ? REQ_DONE : REQ_CLOSE;
}

static void closed(void *of_session)
{
    free(of_session);
    toy_closed++;
}

static enum verdict serve(struct request *r)
{
    check(shard_self() == r->home && strcmp(r->peer, "127.0.0.1") == 0);
    toy_served++;
    if (r->frame.size < 5)
        return REQ_CLOSE;
    char command = (char)r->frame.at[0];
    uint32_t number = get_be32(r->frame.at + 1);
    switch (command) {
    case 'P':
    case 'L':
        request_send(r, &running->worker, work);
        return command == 'P' ? REQ_PARKED : REQ_PIPELINED;
    case 'H':
    case 'h':
    case 'U':
        return hold(r, number, command);
    case 'R':
        if (!toy_release(number))
            return REQ_CLOSE;
        return REQ_NO_REPLY;
    case 'N': return REQ_NO_REPLY;
    case 'C': return reply(r, r->frame.at, r->frame.size, 0) ? REQ_CLOSE : REQ_NO_REPLY;
    case 'B': return big_reply(r, number);
    case 'F': return file_reply(r, number);
    case 'S': return session(r);
    case 'I': echo(r); return REQ_PARKED;
    default: break;
    }
    return reply(r, r->frame.at, r->frame.size, 0) ? REQ_DONE : REQ_CLOSE;
}

const struct door toy_door = {.name = "toy", .serve = serve, .closed = closed};

/* ---- life ---- */

static void worker_main(void *context)
{
    struct toy *t = context;
    shard_become(&t->worker);
    while (!atomic_load(&t->stopping)) {
        shard_turn(&t->worker);
        return_batch();
    }
    shard_become(NULL);
}

struct net_options toy_options(int reactors)
{
    return (struct net_options){
        .listeners = {{.name = "TOY", .host = "127.0.0.1", .door = &toy_door}},
        .listener_count = 1,
        .reactor_count = reactors,
        .connections_max = 20000,
        .connections_per_ip_max = 20000,
        .request_bytes_max = 10000000,
        .receive_bytes_max = 200000000,
        .idle_ms_max = -1,
    };
}

static void make_file(void)
{
    static uint8_t bytes[TOY_FILE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = toy_file_byte(i);
    char path[] = "/tmp/fluxmq-net-test-XXXXXX";
    file = mkstemp(path);
    expect(file >= 0);
    unlink(path);
    expect(write(file, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
}

void toy_start(struct toy *t, const struct net_options *o)
{
    *t = (struct toy){0};
    running = t;
    toy_served = toy_cancelled = toy_closed = toy_released = toy_held = 0;
    if (file < 0)
        make_file();
    expect(shard_open(&t->worker, 99) == OUT_OK);
    expect(os_thread_start("toy-worker", worker_main, t, &t->thread) == OUT_OK);
    expect(net_open(o, &t->net) == OUT_OK);
    t->port = net_port(t->net, 0);
    expect(net_start(t->net) == OUT_OK);
}

static void wake(struct mail *mail)
{
    (void)mail;
}

void toy_stop(struct toy *t)
{
    struct mail stop = {.deliver = wake};
    net_stop(t->net, 2000);
    expect_eq(net_connections(t->net), 0);
    atomic_store(&t->stopping, true);
    shard_post(&t->worker, &stop);
    os_thread_join(&t->thread);
    shard_run_mail(&t->worker, 1);
    shard_close(&t->worker);
    net_close(t->net); /* when nobody is left who posts */
}

/* ---- clients ---- */

int client_open(const struct toy *t)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(fd >= 0);
    expect(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    expect(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

size_t client_frame(uint8_t *to, char command, uint32_t number, size_t payload)
{
    put_be32(to, (uint32_t)(5 + payload));
    to[4] = (uint8_t)command;
    put_be32(to + 5, number);
    for (size_t i = 0; i < payload; i++)
        to[9 + i] = (uint8_t)(number * 7 + i);
    return 9 + payload;
}

void client_write(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = send(fd, (const uint8_t *)bytes + done, size - done, MSG_NOSIGNAL);
        expect(n > 0 || errno == EINTR);
        done += n > 0 ? (size_t)n : 0;
    }
}

void client_send(int fd, char command, uint32_t number, size_t payload)
{
    uint8_t *frame = malloc(9 + payload);
    expect(frame != NULL);
    client_write(fd, frame, client_frame(frame, command, number, payload));
    free(frame);
}

void client_read(int fd, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = recv(fd, (uint8_t *)to + done, size - done, 0);
        expect(n > 0 || (n < 0 && errno == EINTR));
        done += n > 0 ? (size_t)n : 0;
    }
}

void client_expect(int fd, char command, uint32_t number, size_t payload)
{
    uint8_t *wanted = malloc(9 + payload), *got = malloc(9 + payload);
    expect(wanted != NULL && got != NULL);
    size_t size = client_frame(wanted, command, number, payload);
    client_read(fd, got, 9);
    expect(memcmp(wanted, got, 9) == 0);
    client_read(fd, got + 9, payload);
    expect(memcmp(wanted, got, size) == 0);
    free(wanted);
    free(got);
}

void client_expect_end(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    expect(n == 0 || (n < 0 && errno == ECONNRESET));
}

bool client_silent(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

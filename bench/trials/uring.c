/* SPDX-License-Identifier: MIT */
/*
 * The echo server with io_uring, in its three ways (echo.c). The number of a completion tells
 * connection and kind. A ring or an operation that the kernel does not have skips the trial.
 */
#include "echo.h"

#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

enum { KINDS = 4, RECEIVED = 0, SENT = 1, BUFFERS = 1024, GROUP = 1, SMALLEST = 4096 };

struct ring {
    struct io_uring uring;
    struct echo *e;
    struct io_uring_buf_ring *given;
    uint8_t *buffers; /* those that are given */
    size_t buffer_size;
    unsigned buffer_count;
    int open;
};

static struct io_uring_sqe *entry(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    if (sqe == NULL) {
        io_uring_submit(&r->uring);
        sqe = io_uring_get_sqe(&r->uring);
    }
    if (sqe == NULL)
        die("a full ring");
    return sqe;
}

/* After the others, which clear it. */
static void name(struct io_uring_sqe *sqe, const struct echo_conn *c, int kind)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)c->number * KINDS + (uint64_t)kind);
}

static void receive_more(struct ring *r, struct echo_conn *c)
{
    struct io_uring_sqe *sqe = entry(r);
    size_t size = r->e->size - c->got;
    switch (r->e->way) {
    case ECHO_PROVIDED:
        io_uring_prep_recv_multishot(sqe, c->socket, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = GROUP;
        break;
    case ECHO_FIXED:
        io_uring_prep_read_fixed(sqe, c->number, c->room + c->got, (unsigned)size, 0, c->number);
        sqe->flags |= IOSQE_FIXED_FILE;
        break;
    case ECHO_URING:
    case ECHO_EPOLL:
        io_uring_prep_recv(sqe, c->socket, c->room + c->got, size, MSG_WAITALL);
        break;
    }
    name(sqe, c, RECEIVED);
}

static void send_more(struct ring *r, struct echo_conn *c)
{
    struct io_uring_sqe *sqe = entry(r);
    const uint8_t *from = c->held < 0 ? c->room : r->buffers + r->buffer_size * (size_t)c->held;
    size_t size = r->e->size - c->sent;
    if (r->e->way == ECHO_FIXED) {
        io_uring_prep_write_fixed(sqe, c->number, from + c->sent, (unsigned)size, 0, c->number);
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        io_uring_prep_send(sqe, c->socket, from + c->sent, size, MSG_WAITALL | MSG_NOSIGNAL);
    }
    name(sqe, c, SENT);
}

static void give_back(struct ring *r, int buffer)
{
    io_uring_buf_ring_add(r->given, r->buffers + r->buffer_size * (size_t)buffer,
                          (unsigned)r->buffer_size, (unsigned short)buffer,
                          io_uring_buf_ring_mask(r->buffer_count), 0);
    io_uring_buf_ring_advance(r->given, 1);
}

/* A whole frame is sent from where it came; what is in pieces is gathered in the room. */
static void take_provided(struct ring *r, struct echo_conn *c, const struct io_uring_cqe *cqe)
{
    int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    size_t size = (size_t)cqe->res;
    if (c->got + size > r->e->size)
        die("more than a frame");
    if (size == r->e->size) {
        c->held = buffer;
    } else {
        memcpy(c->room + c->got, r->buffers + r->buffer_size * (size_t)buffer, size);
        give_back(r, buffer);
    }
}

static void received(struct ring *r, struct echo_conn *c, const struct io_uring_cqe *cqe)
{
    bool stays = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->res == 0 || cqe->res == -ECONNRESET) {
        r->open--;
        return;
    }
    if (cqe->res < 0 && cqe->res != -ENOBUFS) {
        errno = -cqe->res;
        die("receive");
    }
    if (cqe->res > 0) {
        if (r->e->way == ECHO_PROVIDED)
            take_provided(r, c, cqe);
        c->got += (size_t)cqe->res;
    }
    if (c->got == r->e->size)
        send_more(r, c);
    if (r->e->way == ECHO_PROVIDED ? !stays : c->got < r->e->size)
        receive_more(r, c);
}

static void sent(struct ring *r, struct echo_conn *c, int size)
{
    if (size <= 0) {
        errno = -size;
        die("send");
    }
    c->sent += (size_t)size;
    if (c->sent < r->e->size) {
        send_more(r, c);
        return;
    }
    c->got = c->sent = 0;
    if (c->held >= 0)
        give_back(r, c->held);
    c->held = -1;
    if (r->e->way != ECHO_PROVIDED)
        receive_more(r, c);
}

static void register_all(struct side *side, struct ring *r)
{
    static struct iovec rooms[ECHO_CONNECTIONS_MAX];
    static int sockets[ECHO_CONNECTIONS_MAX];
    for (int i = 0; i < r->e->connections; i++) {
        rooms[i] = (struct iovec){r->e->conns[i].room, r->e->size};
        sockets[i] = r->e->conns[i].socket;
    }
    int error = io_uring_register_buffers(&r->uring, rooms, (unsigned)r->e->connections);
    if (error == 0)
        error = io_uring_register_files(&r->uring, sockets, (unsigned)r->e->connections);
    if (error != 0)
        side_skip(side, -error);
}

static void provide(struct side *side, struct ring *r)
{
    r->buffer_size = MAX(r->e->size, (size_t)SMALLEST);
    r->buffer_count = BUFFERS >> (r->buffer_size > SMALLEST ? 1 : 0);
    r->buffers = room_of(r->buffer_size * r->buffer_count);
    r->given = room_of(sizeof(struct io_uring_buf) * r->buffer_count);
    struct io_uring_buf_reg about = {.ring_addr = (uint64_t)(uintptr_t)r->given, .bgid = GROUP,
                                     .ring_entries = r->buffer_count};
    int error = io_uring_register_buf_ring(&r->uring, &about, 0);
    if (error != 0)
        side_skip(side, -error);
    io_uring_buf_ring_init(r->given);
    for (unsigned i = 0; i < r->buffer_count; i++)
        give_back(r, (int)i);
}

void echo_uring(struct side *side, struct echo *e)
{
    struct ring r = {.e = e, .open = e->connections};
    struct io_uring_params about = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                             IORING_SETUP_DEFER_TASKRUN};
    int error = io_uring_queue_init_params(2 * ECHO_CONNECTIONS_MAX, &r.uring, &about);
    if (error == -EINVAL) {
        about = (struct io_uring_params){0}; /* a kernel before 6.1 */
        error = io_uring_queue_init_params(2 * ECHO_CONNECTIONS_MAX, &r.uring, &about);
    }
    if (error != 0)
        side_skip(side, -error);
    if (e->way == ECHO_FIXED)
        register_all(side, &r);
    if (e->way == ECHO_PROVIDED)
        provide(side, &r);
    for (int i = 0; i < e->connections; i++)
        receive_more(&r, &e->conns[i]);
    side_begin(side);
    while (r.open > 0) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&r.uring, 1);
        io_uring_for_each_cqe(&r.uring, head, cqe)
        {
            struct echo_conn *c = &e->conns[cqe->user_data / KINDS];
            count++;
            if (cqe->user_data % KINDS == SENT)
                sent(&r, c, cqe->res);
            else
                received(&r, c, cqe);
        }
        io_uring_cq_advance(&r.uring, count);
    }
    io_uring_queue_exit(&r.uring);
}

/* SPDX-License-Identifier: MIT */
/* The connections of the echo trial, which echo.c serves with epoll and uring.c with io_uring. */
#pragma once

#include "trial.h"

enum { ECHO_CONNECTIONS_MAX = 1024 };

struct echo_conn {
    uint8_t *room; /* a frame */
    size_t got, sent;
    int socket, number;
    int held; /* the provided buffer that is being sent; -1: the frame is in the room */
};

enum echo_way { ECHO_EPOLL, ECHO_URING, ECHO_FIXED, ECHO_PROVIDED };

struct echo {
    enum echo_way way;
    size_t size; /* of a frame */
    int connections;
    uint64_t count;
    struct echo_conn conns[ECHO_CONNECTIONS_MAX];
};

/* Until all connections ended; there are e->connections, accepted. Says side_begin(). */
void echo_uring(struct side *side, struct echo *e);

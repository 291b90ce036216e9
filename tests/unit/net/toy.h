/* SPDX-License-Identifier: MIT */
/*
 * A toy door and its clients. A frame is a command byte, a number of four bytes and a payload:
 *   E echo; P, L echo by way of a worker thread (parked, pipelined); H, h hold until released or
 *   cancelled (parked, pipelined); U like H but can't be cancelled; R release the request with that
 *   number; N no reply; C close; B reply with that many bytes; F reply with file ranges of that
 *   size; S how often this connection asked; I completed before serve() returns.
 * A reply is the request's frame, or what the command says.
 */
#ifndef NET_TOY_H
#define NET_TOY_H

#include "net/net.h"
#include "tap.h"

extern const struct door toy_door;
extern _Atomic int toy_served, toy_cancelled, toy_closed, toy_released, toy_held;
#define TOY_FILE_BYTES 1000000

struct toy {
    struct net *net;
    int port;
    struct shard worker;
    struct os_thread *thread;
    _Atomic bool stopping;
};

struct net_options toy_options(int reactors);
void toy_start(struct toy *t, const struct net_options *o);
void toy_stop(struct toy *t);
uint8_t toy_file_byte(size_t position);
/* The held request with that number goes back to its home and is answered; false: none. */
bool toy_release(uint32_t number);

/* Clients: blocking, a failure ends the case. */
int client_open(const struct toy *t);
size_t client_frame(uint8_t *to, char command, uint32_t number, size_t payload);
void client_write(int fd, const void *bytes, size_t size);
void client_send(int fd, char command, uint32_t number, size_t payload);
void client_read(int fd, void *to, size_t size);
/* Reads one reply and expects it to be the echo of that frame. */
void client_expect(int fd, char command, uint32_t number, size_t payload);
void client_expect_end(int fd);  /* end of stream or a reset */
bool client_silent(int fd, int ms); /* nothing comes for so long */

/* Spins until a counter that other threads change has a value; the case's alarm is the limit. */
#define await(condition)   \
    do {                   \
        while (!(condition)) \
            sched_yield(); \
    } while (0)

#endif

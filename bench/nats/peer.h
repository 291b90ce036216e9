/* SPDX-License-Identifier: MIT */
/*
 * What the load generators share: sockets that are connected to a NATS server, and the figures of
 * the server's process. Everything ends the program with status 2 when it can't be done.
 */
#ifndef BENCH_NATS_PEER_H
#define BENCH_NATS_PEER_H

#include <stddef.h>
#include <stdint.h>

struct server {
    const char *host;
    int port;
    int pid;        /* 0: no figures */
};

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
int64_t now_ns(void);

/* "HOST:PORT" */
struct server server_of(const char *address, int pid);
/* user + system seconds of the process; resident KiB, and those of them that are no file's */
double server_cpu(const struct server *s);
long server_kib(const struct server *s, const char *field);

/* A blocking connection, INFO read, CONNECT sent, PONG received. */
int peer_open(const struct server *s);
void peer_send(int fd, const char *bytes, size_t size);
/* Sends PING and reads up to the PONG; dies on -ERR. */
void peer_flush(int fd);
void peer_unblock(int fd);

/* The value of NAME=NUMBER or NAME=WORD among the arguments. */
int64_t argument(int argc, char **argv, const char *name, int64_t otherwise);
const char *argument_text(int argc, char **argv, const char *name, const char *otherwise);

int idle_subscriptions(const struct server *s, int64_t count, int64_t connections);
int idle_connections(const struct server *s, int64_t count);
int churn(const struct server *s, int64_t count);

#endif

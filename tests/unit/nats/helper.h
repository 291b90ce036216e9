/* SPDX-License-Identifier: MIT */
/*
 * The door without a server: links whose other end is the test, two shards whose clocks the test
 * moves. What the door writes gathers in `out` until the test takes it.
 */
#ifndef NATS_HELPER_H
#define NATS_HELPER_H

#include "broker/link.h"
#include "nats/nats.h"
#include "tap.h"

#define SHARDS 2

struct peer {
    struct link link;
    uint8_t *chunk;           /* what link.at points into */
    char *out;
    size_t out_size, out_room;
    uint8_t *in;              /* sent, not used up yet */
    size_t in_size, want;
    bool paused, ended, gone, stuck; /* stuck: its socket takes nothing */
    enum link_end how;
    struct peer *next;
};

/* Opens the door with small limits; `o` NULL: those. */
struct nats_options door_options(void);
void door_open(const struct nats_options *o);
void door_close(void);

/* Lets `ms` pass: timers fire, mail is delivered, turns end, sockets take what there is. */
void pass(int64_t ms);

/* A connection on a shard; INFO is read already. */
struct peer *peer_new(int shard);
struct peer *peer_raw(int shard);  /* INFO is still there */
void peer_send(struct peer *p, const char *text);
void peer_bytes(struct peer *p, const void *from, size_t size);
void peer_close(struct peer *p);
/* What was written since, terminated; good until the next call. */
const char *peer_out(struct peer *p);
/* Turns, then: exactly this was written. */
void peer_expect(struct peer *p, const char *text);
/* A connection that sent this CONNECT. */
struct peer *peer_connect(int shard, const char *json);
struct peer *peer_quiet(int shard); /* verbose and pedantic off, headers on */
int64_t now_ms(void);

#endif

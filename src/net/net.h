/* SPDX-License-Identifier: MIT */
/*
 * Reactors, listeners and connections. One reactor a thread; a connection lives on one reactor for
 * life. Frames (a 4-byte big-endian size, then that many bytes) become requests for the listener's
 * door; replies go out in the order of the requests, gathered, once in a turn.
 *
 * Bounds. Too many connections (in total, for one address) and frames of impossible size: closed,
 * counted, logged once. Too many requests or bytes under way on one connection, replies that its
 * peer does not take: it is not read until there are fewer. Receive memory used up in total:
 * connections wait for some; one that could make no progress for ten seconds is closed.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "broker/request.h"

#define NET_LISTENERS 8

struct net_listener {
    const char *name; /* as in listeners= */
    const char *host;
    int port;         /* 0: any; net_port() tells */
    const struct door *door;
    const char *option;       /* chooses the port, for the sentence when it can't be had; or NULL */
};

struct net_options {
    struct net_listener listeners[NET_LISTENERS];
    int listener_count;
    int reactor_count;
    int connections_max, connections_per_ip_max;
    int32_t request_bytes_max;     /* a larger frame closes its connection */
    int64_t receive_bytes_max;     /* receive buffers of all connections */
    int64_t connection_bytes_max;  /* frames and replies under way of one; 0: 16 MiB */
    int64_t idle_ms_max;           /* connections.max.idle.ms; -1: never */
    int64_t busy_poll_ns;          /* how long to look before sleeping; below 0: when it pays */
};

struct net;

/* Takes the listeners' ports and opens the reactors' shards; nothing runs yet, and nobody can
 * connect before net_start: a port that accepts is a broker that serves. A port in use is a clear
 * trail. */
MUST enum outcome net_open(const struct net_options *o, struct net **net);
struct shard **net_shards(struct net *net, int *count);
int net_port(const struct net *net, int listener);

MUST enum outcome net_start(struct net *net);
/* Stops accepting and reading, cancels what is parked, lets replies out for at most `grace_ms`,
 * then waits at most half as long again for requests that others have. What is still out then
 * stays behind for good: memory that net_close leaves alone. */
void net_stop(struct net *net, int64_t grace_ms);
/* When no thread is left that may post to the shards. */
void net_close(struct net *net);

/* Any thread: of connections that come from now on. */
void net_limit(struct net *net, int connections_max, int connections_per_ip_max);
/* Any thread. */
int net_connections(const struct net *net);

#endif

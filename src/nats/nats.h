/* SPDX-License-Identifier: MIT */
/*
 * The NATS door: the NATS client protocol over links. Whoever subscribes is pushed what is
 * published, through the fan-out engine in live/.
 *
 * A connection belongs to the reactor of its link; nothing here takes a lock that a publish waits
 * for. One door per process. docs/nats.md says what is served.
 */
#ifndef NATS_NATS_H
#define NATS_NATS_H

#include "broker/request.h"
#include "config/config.h"
#include "live/live.h"

struct broker;

/* Handed to net/ with a listener. */
extern const struct door nats_door;

struct nats_options {
    const char *host;           /* as clients are told */
    int port;
    const char *server_name;    /* NULL or "": the server's id */
    struct shard **shards;      /* the reactors' */
    int shard_count;
    int32_t max_payload, max_control_line, max_connections, ping_max;
    int32_t max_subscriptions;  /* of a connection; 0: no limit */
    int64_t max_pending, ping_interval_ms, write_deadline_ms, auth_timeout_ms, lame_duck_ms;
    enum live_overflow overflow;
    uint32_t overflow_messages; /* backlog of a subscription; LIVE_DISCONNECT keeps none */
    const char *users_file;     /* NULL or "": everyone may do everything */
};

/* Main thread, before and after the reactors run. nats_start is what nats_open does with the
 * broker's settings; the trail says what is wrong with the users file. */
MUST enum outcome nats_open(struct broker *b);
MUST enum outcome nats_start(const struct nats_options *o);
void nats_close(void);

/* Any thread: lame duck. New clients are turned away, clients are told and are closed one by one,
 * spread over lame_duck_ms. */
void nats_lame_duck(void);

/* The fan-out engine, for other doors; NULL when this one is not open. */
struct live *nats_live(void);

/* ---- for people who look ---- */

/* Clients look at the version for what a server can do; this says what is served here. */
#define NATS_VERSION "2.10.29"

/* Any thread; a moment old. */
struct nats_figures {
    const char *server_id, *server_name, *host; /* good while the door is open */
    int port;
    int32_t max_payload, max_control_line, max_connections, ping_max;
    int64_t max_pending, ping_interval_ms, write_deadline_ms, auth_timeout_ms;
    bool auth_required;
    int64_t started_ms;         /* wall clock */
    uint64_t connections, total_connections, subscriptions;
    uint64_t subscriptions_made; /* those that are gone included */
    uint64_t in_messages, out_messages, in_bytes, out_bytes; /* payloads, as nats-server counts */
    uint64_t slow_consumers, stale_connections, auth_failures, protocol_errors;
    struct live_figures live;
};
bool nats_figures(struct nats_figures *f); /* false: the door is not open */

struct nats_subscription {
    struct bytes subject, queue, sid; /* queue.size 0: none */
    uint64_t messages;          /* delivered */
};

struct nats_connection {
    uint64_t cid;
    const char *peer;           /* address */
    int peer_port;
    int64_t started_ms, last_activity_ms; /* wall clock */
    int64_t rtt_ns;             /* 0: not known yet */
    uint64_t in_messages, out_messages, in_bytes, out_bytes, pending;
    uint32_t subscriptions;
    const char *name, *lang, *version, *user; /* "": not given */
    const struct bytes *subjects; /* of its subscriptions, when asked for */
    const struct nats_subscription *details; /* the same, more about them */
};

/* What became of a topic's messages for the subscriptions that get nothing but that topic. */
struct nats_topic_sum {
    struct bytes topic;        /* size 0: of some topics that are too many to tell apart */
    uint64_t subscriptions;
    struct live_account account;
};
/* As nats_connections: the topics that somebody subscribed to, the busiest first. */
MUST enum outcome nats_topic_sums(struct arena *arena, struct nats_topic_sum **list,
                                  size_t *count);

enum nats_detail { NATS_CONNECTIONS, NATS_SUBSCRIPTIONS };
/* No shard's thread, while the reactors run: copies of all connections into the arena, in order of
 * cid; waits for the reactors. OUT_NO_MEMORY; OUT_CLOSED: the door is not open. */
MUST enum outcome nats_connections(enum nats_detail detail, struct arena *arena,
                                   struct nats_connection **list, size_t *count);

#endif

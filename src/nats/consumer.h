/* SPDX-License-Identifier: MIT */
/*
 * Durable consumers: at-least-once delivery of a topic to NATS clients.
 *
 * A consumer is named by a topic and a durable name, and belongs to one reactor. It is made by the
 * first subscription to `$FLUX.CONSUME.<durable>.<topic>` (whose subscribers share the messages) or
 * by a request. It reads the topic's partitions behind their appends, keeps at most `window`
 * messages unacknowledged, and repeats each after `ack_wait`, then later and later, until it is
 * acknowledged or was delivered `max_deliver` times; then it goes to the dead-letter topic.
 *
 * Messages carry JetStream's reply subject, so that any NATS client can acknowledge them:
 *     $JS.ACK._.p<partition>.<topic>.<durable>.<deliveries>.<offset>.<number>.<time>.<pending>._
 * (a dot in the topic's name is written `~` there). What is acknowledged without a gap is committed
 * as the Kafka group <durable>'s offset, with the consumer's settings as its metadata: that is all
 * that survives a restart.
 */
#ifndef NATS_CONSUMER_H
#define NATS_CONSUMER_H

#include "nats/api.h"

#define CONSUME_PREFIX "$FLUX.CONSUME."
#define CONSUMER_NAME_MAX 64
#define CONSUMER_TOPIC_MAX 250

struct consumer_settings {
    int64_t ack_wait_ms, backoff_ms, backoff_max_ms;
    int32_t max_deliver, window;
    int64_t start;       /* STORE_EARLIEST, STORE_LATEST, or an offset; the first time only */
    char dead_letter[CONSUMER_TOPIC_MAX];
};

/* One message that is out. Sorted by offset in its partition's list. */
struct flight {
    struct list node;
    struct nats_timer timer; /* ack wait is over, or back-off is */
    struct consumer_part *part;
    int64_t offset;
    int32_t deliveries;
    enum { FLIGHT_OUT, FLIGHT_BACKING_OFF, FLIGHT_DYING, FLIGHT_DONE } state;
};

struct consumer_part {
    struct consumer *consumer;
    struct partition *partition; /* held */
    struct watch watch;          /* for appends */
    struct list flights;  /* struct flight.node, ascending */
    int64_t position;     /* next to be read; -1: not known yet */
    int64_t committed;    /* as the group's offset says, or will */
    bool dirty;           /* the floor rose since the last commit */
};

struct consumer {
    struct list node;     /* in the shard's table */
    struct nats_shard *home;
    char name[CONSUMER_NAME_MAX + 1], topic[CONSUMER_TOPIC_MAX];
    char subject[sizeof CONSUME_PREFIX + CONSUMER_NAME_MAX + CONSUMER_TOPIC_MAX];
    struct consumer_settings settings;
    struct request carrier;     /* for what brings things home: appends, offsets */
    struct watcher watcher;
    struct consumer_part *parts;
    int32_t part_count;
    struct shard_timer commit;  /* offsets that moved */
    struct consumer_commit *committing; /* on its way; NULL: none */
    int32_t flight_count;
    int32_t dying;        /* flights on their way to the dead letters */
    bool told;            /* a request gave its settings: those that were committed yield */
    bool ready;           /* the group's offsets are known */
    bool idle;            /* nobody subscribes: until somebody does */
    bool gone;            /* deleted, freed when nothing is on its way */
    uint64_t delivered, acknowledged, redelivered, dead, number;
};

/* ---- consumer.c: any shard; they go to the owner ---- */

/* Somebody subscribed to the consumer's subject; `pattern` begins with CONSUME_PREFIX. */
void consumer_subscribed(struct nats_shard *h, struct bytes pattern);
/* The queue name its subscribers share; a view of the pattern, size 0: the pattern names none. */
struct bytes consumer_queue(struct bytes pattern);
/* $JS.ACK.<rest> with the acknowledgement as payload. */
void consumer_acknowledge(struct nats_session *s, struct bytes rest, const struct live_message *m);
/* $FLUX.API.CONSUMER.<CREATE|INFO|DELETE>.<durable>.<topic> */
void consumer_api(struct nats_session *s, struct bytes rest, const struct live_message *m);
void consumers_close(struct nats_shard *h);
/* Owner: when it is gone and nothing is on its way; else the last one who comes back does it. */
void consumer_free(struct consumer *c);

/* ---- deliver.c of consumers: owner ---- */

/* Reads on and delivers while there is room in the window. */
void consumer_run(struct consumer *c);
enum consumer_verdict { CONSUMER_ACK, CONSUMER_NAK, CONSUMER_PROGRESS, CONSUMER_TERM };
void consumer_settle(struct consumer *c, struct consumer_part *p, int64_t offset,
                     enum consumer_verdict v, int64_t delay_ms);
void consumer_flights_stop(struct consumer_part *p); /* nothing is delivered any more */
void consumer_flights_free(struct consumer_part *p);

/* ---- commit.c: owner ---- */

/* Asks the group for its offsets; the consumer runs when they are there. */
void consumer_load(struct consumer *c);
void consumer_commit_soon(struct consumer *c);
void consumer_commit_now(struct shard_timer *t, int64_t now_ns);
struct bytes consumer_settings_print(const struct consumer_settings *s, char *to, size_t room);
MUST bool consumer_settings_parse(struct bytes json, struct consumer_settings *s);

#endif

/* SPDX-License-Identifier: MIT */
/* A fetch under way: what fetch.c (reading, waiting) and fetch_reply.c (the response) share. */
#ifndef KAFKA_FETCH_H
#define KAFKA_FETCH_H

#include "kafka/fetch_session.h"
#include "log/log.h"

/* What reading one partition gave. */
struct fetch_result {
    struct fetch_part *part;
    struct partition *partition; /* of this turn's view, NULL: unknown */
    int32_t leader_epoch;
    int16_t error;
    bool log_error;              /* found in the log: such errors end the wait */
    int64_t high_watermark, stable_offset, log_start;
    int64_t ttl_ms;              /* the topic's, -1: none */
    bool expires;                /* records may be past their time: they are looked into */
    int32_t diverging_epoch;     /* -1: none */
    int64_t diverging_end;
    struct call_slice slice;     /* the records; view.size 0: none */
    struct log_aborted *aborted; /* read_committed */
    size_t aborted_count;
    bool aborted_listed;         /* the reply has a list, not null */
};

struct fetch_state {
    struct fetch_session *session; /* NULL: none */
    bool incremental;              /* only what changed goes into the reply */
    bool committed;                /* isolation level read_committed */
    struct fetch_result *results;
    size_t count;
    size_t bytes;                  /* in all results */
    bool must_answer;              /* an error or a diverging epoch ends the wait */
    size_t readable;               /* partitions that exist */
    struct watcher watcher;
    struct watch *watches;
    size_t watch_count;
    struct shard_timer timer;
    bool ending;                   /* answered as soon as no wake-up is under way */
};

/* Versions below this one read message sets (fetch_old.c). */
#define FETCH_BATCHES_SINCE 4
/* Reads one partition for such a version: `what` is as for a newer one; the converted set goes into
 * the result's view, its size is added to the state's. */
MUST enum outcome fetch_read_old(struct call *c, struct fetch_state *s, struct fetch_result *r,
                                 const struct store_read *what);

/* Fills the response from the results; views go over to the call's slices. */
void fetch_reply(struct call *c, struct fetch_state *s);

#endif

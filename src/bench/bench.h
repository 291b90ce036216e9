/* SPDX-License-Identifier: MIT */
/*
 * A load generator for any Kafka and any NATS server: produce, consume, end to end, fan-out.
 *
 * With a rate the loop is open: a record is due at a time that does not depend on anything that
 * happened before, and latency counts from then, so that a server which stalls can't hide it.
 * Without one, as much is in flight as is allowed, always.
 *
 * Threads: bench_run starts `threads` workers, each with its own connections, and waits for them.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/bytes.h"
#include "base/histogram.h"
#include "base/outcome.h"

enum bench_mode { BENCH_PRODUCE, BENCH_CONSUME, BENCH_E2E, BENCH_FAN_OUT };
enum bench_from { BENCH_FROM_START, BENCH_FROM_END };

struct bench_options {
    enum bench_mode mode;
    const char *host, *port;   /* of the first server */
    const char *name;          /* topic, or subject */
    int32_t create_partitions; /* 0: the topic must be there */
    int64_t connections, threads;
    int64_t size;              /* of a value, bytes */
    int64_t rate;              /* records a second, all connections together; 0: what goes */
    int64_t count;             /* records; 0: for duration_ms; consume: as many as there are */
    int64_t duration_ms, warm_ms;
    int acks;                  /* -1 all, 0, 1 */
    int64_t linger_ms, batch_bytes, batch_records, in_flight;
    int64_t fetch_bytes, fetch_wait_ms;
    enum bench_from from;
    bool unchecked;            /* consume: checksums are not looked at */
    bool verify;               /* produce: read all of it back */
    int64_t publishers, subscribers, window; /* fan-out */
    bool progress;             /* a line each second on standard error */
    int pid;                   /* the server's, when it runs here: its CPU and memory; 0: not */

    /* A connected, non-blocking socket; and whether the user wants an end. */
    enum outcome (*dial)(const char *host, const char *port, int *fd);
    bool (*stopped)(void);
};

/* What came of it. Times are nanoseconds. */
struct bench_report {
    uint64_t records, batches, requests; /* produced or fetched, acknowledged, in measured time */
    uint64_t bytes;                      /* of their values; consume: of their batches */
    double seconds;
    struct histogram latency;   /* produce: due to acknowledged; e2e: due to received; consume: of
                                   a fetch; fan-out: of a delivery */
    struct histogram acked;     /* e2e: due to acknowledged */
    struct histogram late;      /* how long after it was due the generator sent a record */
    uint64_t received;          /* e2e, fan-out, verified: records that came back */
    uint64_t sent;              /* all of what was to come back */
    uint64_t wrong, gaps;       /* changed, doubled or in disorder; offsets that are not there */
    uint64_t checksum;          /* sum of the checksums of all batches, modulo 2^64 */
    uint64_t checksum_back;     /* of those that were read back */
    int32_t partitions, brokers;
    int produce_version, fetch_version;
    double own_cpu_s, server_cpu_s;
    double server_rss_mib, server_anonymous_mib; /* at the end */
};

/* Does it. OUT_END: the user ended it (the report holds what there is); a failure has a sentence.
 * Lost or changed records are no failure: bench_good says whether all is well. */
MUST enum outcome bench_run(const struct bench_options *o, struct bench_report *r);
bool bench_good(const struct bench_options *o, const struct bench_report *r);

/* On standard output: lines for people, or one JSON object. */
MUST enum outcome bench_print_json(const struct bench_options *o, const struct bench_report *r);
void bench_print_text(const struct bench_options *o, const struct bench_report *r);

#endif

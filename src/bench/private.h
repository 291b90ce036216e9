/* SPDX-License-Identifier: MIT */
/*
 * Workers and their parts (private to bench/).
 *
 * A slot is what --connections counts; it makes one connection to each leader of its partitions. A
 * lane is a slot's share of one partition: lane i of L has every L-th record, and record k of lane
 * i is number k * L + i of all.
 */
#ifndef BENCH_PRIVATE_H
#define BENCH_PRIVATE_H

#include "base/list.h"
#include "bench/bench.h"
#include "os/os.h"
#include "wire/wire.h"

#define BENCH_REQUEST_LANES 64 /* batches in one produce request */
#define BENCH_STAMP 16         /* bytes of a value that tell due time, lane and sequence */
#define BENCH_WAIT_NS 10000000000 /* without anything coming: lost */
#define BENCH_SECOND 1000000000ll

/* ---- what is known of the server: read only once the workers run ---- */

struct bench_broker {
    int32_t id;
    char host[256], port[8];
};

struct bench_partition {
    int32_t index, broker;     /* broker: place in the list */
    int64_t start, end;        /* offsets before the load */
};

struct bench_topic {
    struct bytes name;
    struct uuid id;
    struct bench_broker *brokers;
    struct bench_partition *partitions;
    int32_t broker_count, partition_count;
    int16_t produce_version, fetch_version;
};

/* Asks the first server for all of it; makes the topic when that is wanted. The memory is the
 * arena's. */
MUST enum outcome bench_topic_find(const struct bench_options *o, struct arena *arena,
                                   struct bench_topic *t);
/* Fills in the offsets that are there now: start and end. */
MUST enum outcome bench_topic_offsets(const struct bench_options *o, struct arena *arena,
                                      struct bench_topic *t);
/* "partition 3 of t: NOT_LEADER_OR_FOLLOWER: ..." */
COLD enum outcome bench_refused(const struct bench_topic *t, int32_t partition, int code);

/* A request's size, header and body, up to where the body is encoded; cuts as wire_encode has
 * them. The memory grows as needed. */
struct bench_buffer {
    uint8_t *at;
    size_t used, room;
};
MUST enum outcome bench_buffer_room(struct bench_buffer *b, size_t room); /* keeps what is used */
MUST enum outcome bench_encode(const struct wire_message *m, int16_t version, int32_t correlation,
                               const void *body, struct bench_buffer *to, struct wire_cut *cuts,
                               size_t *cut_count);

/* ---- time: which record is due when ---- */

/* How long until then; 0 when it is over. */
static inline int64_t bench_until(int64_t ns)
{
    int64_t now = os_now_ns(); /* once: a second look may find it over */
    return ns > now ? ns - now : 0;
}

struct bench_pace {
    int64_t begin_ns;
    double each_ns; /* between two records of all lanes; 0: no rate */
};
static inline int64_t bench_due(const struct bench_pace *p, uint64_t number)
{
    return p->begin_ns + (int64_t)((double)number * p->each_ns);
}

/* ---- record batches ---- */

/* Memory with a batch in it, of which a prefix of records is sent. */
struct bench_batch {
    uint8_t *at;
    int32_t ready;  /* records that are written */
    size_t size;    /* of the batch that was made last */
};

struct bench_maker {
    int64_t value_size;
    int32_t most;   /* records in a batch */
    size_t room;    /* bytes of a full batch */
};
void bench_maker_init(struct bench_maker *m, const struct bench_options *o);
/* Bytes of a batch with so many records. */
size_t bench_batch_size(const struct bench_maker *m, int32_t count);

struct bench_records {
    uint32_t lane, stride;
    uint64_t first;        /* of the lane's records */
    int32_t count;
    int64_t due_ns;        /* of all, when there is no pace */
    const struct bench_pace *pace;
    int64_t wall_ms;
};
/* Makes the batch; its checksum is given back. */
MUST enum outcome bench_make(const struct bench_maker *m, struct bench_batch *b,
                             const struct bench_records *r, uint32_t *crc);

/* What stands in a value; false: nothing does, or it is no value of ours. */
struct bench_stamp {
    int64_t due_ns;
    uint32_t lane, sequence;
};
MUST bool bench_stamp_read(struct bytes value, struct bench_stamp *s);

/* ---- connections ---- */

struct bench_worker;

enum { BENCH_PIECES = 2 * BENCH_REQUEST_LANES + 1 };

struct bench_link {
    int fd;
    struct bench_worker *worker;
    void (*frame)(struct bench_link *l, struct bytes frame); /* a whole answer, without its size */
    struct iovec pieces[BENCH_PIECES]; /* not sent yet */
    int piece, piece_count;
    bool waits;                /* for the socket to take more */
    uint8_t *in;
    size_t in_used, in_room;
};
MUST enum outcome bench_link_open(struct bench_worker *w, const struct bench_broker *b,
                                  struct bench_link *l);
void bench_link_close(struct bench_link *l);
/* Sends pieces[piece ..]; what the socket does not take goes when it can. */
MUST enum outcome bench_link_send(struct bench_link *l);
MUST enum outcome bench_link_receive(struct bench_link *l);
static inline bool bench_link_busy(const struct bench_link *l)
{
    return l->piece < l->piece_count;
}

/* ---- producing ---- */

struct bench_lane {
    struct list in;            /* waiting (for more records or for time) or ready; or none */
    struct bench_producer *producer;
    int32_t partition;         /* its index */
    uint32_t number;           /* of all lanes */
    bool is_ready;
    uint64_t due, made;        /* records that are due, that are in batches */
    uint64_t share, limit;     /* without a rate: its part of the count; where `made` ends */
};

struct bench_sent {            /* one batch of a request */
    struct bench_lane *lane;
    uint64_t first;
    int32_t count;
    uint32_t crc;
};

struct bench_flight {          /* one request */
    int64_t at_ns;
    bool measured;             /* without a rate: made in measured time */
    int count;
    struct bench_sent *batches;
};

struct bench_producer {        /* a connection that produces */
    struct bench_link link;
    struct list waiting, ready;
    struct bench_lane **lanes;
    int32_t lane_count, request_lanes;
    struct bench_batch *batches; /* request_lanes of them */
    struct bench_flight *flights; /* a ring of in_flight */
    int64_t flight_first, flight_count;
    int32_t correlation;
    struct bench_buffer head;
    bool last_asked;           /* acks 0: a question behind all that was sent */
};

/* ---- consuming ---- */

struct bench_reading {         /* a partition that is read */
    int32_t partition;
    int64_t next, end;         /* end: INT64_MAX when it is not known */
};

struct bench_consumer {        /* a connection that fetches */
    struct bench_link link;
    struct bench_reading *readings;
    int32_t reading_count, left; /* left: not at their ends */
    bool asked;
    int64_t asked_ns;
    int32_t correlation;
    struct bench_buffer head;
};

/* ---- workers ---- */

struct bench_counts {          /* read by the thread that shows progress */
    atomic_uint_fast64_t records, bytes, received;
};

struct bench_run {
    const struct bench_options *o;
    struct bench_topic topic;
    struct bench_maker maker;
    struct bench_pace pace;
    uint32_t lane_count;
    int64_t from_ns, until_ns; /* measured time; until_ns INT64_MAX with a count */
    uint64_t end_number;       /* with a rate: no record from this one on; UINT64_MAX */
    _Atomic bool stop, failed; /* the user wants an end; a worker failed */
    atomic_int_fast32_t running, producing; /* workers */
    atomic_uint_fast64_t made, received;    /* records of all workers */
    int wake_fd;               /* written by a worker that ends */
};

struct bench_worker {
    struct bench_run *run;
    struct os_thread *thread;
    int poller;
    struct arena arena;        /* of one answer */
    struct bench_producer *producers;
    struct bench_consumer *consumers;
    int32_t producer_count, consumer_count;
    struct bench_lane *lanes;  /* of all its producers, in order of their numbers */
    int32_t lane_count, lane_next;
    uint64_t round;            /* lanes[lane_next].due, were all lanes due together */
    bool warm;                 /* before from_ns */
    bool ended;                /* nothing more is made */
    int64_t now_ns, last_ns;   /* last_ns: something was sent or came */
    int64_t final_ns;          /* of what was measured last */
    uint32_t *sequences;       /* e2e: the next of each lane of all */
    struct bench_counts counts CACHE_ALIGNED;
    struct bench_report report; /* its share */
    enum outcome outcome;
    char why[512];
};

MUST enum outcome bench_worker_open(struct bench_run *run, int number, struct bench_worker *w);
void bench_worker_close(struct bench_worker *w);
void bench_worker_main(void *worker); /* ends with `outcome` set */
/* The first failure is kept, and ends all workers. */
COLD void bench_worker_fail(struct bench_worker *w, enum outcome o);

MUST enum outcome bench_producer_open(struct bench_worker *w, const struct bench_broker *b,
                                      struct bench_producer *p);
void bench_producer_close(struct bench_producer *p);
/* Sends what is due; the time of the next turn, INT64_MAX when none is needed. */
int64_t bench_produce_turn(struct bench_worker *w);
bool bench_produced(const struct bench_worker *w); /* all, and acknowledged */

MUST enum outcome bench_consumer_open(struct bench_worker *w, const struct bench_broker *b,
                                      struct bench_consumer *c);
void bench_consumer_close(struct bench_consumer *c);
void bench_consume_turn(struct bench_worker *w);
bool bench_consumed(const struct bench_worker *w);

/* ---- other modes and figures ---- */

MUST enum outcome bench_fan_out(const struct bench_options *o, struct bench_report *r);
double bench_cpu_s(int pid);   /* user and system time; 0: no such process */
double bench_memory_mib(int pid, const char *field);

#endif

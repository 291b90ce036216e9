/* SPDX-License-Identifier: MIT */
/* A worker: its lanes and connections, and the loop that serves them. */
#include "bench/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EVENTS 128
#define LOOK_NS 100000000   /* longest wait: the wish to end is seen */
#define ANSWERS_MAX MiB(64) /* decoded */

void bench_worker_fail(struct bench_worker *w, enum outcome o)
{
    if (w->outcome == OUT_OK) {
        const char *why = outcome_trail();
        w->outcome = o;
        snprintf(w->why, sizeof w->why, "%s", why[0] == '\0' ? outcome_text(o) : why);
    }
    w->run->failed = true;
}

/* ---- opening ---- */

/* Slots of this worker. */
static int32_t slot_count(const struct bench_run *run, int64_t slots, int number)
{
    int64_t threads = run->o->threads;
    return (int32_t)((slots - number + threads - 1) / threads);
}

static uint64_t share_of(const struct bench_run *run, uint32_t lane)
{
    if (run->o->count == 0)
        return UINT64_MAX / 2;
    return ((uint64_t)run->o->count + run->lane_count - 1 - lane) / run->lane_count;
}

static enum outcome make_lanes(struct bench_run *run, int number, struct bench_worker *w)
{
    int64_t slots = run->o->connections;
    w->lanes = calloc(run->lane_count, sizeof *w->lanes);
    if (w->lanes == NULL)
        return fail(OUT_NO_MEMORY, "%u lanes", run->lane_count);
    for (uint32_t i = 0; i < run->lane_count; i++) {
        if (i % slots % run->o->threads != number)
            continue;
        struct bench_lane *l = &w->lanes[w->lane_count++];
        l->number = i;
        l->partition = run->topic.partitions[i % (uint32_t)run->topic.partition_count].index;
        l->share = share_of(run, i);
        l->limit = w->warm ? UINT64_MAX / 2 : l->share;
    }
    return OUT_OK;
}

static int32_t broker_of(const struct bench_run *run, uint32_t lane)
{
    return run->topic.partitions[lane % (uint32_t)run->topic.partition_count].broker;
}

/* The connection of a slot to one broker; none when no lane of the slot lives there. */
static enum outcome open_producer(struct bench_worker *w, int64_t slot, int32_t broker)
{
    struct bench_producer *p = &w->producers[w->producer_count];
    int64_t slots = w->run->o->connections;
    *p = (struct bench_producer){.link = {.fd = -1, .worker = w}};
    p->lanes = calloc((size_t)w->lane_count, sizeof *p->lanes);
    if (p->lanes == NULL)
        return fail(OUT_NO_MEMORY, "lanes of a connection");
    w->producer_count++;
    for (int32_t i = 0; i < w->lane_count; i++) {
        struct bench_lane *l = &w->lanes[i];
        if (l->number % slots == slot && broker_of(w->run, l->number) == broker)
            p->lanes[p->lane_count++] = l;
    }
    struct bench_lane **fitting = p->lane_count == 0 ? NULL
        : realloc(p->lanes, (size_t)p->lane_count * sizeof *p->lanes);
    if (fitting != NULL)
        p->lanes = fitting;
    if (p->lane_count > 0)
        return bench_producer_open(w, &w->run->topic.brokers[broker], p);
    free(p->lanes);
    w->producer_count--;
    return OUT_OK;
}

static enum outcome open_consumer(struct bench_worker *w, int64_t slot, int64_t slots,
                                  int32_t broker)
{
    const struct bench_run *run = w->run;
    const struct bench_options *o = run->o;
    struct bench_consumer *c = &w->consumers[w->consumer_count];
    int64_t lanes = MAX(slots, run->topic.partition_count);
    *c = (struct bench_consumer){.link = {.fd = -1, .worker = w}};
    c->readings = calloc((size_t)(lanes / slots + 1), sizeof *c->readings);
    if (c->readings == NULL)
        return fail(OUT_NO_MEMORY, "partitions of a connection");
    w->consumer_count++;
    for (int64_t i = slot; i < lanes; i += slots) {
        const struct bench_partition *p = &run->topic.partitions[i % run->topic.partition_count];
        bool from_end = o->mode == BENCH_E2E || o->from == BENCH_FROM_END;
        bool to_end = o->mode == BENCH_CONSUME && o->count == 0 && o->duration_ms == 0;
        if (p->broker == broker)
            c->readings[c->reading_count++] = (struct bench_reading){
                p->index, from_end ? p->end : p->start, to_end ? p->end : INT64_MAX};
    }
    if (c->reading_count > 0)
        return bench_consumer_open(w, &run->topic.brokers[broker], c);
    free(c->readings);
    w->consumer_count--;
    return OUT_OK;
}

static enum outcome open_half(struct bench_worker *w, int number, int64_t slots,
                              enum bench_mode half)
{
    int32_t brokers = w->run->topic.broker_count;
    size_t room = (size_t)(slot_count(w->run, slots, number) * brokers);
    enum outcome o = OUT_OK;
    if (half == BENCH_PRODUCE)
        w->producers = calloc(MAX(room, 1), sizeof *w->producers);
    else
        w->consumers = calloc(MAX(room, 1), sizeof *w->consumers);
    if (half == BENCH_PRODUCE ? w->producers == NULL : w->consumers == NULL)
        return fail(OUT_NO_MEMORY, "connections");
    for (int64_t slot = number; slot < slots && o == OUT_OK; slot += w->run->o->threads) {
        for (int32_t b = 0; b < brokers && o == OUT_OK; b++)
            o = half == BENCH_PRODUCE ? open_producer(w, slot, b)
                                      : open_consumer(w, slot, slots, b);
    }
    return o;
}

enum outcome bench_worker_open(struct bench_run *run, int number, struct bench_worker *w)
{
    const struct bench_options *o = run->o;
    enum outcome out = os_poller_open(&w->poller);
    w->run = run;
    w->warm = o->warm_ms > 0;
    arena_init(&w->arena, ANSWERS_MAX);
    if (out == OUT_OK && o->mode != BENCH_CONSUME)
        out = make_lanes(run, number, w);
    if (out == OUT_OK && o->mode != BENCH_CONSUME)
        out = open_half(w, number, o->connections, BENCH_PRODUCE);
    if (out == OUT_OK && o->mode == BENCH_E2E) {
        w->sequences = calloc(run->lane_count, sizeof *w->sequences);
        out = w->sequences == NULL ? fail(OUT_NO_MEMORY, "%u lanes", run->lane_count) : OUT_OK;
    }
    if (out == OUT_OK && o->mode != BENCH_PRODUCE)
        out = open_half(w, number,
                        o->mode == BENCH_E2E ? MIN(o->connections, run->topic.partition_count)
                                             : o->connections, BENCH_CONSUME);
    return out;
}

void bench_worker_close(struct bench_worker *w)
{
    for (int32_t i = 0; i < w->producer_count; i++)
        bench_producer_close(&w->producers[i]);
    for (int32_t i = 0; i < w->consumer_count; i++)
        bench_consumer_close(&w->consumers[i]);
    free(w->producers);
    free(w->consumers);
    free(w->lanes);
    free(w->sequences);
    arena_fini(&w->arena);
    os_close(w->poller);
}

/* ---- the loop ---- */

static bool done(struct bench_worker *w, bool *producing)
{
    struct bench_run *run = w->run;
    if (*producing && bench_produced(w)) {
        *producing = false;
        run->producing--;
    }
    if (run->o->mode == BENCH_PRODUCE)
        return !*producing;
    if (run->o->mode == BENCH_CONSUME)
        return bench_consumed(w);
    return run->producing == 0 && run->received >= run->made;
}

/* Too long without anything. What an end-to-end run lacks then is lost, and said in its report. */
static bool given_up(struct bench_worker *w, bool producing)
{
    if (w->now_ns - w->last_ns < BENCH_WAIT_NS)
        return false;
    errno = 0;
    if (producing)
        bench_worker_fail(w, fail(OUT_TIMED_OUT, "no answer for 10 s"));
    else if (w->run->o->mode == BENCH_E2E)
        return w->run->producing == 0;
    else if (w->run->until_ns == INT64_MAX && w->consumer_count > 0)
        bench_worker_fail(w, fail(OUT_TIMED_OUT, "nothing more came for 10 s, after %llu records",
                                  (unsigned long long)w->run->received));
    return false;
}

static void serve(struct bench_worker *w, const struct os_event *e)
{
    struct bench_link *l = e->context;
    enum outcome o = OUT_OK;
    w->now_ns = os_now_ns();
    if (e->what & OS_WRITABLE)
        o = bench_link_send(l);
    if (o == OUT_OK && (e->what & ~(unsigned)OS_WRITABLE))
        o = bench_link_receive(l);
    if (o != OUT_OK)
        bench_worker_fail(w, o);
}

void bench_worker_main(void *context)
{
    struct bench_worker *w = context;
    struct bench_run *run = w->run;
    struct os_event events[EVENTS];
    bool producing = run->o->mode != BENCH_CONSUME;
    uint64_t one = 1;
    prctl(PR_SET_TIMERSLACK, 1);
    while (os_now_ns() < run->pace.begin_ns)
        os_poller_wait(w->poller, events, EVENTS, bench_until(run->pace.begin_ns));
    w->now_ns = w->last_ns = os_now_ns();
    while (!run->failed) {
        int64_t wake = producing ? bench_produce_turn(w) : INT64_MAX;
        bench_consume_turn(w);
        if (done(w, &producing) || given_up(w, producing))
            break;
        if (w->now_ns < run->until_ns)
            wake = MIN(wake, run->until_ns);
        int64_t wait = bench_until(wake);
        int count = os_poller_wait(w->poller, events, EVENTS, MIN(LOOK_NS, wait));
        for (int i = 0; i < count && !run->failed; i++)
            serve(w, &events[i]);
        w->now_ns = os_now_ns();
    }
    run->running--;
    if (write(run->wake_fd, &one, sizeof one) < 0)
        errno = 0; /* then it is seen a tick later */
}

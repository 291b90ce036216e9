/* SPDX-License-Identifier: MIT */
/*
 * The producing half of a worker. Records that are due are counted for their lanes; a lane with
 * some waits until a batch is full or the first is linger old, and is ready then; a connection with
 * room for a request takes batches of its ready lanes, longest due first.
 */
#include "bench/private.h"

#include "base/check.h"
#include "wire/messages.h"

#include <stdlib.h>

#define ASK_KEY 3     /* Metadata: answered behind all produce requests of a connection */
#define ASK_VERSION 9
#define TIMEOUT_MS 30000

static struct bench_lane *lane_of(struct list *node)
{
    return container_of(node, struct bench_lane, in);
}

static const struct bench_options *options_of(const struct bench_worker *w)
{
    return w->run->o;
}

static int64_t due_of(const struct bench_worker *w, const struct bench_lane *l, uint64_t record)
{
    return bench_due(&w->run->pace, record * w->run->lane_count + l->number);
}

/* ---- answers ---- */

static void note_batch(struct bench_worker *w, const struct bench_sent *s,
                       const struct bench_flight *f)
{
    const struct bench_run *run = w->run;
    struct bench_report *r = &w->report;
    uint64_t measured = 0;
    struct histogram *h = run->o->mode == BENCH_E2E ? &r->acked : &r->latency;
    if (run->pace.each_ns > 0) {
        for (int32_t i = 0; i < s->count; i++) {
            int64_t due = due_of(w, s->lane, s->first + (uint64_t)i);
            if (due < run->from_ns)
                continue;
            if (run->o->acks != 0) /* nobody says when those are there */
                histogram_add(h, w->now_ns - due, 1);
            measured++;
        }
    } else if (f->measured) {
        if (run->o->acks != 0)
            histogram_add(h, w->now_ns - f->at_ns, (uint64_t)s->count);
        measured = (uint64_t)s->count;
    }
    r->checksum += s->crc;
    r->sent += (uint64_t)s->count;
    r->batches += measured > 0;
    r->records += measured;
    r->bytes += measured * (uint64_t)run->o->size;
    if (measured > 0)
        w->final_ns = w->now_ns;
    atomic_fetch_add_explicit(&w->counts.records, (uint64_t)s->count, memory_order_relaxed);
}

static void end_flight(struct bench_producer *p)
{
    struct bench_worker *w = p->link.worker;
    int64_t in_flight = options_of(w)->in_flight;
    const struct bench_flight *f = &p->flights[p->flight_first % in_flight];
    for (int i = 0; i < f->count; i++)
        note_batch(w, &f->batches[i], f);
    w->report.requests += f->at_ns >= w->run->from_ns;
    p->flight_first++;
    p->flight_count--;
}

static enum outcome read_answer(struct bench_producer *p, struct bytes frame)
{
    struct bench_worker *w = p->link.worker;
    struct produce_response r;
    int16_t version = w->run->topic.produce_version;
    size_t head = wire_response_header_size(0, version);
    arena_reset(&w->arena);
    if (frame.size < head || p->flight_count == 0 ||
        wire_decode(&wire_produce_response, version,
                    bytes_view(frame.at + head, frame.size - head), &w->arena, &r, NULL) != OUT_OK)
        return fail(OUT_MALFORMED, "the server answers Produce with what can't be read");
    for (int32_t i = 0; i < r.responses_count; i++) {
        for (int32_t k = 0; k < r.responses[i].partition_responses_count; k++) {
            const struct produce_response_responses_partition_responses *part =
                &r.responses[i].partition_responses[k];
            if (part->error_code != KAFKA_NONE)
                return bench_refused(&w->run->topic, part->index, part->error_code);
        }
    }
    end_flight(p);
    return OUT_OK;
}

static void send_ready(struct bench_worker *w, struct bench_producer *p);

static void answered(struct bench_link *l, struct bytes frame)
{
    struct bench_producer *p = container_of(l, struct bench_producer, link);
    struct bench_worker *w = l->worker;
    w->last_ns = w->now_ns;
    if (options_of(w)->acks == 0) {
        p->flight_count = 0; /* the one answer: to the question behind everything */
        w->final_ns = w->now_ns;
        return;
    }
    enum outcome o = read_answer(p, frame);
    if (o != OUT_OK)
        bench_worker_fail(w, o);
    else
        send_ready(w, p);
}

/* ---- requests ---- */

/* Records of the lane for its next batch. */
static int32_t batch_count(const struct bench_worker *w, const struct bench_lane *l)
{
    uint64_t have = w->run->pace.each_ns > 0 ? l->due - l->made
                                             : (w->ended ? 0 : l->limit - l->made);
    return (int32_t)MIN(have, (uint64_t)w->run->maker.most);
}

static void lane_waits(struct bench_worker *w, struct bench_lane *l)
{
    int32_t count = batch_count(w, l);
    list_remove(&l->in);
    l->is_ready = count == w->run->maker.most || (count > 0 && options_of(w)->linger_ms == 0) ||
                  (count > 0 && w->run->pace.each_ns <= 0);
    if (count > 0)
        list_push(l->is_ready ? &l->producer->ready : &l->producer->waiting, &l->in);
}

static enum outcome make_batch(struct bench_worker *w, struct bench_lane *l,
                               struct bench_batch *b, struct bench_sent *s)
{
    struct bench_run *run = w->run;
    struct bench_records r = {.lane = l->number, .stride = run->lane_count, .first = l->made,
                              .count = batch_count(w, l), .due_ns = w->now_ns, .pace = &run->pace,
                              .wall_ms = os_wall_ms()};
    *s = (struct bench_sent){.lane = l, .first = l->made, .count = r.count};
    enum outcome o = bench_make(&run->maker, b, &r, &s->crc);
    if (o == OUT_OK && run->pace.each_ns > 0 && due_of(w, l, l->made) >= run->from_ns)
        histogram_add(&w->report.late, w->now_ns - due_of(w, l, l->made) -
                                           options_of(w)->linger_ms * 1000000, 1);
    l->made += (uint64_t)r.count;
    atomic_fetch_add_explicit(&w->run->made, (uint64_t)r.count, memory_order_relaxed);
    return o;
}

/* Header, batch, header of the next, ... */
static void gather(struct bench_producer *p, const struct wire_cut *cuts, size_t cut_count)
{
    struct bench_link *l = &p->link;
    size_t at = 0;
    l->piece = l->piece_count = 0;
    for (size_t i = 0; i < cut_count; i++) {
        if (cuts[i].position > at)
            l->pieces[l->piece_count++] = (struct iovec){p->head.at + at, cuts[i].position - at};
        l->pieces[l->piece_count++] =
            (struct iovec){(void *)(uintptr_t)cuts[i].external, cuts[i].size};
        at = cuts[i].position;
    }
    if (p->head.used > at)
        l->pieces[l->piece_count++] = (struct iovec){p->head.at + at, p->head.used - at};
}

static enum outcome send_one(struct bench_worker *w, struct bench_producer *p)
{
    const struct bench_options *o = options_of(w);
    struct produce_request_topic_data_partition_data parts[BENCH_REQUEST_LANES];
    struct produce_request_topic_data topic = {.name = w->run->topic.name,
                                               .topic_id = w->run->topic.id,
                                               .partition_data = parts};
    struct produce_request request = {.acks = (int16_t)o->acks, .timeout_ms = TIMEOUT_MS,
                                      .topic_data = &topic, .topic_data_count = 1};
    struct wire_cut cuts[BENCH_REQUEST_LANES];
    size_t cut_count = COUNT_OF(cuts);
    struct bench_flight *f =
        &p->flights[(p->flight_first + p->flight_count) % o->in_flight];
    enum outcome out = OUT_OK;
    f->count = 0;
    f->at_ns = w->last_ns = w->now_ns;
    f->measured = !w->warm;
    while (f->count < p->request_lanes && !list_empty(&p->ready) && out == OUT_OK) {
        struct bench_lane *l = lane_of(list_pop(&p->ready));
        struct bench_batch *b = &p->batches[f->count];
        out = make_batch(w, l, b, &f->batches[f->count]);
        parts[f->count++] = (struct produce_request_topic_data_partition_data){
            .index = l->partition, .records = {.external = b->at, .size = b->size}};
    }
    topic.partition_data_count = f->count;
    if (out == OUT_OK)
        out = bench_encode(&wire_produce_request, w->run->topic.produce_version, ++p->correlation,
                           &request, &p->head, cuts, &cut_count);
    if (out != OUT_OK)
        return out;
    for (int i = 0; i < f->count; i++)
        lane_waits(w, f->batches[i].lane);
    p->flight_count++;
    gather(p, cuts, cut_count);
    return bench_link_send(&p->link);
}

/* What its linger has ended for is ready. */
static void linger_ended(struct bench_worker *w, struct bench_producer *p)
{
    int64_t linger_ns = options_of(w)->linger_ms * 1000000;
    while (!list_empty(&p->waiting)) {
        struct bench_lane *l = lane_of(p->waiting.next);
        if (due_of(w, l, l->made) + linger_ns > w->now_ns && !w->ended)
            return;
        list_remove(&l->in);
        l->is_ready = true;
        list_push(&p->ready, &l->in);
    }
}

static void send_ready(struct bench_worker *w, struct bench_producer *p)
{
    const struct bench_options *o = options_of(w);
    enum outcome out = OUT_OK;
    if (w->run->pace.each_ns <= 0 && w->ended)
        while (!list_empty(&p->ready))
            list_pop(&p->ready);
    while (out == OUT_OK && !list_empty(&p->ready) && p->flight_count < o->in_flight &&
           !bench_link_busy(&p->link)) {
        out = send_one(w, p);
        if (o->acks == 0 && out == OUT_OK)
            end_flight(p);
        if (o->acks == 0 && w->run->pace.each_ns <= 0)
            break; /* the other connections are to have their turn */
    }
    if (out != OUT_OK)
        bench_worker_fail(w, out);
}

/* acks 0: one question whose answer says that all before it was served. */
static void ask_last(struct bench_worker *w, struct bench_producer *p)
{
    struct metadata_request request = {.topics_count = 0, .topics = NULL};
    p->last_asked = true;
    enum outcome o = bench_encode(wire_api(ASK_KEY)->request, ASK_VERSION, ++p->correlation,
                                  &request, &p->head, NULL, NULL);
    if (o == OUT_OK) {
        p->flight_count = 1;
        gather(p, NULL, 0);
        o = bench_link_send(&p->link);
    }
    if (o != OUT_OK)
        bench_worker_fail(w, o);
}

/* ---- time ---- */

/* Counts what is due by now; the time the next record is, INT64_MAX: none follows. */
static int64_t take_due(struct bench_worker *w)
{
    while (w->lane_count > 0 && !w->ended) {
        struct bench_lane *l = &w->lanes[w->lane_next];
        int64_t due = due_of(w, l, w->round);
        uint64_t number = w->round * w->run->lane_count + l->number;
        if (due >= w->run->until_ns || number >= w->run->end_number || w->run->stop)
            w->ended = true; /* those that follow are later */
        else if (due > w->now_ns)
            return due;
        else if (l->due++ == l->made)
            lane_waits(w, l);
        else if (!l->is_ready && l->due - l->made == (uint64_t)w->run->maker.most)
            lane_waits(w, l);
        w->lane_next++;
        if (w->lane_next == w->lane_count) {
            w->lane_next = 0;
            w->round++;
        }
    }
    return INT64_MAX;
}

/* Without a rate: the measured time begins, and ends. */
static void take_phase(struct bench_worker *w)
{
    if (w->warm && w->now_ns >= w->run->from_ns) {
        w->warm = false;
        for (int32_t i = 0; i < w->lane_count; i++)
            w->lanes[i].limit = w->lanes[i].made + w->lanes[i].share;
    }
    bool more = w->warm;
    for (int32_t i = 0; i < w->lane_count && !more; i++)
        more = w->lanes[i].made < w->lanes[i].limit;
    w->ended = !more || w->now_ns >= w->run->until_ns || w->run->stop;
}

static int64_t sooner(struct bench_worker *w, const struct bench_producer *p, int64_t wake)
{
    if (list_empty(&p->waiting) || bench_link_busy(&p->link))
        return wake;
    struct bench_lane *l = lane_of(p->waiting.next);
    return MIN(wake, due_of(w, l, l->made) + options_of(w)->linger_ms * 1000000);
}

int64_t bench_produce_turn(struct bench_worker *w)
{
    bool paced = w->run->pace.each_ns > 0;
    int64_t wake = INT64_MAX;
    if (paced)
        wake = take_due(w);
    else
        take_phase(w);
    for (int32_t i = 0; i < w->producer_count; i++) {
        struct bench_producer *p = &w->producers[i];
        linger_ended(w, p);
        send_ready(w, p);
        wake = sooner(w, p, wake);
        bool idle = list_empty(&p->ready) && list_empty(&p->waiting) && p->flight_count == 0;
        if (options_of(w)->acks == 0 && w->ended && idle && !p->last_asked &&
            !bench_link_busy(&p->link))
            ask_last(w, p);
        else if (options_of(w)->acks == 0 && !bench_link_busy(&p->link) && !list_empty(&p->ready))
            wake = w->now_ns; /* it takes more at once */
    }
    return wake;
}

bool bench_produced(const struct bench_worker *w)
{
    if (!w->ended)
        return false;
    for (int32_t i = 0; i < w->producer_count; i++) {
        const struct bench_producer *p = &w->producers[i];
        if (p->flight_count > 0 || !list_empty(&p->ready) || !list_empty(&p->waiting) ||
            bench_link_busy(&p->link) || (options_of(w)->acks == 0 && !p->last_asked))
            return false;
    }
    return true;
}

/* ---- opening ---- */

enum outcome bench_producer_open(struct bench_worker *w, const struct bench_broker *b,
                                 struct bench_producer *p)
{
    int64_t in_flight = options_of(w)->in_flight;
    list_init(&p->waiting);
    list_init(&p->ready);
    p->link.frame = answered;
    p->request_lanes = MIN(p->lane_count, BENCH_REQUEST_LANES);
    p->batches = calloc((size_t)p->request_lanes, sizeof *p->batches);
    p->flights = calloc((size_t)in_flight, sizeof *p->flights);
    for (int64_t i = 0; p->flights != NULL && i < in_flight; i++) {
        p->flights[i].batches = calloc((size_t)p->request_lanes, sizeof *p->flights[i].batches);
        if (p->flights[i].batches == NULL)
            return fail(OUT_NO_MEMORY, "a connection's requests");
    }
    if (p->batches == NULL || p->flights == NULL)
        return fail(OUT_NO_MEMORY, "a connection's requests");
    for (int32_t i = 0; i < p->lane_count; i++) {
        struct bench_lane *l = p->lanes[i];
        list_init(&l->in);
        l->producer = p;
        if (w->run->pace.each_ns <= 0 && l->limit > 0) {
            l->is_ready = true;
            list_push(&p->ready, &l->in);
        }
    }
    return bench_link_open(w, b, &p->link);
}

void bench_producer_close(struct bench_producer *p)
{
    bench_link_close(&p->link);
    for (int32_t i = 0; p->batches != NULL && i < p->request_lanes; i++)
        free(p->batches[i].at);
    for (int64_t i = 0; p->flights != NULL && i < options_of(p->link.worker)->in_flight; i++)
        free(p->flights[i].batches);
    free(p->batches);
    free(p->flights);
    free(p->lanes);
    free(p->head.at);
}

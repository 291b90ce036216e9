/* SPDX-License-Identifier: MIT */
/*
 * The consuming half of a worker: each connection asks for all its partitions at once, and again
 * when the answer was looked at. Every batch is counted, its checksum verified, and its place: it
 * begins where the one before it ended.
 */
#include "bench/private.h"

#include "log/log.h"
#include "wire/messages.h"

#include <errno.h>
#include <stdlib.h>

#define ANSWER_MAX MiB(64)
#define RECORDS_MAX MiB(256) /* of one batch, decompressed */

/* ---- records ---- */

static void note_record(struct bench_worker *w, struct bytes value)
{
    struct bench_stamp s;
    struct bench_report *r = &w->report;
    if (!bench_stamp_read(value, &s) || s.lane >= w->run->lane_count ||
        value.size != (size_t)w->run->o->size) {
        r->wrong++;
        return;
    }
    r->wrong += s.sequence != w->sequences[s.lane];
    w->sequences[s.lane] = s.sequence + 1;
    if (s.due_ns < w->run->from_ns)
        return;
    histogram_add(&r->latency, w->now_ns - s.due_ns, 1);
    w->final_ns = w->now_ns;
}

static void walk(struct bench_worker *w, const struct log_batch *b)
{
    struct log_records walk;
    struct log_record record;
    enum outcome o = log_records_begin(&walk, b, RECORDS_MAX);
    while (o == OUT_OK && (o = log_records_next(&walk, &record)) == OUT_OK)
        note_record(w, record.value);
    log_records_fini(&walk);
    w->report.wrong += o != OUT_END;
}

static void note_batch(struct bench_worker *w, struct bench_reading *at, const struct log_batch *b)
{
    const struct bench_options *o = w->run->o;
    struct bench_report *r = &w->report;
    uint64_t count = b->count > 0 && (b->attributes & LOG_ATTR_CONTROL) == 0 ? (uint64_t)b->count
                                                                             : 0;
    r->gaps += b->base_offset > at->next;
    at->next = b->last_offset + 1;
    if (!o->unchecked && !log_batch_crc_good(b))
        r->wrong += MAX(count, 1);
    r->checksum_back += b->crc;
    r->received += count;
    atomic_fetch_add_explicit(&w->run->received, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->counts.received, count, memory_order_relaxed);
    if (o->mode == BENCH_E2E) {
        walk(w, b);
    } else if (w->now_ns >= w->run->from_ns) {
        r->batches++;
        r->records += count;
        r->bytes += b->size;
        w->final_ns = w->now_ns;
    }
}

static void note_partition(struct bench_consumer *c, struct bench_reading *at, struct bytes records)
{
    struct log_batch b;
    bool open = at->next < at->end;
    while (at->next < at->end && log_batch_next(&records, &b) == OUT_OK) {
        if (b.last_offset < at->next)
            continue;
        c->link.worker->last_ns = c->link.worker->now_ns;
        note_batch(c->link.worker, at, &b);
    }
    if (open && at->next >= at->end)
        c->left--;
}

/* ---- answers ---- */

/* Partitions come in the order they were asked for; those at their ends were not asked for. */
static struct bench_reading *find(struct bench_consumer *c, int32_t partition, int32_t *from)
{
    for (int32_t i = 0; i < c->reading_count; i++) {
        int32_t at = (*from + i) % c->reading_count;
        if (c->readings[at].partition == partition) {
            *from = at + 1;
            return &c->readings[at];
        }
    }
    return NULL;
}

static enum outcome read_answer(struct bench_consumer *c, struct bytes frame)
{
    struct bench_worker *w = c->link.worker;
    struct fetch_response r;
    int16_t version = w->run->topic.fetch_version;
    size_t head = wire_response_header_size(1, version);
    int32_t from = 0;
    arena_reset(&w->arena);
    if (frame.size < head ||
        wire_decode(&wire_fetch_response, version, bytes_view(frame.at + head, frame.size - head),
                    &w->arena, &r, NULL) != OUT_OK)
        return fail(OUT_MALFORMED, "the server answers Fetch with what can't be read");
    if (r.error_code != KAFKA_NONE)
        return bench_refused(&w->run->topic, -1, r.error_code);
    for (int32_t i = 0; i < r.responses_count; i++) {
        for (int32_t k = 0; k < r.responses[i].partitions_count; k++) {
            const struct fetch_response_responses_partitions *p = &r.responses[i].partitions[k];
            struct bench_reading *at = find(c, p->partition_index, &from);
            if (p->error_code != KAFKA_NONE || at == NULL)
                return bench_refused(&w->run->topic, p->partition_index, p->error_code);
            note_partition(c, at, bytes_view(p->records.at, p->records.size));
        }
    }
    return OUT_OK;
}

static void ask(struct bench_consumer *c);

static void answered(struct bench_link *l, struct bytes frame)
{
    struct bench_consumer *c = container_of(l, struct bench_consumer, link);
    struct bench_worker *w = l->worker;
    c->asked = false;
    if (w->run->o->mode == BENCH_CONSUME && w->now_ns >= w->run->from_ns) {
        histogram_add(&w->report.latency, w->now_ns - c->asked_ns, 1);
        w->report.requests++;
    }
    enum outcome o = read_answer(c, frame);
    if (o != OUT_OK)
        bench_worker_fail(w, o);
    else
        ask(c);
}

/* ---- requests ---- */

static enum outcome encode(struct bench_consumer *c)
{
    struct bench_worker *w = c->link.worker;
    const struct bench_options *o = w->run->o;
    arena_reset(&w->arena);
    struct fetch_request_topics_partitions *parts =
        arena_array(&w->arena, struct fetch_request_topics_partitions, (size_t)c->left);
    struct fetch_request_topics topic = {.topic = w->run->topic.name, .partitions = parts,
                                         .topic_id = w->run->topic.id};
    struct fetch_request request;
    if (parts == NULL)
        return fail(OUT_NO_MEMORY, "a request for %d partitions", c->left);
    wire_defaults(&wire_fetch_request, &request);
    request.max_wait_ms = (int32_t)o->fetch_wait_ms;
    request.min_bytes = 1;
    request.max_bytes = (int32_t)MAX(ANSWER_MAX, (size_t)o->fetch_bytes);
    request.rack_id = bytes_of("");
    request.topics = &topic;
    request.topics_count = 1;
    for (int32_t i = 0; i < c->reading_count; i++) {
        const struct bench_reading *at = &c->readings[i];
        if (at->next >= at->end)
            continue;
        parts[topic.partitions_count++] = (struct fetch_request_topics_partitions){
            .partition = at->partition, .current_leader_epoch = -1, .fetch_offset = at->next,
            .last_fetched_epoch = -1, .log_start_offset = -1,
            .partition_max_bytes = (int32_t)o->fetch_bytes, .high_watermark = INT64_MAX};
    }
    return bench_encode(&wire_fetch_request, w->run->topic.fetch_version, ++c->correlation,
                        &request, &c->head, NULL, NULL);
}

static bool enough(const struct bench_worker *w)
{
    const struct bench_options *o = w->run->o;
    if (o->mode != BENCH_CONSUME)
        return false;
    return w->now_ns >= w->run->until_ns || w->run->stop ||
           (o->count > 0 && w->run->received >= (uint64_t)o->count);
}

static void ask(struct bench_consumer *c)
{
    struct bench_worker *w = c->link.worker;
    if (c->asked || c->left == 0 || enough(w))
        return;
    enum outcome o = encode(c);
    if (o == OUT_OK) {
        c->asked = true;
        c->asked_ns = w->now_ns;
        c->link.pieces[0] = (struct iovec){c->head.at, c->head.used};
        c->link.piece = 0;
        c->link.piece_count = 1;
        o = bench_link_send(&c->link);
    }
    if (o != OUT_OK)
        bench_worker_fail(w, o);
}

void bench_consume_turn(struct bench_worker *w)
{
    for (int32_t i = 0; i < w->consumer_count; i++) {
        if (!w->consumers[i].asked)
            ask(&w->consumers[i]);
    }
}

bool bench_consumed(const struct bench_worker *w)
{
    if (enough(w))
        return true;
    for (int32_t i = 0; i < w->consumer_count; i++) {
        if (w->consumers[i].left > 0)
            return false;
    }
    return true;
}

enum outcome bench_consumer_open(struct bench_worker *w, const struct bench_broker *b,
                                 struct bench_consumer *c)
{
    c->link.frame = answered;
    for (int32_t i = 0; i < c->reading_count; i++)
        c->left += c->readings[i].next < c->readings[i].end;
    return bench_link_open(w, b, &c->link);
}

void bench_consumer_close(struct bench_consumer *c)
{
    bench_link_close(&c->link);
    free(c->readings);
    free(c->head.at);
}

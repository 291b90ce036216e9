/* SPDX-License-Identifier: MIT */
/*
 * Markers of a transaction into its partitions: into those of topics at once, from the calling
 * thread; into those of __consumer_offsets by way of their owners, where the transaction's offsets
 * begin to count. Then all of them are flushed.
 */
#include "broker/coordinator.h"

#include "watch/watch.h"

static bool above(const struct marking *m, const struct partition *p)
{
    struct store_producer now;
    store_producer(p->store, m->producer_id, &now);
    return m->epoch > now.epoch || !now.open;
}

static enum outcome write_marker(struct marking *m, struct log_builder *builder,
                                 struct partition *p, int64_t *end)
{
    struct store_appended done;
    struct log_builder_end tail = log_builder_plain();
    uint8_t *batch;
    size_t size;
    int64_t now_ms = shard_self()->wall_ms;
    if (m->producer_id < 0 || m->epoch < 0 || (m->raised && !above(m, p)))
        return OUT_INVALID_PRODUCER_EPOCH;
    log_builder_reset(builder);
    log_builder_marker(builder, now_ms, m->commit ? LOG_MARKER_COMMIT : LOG_MARKER_ABORT,
                       m->coordinator_epoch);
    tail.producer_id = m->producer_id;
    tail.producer_epoch = (int16_t)m->epoch;
    tail.leader_epoch = atomic_load(&p->leader_epoch);
    enum outcome o = log_builder_finish(builder, &tail, &batch, &size);
    if (o != OUT_OK)
        return o;
    struct store_append what = {.at = batch, .size = size, .leader_epoch = tail.leader_epoch,
                                .origin = STORE_COORDINATOR, .now_ms = now_ms};
    o = store_append(p->store, &what, &done);
    if (o != OUT_OK)
        return o;
    *end = done.last_offset + 1;
    partition_appended(p, done.base_offset);
    return OUT_OK;
}

static void offsets_answer(struct coordinator_work *w, size_t index, const struct group_reply *r)
{
    struct marking *m = w->context;
    m->each[m->indexes[index]] = r->outcome;
}

/* Home thread: all that was appended is flushed. */
static void flushed(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct marking *m = w->context;
    if (atomic_load(&m->flush.failed)) {
        for (size_t i = 0; i < m->place_count; i++) {
            if (m->each[i] == OUT_OK)
                m->each[i] = OUT_OFFLINE;
        }
    }
    m->done(r);
}

/* Home thread: the owners of __consumer_offsets have answered. */
static void flush(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct marking *m = w->context;
    if (!broker_flush_end(&m->flush))
        flushed(r);
}

static void mark_topics(struct marking *m, struct log_builder *builder)
{
    bool promise = broker_config(broker_self())->flush_mode != FLUSH_MODE_NONE;
    size_t waits = 0;
    for (size_t i = 0; i < m->place_count; i++) {
        const struct txn_place *place = &m->places[i];
        struct topic *t = view_topic(broker_view(), place->topic);
        int64_t end = 0;
        if (t == NULL || place->partition < 0 || place->partition >= t->partition_count) {
            m->each[i] = OUT_NOT_FOUND;
            continue;
        }
        if (bytes_is(place->topic, OFFSETS_TOPIC)) {
            m->indexes[m->work.event_count] = i;
            m->work.events[m->work.event_count++] = (struct group_event){
                .kind = GROUP_TXN_END,
                .end = {.producer_id = m->producer_id, .producer_epoch = m->epoch,
                        .coordinator_epoch = m->coordinator_epoch, .commit = m->commit,
                        .partition = place->partition}};
            continue;
        }
        struct partition *p = topic_partition(t, place->partition);
        m->each[i] = p == NULL ? OUT_OFFLINE : write_marker(m, builder, p, &end);
        if (m->each[i] == OUT_OK && promise)
            broker_flush_add(&m->flush, &m->waits[waits++], p, end);
    }
}

bool marking_begin(struct marking *m)
{
    struct request *r = m->request;
    struct log_builder builder;
    m->work = (struct coordinator_work){.request = r, .answer = offsets_answer, .done = flush,
                                        .context = m};
    m->work.events = arena_array(&r->arena, struct group_event, m->place_count);
    m->indexes = arena_array(&r->arena, size_t, m->place_count);
    m->waits = arena_array(&r->arena, struct flush_wait, m->place_count);
    if (m->work.events == NULL || m->indexes == NULL || m->waits == NULL)
        return false;
    log_builder_init(&builder, KiB(4));
    broker_flush_begin(&m->flush, r, flushed);
    mark_topics(m, &builder);
    log_builder_fini(&builder);
    r->work = &m->work;
    enum verdict v = m->work.event_count == 0 ? REQ_DONE : coordinator_submit(&m->work);
    if (v == REQ_CLOSE) {
        for (size_t i = 0; i < m->work.event_count; i++)
            m->each[m->indexes[i]] = OUT_NO_MEMORY;
    }
    if (v != REQ_PARKED)
        request_return(r, flush);
    return true;
}

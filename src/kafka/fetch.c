/* SPDX-License-Identifier: MIT */
/*
 * Fetch: reads each partition's records as a file range, waits when there is too little.
 *
 * A fetch that finds less than min.bytes is parked: it watches its partitions and is read anew when
 * one of them grows, until max.wait has passed. Sessions (KIP-227) are in fetch_session.c, the
 * response in fetch_reply.c. No record is copied or looked into, ranges go from file to socket;
 * unless records of the partition have times to live: then what is past its time is taken out.
 */
#include "kafka/consumed.h"
#include "kafka/fetch.h"

#include "watch/watch.h"

#define NS_PER_MS 1000000

static struct session_cache *sessions(struct call *c)
{
    return broker_slot(c->broker, BROKER_SLOT_FETCH_SESSIONS);
}

/* ---- which partitions ---- */

/* One asked partition after another, topic by topic. */
struct asked {
    const struct fetch_request *in;
    bool by_id; /* version 13 and above name topics by id */
    int32_t topic, partition;
};

static bool asked_next(struct asked *a, struct fetch_part *part)
{
    while (a->topic < a->in->topics_count) {
        const struct fetch_request_topics *t = &a->in->topics[a->topic];
        if (a->partition >= t->partitions_count) {
            a->topic++;
            a->partition = 0;
            continue;
        }
        const struct fetch_request_topics_partitions *p = &t->partitions[a->partition++];
        *part = (struct fetch_part){
            .topic = t->topic, .topic_id = t->topic_id, .partition = p->partition,
            .fetch_offset = p->fetch_offset, .max_bytes = p->partition_max_bytes,
            .current_leader_epoch = p->current_leader_epoch,
            .last_fetched_epoch = p->last_fetched_epoch,
            .known_high_watermark = -1, .known_log_start = -1,
        };
        if (a->by_id)
            part->topic = (struct bytes){NULL, 0};
        return true;
    }
    return false;
}

static size_t asked_count(const struct fetch_request *in)
{
    size_t count = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        count += (size_t)in->topics[i].partitions_count;
    return count;
}

static bool list_results(struct call *c, struct fetch_state *s, size_t count)
{
    s->results = arena_array(c->arena, struct fetch_result, count);
    return s->results != NULL;
}

static bool from_session(struct call *c, struct fetch_state *s)
{
    if (!list_results(c, s, s->session->part_count))
        return false;
    list_each(n, &s->session->parts)
        s->results[s->count++].part = container_of(n, struct fetch_part, node);
    return true;
}

/* Without a session: the last entry for a partition counts, at the place of the first. */
static bool from_request(struct call *c, struct fetch_state *s)
{
    const struct fetch_request *in = c->in;
    size_t count = asked_count(in), mask = 15;
    while (mask < count * 2)
        mask = mask * 2 + 1;
    struct fetch_part *parts = arena_array(c->arena, struct fetch_part, count);
    uint32_t *slots = arena_array(c->arena, uint32_t, mask + 1);
    if (parts == NULL || slots == NULL || !list_results(c, s, count))
        return false;
    struct asked walk = {.in = in, .by_id = c->version >= 13};
    struct fetch_part part;
    while (asked_next(&walk, &part)) {
        struct bytes key = part.topic.at != NULL ? part.topic
                                                 : bytes_view(&part.topic_id, sizeof part.topic_id);
        size_t slot = (bytes_hash(key) + (uint32_t)part.partition * 0x9e3779b1u) & mask;
        while (slots[slot] != 0) {
            const struct fetch_part *there = &parts[slots[slot] - 1];
            if (there->partition == part.partition && bytes_equal(there->topic, part.topic) &&
                uuid_equal(&there->topic_id, &part.topic_id))
                break;
            slot = (slot + 1) & mask;
        }
        if (slots[slot] == 0) {
            slots[slot] = (uint32_t)s->count + 1;
            s->results[s->count].part = &parts[s->count];
            s->count++;
        }
        parts[slots[slot] - 1] = part;
    }
    for (size_t i = 0; i < s->count; i++)
        consumed_count(c, &parts[i]);
    return true;
}

static bool put_asked(struct call *c, struct fetch_session *session)
{
    struct asked walk = {.in = c->in, .by_id = c->version >= 13};
    struct fetch_part part;
    while (asked_next(&walk, &part)) {
        if (!session_put(sessions(c), session, &part))
            return false;
    }
    return true;
}

static void forget_asked(struct call *c, struct fetch_session *session)
{
    const struct fetch_request *in = c->in;
    for (int32_t i = 0; i < in->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topics_data *t = &in->forgotten_topics_data[i];
        struct bytes name = c->version < 13 ? t->topic : (struct bytes){NULL, 0};
        for (int32_t j = 0; j < t->partitions_count; j++)
            session_forget(sessions(c), session, name, &t->topic_id, t->partitions[j]);
    }
}

/* Finds out what to fetch; the Kafka error of a session that can't be used otherwise. */
static int16_t choose(struct call *c, struct fetch_state *s, bool *memory)
{
    const struct fetch_request *in = c->in;
    int64_t now_ms = c->request->home->wall_ms;
    int16_t error = KAFKA_NONE;
    *memory = true;
    if (in->session_epoch == SESSION_EPOCH_FINAL || in->session_epoch == SESSION_EPOCH_INITIAL) {
        if (in->session_id != SESSION_NONE)
            session_close_id(sessions(c), in->session_id);
        if (in->session_epoch == SESSION_EPOCH_INITIAL)
            s->session = session_open(sessions(c), now_ms);
        if (s->session != NULL && !put_asked(c, s->session)) {
            session_close(sessions(c), s->session);
            s->session = NULL;
        }
        *memory = s->session != NULL ? from_session(c, s) : from_request(c, s);
        return error;
    }
    s->session = session_find(sessions(c), in->session_id, in->session_epoch, now_ms, &error);
    if (s->session == NULL)
        return error;
    s->incremental = true;
    forget_asked(c, s->session);
    *memory = put_asked(c, s->session) && from_session(c, s);
    return error;
}

/* ---- reading ---- */

static void drop_views(struct fetch_state *s)
{
    for (size_t i = 0; i < s->count; i++) {
        store_hold_drop(s->results[i].slice.view.hold);
        s->results[i].slice.view = (struct store_view){.fd = -1};
    }
}

static void log_fails(struct fetch_state *s, struct fetch_result *r, int16_t error)
{
    r->error = error;
    r->log_error = true;
    s->must_answer = true;
}

/* Leader epochs of the request: false when there is nothing to read because of them. */
static bool epochs_fit(struct fetch_state *s, struct fetch_result *r)
{
    int32_t current = r->leader_epoch;
    if (r->part->current_leader_epoch >= 0 && r->part->current_leader_epoch != current) {
        log_fails(s, r, r->part->current_leader_epoch < current ? KAFKA_FENCED_LEADER_EPOCH
                                                                : KAFKA_UNKNOWN_LEADER_EPOCH);
        return false;
    }
    if (r->part->last_fetched_epoch < 0)
        return true;
    int32_t found;
    int64_t end;
    partition_epoch_end(r->partition, r->part->last_fetched_epoch, &found, &end);
    if (found < 0) {
        log_fails(s, r, KAFKA_OFFSET_OUT_OF_RANGE);
        return false;
    }
    if (found < r->part->last_fetched_epoch || end < r->part->fetch_offset) {
        r->diverging_epoch = found;
        r->diverging_end = end;
        s->must_answer = true;
        return false;
    }
    return true;
}

static void list_aborted(struct call *c, struct fetch_result *r, int64_t limit)
{
    r->aborted_listed = true;
    enum outcome o = partition_aborted(r->partition, r->part->fetch_offset, limit, c->arena,
                                       &r->aborted, &r->aborted_count);
    if (o != OUT_OK) {
        r->error = error_of(o);
        r->log_error = true;
    }
}

/* The follower that fetches, -1: a consumer. */
static int32_t replica_of(const struct call *c)
{
    const struct fetch_request *in = c->in;
    return c->version >= 15 ? in->replica_state.replica_id : in->replica_id;
}

static void read_one(struct call *c, struct fetch_state *s, struct fetch_result *r, size_t room)
{
    struct store_stat stat;
    store_stat(r->partition->store, &stat);
    r->high_watermark = stat.high_watermark;
    r->stable_offset = stat.stable_offset;
    r->log_start = stat.start_offset;
    if (replica_of(c) >= 0) { /* brokers that are not in the cluster have nothing to follow here */
        log_fails(s, r, KAFKA_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    if (r->part->max_bytes < 0) {
        log_fails(s, r, KAFKA_UNKNOWN_SERVER_ERROR);
        return;
    }
    if (!epochs_fit(s, r))
        return;
    struct store_read what = {
        .offset = r->part->fetch_offset,
        .limit_offset = s->committed ? stat.stable_offset : stat.high_watermark,
        .max_bytes = MIN((size_t)r->part->max_bytes, room),
        .least = s->bytes == 0 ? STORE_WHOLE_BATCH : STORE_CUT,
        .map = r->expires ? STORE_MAPPED : STORE_UNMAPPED,
    };
    bool old = unlikely(c->version < FETCH_BATCHES_SINCE);
    enum outcome o = old ? fetch_read_old(c, s, r, &what)
                         : store_read(r->partition->store, &what, &r->slice.view);
    if (o != OUT_OK) {
        log_fails(s, r, error_of(o));
        return;
    }
    if (old)
        return;
    if (r->slice.view.size < r->slice.view.first_size) { /* not even one batch: nothing, as Kafka */
        store_hold_drop(r->slice.view.hold);
        r->slice.view = (struct store_view){.fd = -1};
    }
    if (unlikely(r->expires) && r->slice.view.size > 0) {
        bool cut;
        o = log_view_thin(&r->slice.view, r->ttl_ms, c->request->home->wall_ms, &cut);
        if (o != OUT_OK) {
            log_fails(s, r, error_of(o));
            return;
        }
        s->must_answer |= cut; /* what is left out is there, by the next read */
    }
    if (r->slice.view.segment_done) /* the next read begins in the next segment: no use to wait */
        s->must_answer = true;
    s->bytes += r->slice.view.size;
    if (s->committed)
        list_aborted(c, r, what.limit_offset);
}

/* One pass over all partitions. */
static void read_all(struct call *c, struct fetch_state *s)
{
    const struct fetch_request *in = c->in;
    const struct view *v = broker_view();
    size_t most = (size_t)MAX(0, MIN(in->max_bytes, c->config->fetch_max_bytes));
    drop_views(s);
    s->bytes = s->readable = 0;
    s->must_answer = false;
    for (size_t i = 0; i < s->count; i++) {
        struct fetch_part *part = s->results[i].part;
        struct fetch_result *r = &s->results[i];
        *r = (struct fetch_result){.part = part, .high_watermark = -1, .stable_offset = -1,
                                   .log_start = -1, .diverging_epoch = -1, .diverging_end = -1,
                                   .slice.view.fd = -1};
        struct topic *t = call_topic(v, part->topic, &part->topic_id, part->topic.at == NULL,
                                     &r->error);
        if (t == NULL)
            continue;
        r->partition = topic_partition(t, part->partition);
        if (part->partition < 0 || part->partition >= t->partition_count) {
            r->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        } else if (r->partition == NULL) {
            log_fails(s, r, KAFKA_KAFKA_STORAGE_ERROR);
        } else {
            s->readable++;
            r->leader_epoch = atomic_load_explicit(&r->partition->leader_epoch,
                                                   memory_order_relaxed);
            r->ttl_ms = t->config.message_ttl_ms;
            r->expires = r->ttl_ms >= 0 || atomic_load_explicit(&r->partition->has_ttl,
                                                                memory_order_relaxed);
            read_one(c, s, r, most - MIN(most, s->bytes));
        }
    }
}

static bool enough(const struct call *c, const struct fetch_state *s)
{
    const struct fetch_request *in = c->in;
    return in->max_wait_ms <= 0 || s->must_answer || s->readable == 0 ||
           s->bytes >= (size_t)MAX(in->min_bytes, 0);
}

/* ---- waiting ---- */

static void unwatch(struct fetch_state *s)
{
    for (size_t i = 0; i < s->watch_count; i++)
        partition_unwatch(&s->watches[i]);
    s->watch_count = 0;
}

static void unwatch_all(struct fetch_state *s)
{
    shard_timer_cancel(&s->timer);
    unwatch(s);
}

static void answer(struct call *c)
{
    struct fetch_state *s = c->state;
    unwatch_all(s);
    if (!watcher_idle(&s->watcher)) {
        s->ending = true; /* a wake-up is in our mailbox: it comes back here */
        return;
    }
    fetch_reply(c, s);
    if (s->session != NULL)
        session_release(sessions(c), s->session);
    call_finish(c);
}

static bool watch_all(struct call *c, struct fetch_state *s)
{
    if (s->watches == NULL) {
        s->watches = arena_array(c->arena, struct watch, s->count);
        if (s->watches == NULL)
            return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->results[i].partition != NULL)
            partition_watch(s->results[i].partition, &s->watches[s->watch_count++], &s->watcher);
    }
    return true;
}

/* Whether what was read last is what is watched: not when a topic has come or gone. */
static bool watches_all(const struct fetch_state *s)
{
    size_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct partition *p = s->results[i].partition;
        if (p != NULL && (at == s->watch_count || s->watches[at++].partition != p))
            return false;
    }
    return at == s->watch_count;
}

/* Something grew: read again, and wait on when it is still too little. A partition that was deleted
 * lives as long as it is watched, so the results of before are of no use without the watches. */
static void woken(struct request *r)
{
    struct call *c = call_of(r);
    struct fetch_state *s = c->state;
    if (s->ending) {
        answer(c);
        return;
    }
    watcher_rearm(&s->watcher);
    read_all(c, s);
    if (!watches_all(s)) {
        unwatch(s);
        if (!watch_all(c, s)) {
            answer(c);
            return;
        }
        read_all(c, s); /* what was appended before the watch began */
    }
    if (!enough(c, s))
        return;
    answer(c);
}

static void waited(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct fetch_state *s = container_of(timer, struct fetch_state, timer);
    struct call *c = call_of(s->watcher.request);
    read_all(c, s);
    answer(c);
}

static void gone(struct request *r)
{
    answer(call_of(r));
}

static enum verdict park(struct call *c, struct fetch_state *s)
{
    const struct fetch_request *in = c->in;
    watcher_init(&s->watcher, c->request, woken);
    c->request->cancel = gone;
    if (!watch_all(c, s)) {
        unwatch_all(s);
        return REQ_CLOSE;
    }
    read_all(c, s); /* once more: what was appended before the watch began */
    int64_t deadline = c->request->home->now_ns + (int64_t)in->max_wait_ms * NS_PER_MS;
    s->timer.fire = waited;
    bool now = enough(c, s) ||
               shard_timer_set(c->request->home, &s->timer, deadline) != OUT_OK;
    if (!now)
        return REQ_PARKED;
    unwatch_all(s);
    if (watcher_idle(&s->watcher))
        return REQ_DONE;
    s->ending = true;
    return REQ_PARKED;
}

static enum verdict done(struct call *c, struct fetch_state *s, enum verdict verdict)
{
    if (verdict == REQ_PARKED)
        return verdict;
    if (verdict == REQ_DONE)
        fetch_reply(c, s);
    else
        drop_views(s);
    if (s->session != NULL)
        session_release(sessions(c), s->session);
    return verdict;
}

enum verdict fetch_handle(struct call *c)
{
    const struct fetch_request *in = c->in;
    struct fetch_response *out = c->out;
    struct fetch_state *s = arena_new(c->arena, struct fetch_state);
    if (s == NULL)
        return REQ_CLOSE;
    c->state = s;
    if (in->isolation_level != 0 && in->isolation_level != 1) {
        out->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        return REQ_DONE;
    }
    s->committed = in->isolation_level == 1;
    bool memory;
    out->error_code = choose(c, s, &memory);
    if (out->error_code != KAFKA_NONE)
        return REQ_DONE;
    if (!memory)
        return done(c, s, REQ_CLOSE);
    for (size_t i = 0; i < s->count; i++)
        s->results[i].slice.view.fd = -1;
    read_all(c, s);
    return done(c, s, enough(c, s) ? REQ_DONE : park(c, s));
}

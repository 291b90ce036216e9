/* SPDX-License-Identifier: MIT */
/*
 * Produce: one record batch for each partition, appended as it came.
 *
 * acks=1 is answered after the write; acks=all when the group commit has reached the disk (with
 * flush.mode=none after the write, Kafka's own promise on one node); acks=0 never, but an error in
 * it closes the connection so that the client notices. While a reply waits for the disk, later
 * requests of the connection are served (REQ_PIPELINED): order of appends is the order of arrival.
 *
 * The first batch of a transaction in a partition is looked up with the transaction's coordinator,
 * which from version 12 on adds the partition itself (KIP-890); the connection waits for that.
 *
 * Cost for each batch: one lookup, one CRC, one pwrite, no copy, no allocation but the response
 * arrays in the request's arena.
 */
#include "kafka/produce.h"
#include "kafka/txns.h"
#include "watch/watch.h"

#define TOPIC_RESULT struct produce_response_responses
#define ATTRIBUTE_TRANSACTIONAL 0x10
#define MAGIC_AT 16
#define BATCH_ATTRIBUTES_AT 21 /* of a magic 2 batch, two bytes */
#define BATCH_PRODUCER_ID_AT 43
#define BATCH_PRODUCER_EPOCH_AT 51
#define BATCH_SEQUENCE_AT 53
#define PRODUCER_SIZE 10 /* id and epoch */
#define ADDS_SINCE 12
#define ABORTABLE_SINCE 11

/* What a call keeps that waits for the disk or for the coordinator of its transaction. */
struct produce_state {
    struct flush_set flush;
    struct flush_wait *waits; /* NULL: nothing to be flushed yet */
    size_t wait_count;
    /* of a transactional request, by entry, all topics in a row; NULL otherwise */
    uint32_t *guards;         /* see store_producer */
    int16_t *refusals;        /* the coordinator's */
    size_t *entries;          /* of the places that were looked up */
    const uint8_t *first;     /* the first transactional batch */
    bool several;             /* batches of more than one producer */
    struct txn_entry txn;
};

static bool transactional(const struct wire_records *r)
{
    return r->size > BATCH_ATTRIBUTES_AT + 1 && r->at[MAGIC_AT] >= 2 &&
           (r->at[BATCH_ATTRIBUTES_AT + 1] & ATTRIBUTE_TRANSACTIONAL) != 0;
}

static void fill_record_errors(struct call *c, RESULT *out, const struct store_appended *done)
{
    if (done->error_text != NULL)
        out->error_message = bytes_of(done->error_text);
    if (done->error_count == 0)
        return;
    out->record_errors = arena_array(
        c->arena, struct produce_response_responses_partition_responses_record_errors,
        done->error_count);
    if (out->record_errors == NULL)
        return;
    out->record_errors_count = (int32_t)done->error_count;
    for (size_t i = 0; i < done->error_count; i++) {
        out->record_errors[i].batch_index = done->errors[i].index;
        out->record_errors[i].batch_index_error_message = bytes_of(done->errors[i].message);
    }
}

/* A disk that takes no more is the operator's to know; the log holds repetitions back. */
COLD static void tell_of_disk(enum outcome o)
{
    if (o == OUT_NO_SPACE)
        watch_log(WATCH_ERROR, "kafka", "a full disk: produced records are refused until there is "
                  "space: %s", outcome_trail());
    else if (o == OUT_IO)
        watch_log(WATCH_ERROR, "kafka", "produced records are refused: %s", outcome_trail());
}

/* Appends one partition's batch; true when it is in the log (a duplicate counts). */
static bool append(struct call *c, struct partition *p, const struct wire_records *records,
                   uint32_t guard, RESULT *out, int64_t *end_offset)
{
    struct wire_records converted;
    if (unlikely(c->version < PRODUCE_BATCHES_SINCE)) {
        if (!produce_convert(c, p, records, &converted, out))
            return out->error_code == KAFKA_NONE;
        records = &converted;
    }
    struct store_append what = {
        .at = (uint8_t *)(uintptr_t)records->at, /* the receive buffer is ours to patch */
        .size = records->size,
        .leader_epoch = atomic_load_explicit(&p->leader_epoch, memory_order_relaxed),
        .origin = STORE_CLIENT,
        .now_ms = c->request->home->wall_ms,
        .arena = c->arena,
        .zstd_refused = c->version < 7,
        .from_zero = c->version >= ADDS_SINCE,
        .txn_guard = guard,
    };
    struct store_appended done;
    enum outcome o = store_append(p->store, &what, &done);
    out->log_start_offset = done.log_start_offset;
    if (o != OUT_OK) {
        out->error_code = error_of(o);
        fill_record_errors(c, out, &done);
        count(produce_errors, 1);
        tell_of_disk(o);
        return false;
    }
    out->base_offset = done.base_offset;
    out->log_append_time_ms = done.log_append_time_ms;
    *end_offset = done.last_offset + 1;
    int32_t held_ms = partition_held_ms(p, c->request->home->now_ns);
    if (unlikely(held_ms > c->request->mute_ms))
        c->request->mute_ms = held_ms;
    if (!done.duplicate) {
        count(messages_produced, (uint64_t)(done.last_offset - done.base_offset + 1));
        count(bytes_produced, records->size);
        partition_appended(p, done.base_offset);
    }
    return true;
}

/* The partition to append to, or the error that forbids it. */
static struct partition *target(struct call *c, const struct topic *t, int32_t index,
                                const struct wire_records *records, int16_t *error)
{
    const struct produce_request *in = c->in;
    *error = KAFKA_NONE;
    struct partition *p = topic_partition(t, index);
    if (in->acks < -1 || in->acks > 1)
        *error = KAFKA_INVALID_REQUIRED_ACKS;
    else if (index < 0 || index >= t->partition_count)
        *error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (t->internal && !bytes_is(c->client_id, "__admin_client"))
        *error = KAFKA_INVALID_TOPIC_EXCEPTION;
    else if (p == NULL)
        *error = KAFKA_KAFKA_STORAGE_ERROR;
    else if (in->transactional_id.at == NULL && transactional(records))
        *error = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return *error == KAFKA_NONE ? p : NULL;
}

/* Of a partition that is named twice the last entry counts, as in Kafka. */
static bool *find_overruled(struct call *c, const struct produce_request_topic_data *asked)
{
    bool *list = arena_array(c->arena, bool, (size_t)asked->partition_data_count);
    struct bytes key = asked->name.at != NULL && asked->name.size > 0
                           ? asked->name
                           : bytes_view(&asked->topic_id, sizeof asked->topic_id);
    for (int32_t i = asked->partition_data_count; list != NULL && i-- > 0;)
        list[i] = seen_before(c, key, asked->partition_data[i].index);
    return list;
}

static size_t count_entries(const struct produce_request *in)
{
    size_t count = 0;
    for (int32_t i = 0; i < in->topic_data_count; i++)
        count += (size_t)in->topic_data[i].partition_data_count;
    return count;
}

/* What the reply waits for, made when the first partition needs a flush. */
static struct produce_state *wait_state(struct call *c);

/* Whether the reply promises the disk: for acks=all by flush.mode, for others (and for those who
 * get no reply) when flush.messages says so. */
static void flush_if_due(struct call *c, const struct topic *t, struct partition *p, int64_t end)
{
    const struct produce_request *in = c->in;
    struct store_stat stat;
    if (in->acks != -1 || c->config->flush_mode == FLUSH_MODE_NONE) {
        if (likely(t->config.flush_messages == INT64_MAX) || p->log == NULL)
            return;
        store_stat(p->store, &stat);
        if (end - stat.flushed_offset < t->config.flush_messages)
            return;
    }
    if (in->acks == 0) {
        broker_flush_soon(p);
        return;
    }
    struct produce_state *state = wait_state(c);
    if (state != NULL)
        broker_flush_add(&state->flush, &state->waits[state->wait_count++], p, end);
}

static void refuse(RESULT *to, int16_t error, bool several)
{
    to->error_code = error;
    if (several)
        to->error_message = bytes_of("The batches are not all of one producer.");
    else if (error == KAFKA_INVALID_TXN_STATE)
        to->error_message = bytes_of("The partition is not part of an open transaction.");
}

static bool serve_topic(struct call *c, const struct produce_request_topic_data *asked,
                        size_t first, TOPIC_RESULT *out)
{
    const struct produce_state *state = c->state;
    bool txn = state != NULL && state->guards != NULL;
    const struct produce_request *in = c->in;
    int16_t topic_error;
    struct topic *t = call_topic(broker_view(), asked->name, &asked->topic_id, c->version >= 13,
                                 &topic_error);
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    size_t count = (size_t)asked->partition_data_count;
    out->partition_responses = arena_array(c->arena, RESULT, count);
    bool *overruled = count > 1 ? find_overruled(c, asked) : NULL;
    if (out->partition_responses == NULL || c->arena->failed)
        return false;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        const struct produce_request_topic_data_partition_data *data = &asked->partition_data[i];
        if (overruled != NULL && overruled[i])
            continue;
        RESULT *result = &out->partition_responses[out->partition_responses_count++];
        *result = (RESULT){.index = data->index, .error_code = topic_error, .base_offset = -1,
                           .log_append_time_ms = -1, .log_start_offset = -1,
                           .current_leader = {.leader_id = -1, .leader_epoch = -1}};
        if (in->acks < -1 || in->acks > 1)
            result->error_code = KAFKA_INVALID_REQUIRED_ACKS;
        struct partition *p = NULL;
        if (result->error_code == KAFKA_NONE)
            p = target(c, t, data->index, &data->records, &result->error_code);
        if (p != NULL && txn && state->refusals[first + i] != KAFKA_NONE) {
            refuse(result, state->refusals[first + i], state->several);
            p = NULL;
        }
        int64_t end = 0;
        uint32_t guard = txn ? state->guards[first + i] : 0;
        if (p == NULL || !append(c, p, &data->records, guard, result, &end))
            good = false;
        else
            flush_if_due(c, t, p, end);
    }
    return good;
}

/* When every flush is done. A promise that can't be kept is an error, never an ack. */
static void tell_failures(struct call *c)
{
    struct produce_state *state = c->state;
    struct produce_response *out = c->out;
    if (likely(!atomic_load(&state->flush.failed)))
        return;
    for (int32_t i = 0; i < out->responses_count; i++) {
        TOPIC_RESULT *t = &out->responses[i];
        for (int32_t j = 0; j < t->partition_responses_count; j++) {
            if (t->partition_responses[j].error_code == KAFKA_NONE)
                t->partition_responses[j].error_code = KAFKA_KAFKA_STORAGE_ERROR;
        }
    }
}

/* Home thread. */
static void flushed(struct request *r)
{
    struct call *c = call_of(r);
    tell_failures(c);
    call_finish(c);
}

static struct produce_state *wait_state(struct call *c)
{
    struct produce_state *s = c->state == NULL ? arena_new(c->arena, struct produce_state)
                                               : c->state;
    if (s == NULL || s->waits != NULL)
        return s;
    s->waits = arena_array(c->arena, struct flush_wait, count_entries(c->in));
    if (s->waits == NULL)
        return NULL;
    broker_flush_begin(&s->flush, c->request, flushed);
    c->state = s;
    return s;
}

/* ---- transactions ---- */

/* Whether a look-up is needed: not while the transaction is open in the partition. The guard is for
 * transactions that end without a new epoch. */
static bool must_look_up(struct partition *p, const struct wire_records *r, bool adds,
                         uint32_t *guard)
{
    struct store_producer now;
    int32_t epoch = (int16_t)get_be16(r->at + BATCH_PRODUCER_EPOCH_AT);
    store_producer(p->store, (int64_t)get_be64(r->at + BATCH_PRODUCER_ID_AT), &now);
    *guard = adds ? 0 : now.guard;
    return !now.open || now.epoch != epoch;
}

/* Whether the batch is of the same producer as the request's others: it has to be. */
static void compare(struct produce_state *s, const struct wire_records *r)
{
    const uint8_t *who = r->at + BATCH_PRODUCER_ID_AT;
    if (s->first == NULL)
        s->first = who;
    s->several |= memcmp(s->first, who, PRODUCER_SIZE) != 0;
}

/* What is behind it waits for it, should it be refused. */
static void attempted(struct partition *p, const struct wire_records *r)
{
    store_attempt(p->store, (int64_t)get_be64(r->at + BATCH_PRODUCER_ID_AT),
                  (int16_t)get_be16(r->at + BATCH_PRODUCER_EPOCH_AT),
                  (int32_t)get_be32(r->at + BATCH_SEQUENCE_AT));
}

/* Notes the partition for the look-up. */
static void note(struct call *c, struct produce_state *s, const struct topic *t, int32_t index,
                 const struct wire_records *r, size_t entry)
{
    s->txn.producer_id = (int64_t)get_be64(r->at + BATCH_PRODUCER_ID_AT);
    s->txn.epoch = (int16_t)get_be16(r->at + BATCH_PRODUCER_EPOCH_AT);
    s->entries[s->txn.place_count] = entry;
    s->txn.places[s->txn.place_count++] =
        (struct txn_place){arena_copy(c->arena, t->name), index};
}

static void note_topic(struct call *c, struct produce_state *s,
                       const struct produce_request_topic_data *asked, size_t first)
{
    int16_t error;
    const struct topic *t =
        call_topic(broker_view(), asked->name, &asked->topic_id, c->version >= 13, &error);
    for (int32_t i = 0; t != NULL && i < asked->partition_data_count; i++) {
        const struct produce_request_topic_data_partition_data *data = &asked->partition_data[i];
        struct partition *p = topic_partition(t, data->index);
        size_t entry = first + (size_t)i;
        if (p == NULL || t->internal || data->records.size < LOG_BATCH_HEADER ||
            !transactional(&data->records))
            continue;
        compare(s, &data->records);
        if (!must_look_up(p, &data->records, s->txn.add, &s->guards[entry]))
            continue;
        if (s->txn.add || c->config->transaction_verification)
            attempted(p, &data->records);
        note(c, s, t, data->index, &data->records, entry);
    }
}

static void take_refusals(struct produce_state *s)
{
    for (size_t i = 0; i < s->txn.place_count; i++)
        s->refusals[s->entries[i]] = s->txn.errors[i];
}

static enum verdict run(struct call *c);

/* Home thread: the coordinator has answered. */
static void entered(struct request *r)
{
    struct call *c = call_of(r);
    take_refusals(c->state);
    enum verdict v = run(c);
    if (v == REQ_DONE)
        call_finish(c);
    else if (v != REQ_PIPELINED)
        request_complete(r, v);
}

/* REQ_DONE: nothing to wait for. */
static enum verdict look_up(struct call *c)
{
    const struct produce_request *in = c->in;
    struct produce_state *s = arena_new(c->arena, struct produce_state);
    size_t count = count_entries(in), first = 0;
    bool adds = c->version >= ADDS_SINCE;
    if (s == NULL)
        return REQ_CLOSE;
    c->state = s;
    s->guards = arena_array(c->arena, uint32_t, count);
    s->refusals = arena_array(c->arena, int16_t, count);
    s->entries = arena_array(c->arena, size_t, count);
    s->txn = (struct txn_entry){.id = in->transactional_id, .add = adds, .then = entered,
                                .abortable = c->version >= ABORTABLE_SINCE,
                                .places = arena_array(c->arena, struct txn_place, count),
                                .errors = arena_array(c->arena, int16_t, count)};
    if (c->arena->failed)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topic_data_count; i++) {
        note_topic(c, s, &in->topic_data[i], first);
        first += (size_t)in->topic_data[i].partition_data_count;
    }
    if (s->several) {
        for (size_t i = 0; i < count; i++)
            s->refusals[i] = KAFKA_INVALID_PRODUCER_ID_MAPPING;
        return REQ_DONE;
    }
    if (s->txn.place_count == 0 || (!adds && !c->config->transaction_verification))
        return REQ_DONE;
    enum verdict v = txn_enter(c, &s->txn);
    if (v == REQ_DONE)
        take_refusals(s);
    return v;
}

/* A live subscriber that may lose nothing is full: the client is told to wait, and its connection
 * is not served before it has. */
static void throttle(struct call *c)
{
    struct produce_response *out = c->out;
    out->throttle_time_ms = c->request->mute_ms;
    if (unlikely(out->throttle_time_ms > 0))
        count(produce_throttled, 1);
}

static enum verdict run(struct call *c)
{
    const struct produce_request *in = c->in;
    struct produce_response *out = c->out;
    out->responses = arena_array(c->arena, TOPIC_RESULT, (size_t)in->topic_data_count);
    if (out->responses == NULL || c->arena->failed)
        return REQ_CLOSE;
    bool good = true;
    size_t first = 0;
    for (int32_t i = 0; i < in->topic_data_count; i++) {
        const struct produce_request_topic_data *t = &in->topic_data[i];
        if (t->partition_data_count > 0)
            good &= serve_topic(c, t, first, &out->responses[out->responses_count++]);
        first += (size_t)t->partition_data_count;
    }
    throttle(c);
    if (in->acks == 0)
        return good ? REQ_NO_REPLY : REQ_CLOSE;
    struct produce_state *state = c->state;
    bool waits = state != NULL && state->waits != NULL;
    if (!waits && c->arena->failed)
        return REQ_CLOSE; /* a promise could not even be written down */
    if (waits && broker_flush_end(&state->flush))
        return REQ_PIPELINED;
    if (waits) /* the flusher was faster, in failing too */
        tell_failures(c);
    return REQ_DONE;
}

enum verdict produce_handle(struct call *c)
{
    const struct produce_request *in = c->in;
    for (int32_t i = 0; i < in->topic_data_count; i++) {
        const struct produce_request_topic_data *t = &in->topic_data[i];
        for (int32_t j = 0; j < t->partition_data_count; j++) {
            if (t->partition_data[j].records.at == NULL)
                return REQ_NO_REPLY; /* what Kafka does with null records */
        }
    }
    enum verdict v = in->transactional_id.at == NULL ? REQ_DONE : look_up(c);
    return v == REQ_DONE ? run(c) : v;
}

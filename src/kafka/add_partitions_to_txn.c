/* SPDX-License-Identifier: MIT */
/*
 * AddPartitionsToTxn: partitions become part of a transaction. Up to version 3 a client asks for
 * one transaction; from 4 on brokers ask for several, or only whether partitions are part of them.
 * One partition that does not exist keeps the others of its transaction from being added.
 */
#include "kafka/txns.h"

#define BATCHED_SINCE 4

#define TOPIC struct add_partitions_to_txn_response_results_by_transaction_topic_results
#define RESULT                                                                        \
    struct add_partitions_to_txn_response_results_by_transaction_topic_results_results_by_partition
#define TRANSACTION struct add_partitions_to_txn_response_results_by_transaction
#define ASKED struct add_partitions_to_txn_request_transactions
#define ASKED_TOPIC struct add_partitions_to_txn_request_transactions_topics

/* What the coordinator answers goes to, by event. */
struct entry {
    RESULT **results;
    size_t count;
};

static void set(struct call *c, const struct entry *e, const struct txn_reply *r)
{
    for (size_t i = 0; i < e->count; i++) {
        enum outcome o = r->outcome;
        if (o == OUT_OK && r->kind == TXN_VERIFY)
            o = r->each[i];
        e->results[i]->partition_error_code = txn_error(c, o, FENCED_SINCE);
    }
}

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    const struct entry *entries = c->state;
    set(c, &entries[index], r);
}

static int16_t judge(const struct call *c, const struct txn_place *p)
{
    const struct topic *t = view_topic(broker_view(), p->topic);
    if (c->version < BATCHED_SINCE && meta_topic_internal(p->topic))
        return KAFKA_TOPIC_AUTHORIZATION_FAILED;
    bool there = t != NULL && p->partition >= 0 && p->partition < t->partition_count;
    return there ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static size_t count_places(const ASKED *asked)
{
    size_t count = 0;
    for (int32_t i = 0; i < asked->topics_count; i++)
        count += (size_t)MAX(asked->topics[i].partitions_count, 0);
    return count;
}

/* Prepares results and places; *good: they may be asked for. False: no memory. */
static bool sort(struct call *c, const ASKED *asked, TRANSACTION *to, struct entry *e,
                 struct txn_place **places, bool *good)
{
    size_t most = count_places(asked);
    *good = asked->transactional_id.size > 0;
    e->results = arena_array(c->arena, RESULT *, most);
    *places = arena_array(c->arena, struct txn_place, most);
    to->topic_results = arena_array(c->arena, TOPIC, (size_t)MAX(asked->topics_count, 0));
    if (e->results == NULL || *places == NULL || to->topic_results == NULL)
        return false;
    for (int32_t i = 0; i < asked->topics_count; i++) {
        const ASKED_TOPIC *topic = &asked->topics[i];
        TOPIC *t = &to->topic_results[to->topic_results_count++];
        t->name = topic->name;
        t->results_by_partition =
            arena_array(c->arena, RESULT, (size_t)MAX(topic->partitions_count, 0));
        for (int32_t j = 0; t->results_by_partition != NULL && j < topic->partitions_count; j++) {
            RESULT *r = &t->results_by_partition[t->results_by_partition_count++];
            (*places)[e->count] = (struct txn_place){topic->name, topic->partitions[j]};
            *r = (RESULT){.partition_index = topic->partitions[j],
                          .partition_error_code = judge(c, &(*places)[e->count])};
            *good &= r->partition_error_code == KAFKA_NONE;
            e->results[e->count++] = r;
        }
    }
    return !c->arena->failed;
}

static void spoil(const struct entry *e, int16_t error)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->results[i]->partition_error_code == KAFKA_NONE)
            e->results[i]->partition_error_code = error;
    }
}

static enum verdict serve(struct call *c, const ASKED *asked, int32_t count, TRANSACTION *results)
{
    struct coordinator_work *w = txn_work(c, (size_t)count, answer);
    struct entry *entries = arena_array(c->arena, struct entry, (size_t)count);
    if (w == NULL || entries == NULL)
        return REQ_CLOSE;
    c->state = entries;
    w->event_count = 0;
    for (int32_t i = 0; i < count; i++) {
        struct entry *e = &entries[w->event_count];
        struct txn_place *places;
        bool good;
        *e = (struct entry){0};
        results[i].transactional_id = asked[i].transactional_id;
        if (!sort(c, &asked[i], &results[i], e, &places, &good))
            return REQ_CLOSE;
        if (!good) {
            spoil(e, asked[i].transactional_id.size > 0 ? KAFKA_OPERATION_NOT_ATTEMPTED
                                                        : KAFKA_INVALID_REQUEST);
            continue;
        }
        w->txn_events[w->event_count++] = (struct txn_event){
            .kind = asked[i].verify_only ? TXN_VERIFY : TXN_ADD, .id = asked[i].transactional_id,
            .producer_id = asked[i].producer_id, .epoch = asked[i].producer_epoch,
            .version = c->version >= BATCHED_SINCE ? 2 : 0, .places = places,
            .place_count = e->count, .patience_ms = TXN_PATIENCE_MS};
    }
    return coordinator_submit(w);
}

/* ---- up to version 3: the same in older words ---- */

struct old {
    ASKED asked;
    TRANSACTION result;
};

static bool from_old(struct call *c, struct old *old)
{
    const struct add_partitions_to_txn_request *in = c->in;
    size_t count = (size_t)MAX(in->v3_and_below_topics_count, 0);
    old->asked = (ASKED){.transactional_id = in->v3_and_below_transactional_id,
                         .producer_id = in->v3_and_below_producer_id,
                         .producer_epoch = in->v3_and_below_producer_epoch,
                         .topics_count = (int32_t)count};
    old->asked.topics = arena_array(c->arena, ASKED_TOPIC, count);
    for (size_t i = 0; old->asked.topics != NULL && i < count; i++)
        old->asked.topics[i] = (ASKED_TOPIC){
            .name = in->v3_and_below_topics[i].name,
            .partitions = in->v3_and_below_topics[i].partitions,
            .partitions_count = in->v3_and_below_topics[i].partitions_count};
    return old->asked.topics != NULL;
}

enum verdict add_partitions_to_txn_handle(struct call *c)
{
    const struct add_partitions_to_txn_request *in = c->in;
    struct add_partitions_to_txn_response *out = c->out;
    if (c->version >= BATCHED_SINCE) {
        out->results_by_transaction =
            arena_array(c->arena, TRANSACTION, (size_t)MAX(in->transactions_count, 0));
        if (out->results_by_transaction == NULL)
            return REQ_CLOSE;
        out->results_by_transaction_count = MAX(in->transactions_count, 0);
        return serve(c, in->transactions, out->results_by_transaction_count,
                     out->results_by_transaction);
    }
    struct old *old = arena_new(c->arena, struct old);
    if (old == NULL || !from_old(c, old))
        return REQ_CLOSE;
    enum verdict v = serve(c, &old->asked, 1, &old->result);
    /* The results are filled in place, now or later. */
    out->results_by_topic_v3_and_below_count = old->result.topic_results_count;
    out->results_by_topic_v3_and_below = (void *)old->result.topic_results;
    return v;
}

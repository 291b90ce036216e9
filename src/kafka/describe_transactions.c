/* SPDX-License-Identifier: MIT */
/* DescribeTransactions: transactional ids one by one. */
#include "kafka/txns.h"

#define STATE struct describe_transactions_response_transaction_states
#define TOPIC struct describe_transactions_response_transaction_states_topics

static void fill_topics(struct call *c, const struct txn_described *d, STATE *out)
{
    int32_t *partitions = arena_array(c->arena, int32_t, d->place_count);
    out->topics = arena_array(c->arena, TOPIC, d->place_count);
    if (partitions == NULL || out->topics == NULL)
        return;
    for (size_t i = 0; i < d->place_count; i++) {
        if (i == 0 || !bytes_equal(d->places[i].topic, d->places[i - 1].topic))
            out->topics[out->topics_count++] = (TOPIC){
                .topic = arena_copy(c->arena, d->places[i].topic), .partitions = &partitions[i]};
        partitions[i] = d->places[i].partition;
        out->topics[out->topics_count - 1].partitions_count++;
    }
}

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    struct describe_transactions_response *out = c->out;
    STATE **states = c->state;
    STATE *to = states[index];
    (void)out;
    to->error_code = error_of(r->outcome);
    if (r->outcome != OUT_OK)
        return;
    const struct txn_described *d = r->described;
    to->transaction_state = bytes_of(d->state);
    to->transaction_timeout_ms = d->timeout_ms;
    to->transaction_start_time_ms = d->start_ms;
    to->producer_id = d->producer_id;
    to->producer_epoch = (int16_t)d->epoch;
    fill_topics(c, d, to);
}

enum verdict describe_transactions_handle(struct call *c)
{
    const struct describe_transactions_request *in = c->in;
    struct describe_transactions_response *out = c->out;
    size_t count = (size_t)MAX(in->transactional_ids_count, 0);
    struct coordinator_work *w = txn_work(c, count, answer);
    STATE **states = arena_array(c->arena, STATE *, count);
    out->transaction_states = arena_array(c->arena, STATE, count);
    if (w == NULL || states == NULL || out->transaction_states == NULL)
        return REQ_CLOSE;
    c->state = states;
    w->event_count = 0;
    for (size_t i = 0; i < count; i++) {
        STATE *to = &out->transaction_states[out->transaction_states_count++];
        *to = (STATE){.transactional_id = in->transactional_ids[i],
                      .transaction_state = bytes_of("")};
        if (in->transactional_ids[i].size == 0) {
            to->error_code = KAFKA_INVALID_REQUEST;
            continue;
        }
        states[w->event_count] = to;
        w->txn_events[w->event_count++] =
            (struct txn_event){.kind = TXN_DESCRIBE, .id = in->transactional_ids[i]};
    }
    return coordinator_submit(w);
}

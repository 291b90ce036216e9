/* SPDX-License-Identifier: MIT */
/*
 * InitProducerId: a fresh id for an idempotent producer, or what a transactional id's coordinator
 * says. Ids come from a block that the metadata log has granted; the next block is fetched on the
 * control thread.
 */
#include "kafka/txns.h"

static bool transactional(const struct call *c)
{
    const struct init_producer_id_request *in = c->in;
    return in->transactional_id.at != NULL;
}

static void refuse(struct call *c, int16_t error)
{
    struct init_producer_id_response *out = c->out;
    out->producer_id = -1;
    out->producer_epoch = -1;
    out->error_code = error;
}

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    struct init_producer_id_response *out = c->out;
    bool *again = c->state;
    (void)index;
    *again = r->outcome == OUT_NO_PRODUCER_ID;
    refuse(c, txn_error(c, r->outcome, FENCED_SINCE_INIT));
    if (r->outcome != OUT_OK)
        return;
    out->producer_id = r->producer_id;
    out->producer_epoch = (int16_t)r->epoch;
}

static void finish(struct request *r);

/* Home thread: asks the coordinator, with an id to give out if it wants one. */
static enum verdict ask(struct call *c, int64_t fresh_id)
{
    const struct init_producer_id_request *in = c->in;
    struct coordinator_work *w = txn_work(c, 1, answer);
    if (w == NULL)
        return REQ_CLOSE;
    w->done = finish;
    w->txn_events[0] = (struct txn_event){
        .kind = TXN_INIT, .id = in->transactional_id, .producer_id = in->producer_id,
        .epoch = in->producer_epoch, .fresh_id = fresh_id,
        .timeout_ms = in->transaction_timeout_ms};
    return coordinator_submit(w);
}

/* An id is there: the answer, or what the coordinator waits for. */
static enum verdict give(struct call *c, int64_t id)
{
    struct init_producer_id_response *out = c->out;
    if (transactional(c))
        return ask(c, id);
    out->producer_id = id;
    out->producer_epoch = 0;
    return REQ_DONE;
}

static void end(struct call *c, enum verdict v)
{
    if (v == REQ_DONE)
        call_finish(c);
    else if (v == REQ_CLOSE)
        request_complete(c->request, REQ_CLOSE);
}

/* Home thread: the control thread has fetched another block. */
static void granted(struct request *r)
{
    struct call *c = call_of(r);
    struct init_producer_id_response *out = c->out;
    if (out->error_code != KAFKA_NONE)
        call_finish(c);
    else
        end(c, give(c, out->producer_id));
}

/* Control thread: the block is used up, so the metadata log grants another. */
static void work(struct request *r)
{
    struct call *c = call_of(r);
    struct init_producer_id_response *out = c->out;
    enum outcome o = broker_producer_block(c->broker, &out->producer_id);
    out->error_code = error_of(o);
    if (o != OUT_OK)
        refuse(c, error_of(o));
    request_return(r, granted);
}

static enum verdict take(struct call *c)
{
    int64_t id;
    if (broker_producer_id(c->broker, &id))
        return give(c, id);
    broker_control(c->request, work);
    return REQ_PARKED;
}

/* The coordinator has answered; perhaps that it needs an id. */
static void finish(struct request *r)
{
    struct call *c = call_of(r);
    const bool *again = c->state;
    end(c, *again ? take(c) : REQ_DONE);
}

enum verdict init_producer_id_handle(struct call *c)
{
    const struct init_producer_id_request *in = c->in;
    refuse(c, KAFKA_NONE);
    bool incomplete = (in->producer_id < 0) != (in->producer_epoch < 0);
    if (incomplete || (transactional(c) && in->transactional_id.size == 0)) {
        refuse(c, KAFKA_INVALID_REQUEST);
        return REQ_DONE;
    }
    if (!transactional(c))
        return take(c);
    c->state = arena_new(c->arena, bool);
    return c->state == NULL ? REQ_CLOSE : ask(c, -1);
}

/* SPDX-License-Identifier: MIT */
/* EndTxn: commits or aborts. From version 5 on the end raises the epoch (KIP-890). */
#include "kafka/txns.h"

#define EPOCH_SINCE 5

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    struct end_txn_response *out = c->out;
    bool *again = c->state;
    (void)index;
    *again = r->outcome == OUT_NO_PRODUCER_ID;
    out->error_code = txn_error(c, r->outcome, FENCED_SINCE);
    out->producer_id = r->outcome == OUT_OK ? r->producer_id : -1;
    out->producer_epoch = (int16_t)(r->outcome == OUT_OK ? r->epoch : -1);
}

static void finish(struct request *r);

static enum verdict ask(struct call *c, int64_t fresh_id)
{
    const struct end_txn_request *in = c->in;
    struct coordinator_work *w = txn_work(c, 1, answer);
    if (w == NULL)
        return REQ_CLOSE;
    w->done = finish;
    w->txn_events[0] = (struct txn_event){
        .kind = TXN_END, .id = in->transactional_id, .producer_id = in->producer_id,
        .epoch = in->producer_epoch, .fresh_id = fresh_id,
        .version = c->version >= EPOCH_SINCE ? 2 : 0, .commit = in->committed};
    return coordinator_submit(w);
}

static void end(struct call *c, enum verdict v)
{
    if (v == REQ_DONE)
        call_finish(c);
    else if (v == REQ_CLOSE)
        request_complete(c->request, REQ_CLOSE);
}

/* Home thread, after the control thread. */
static void granted(struct request *r)
{
    struct call *c = call_of(r);
    const struct end_txn_response *out = c->out;
    if (out->error_code != KAFKA_NONE)
        call_finish(c);
    else
        end(c, ask(c, out->producer_id));
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    struct end_txn_response *out = c->out;
    out->error_code = error_of(broker_producer_block(c->broker, &out->producer_id));
    request_return(r, granted);
}

/* The epochs are used up: the coordinator needs another producer id. */
static void finish(struct request *r)
{
    struct call *c = call_of(r);
    const bool *again = c->state;
    int64_t id;
    if (!*again)
        call_finish(c);
    else if (broker_producer_id(c->broker, &id))
        end(c, ask(c, id));
    else
        broker_control(r, work);
}

enum verdict end_txn_handle(struct call *c)
{
    const struct end_txn_request *in = c->in;
    struct end_txn_response *out = c->out;
    if (in->transactional_id.size == 0) {
        out->error_code = KAFKA_INVALID_REQUEST;
        return REQ_DONE;
    }
    c->state = arena_new(c->arena, bool);
    return c->state == NULL ? REQ_CLOSE : ask(c, -1);
}

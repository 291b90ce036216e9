/* SPDX-License-Identifier: MIT */
/*
 * InitProducerId: a fresh id for an idempotent producer. Ids come from a block that the metadata
 * log has granted; the next block is fetched on the control thread.
 */
#include "kafka/call.h"

static void give(struct call *c, int64_t id)
{
    struct init_producer_id_response *out = c->out;
    out->producer_id = id;
    out->producer_epoch = 0;
}

/* Control thread: the block is used up, so the metadata log grants another. */
static void work(struct request *r)
{
    struct call *c = call_of(r);
    struct init_producer_id_response *out = c->out;
    int64_t id;
    enum outcome o = broker_producer_block(c->broker, &id);
    if (o == OUT_OK)
        give(c, id);
    else
        out->error_code = error_of(o);
    request_return(r, call_finish_request);
}

enum verdict init_producer_id_handle(struct call *c)
{
    const struct init_producer_id_request *in = c->in;
    struct init_producer_id_response *out = c->out;
    out->producer_id = -1;
    out->producer_epoch = -1;
    if (in->transactional_id.at != NULL) {
        /* No transaction coordinator here yet: the error that makes clients stop, not retry. */
        out->error_code =
            in->transactional_id.size == 0 ? KAFKA_INVALID_REQUEST : KAFKA_UNSUPPORTED_VERSION;
        return REQ_DONE;
    }
    int64_t id;
    if (broker_producer_id(c->broker, &id)) {
        give(c, id);
        return REQ_DONE;
    }
    broker_control(c->request, work);
    return REQ_PARKED;
}

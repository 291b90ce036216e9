/* SPDX-License-Identifier: MIT */
/* AddOffsetsToTxn: the partition that has a group's offsets becomes part of a transaction. */
#include "kafka/txns.h"

static void answer(struct coordinator_work *w, size_t index, const struct txn_reply *r)
{
    struct call *c = w->context;
    struct add_offsets_to_txn_response *out = c->out;
    (void)index;
    out->error_code = txn_error(c, r->outcome, FENCED_SINCE);
}

enum verdict add_offsets_to_txn_handle(struct call *c)
{
    const struct add_offsets_to_txn_request *in = c->in;
    struct add_offsets_to_txn_response *out = c->out;
    const struct topic *t = view_topic(broker_view(), bytes_of(OFFSETS_TOPIC));
    struct coordinator_work *w = txn_work(c, 1, answer);
    struct txn_place *place = arena_new(c->arena, struct txn_place);
    if (w == NULL || place == NULL)
        return REQ_CLOSE;
    if (in->transactional_id.size == 0) {
        out->error_code = KAFKA_INVALID_REQUEST;
        return REQ_DONE;
    }
    if (t == NULL) {
        out->error_code = coordinator_ready(c->broker) ? KAFKA_NOT_COORDINATOR
                                                       : KAFKA_COORDINATOR_NOT_AVAILABLE;
        return REQ_DONE;
    }
    *place = (struct txn_place){bytes_of(OFFSETS_TOPIC),
                                group_partition(in->group_id, t->partition_count)};
    w->txn_events[0] = (struct txn_event){
        .kind = TXN_ADD, .id = in->transactional_id, .producer_id = in->producer_id,
        .epoch = in->producer_epoch, .places = place, .place_count = 1,
        .patience_ms = TXN_PATIENCE_MS};
    return coordinator_submit(w);
}

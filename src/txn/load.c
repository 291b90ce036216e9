/* SPDX-License-Identifier: MIT */
/*
 * Loading: the last record of each id is its state. What was open goes on and may time out; what
 * was prepared has its markers written again, all of them: a second marker does no harm as long as
 * nothing can have come in between.
 */
#include "txn/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

/* The int16 that keys and values begin with; false: too short. */
static bool split(struct bytes *b, int *prefix)
{
    if (b->size < 2)
        return false;
    *prefix = (int16_t)get_be16(b->at);
    *b = bytes_view(b->at + 2, b->size - 2);
    return true;
}

static bool decode(struct txn_shard *s, const struct wire_message *message, int version,
                   struct bytes b, void *out)
{
    if (!wire_has_version(message, version))
        return false;
    enum outcome o = wire_decode(message, version, b, s->todo->arena, out, NULL);
    if (o == OUT_NO_MEMORY)
        s->failed = true;
    return o == OUT_OK;
}

static void load_places(struct txn_shard *s, struct txn *t, const struct transaction_log_value *v)
{
    txn_places_clear(&t->places);
    for (int32_t i = 0; i < v->transaction_partitions_count; i++) {
        for (int32_t j = 0; j < v->transaction_partitions[i].partition_ids_count; j++) {
            struct txn_place p = {v->transaction_partitions[i].topic,
                                  v->transaction_partitions[i].partition_ids[j]};
            if (!txn_places_add(&t->places, &p)) {
                s->failed = true;
                return;
            }
        }
    }
}

/* The epoch before this one, as far as the record tells. */
static int32_t last_epoch(const struct transaction_log_value *v)
{
    if (v->client_transaction_version < 2 || v->transaction_status < STATE_PREPARE_COMMIT)
        return NO_EPOCH;
    return v->producer_epoch > 0 ? v->producer_epoch - 1 : NO_EPOCH;
}

void txn_on_load(struct txn_shard *s)
{
    struct bytes key = s->event->key, value = s->event->value;
    struct transaction_log_key k;
    struct transaction_log_value v;
    int version;
    if (!split(&key, &version) || !decode(s, &wire_transaction_log_key, version, key, &k))
        return;
    struct txn *t = txn_find(s, k.transactional_id);
    if (value.at == NULL) {
        if (t != NULL)
            txn_remove(s, t);
        return;
    }
    if (!split(&value, &version) || !decode(s, &wire_transaction_log_value, version, value, &v))
        return;
    if (v.transaction_status < 0 || v.transaction_status >= STATES)
        return;
    if (t == NULL)
        t = txn_make(s, k.transactional_id);
    if (t == NULL)
        return;
    t->state = (enum txn_state)v.transaction_status;
    t->producer_id = v.producer_id;
    t->previous_id = v.previous_producer_id;
    t->next_id = v.next_producer_id;
    t->epoch = v.producer_epoch;
    t->last_epoch = last_epoch(&v);
    t->timeout_ms = v.transaction_timeout_ms;
    t->version = v.client_transaction_version;
    t->start_ms = v.transaction_start_timestamp_ms;
    t->update_ms = v.transaction_last_update_timestamp_ms;
    load_places(s, t, &v);
}

static void go_on(struct txn_shard *s, struct txn *t, void *context)
{
    (void)context;
    if (t->state == STATE_ONGOING)
        txn_time(s, t);
    else if (txn_prepared(t))
        txn_markers_send(s, t);
}

void txn_on_loaded(struct txn_shard *s)
{
    txn_each(s, go_on, NULL);
}

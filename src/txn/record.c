/* SPDX-License-Identifier: MIT */
/*
 * Records of __transaction_state, byte for byte as Kafka 4.3 writes them: key and value begin with
 * an int16, their version.
 */
#include "txn/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#define KEY_VERSION 0
#define PARTITIONS struct transaction_log_value_transaction_partitions

static struct bytes encode(struct txn_shard *s, const struct wire_message *message, int version,
                           const void *in)
{
    size_t size;
    uint8_t *at = NULL;
    if (wire_measure(message, version, in, &size) == OUT_OK)
        at = txn_take(s, 1, size + 2);
    if (at == NULL || wire_encode(message, version, in, at + 2, size, NULL, NULL) != OUT_OK) {
        s->failed = true;
        return (struct bytes){0};
    }
    put_be16(at, (uint16_t)version);
    return bytes_view(at, size + 2);
}

static struct bytes key_of(struct txn_shard *s, const struct txn *t)
{
    struct transaction_log_key key = {.transactional_id = t->id};
    return encode(s, &wire_transaction_log_key, KEY_VERSION, &key);
}

/* By topic, ascending. */
static void fill_places(struct txn_shard *s, const struct txn *t,
                        struct transaction_log_value *value)
{
    size_t count = t->places.count;
    struct txn_place *list = txn_places_sorted(s, &t->places);
    PARTITIONS *topics = take_array(s, PARTITIONS, count);
    int32_t *ids = take_array(s, int32_t, count);
    if (list == NULL || topics == NULL || ids == NULL)
        return;
    value->transaction_partitions = topics;
    value->transaction_partitions_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !bytes_equal(list[i].topic, list[i - 1].topic))
            topics[value->transaction_partitions_count++] =
                (PARTITIONS){.topic = list[i].topic, .partition_ids = &ids[i]};
        ids[i] = list[i].partition;
        topics[value->transaction_partitions_count - 1].partition_ids_count++;
    }
}

void txn_record_state(struct txn_shard *s, const struct txn *t)
{
    struct transaction_log_value value;
    wire_defaults(&wire_transaction_log_value, &value);
    value.producer_id = t->producer_id;
    value.producer_epoch = (int16_t)t->epoch;
    value.transaction_timeout_ms = t->timeout_ms;
    value.transaction_status = (int8_t)t->state;
    value.transaction_last_update_timestamp_ms = t->update_ms;
    value.transaction_start_timestamp_ms = t->start_ms;
    value.previous_producer_id = t->previous_id;
    value.next_producer_id = t->next_id;
    value.client_transaction_version = (int16_t)t->version;
    value.transaction_partitions_count = -1;
    if (t->state != STATE_EMPTY)
        fill_places(s, t, &value);
    if (!s->failed)
        txn_record(s, key_of(s, t),
               encode(s, &wire_transaction_log_value, s->options.value_version, &value));
}

void txn_record_gone(struct txn_shard *s, const struct txn *t)
{
    txn_record(s, key_of(s, t), (struct bytes){0});
}

/* SPDX-License-Identifier: MIT */
/* What the Kafka door keeps for the process. */
#include "kafka/kafka.h"

#include "broker/broker.h"
#include "kafka/fetch_session.h"

#define SESSION_PARTS_MAX 1000000 /* partitions remembered in all fetch sessions */

enum outcome kafka_open(struct broker *b)
{
    int32_t slots = broker_config(b)->max_incremental_fetch_session_cache_slots;
    struct session_cache *cache = session_cache_new((size_t)MAX(slots, 0), SESSION_PARTS_MAX);
    if (cache == NULL)
        return fail(OUT_NO_MEMORY, "start the Kafka door");
    broker_slot_set(b, BROKER_SLOT_FETCH_SESSIONS, cache);
    return coordinator_open(b);
}

void kafka_close(struct broker *b)
{
    coordinator_close(b);
    session_cache_free(broker_slot(b, BROKER_SLOT_FETCH_SESSIONS));
    broker_slot_set(b, BROKER_SLOT_FETCH_SESSIONS, NULL);
}

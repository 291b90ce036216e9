/* SPDX-License-Identifier: MIT */
/*
 * ListOffsets: the ends of a log, its highest timestamp, or the first record at or after a time.
 * Special places came with versions: -3 with 7 (KIP-734), -4 with 8, -5 with 9, -6 with 11.
 */
#include "kafka/call.h"

#define ASKED struct list_offsets_request_topics_partitions
#define RESULT struct list_offsets_response_topics_partitions

enum { PLACE_EARLIEST_LOCAL = -4, PLACE_LATEST_TIERED = -5, PLACE_PENDING_UPLOAD = -6 };

static int16_t version_of_place(int64_t timestamp)
{
    switch (timestamp) {
    case STORE_MAX_TIMESTAMP: return 7;
    case PLACE_EARLIEST_LOCAL: return 8;
    case PLACE_LATEST_TIERED: return 9;
    case PLACE_PENDING_UPLOAD: return 11;
    default: return timestamp < PLACE_PENDING_UPLOAD ? INT16_MAX : 0;
    }
}

int16_t check_leader_epoch(const struct partition *p, int32_t asked)
{
    int32_t current = atomic_load_explicit(&p->leader_epoch, memory_order_relaxed);
    if (asked < 0 || asked == current)
        return KAFKA_NONE;
    return asked < current ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

/* The offset up to which this reader sees records. */
static int64_t visible_end(const struct call *c, const struct partition *p)
{
    const struct list_offsets_request *in = c->in;
    struct store_stat stat;
    store_stat(p->store, &stat);
    return in->isolation_level == 1 ? stat.stable_offset : stat.high_watermark;
}

static void look_up(struct call *c, struct partition *p, int64_t timestamp, RESULT *out)
{
    struct store_place place;
    if (timestamp == PLACE_LATEST_TIERED || timestamp == PLACE_PENDING_UPLOAD)
        return; /* nothing is tiered: offset -1 */
    enum outcome o = store_seek(
        p->store, timestamp == PLACE_EARLIEST_LOCAL ? STORE_EARLIEST : timestamp, &place);
    if (o != OUT_OK) {
        out->error_code = error_of(o);
        return;
    }
    int64_t end = visible_end(c, p);
    if (timestamp == STORE_LATEST) {
        place.offset = end;
        place.leader_epoch = atomic_load_explicit(&p->leader_epoch, memory_order_relaxed);
    } else if (place.offset >= end && timestamp != STORE_EARLIEST &&
               timestamp != PLACE_EARLIEST_LOCAL) {
        return;
    }
    out->offset = place.offset;
    out->timestamp = place.timestamp;
    out->leader_epoch = place.leader_epoch;
    if (timestamp == STORE_LATEST || timestamp == STORE_EARLIEST ||
        timestamp == PLACE_EARLIEST_LOCAL)
        out->timestamp = -1;
    if (place.offset >= 0 && place.leader_epoch < 0)
        out->leader_epoch = atomic_load_explicit(&p->leader_epoch, memory_order_relaxed);
}

static void answer(struct call *c, struct topic *t, const ASKED *asked, RESULT *out)
{
    const struct list_offsets_request *in = c->in;
    *out = (RESULT){.partition_index = asked->partition_index, .timestamp = -1, .offset = -1,
                    .leader_epoch = -1};
    struct partition *p = t == NULL ? NULL : topic_partition(t, asked->partition_index);
    if (t == NULL || asked->partition_index < 0 || asked->partition_index >= t->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (p == NULL)
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else if (in->isolation_level != 0 && in->isolation_level != 1)
        out->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    else if (c->version < version_of_place(asked->timestamp))
        out->error_code = KAFKA_UNSUPPORTED_VERSION;
    else
        out->error_code = check_leader_epoch(p, asked->current_leader_epoch);
    if (out->error_code == KAFKA_NONE)
        look_up(c, p, asked->timestamp, out);
}

static bool topic_again(struct call *c, int32_t topic, int32_t part)
{
    const struct list_offsets_request *in = c->in;
    const struct list_offsets_request_topics *t = &in->topics[topic];
    return seen_before(c, t->name, t->partitions[part].partition_index);
}

enum verdict list_offsets_handle(struct call *c)
{
    const struct list_offsets_request *in = c->in;
    struct list_offsets_response *out = c->out;
    if (unlikely(c->version == 0))
        return list_offsets_old(c);
    out->topics = arena_array(c->arena, struct list_offsets_response_topics,
                              (size_t)in->topics_count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct list_offsets_request_topics *asked = &in->topics[i];
        struct list_offsets_response_topics *t = &out->topics[out->topics_count++];
        t->name = asked->name;
        t->partitions = arena_array(c->arena, RESULT, (size_t)asked->partitions_count);
        if (t->partitions == NULL)
            return REQ_CLOSE;
        struct topic *topic = view_topic(broker_view(), asked->name);
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            if (!topic_again(c, i, j)) {
                answer(c, topic, &asked->partitions[j], &t->partitions[t->partitions_count++]);
                continue;
            }
            for (int32_t k = 0; k < t->partitions_count; k++) {
                RESULT *r = &t->partitions[k];
                if (r->partition_index == asked->partitions[j].partition_index)
                    *r = (RESULT){.partition_index = r->partition_index, .timestamp = -1,
                                  .offset = -1, .leader_epoch = -1,
                                  .error_code = KAFKA_INVALID_REQUEST};
            }
        }
    }
    return REQ_DONE;
}

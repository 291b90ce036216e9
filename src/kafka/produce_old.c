/* SPDX-License-Identifier: MIT */
/*
 * Produce 0 to 2: a set of messages of magic 0 or 1 becomes a record batch before it is appended.
 * Nothing but these versions comes here. A set without a whole message appends nothing and is no
 * error, as in Kafka.
 */
#include "kafka/produce.h"

#include "legacy/legacy.h"
#include "watch/watch.h"

#include <stdlib.h>

#define ATTRIBUTES_AT 21 /* of a batch */

static enum outcome convert(struct call *c, const struct partition *p, struct bytes set,
                            struct wire_records *batch)
{
    const struct topic *t = view_topic(broker_view(), p->topic);
    uint8_t *at;
    size_t size;
    if (t == NULL)
        return OUT_OFFLINE; /* being deleted */
    int32_t most = (int32_t)MIN(t->config.max_message_bytes, INT32_MAX);
    enum outcome o = legacy_up(set, most, &at, &size);
    if (o != OUT_OK)
        return o;
    if (t->config.append_time && (get_be16(at + ATTRIBUTES_AT) & LOG_ATTR_APPEND_TIME) != 0) {
        free(at);
        return OUT_INVALID_TIMESTAMP; /* only the broker may say so there */
    }
    struct bytes copy = arena_copy(c->arena, bytes_view(at, size));
    free(at);
    *batch = (struct wire_records){.at = copy.at, .size = copy.size};
    return copy.at == NULL ? OUT_NO_MEMORY : OUT_OK;
}

bool produce_convert(struct call *c, const struct partition *p, const struct wire_records *sent,
                     struct wire_records *batch, RESULT *out)
{
    struct bytes set = {sent->at, sent->size};
    *batch = *sent;
    if (legacy_magic(set) == 2)
        return true;
    enum outcome o = convert(c, p, set, batch);
    if (o == OUT_OK)
        return true;
    if (o == OUT_END)
        return false;
    out->error_code = error_of(o);
    count(produce_errors, 1);
    return false;
}

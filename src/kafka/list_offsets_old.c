/* SPDX-License-Identifier: MIT */
/*
 * ListOffsets 0, from before records had timestamps: the offsets where segments begin that were
 * written before a time, newest first, and in front of them the end of the log. -1 asks for all,
 * -2 for the oldest only.
 */
#include "kafka/call.h"

#include "log/log.h"

#define ASKED struct list_offsets_request_topics_partitions
#define RESULT struct list_offsets_response_topics_partitions

/* Where each segment begins that still counts, and last the end of the log, when there are
 * records. */
static size_t list_pieces(struct call *c, struct partition *p, struct log_piece **list)
{
    struct store_stat stat;
    size_t room = 1, count = 1;
    if (p->log != NULL) /* a roll may come between: then the newest is missed */
        room = count = log_pieces(p->log, NULL, 0);
    *list = arena_array(c->arena, struct log_piece, room + 1);
    if (*list == NULL)
        return 0;
    if (p->log != NULL)
        count = MIN(log_pieces(p->log, *list, room), room);
    store_stat(p->store, &stat);
    for (size_t i = 0; i < count; i++)
        (*list)[i].base_offset = MAX((*list)[i].base_offset, stat.start_offset);
    if ((*list)[count - 1].base_offset < stat.end_offset)
        (*list)[count++] = (struct log_piece){stat.end_offset, c->request->home->wall_ms};
    return count;
}

static void answer(struct call *c, struct topic *t, const ASKED *asked, RESULT *out)
{
    *out = (RESULT){.partition_index = asked->partition_index};
    struct partition *p = t == NULL ? NULL : topic_partition(t, asked->partition_index);
    struct log_piece *list;
    if (t == NULL || asked->partition_index < 0 || asked->partition_index >= t->partition_count)
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (p == NULL)
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else if (asked->timestamp < STORE_EARLIEST)
        out->error_code = KAFKA_UNSUPPORTED_VERSION; /* a place of later versions */
    else if (asked->max_num_offsets < 0)
        out->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    if (out->error_code != KAFKA_NONE)
        return;
    size_t count = list_pieces(c, p, &list);
    if (asked->timestamp == STORE_EARLIEST)
        count = MIN(count, (size_t)1);
    else if (asked->timestamp != STORE_LATEST)
        while (count > 0 && list[count - 1].modified_ms > asked->timestamp)
            count--;
    size_t given = MIN(count, (size_t)asked->max_num_offsets);
    out->old_style_offsets = arena_array(c->arena, int64_t, given);
    if (out->old_style_offsets == NULL)
        return;
    for (size_t i = 0; i < given; i++)
        out->old_style_offsets[i] = list[count - 1 - i].base_offset;
    out->old_style_offsets_count = (int32_t)given;
}

enum verdict list_offsets_old(struct call *c)
{
    const struct list_offsets_request *in = c->in;
    struct list_offsets_response *out = c->out;
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
        for (int32_t j = 0; j < asked->partitions_count; j++)
            answer(c, topic, &asked->partitions[j], &t->partitions[t->partitions_count++]);
    }
    return REQ_DONE;
}

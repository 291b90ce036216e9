/* SPDX-License-Identifier: MIT */
/* A small table for each connection, one slot for a partition; a slot taken by another partition
 * loses a count, never adds one. Without memory nothing is counted. */
#include "kafka/consumed.h"

#include "watch/watch.h"

#include <stdlib.h>

#define SLOTS_MIN 16
#define SLOTS_MAX 4096

struct consumed {
    size_t mask;
    struct slot {
        uint64_t key;   /* 0: free */
        int64_t offset; /* where the last reply with records began */
    } slots[];
};

static uint64_t key_of(const struct fetch_part *part)
{
    struct bytes topic = part->topic.at != NULL
                             ? part->topic
                             : bytes_view(&part->topic_id, sizeof part->topic_id);
    return (bytes_hash(topic) + (uint32_t)part->partition * 0x9e3779b97f4a7c15u) | 1;
}

/* The connection's table, made when first needed, for as many partitions as it fetches now. */
static struct consumed *table(struct call *c)
{
    void **session = c->request->session;
    const struct fetch_request *in = c->in;
    if (session == NULL || *session != NULL)
        return session == NULL ? NULL : *session;
    size_t slots = SLOTS_MIN, want = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        want += (size_t)in->topics[i].partitions_count * 4;
    while (slots < want && slots < SLOTS_MAX)
        slots *= 2;
    struct consumed *t = calloc(1, sizeof *t + slots * sizeof t->slots[0]);
    if (t != NULL)
        t->mask = slots - 1;
    *session = t;
    return t;
}

void consumed_count(struct call *c, const struct fetch_part *part)
{
    struct consumed *t = c->request->session == NULL ? NULL : *c->request->session;
    if (t == NULL)
        return;
    uint64_t key = key_of(part);
    struct slot *s = &t->slots[key >> 1 & t->mask];
    if (s->key != key)
        return;
    if (part->fetch_offset > s->offset)
        count(messages_consumed, (uint64_t)(part->fetch_offset - s->offset));
    s->key = 0;
}

void consumed_note(struct call *c, const struct fetch_part *part)
{
    struct consumed *t = table(c);
    if (t == NULL)
        return;
    uint64_t key = key_of(part);
    t->slots[key >> 1 & t->mask] = (struct slot){key, part->fetch_offset};
}

void consumed_free(void *session)
{
    free(session);
}

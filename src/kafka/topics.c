/* SPDX-License-Identifier: MIT */
/* Topics by name or id, and a set that finds repeated entries of a request in constant time. */
#include "kafka/call.h"

struct seen_entry {
    struct bytes name;
    int32_t index;
    bool used;
};

struct seen_set {
    struct seen_entry *entries;
    size_t mask, count;
};

struct topic *call_topic(const struct view *v, struct bytes name, const struct uuid *id,
                         bool by_id, int16_t *error)
{
    struct topic *t = by_id ? view_topic_by_id(v, id) : view_topic(v, name);
    if (t != NULL)
        *error = KAFKA_NONE;
    else
        *error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return t;
}

static struct seen_entry *slot(const struct seen_set *s, struct bytes name, int32_t index)
{
    size_t at = (bytes_hash(name) + (uint32_t)index * 0x9e3779b97f4a7c15u) & s->mask;
    while (s->entries[at].used &&
           (s->entries[at].index != index || !bytes_equal(s->entries[at].name, name)))
        at = (at + 1) & s->mask;
    return &s->entries[at];
}

static bool grow(struct call *c, struct seen_set *s)
{
    struct seen_set bigger = {.mask = s->entries == NULL ? 15 : s->mask * 2 + 1, .count = s->count};
    bigger.entries = arena_array(c->arena, struct seen_entry, bigger.mask + 1);
    if (bigger.entries == NULL)
        return false;
    for (size_t i = 0; s->entries != NULL && i <= s->mask; i++) {
        if (s->entries[i].used)
            *slot(&bigger, s->entries[i].name, s->entries[i].index) = s->entries[i];
    }
    *s = bigger;
    return true;
}

bool seen_before(struct call *c, struct bytes name, int32_t index)
{
    if (c->seen == NULL)
        c->seen = arena_new(c->arena, struct seen_set);
    struct seen_set *s = c->seen;
    if (s == NULL || ((s->entries == NULL || s->count * 2 > s->mask) && !grow(c, s)))
        return false; /* the arena is marked: the call fails as a whole */
    struct seen_entry *e = slot(s, name, index);
    if (e->used)
        return true;
    *e = (struct seen_entry){name, index, true};
    s->count++;
    return false;
}

bool seen_has(const struct call *c, struct bytes name, int32_t index)
{
    const struct seen_set *s = c->seen;
    return s != NULL && s->entries != NULL && slot(s, name, index)->used;
}

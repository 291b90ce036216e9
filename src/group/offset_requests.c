/* SPDX-License-Identifier: MIT */
/*
 * OffsetCommit, OffsetFetch, OffsetDelete, and how offsets end: their topic goes, or nobody has
 * used them for the retention time (KIP-211).
 */
#include "group/private.h"

#include <stdlib.h>

/* ---- commit ---- */

/* A generation below 0 is a client that assigns its partitions itself, or an administrator; they
 * may commit as long as the group has no members. */
static enum outcome commit_check(const struct group *g, const struct group_commit *c)
{
    if (g == NULL)
        return c->generation < 0 ? OUT_OK : c->if_unknown;
    if (g->state == STATE_EMPTY && c->generation < 0)
        return OUT_OK;
    if (c->generation < 0 && c->member_id.size == 0 && c->instance_id.at == NULL)
        return OUT_UNKNOWN_MEMBER;
    enum outcome o = member_check(g, c->member_id, c->instance_id);
    if (o != OUT_OK)
        return o;
    if (c->generation != g->generation)
        return OUT_ILLEGAL_GENERATION;
    return g->state == STATE_COMPLETING ? OUT_REBALANCE_IN_PROGRESS : OUT_OK;
}

/* Kafka's limit counts Java characters: UTF-16 units. */
static size_t utf16_units(struct bytes text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.size; i++) {
        if ((text.at[i] & 0xc0) != 0x80)
            units += text.at[i] >= 0xf0 ? 2 : 1;
    }
    return units;
}

size_t commit_judge(const struct group_shard *s, const struct group_commit *c, enum outcome *each)
{
    size_t good = 0;
    for (size_t i = 0; i < c->offset_count; i++) {
        bool small = utf16_units(c->offsets[i].metadata) <= (size_t)s->options.metadata_max;
        each[i] = small ? OUT_OK : OUT_OFFSET_METADATA_TOO_LARGE;
        good += small;
    }
    return good;
}

static void store(struct group *g, const struct group_commit *c, const enum outcome *each)
{
    struct group_shard *s = g->shard;
    for (size_t i = 0; i < c->offset_count && !s->failed; i++) {
        struct committed *stored = each[i] == OUT_OK ? offset_put(g, &c->offsets[i]) : NULL;
        if (stored == NULL)
            continue;
        int64_t said_ms = c->offsets[i].commit_ms;
        stored->commit_ms = said_ms > 0 ? said_ms : s->event->wall_ms;
        record_offset(g, stored);
    }
}

void step_commit(struct group_shard *s)
{
    const struct group_commit *c = &s->event->commit;
    struct group *g = group_find(s, s->event->group_id);
    enum outcome o = commit_check(g, c);
    if (o != OUT_OK) {
        (void)reply(s, s->event->token, GROUP_OFFSET_COMMIT, o);
        return;
    }
    enum outcome *each = take_array(s, enum outcome, c->offset_count);
    if (each == NULL)
        return;
    size_t good = commit_judge(s, c, each);
    if (g == NULL && good > 0)
        g = group_make(s, s->event->group_id);
    if (g != NULL) {
        /* A commit shows that its member lives. */
        struct member *m = c->member_id.size > 0 ? member_find(g, c->member_id) : NULL;
        if (m != NULL)
            member_alive(m);
        store(g, c, each);
    }
    if (s->failed)
        return;
    struct group_reply *r = reply(s, s->event->token, GROUP_OFFSET_COMMIT, OUT_OK);
    r->after_records = good > 0;
    r->each = each;
    r->each_count = c->offset_count;
}

/* ---- fetch ---- */

static struct group_offset offset_of(const struct committed *c)
{
    return (struct group_offset){.topic = c->topic, .partition = c->partition,
                                 .leader_epoch = c->leader_epoch, .offset = c->offset,
                                 .metadata = c->metadata, .topic_id = c->topic_id};
}

static int by_place(const void *left, const void *right)
{
    const struct group_offset *a = left, *b = right;
    int order = bytes_compare(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

/* Returns how many; what may still change is left out when only stable ones are wanted. */
static size_t fetch_all(const struct group *g, bool stable, struct group_offset *out)
{
    size_t count = 0;
    for (size_t i = 0; i < g->slot_count; i++) {
        for (const struct committed *c = g->slots[i]; c != NULL; c = c->next) {
            if (!stable || !offset_promised(g, c->topic, c->partition))
                out[count++] = offset_of(c);
        }
    }
    check(count <= g->offset_count);
    qsort(out, count, sizeof *out, by_place);
    return count;
}

/* A few chains of the table. What changes between two pieces may be missed or come twice. */
static void fetch_piece(struct group_shard *s, const struct group *g)
{
    const struct group_places *asked = &s->event->places;
    size_t count = 0, at = g == NULL ? 0 : MIN(asked->from, g->slot_count), end = at;
    for (; g != NULL && end < g->slot_count && count < asked->most; end++) {
        for (const struct committed *c = g->slots[end]; c != NULL; c = c->next)
            count++;
    }
    struct group_offset *out = take_array(s, struct group_offset, count);
    if (out == NULL)
        return;
    size_t filled = 0;
    for (; at < end; at++) {
        for (const struct committed *c = g->slots[at]; c != NULL; c = c->next)
            out[filled++] = offset_of(c);
    }
    struct group_reply *r = reply(s, s->event->token, GROUP_OFFSET_FETCH, OUT_OK);
    r->offsets = out;
    r->offset_count = filled;
    r->rest = g == NULL || end == g->slot_count ? 0 : end;
}

static struct group_offset fetch_one(const struct group *g, const struct group_place *p,
                                     bool stable)
{
    struct group_offset none = {.topic = p->topic, .partition = p->partition, .leader_epoch = -1,
                                .offset = -1, .metadata = bytes_of("")};
    if (g == NULL)
        return none;
    none.unstable = stable && offset_promised(g, p->topic, p->partition);
    const struct committed *c = none.unstable ? NULL : offset_find(g, p->topic, p->partition);
    return c == NULL ? none : offset_of(c);
}

void step_fetch(struct group_shard *s)
{
    const struct group_places *asked = &s->event->places;
    const struct group *g = group_find(s, s->event->group_id);
    if (asked->all && asked->most > 0) {
        fetch_piece(s, g);
        return;
    }
    size_t count = !asked->all ? asked->count : g == NULL ? 0 : g->offset_count;
    struct group_offset *out = take_array(s, struct group_offset, count);
    if (out == NULL)
        return;
    if (asked->all && g != NULL)
        count = fetch_all(g, asked->stable, out);
    for (size_t i = 0; i < count && !asked->all; i++)
        out[i] = fetch_one(g, &asked->places[i], asked->stable);
    struct group_reply *r = reply(s, s->event->token, GROUP_OFFSET_FETCH, OUT_OK);
    r->offsets = out;
    r->offset_count = count;
}

/* ---- delete ---- */

static enum outcome delete_check(const struct group *g)
{
    if (g == NULL)
        return OUT_GROUP_ID_NOT_FOUND;
    /* Only consumers tell which topics they use; the others may use any. */
    if (g->state != STATE_EMPTY && !bytes_is(g->protocol_type, "consumer"))
        return OUT_NON_EMPTY_GROUP;
    return OUT_OK;
}

void step_offset_delete(struct group_shard *s)
{
    const struct group_places *asked = &s->event->places;
    struct group *g = group_find(s, s->event->group_id);
    enum outcome o = s->event->group_id.size == 0 ? OUT_INVALID_GROUP_ID : delete_check(g);
    if (o != OUT_OK) {
        (void)reply(s, s->event->token, GROUP_OFFSET_DELETE, o);
        return;
    }
    enum outcome *each = take_array(s, enum outcome, asked->count);
    if (each == NULL)
        return;
    for (size_t i = 0; i < asked->count; i++) {
        const struct group_place *p = &asked->places[i];
        each[i] = subscribed(g, p->topic) ? OUT_GROUP_SUBSCRIBED : OUT_OK;
        struct committed *c = offset_find(g, p->topic, p->partition);
        if (each[i] != OUT_OK)
            continue;
        bool promised = open_txns_forget(g, p->topic, p->partition);
        if (c != NULL || promised)
            record_offset_gone(g, p->topic, p->partition);
        if (c != NULL)
            offset_remove(g, c);
    }
    struct group_reply *r = reply(s, s->event->token, GROUP_OFFSET_DELETE, OUT_OK);
    r->after_records = s->todo->record_count > 0;
    r->each = each;
    r->each_count = asked->count;
}

static bool of_topic(const struct group *g, const struct committed *c, void *context)
{
    (void)g;
    return bytes_equal(c->topic, *(const struct bytes *)context);
}

static void forget_topic(struct group *g, void *context)
{
    (void)open_txns_forget(g, *(const struct bytes *)context, -1);
    offsets_remove_if(g, of_topic, context);
}

void step_topic_deleted(struct group_shard *s)
{
    struct bytes topic = s->event->group_id;
    group_each(s, forget_topic, &topic);
}

/* ---- expiry ---- */

/* From when on an offset counts as unused; INT64_MAX: it is in use. */
static int64_t unused_since(const struct group *g, const struct committed *c)
{
    if (g->protocol_type.size == 0)
        return c->commit_ms; /* no group has ever formed: a client without one commits */
    if (g->state == STATE_EMPTY)
        return MAX(g->state_since_ms, c->commit_ms);
    if (g->state == STATE_STABLE && g->topics_known && !subscribed(g, c->topic))
        return c->commit_ms;
    return INT64_MAX;
}

static bool expired(const struct group *g, const struct committed *c, void *context)
{
    (void)context;
    int64_t now = g->shard->event->wall_ms;
    if (offset_promised(g, c->topic, c->partition))
        return false;
    int64_t since = unused_since(g, c);
    if (since == INT64_MAX)
        return false;
    if (c->expire_ms >= 0)
        return now >= c->expire_ms;
    return now - since >= g->shard->options.retention_ms;
}

static void expire(struct group *g, void *context)
{
    offsets_remove_if(g, expired, context);
    if (g->state != STATE_EMPTY || g->offset_count > 0 || g->pending_count > 0 ||
        !list_empty(&g->open_txns))
        return;
    record_group_gone(g);
    group_remove(g);
}

void step_expire(struct group_shard *s)
{
    group_each(s, expire, NULL);
}

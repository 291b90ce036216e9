/* SPDX-License-Identifier: MIT */
/*
 * Offsets that a transaction commits (TxnOffsetCommit). They are in the log at once, as part of the
 * transaction, and count from its commit marker on, unless a later commit has overtaken them.
 */
#include "group/private.h"

#include <stdlib.h>

/* ---- what is open ---- */

static struct open_txn *open_txn_find(const struct group *g, int64_t producer_id)
{
    list_each(node, &g->open_txns) {
        struct open_txn *t = container_of(node, struct open_txn, of_group);
        if (t->producer_id == producer_id)
            return t;
    }
    return NULL;
}

static struct open_txn *open_txn_make(struct group *g, int64_t producer_id)
{
    struct open_txn *t = calloc(1, sizeof *t);
    if (t == NULL) {
        g->shard->failed = true;
        return NULL;
    }
    t->group = g;
    t->producer_id = producer_id;
    list_push(&g->shard->open_txns, &t->node);
    list_push(&g->open_txns, &t->of_group);
    return t;
}

static void promised_free(struct promised *p)
{
    let_go(&p->offset.topic);
    let_go(&p->offset.metadata);
}

static void open_txn_free(struct open_txn *t)
{
    for (size_t i = 0; i < t->count; i++)
        promised_free(&t->list[i]);
    free(t->list);
    list_remove(&t->node);
    list_remove(&t->of_group);
    free(t);
}

void open_txns_free(struct group *g)
{
    list_each_safe(node, after, &g->open_txns)
        open_txn_free(container_of(node, struct open_txn, of_group));
}

bool offset_promised(const struct group *g, struct bytes topic, int32_t partition)
{
    list_each(node, &g->open_txns) {
        const struct open_txn *t = container_of(node, struct open_txn, of_group);
        for (size_t i = 0; i < t->count; i++) {
            const struct group_offset *o = &t->list[i].offset;
            if (o->partition == partition && bytes_equal(o->topic, topic))
                return true;
        }
    }
    return false;
}

bool open_txns_forget(struct group *g, struct bytes topic, int32_t partition)
{
    bool had = false;
    list_each(node, &g->open_txns) {
        struct open_txn *t = container_of(node, struct open_txn, of_group);
        size_t kept = 0;
        for (size_t i = 0; i < t->count; i++) {
            const struct group_offset *o = &t->list[i].offset;
            bool goes =
                (partition < 0 || o->partition == partition) && bytes_equal(o->topic, topic);
            had |= goes;
            if (goes)
                promised_free(&t->list[i]);
            else
                t->list[kept++] = t->list[i];
        }
        t->count = kept;
    }
    return had;
}

/* NULL: out of memory. */
static struct promised *promise(struct group *g, int64_t producer_id, const struct group_offset *o)
{
    struct group_shard *s = g->shard;
    struct open_txn *t = open_txn_find(g, producer_id);
    if (t == NULL)
        t = open_txn_make(g, producer_id);
    if (t == NULL)
        return NULL;
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 4 : t->room * 2;
        struct promised *list = realloc(t->list, room * sizeof *list);
        if (list == NULL) {
            s->failed = true;
            return NULL;
        }
        t->list = list;
        t->room = room;
    }
    struct promised *p = &t->list[t->count++];
    *p = (struct promised){.offset = *o, .order = ++s->order};
    p->offset.topic = keep(s, o->topic);
    p->offset.metadata = keep(s, o->metadata.at == NULL ? bytes_of("") : o->metadata);
    return s->failed ? NULL : p;
}

void load_promised(struct group *g, int64_t producer_id, const struct group_offset *o,
                   int64_t commit_ms)
{
    struct promised *p = promise(g, producer_id, o);
    if (p != NULL)
        p->commit_ms = commit_ms;
}

/* ---- TxnOffsetCommit ---- */

/* Unlike an ordinary commit one without a member is fine in any group: the transaction fences. */
static enum outcome check_member(const struct group *g, const struct group_commit *c)
{
    if (g == NULL)
        return c->generation < 0 ? OUT_OK : c->if_unknown;
    if (c->generation < 0 && c->member_id.size == 0 && c->instance_id.at == NULL)
        return OUT_OK;
    enum outcome o = member_check(g, c->member_id, c->instance_id);
    if (o != OUT_OK)
        return o;
    return c->generation != g->generation ? OUT_ILLEGAL_GENERATION : OUT_OK;
}

static void store(struct group *g, const struct group_commit *c, const enum outcome *each)
{
    struct group_shard *s = g->shard;
    for (size_t i = 0; i < c->offset_count && !s->failed; i++) {
        struct promised *p =
            each[i] == OUT_OK ? promise(g, c->producer_id, &c->offsets[i]) : NULL;
        if (p == NULL)
            continue;
        p->commit_ms = s->event->wall_ms;
        struct committed image = {
            .topic = p->offset.topic, .metadata = p->offset.metadata,
            .topic_id = p->offset.topic_id, .offset = p->offset.offset,
            .commit_ms = p->commit_ms, .partition = p->offset.partition,
            .leader_epoch = p->offset.leader_epoch};
        record_offset(g, &image);
    }
    s->todo->producer_id = c->producer_id;
    s->todo->producer_epoch = c->producer_epoch;
}

void step_txn_commit(struct group_shard *s)
{
    const struct group_commit *c = &s->event->commit;
    struct group *g = group_find(s, s->event->group_id);
    enum outcome o = s->event->group_id.size == 0 ? OUT_INVALID_GROUP_ID : check_member(g, c);
    if (o != OUT_OK) {
        (void)reply(s, s->event->token, GROUP_TXN_COMMIT, o);
        return;
    }
    enum outcome *each = take_array(s, enum outcome, c->offset_count);
    if (each == NULL)
        return;
    size_t good = commit_judge(s, c, each);
    if (g == NULL && good > 0)
        g = group_make(s, s->event->group_id);
    if (g != NULL && good > 0)
        store(g, c, each);
    if (s->failed)
        return;
    struct group_reply *r = reply(s, s->event->token, GROUP_TXN_COMMIT, OUT_OK);
    r->after_records = good > 0;
    r->each = each;
    r->each_count = c->offset_count;
}

/* ---- the marker ---- */

static void settle(struct open_txn *t)
{
    struct group *g = t->group;
    for (size_t i = 0; i < t->count && !g->shard->failed; i++) {
        const struct promised *p = &t->list[i];
        struct committed *c = offset_find(g, p->offset.topic, p->offset.partition);
        if (c != NULL && c->order > p->order)
            continue;
        c = offset_put(g, &p->offset);
        if (c == NULL)
            return;
        c->commit_ms = p->commit_ms;
        c->order = p->order;
    }
}

void step_txn_end(struct group_shard *s)
{
    s->marker = s->event->end;
    list_each_safe(node, after, &s->open_txns) {
        struct open_txn *t = container_of(node, struct open_txn, node);
        if (t->producer_id != s->marker.producer_id)
            continue;
        if (s->marker.commit)
            settle(t);
        if (s->failed)
            return;
        open_txn_free(t);
    }
    s->todo->marker = &s->marker;
    reply(s, s->event->token, GROUP_TXN_END, OUT_OK)->after_records = true;
}

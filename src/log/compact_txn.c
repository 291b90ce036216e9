/* SPDX-License-Identifier: MIT */
/*
 * Transactions along a compaction's walk. Data of aborted transactions goes at once; a marker may
 * go once a whole walk met no data of its transaction, because then no reader can need it.
 */
#include "log/compact.h"

#include "base/check.h"

#include <stdlib.h>

#define TABLE_FIRST 16

static int by_first_offset(const void *a, const void *b)
{
    const struct log_aborted *x = a, *y = b;
    return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

enum outcome txn_walk_init(struct txn_walk *t, struct log *l, int64_t from, int64_t end)
{
    enum outcome o = OUT_OK;
    *t = (struct txn_walk){.failed = OUT_OK};
    pthread_mutex_lock(&l->append_lock);
    t->list = malloc((l->aborted.count + 1) * sizeof *t->list);
    if (t->list == NULL)
        o = OUT_NO_MEMORY;
    for (size_t i = 0; o == OUT_OK && i < l->aborted.count; i++)
        if (l->aborted.list[i].first_offset < end && l->aborted.list[i].last_offset >= from)
            t->list[t->list_count++] = l->aborted.list[i];
    pthread_mutex_unlock(&l->append_lock);
    if (t->list_count > 1)
        qsort(t->list, t->list_count, sizeof *t->list, by_first_offset);
    return o;
}

void txn_walk_fini(struct txn_walk *t)
{
    free(t->table);
    free(t->list);
    txnindex_fini(&t->kept);
    *t = (struct txn_walk){.failed = OUT_OK};
}

static size_t place_of(const struct txn_walk *t, int64_t id)
{
    size_t i = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u >> 32) & (t->room - 1);
    while (t->table[i].id != id && t->table[i].id != -1)
        i = (i + 1) & (t->room - 1);
    return i;
}

static bool grow(struct txn_walk *t)
{
    struct txn_producer *old = t->table;
    size_t old_room = t->room, room = old_room == 0 ? TABLE_FIRST : old_room * 2;
    struct txn_producer *table = malloc(room * sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < room; i++)
        table[i].id = -1;
    t->table = table;
    t->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i].id != -1)
            table[place_of(t, old[i].id)] = old[i];
    free(old);
    return true;
}

static struct txn_producer *producer_of(struct txn_walk *t, int64_t id)
{
    if ((t->count + 1) * 4 > t->room * 3 && !grow(t)) {
        t->failed = OUT_NO_MEMORY;
        return NULL;
    }
    struct txn_producer *p = &t->table[place_of(t, id)];
    if (p->id == -1) {
        *p = (struct txn_producer){.id = id};
        t->count++;
    }
    return p;
}

/* Aborted transactions that have begun by now. */
static void begin_up_to(struct txn_walk *t, int64_t offset)
{
    for (; t->next < t->list_count && t->list[t->next].first_offset <= offset; t->next++) {
        struct txn_producer *p = producer_of(t, t->list[t->next].producer_id);
        if (p == NULL)
            return;
        if (p->aborting)
            continue;
        p->aborting = true;
        p->seen = false;
        p->aborted = t->list[t->next];
    }
}

/* The kind of marker in a control batch; false: it holds no record any more, or is of another
 * kind. */
static bool marker_of(const struct log_batch *b, enum log_marker *type, bool *empty)
{
    struct bytes rest = {b->at + LOG_BATCH_HEADER, b->size - LOG_BATCH_HEADER};
    struct log_record r;
    *empty = b->count == 0;
    if (*empty || (b->attributes & LOG_ATTR_CODEC) != LOG_NONE ||
        record_parse(&rest, &r) != OUT_OK)
        return false;
    if (r.key.at == NULL || r.key.size < 4 || get_be16(r.key.at + 2) > LOG_MARKER_COMMIT)
        return false;
    *type = get_be16(r.key.at + 2) == LOG_MARKER_COMMIT ? LOG_MARKER_COMMIT : LOG_MARKER_ABORT;
    return true;
}

static bool walk_marker(struct txn_walk *t, const struct log_batch *b)
{
    enum log_marker type;
    bool empty;
    if (!marker_of(b, &type, &empty))
        return empty;
    struct txn_producer *p = producer_of(t, b->producer_id);
    if (p == NULL)
        return false;
    if (type == LOG_MARKER_COMMIT) {
        bool seen = p->committed;
        p->committed = false;
        return !seen;
    }
    bool seen = p->aborting && p->seen;
    if (seen && txnindex_add(&t->kept, &p->aborted) != OUT_OK)
        t->failed = OUT_NO_MEMORY;
    p->aborting = false;
    return !seen;
}

bool txn_walk_batch(struct txn_walk *t, const struct log_batch *b)
{
    begin_up_to(t, b->last_offset);
    if (t->failed != OUT_OK || b->magic < 2)
        return false;
    if (b->producer_id < 0)
        return false;
    if (batch_is_control(b))
        return walk_marker(t, b);
    if (!batch_is_txn(b))
        return false;
    struct txn_producer *p = producer_of(t, b->producer_id);
    if (p == NULL)
        return false;
    if (p->aborting)
        p->seen = true;
    else
        p->committed = true;
    return p->aborting;
}

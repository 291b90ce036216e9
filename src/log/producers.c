/* SPDX-License-Identifier: MIT */
/*
 * Producer state. A hash table by producer id; a batch is compared with the last five of its
 * producer (KIP-98): the same first and last sequence is a duplicate, the next sequence is
 * accepted, all else refused. Markers end transactions and may raise the epoch (KIP-890).
 */
#include "log/producers.h"

#include "base/check.h"

#include <stdlib.h>

#define TABLE_FIRST 8

void producers_fini(struct producers *p)
{
    free(p->table);
    attempts_fini(&p->attempts);
    *p = (struct producers){.first_open_offset = INT64_MAX};
}

void producers_clear(struct producers *p)
{
    producers_fini(p);
}

static size_t place_of(const struct producers *p, int64_t id)
{
    size_t i = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u >> 32) & (p->room - 1);
    while (p->table[i].id != id && p->table[i].id != -1)
        i = (i + 1) & (p->room - 1);
    return i;
}

struct producer *producers_find(const struct producers *p, int64_t id)
{
    if (p->room == 0)
        return NULL;
    struct producer *found = &p->table[place_of(p, id)];
    return found->id == id ? found : NULL;
}

static enum outcome resize(struct producers *p, size_t room)
{
    struct producer *old = p->table;
    size_t old_room = p->room;
    struct producer *table = malloc(room * sizeof *table);
    if (table == NULL)
        return OUT_NO_MEMORY;
    for (size_t i = 0; i < room; i++)
        table[i].id = -1;
    p->table = table;
    p->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i].id != -1)
            table[place_of(p, old[i].id)] = old[i];
    free(old);
    return OUT_OK;
}

enum outcome producers_reserve(struct producers *p)
{
    if (likely((p->count + 1) * 4 <= p->room * 3))
        return OUT_OK;
    return resize(p, p->room == 0 ? TABLE_FIRST : p->room * 2);
}

/* Found or new; room was reserved. */
static struct producer *find_or_add(struct producers *p, int64_t id)
{
    check(p->room > 0);
    struct producer *at = &p->table[place_of(p, id)];
    if (at->id == id)
        return at;
    p->count++;
    check(p->count < p->room);
    *at = (struct producer){
        .id =
            id, .epoch = -1, .coordinator_epoch = -1, .txn_start_offset = -1, .last_timestamp = -1};
    return at;
}

/* Sequences wrap from INT32_MAX to 0. */
static int32_t sequence_add(int32_t sequence, int32_t more)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)more) & INT32_MAX);
}

int32_t producer_last_sequence(const struct producer *at)
{
    return at->batch_count == 0 ? -1 : at->batches[at->batch_count - 1].last_sequence;
}

enum outcome producers_check(const struct producers *p, const struct log_batch *b,
                             const struct producer_batch **twin)
{
    *twin = NULL;
    const struct producer *at = producers_find(p, b->producer_id);
    if (at == NULL)
        return OUT_OK;
    if (b->producer_epoch == at->epoch) {
        int32_t last = sequence_add(b->base_sequence, (int32_t)(b->last_offset - b->base_offset));
        for (uint32_t i = 0; i < at->batch_count; i++) {
            if (at->batches[i].first_sequence == b->base_sequence &&
                at->batches[i].last_sequence == last) {
                *twin = &at->batches[i];
                return OUT_OK;
            }
        }
    }
    if (b->producer_epoch < at->epoch)
        return OUT_INVALID_PRODUCER_EPOCH;
    if (b->producer_epoch > at->epoch) {
        if (b->base_sequence != 0 && at->epoch != -1)
            return OUT_OUT_OF_ORDER_SEQUENCE;
    } else {
        int32_t last = producer_last_sequence(at);
        int32_t next = last == -1 ? 0 : sequence_add(last, 1);
        if (b->base_sequence != next)
            return OUT_OUT_OF_ORDER_SEQUENCE;
    }
    if (at->txn_start_offset >= 0 && !batch_is_txn(b))
        return OUT_INVALID_TXN_STATE;
    return OUT_OK;
}

/* Type and coordinator epoch of a transaction marker; false for other control batches. */
static bool marker_of(const struct log_batch *b, enum log_marker *type, int32_t *coordinator_epoch)
{
    struct bytes rest = {b->at + LOG_BATCH_HEADER, b->size - LOG_BATCH_HEADER};
    struct log_record r;
    if ((b->attributes & LOG_ATTR_CODEC) != LOG_NONE || record_parse(&rest, &r) != OUT_OK)
        return false;
    if (r.key.at == NULL || r.key.size < 4 || get_be16(r.key.at + 2) > LOG_MARKER_COMMIT)
        return false;
    *type = get_be16(r.key.at + 2) == LOG_MARKER_COMMIT ? LOG_MARKER_COMMIT : LOG_MARKER_ABORT;
    *coordinator_epoch = -1;
    if (r.value.at != NULL && r.value.size >= 6)
        *coordinator_epoch = (int32_t)get_be32(r.value.at + 2);
    return true;
}

enum outcome producers_check_marker(const struct producers *p, const struct log_batch *b)
{
    enum log_marker type;
    int32_t coordinator_epoch;
    const struct producer *at = producers_find(p, b->producer_id);
    if (at == NULL || !marker_of(b, &type, &coordinator_epoch))
        return OUT_OK;
    if (b->producer_epoch < at->epoch)
        return OUT_INVALID_PRODUCER_EPOCH;
    return coordinator_epoch < at->coordinator_epoch ? OUT_TXN_COORDINATOR_FENCED : OUT_OK;
}

void producers_tell(const struct producers *p, int64_t id, struct store_producer *to)
{
    const struct producer *at = producers_find(p, id);
    *to = (struct store_producer){
        .epoch = at == NULL ? -1 : at->epoch,
        .coordinator_epoch = at == NULL ? -1 : at->coordinator_epoch,
        .open = at != NULL && at->txn_start_offset >= 0,
        .guard = at == NULL ? 1 : (at->ended | 1),
    };
}

/* Between the look-up of a transaction and this append it may have ended: what came now would stay
 * open for ever. */
static bool guard_broken(const struct producers *p, const struct log_batch *b, uint32_t guard)
{
    struct store_producer now;
    if (likely(guard == 0) || !batch_is_txn(b))
        return false;
    producers_tell(p, b->producer_id, &now);
    return now.guard != guard;
}

enum outcome producers_admit(struct producers *p, const struct log_batch *b,
                             const struct store_append *a, struct store_appended *done)
{
    const struct producer_batch *twin;
    enum outcome o = producers_reserve(p);
    if (o != OUT_OK)
        return o;
    if (batch_is_control(b))
        return producers_check_marker(p, b);
    if (a->origin != STORE_CLIENT)
        return guard_broken(p, b, a->txn_guard) ? OUT_INVALID_TXN_STATE : OUT_OK;
    o = producers_check(p, b, &twin);
    if (o == OUT_OK && a->from_zero && batch_is_txn(b) && b->base_sequence != 0 &&
        producers_find(p, b->producer_id) == NULL)
        o = OUT_OUT_OF_ORDER_SEQUENCE;
    if (o == OUT_OK && twin == NULL && p->attempts.count > 0 && batch_is_txn(b) &&
        !attempts_allow(&p->attempts, b->producer_id, b->producer_epoch, b->base_sequence))
        o = OUT_OUT_OF_ORDER_SEQUENCE;
    if (o == OUT_OK && twin == NULL && guard_broken(p, b, a->txn_guard))
        o = OUT_INVALID_TXN_STATE;
    if (o == OUT_OK && twin != NULL) {
        done->duplicate = true;
        done->last_offset = twin->last_offset;
        done->base_offset = twin->last_offset - twin->offset_delta;
        done->log_append_time_ms = twin->timestamp;
    }
    return o;
}

static void set_epoch(struct producer *at, int32_t epoch)
{
    if (at->epoch == epoch)
        return;
    at->epoch = epoch;
    at->batch_count = 0;
}

static void find_first_open(struct producers *p)
{
    p->first_open_offset = INT64_MAX;
    for (size_t i = 0; i < p->room; i++) {
        const struct producer *at = &p->table[i];
        if (at->id != -1 && at->txn_start_offset >= 0 &&
            at->txn_start_offset < p->first_open_offset)
            p->first_open_offset = at->txn_start_offset;
    }
}

static void update_marker(struct producers *p, struct producer *at, const struct log_batch *b,
                          struct producer_ended *ended)
{
    int32_t coordinator_epoch;
    if (!marker_of(b, &ended->type, &coordinator_epoch))
        return;
    set_epoch(at, b->producer_epoch);
    int64_t first = at->txn_start_offset;
    at->txn_start_offset = -1;
    at->ended += 2; /* stays apart from 0 with its lowest bit */
    at->coordinator_epoch = coordinator_epoch;
    at->last_timestamp = b->max_timestamp;
    ended->producer_id = at->id;
    ended->first_offset = first;
    ended->last_offset = b->last_offset;
    if (first >= 0 && first == p->first_open_offset)
        find_first_open(p);
}

void producers_update(struct producers *p, const struct log_batch *b, struct producer_ended *ended)
{
    ended->producer_id = -1;
    if (b->magic < 2 || b->producer_id < 0)
        return;
    struct producer *at = find_or_add(p, b->producer_id);
    if (batch_is_control(b)) {
        update_marker(p, at, b, ended);
        return;
    }
    set_epoch(at, b->producer_epoch);
    if (at->batch_count == PRODUCER_BATCHES) {
        memmove(at->batches, at->batches + 1, (PRODUCER_BATCHES - 1) * sizeof *at->batches);
        at->batch_count--;
    }
    int32_t delta = (int32_t)(b->last_offset - b->base_offset);
    at->batches[at->batch_count++] = (struct producer_batch){
        .first_sequence = b->base_sequence,
        .last_sequence = b->base_sequence < 0 ? -1 : sequence_add(b->base_sequence, delta),
        .last_offset = b->last_offset,
        .timestamp = b->max_timestamp,
        .offset_delta = delta,
    };
    at->last_timestamp = b->max_timestamp;
    if (batch_is_txn(b) && p->attempts.count > 0)
        attempts_forget(&p->attempts, b->producer_id);
    if (batch_is_txn(b) && at->txn_start_offset < 0) {
        at->txn_start_offset = b->base_offset;
        p->first_open_offset = MIN(p->first_open_offset, b->base_offset);
    }
}

/* The table is built anew: removal from open addressing would need marks. */
void producers_expire(struct producers *p, int64_t now_ms, int64_t expiration_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->room; i++) {
        struct producer *at = &p->table[i];
        if (at->id == -1)
            continue;
        if (at->txn_start_offset < 0 && now_ms - at->last_timestamp > expiration_ms)
            at->id = -2; /* to go */
        else
            kept++;
    }
    if (kept == p->count)
        return;
    struct producer *old = p->table;
    size_t old_room = p->room, room = TABLE_FIRST;
    while ((kept + 1) * 4 > room * 3)
        room *= 2;
    struct attempts attempts = p->attempts;
    *p = (struct producers){.first_open_offset = p->first_open_offset, .attempts = attempts};
    bool resized = resize(p, room) == OUT_OK;
    if (!resized) { /* keep what is there; try at the next pass */
        *p = (struct producers){old, old_room, 0, p->first_open_offset, attempts};
        for (size_t i = 0; i < old_room; i++)
            p->count += old[i].id != -1;
        return;
    }
    for (size_t i = 0; i < old_room; i++)
        if (old[i].id >= 0)
            p->table[place_of(p, old[i].id)] = old[i];
    p->count = kept;
    free(old);
}

size_t producers_list(const struct producers *p, struct log_producer *to, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < p->room; i++) {
        const struct producer *at = &p->table[i];
        if (at->id == -1)
            continue;
        if (count < room)
            to[count] = (struct log_producer){
                .producer_id = at->id,
                .epoch = at->epoch,
                .last_sequence = producer_last_sequence(at),
                .last_timestamp = at->last_timestamp,
                .coordinator_epoch = at->coordinator_epoch,
                .txn_start_offset = at->txn_start_offset,
            };
        count++;
    }
    return count;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the disk log and other stores of record batches have in common: the checks of copied
 * batches, numbering, and the ledger, which is a disk log's state of producers, transactions and
 * epochs without the files.
 */
#include "log/epochs.h"
#include "log/producers.h"
#include "log/txnindex.h"

#include "base/check.h"

#include <stdlib.h>

struct log_ledger {
    struct producers producers;
    struct epochs epochs;
    struct txnindex aborted;
};

enum outcome log_check_copy(const struct store_append *a, int64_t next, struct log_batch *first,
                            size_t *whole, int64_t *end)
{
    struct bytes rest = {a->at, a->size};
    struct log_batch b;
    enum outcome o;
    *whole = 0;
    *end = next;
    while ((o = log_batch_next(&rest, &b)) == OUT_OK) {
        if (!log_batch_crc_good(&b))
            return OUT_CORRUPT_MESSAGE;
        if (b.base_offset < *end)
            return OUT_INVALID_RECORD;
        if (*whole == 0)
            *first = b;
        *whole += b.size;
        *end = b.last_offset + 1;
    }
    if (o != OUT_MORE)
        return o;
    return *whole == 0 ? OUT_INVALID_RECORD : OUT_OK;
}

/* Those that Kafka finds at the log, but for a few kinds. */
bool log_refusal_tells_start(enum outcome o)
{
    return o != OUT_MESSAGE_TOO_LARGE && o != OUT_RECORD_LIST_TOO_LARGE &&
           o != OUT_CORRUPT_MESSAGE && o != OUT_OFFLINE && o != OUT_IO && o != OUT_NO_SPACE;
}

void log_number_batch(uint8_t *at, const struct store_append *a, int64_t base_offset)
{
    put_be64(at + BATCH_BASE_OFFSET, (uint64_t)base_offset);
    if (a->origin != STORE_RAFT)
        put_be32(at + BATCH_LEADER_EPOCH, (uint32_t)a->leader_epoch);
}

/* ---- the ledger ---- */

struct log_ledger *log_ledger_new(void)
{
    struct log_ledger *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->producers.first_open_offset = INT64_MAX;
    atomic_init(&g->epochs.latest, -1);
    return g;
}

void log_ledger_free(struct log_ledger *g)
{
    if (g == NULL)
        return;
    producers_fini(&g->producers);
    epochs_fini(&g->epochs);
    txnindex_fini(&g->aborted);
    free(g);
}

enum outcome log_ledger_admit(struct log_ledger *g, const struct log_batch *b,
                              const struct store_append *a, struct store_appended *done)
{
    return b->producer_id < 0 ? OUT_OK : producers_admit(&g->producers, b, a, done);
}

void log_ledger_attempt(struct log_ledger *g, int64_t id, int32_t epoch, int32_t sequence)
{
    attempts_note(&g->producers.attempts, id, epoch, sequence);
}

void log_ledger_producer(const struct log_ledger *g, int64_t id, struct store_producer *to)
{
    producers_tell(&g->producers, id, to);
}

size_t log_ledger_producers(const struct log_ledger *g, struct log_producer *to, size_t room)
{
    return producers_list(&g->producers, to, room);
}

enum outcome log_ledger_note(struct log_ledger *g, const struct log_batch *b)
{
    struct producer_ended ended;
    if (b->leader_epoch > atomic_load_explicit(&g->epochs.latest, memory_order_relaxed)) {
        bool changed;
        enum outcome o = epochs_assign(&g->epochs, b->leader_epoch, b->base_offset, &changed);
        if (o != OUT_OK)
            return o;
    }
    if (b->producer_id < 0)
        return OUT_OK;
    enum outcome o = producers_reserve(&g->producers);
    if (o != OUT_OK)
        return o;
    producers_update(&g->producers, b, &ended);
    if (!producer_aborted(&ended))
        return OUT_OK;
    struct log_aborted a = txnindex_entry(&ended, g->producers.first_open_offset);
    return txnindex_add(&g->aborted, &a);
}

int64_t log_ledger_first_open(const struct log_ledger *g)
{
    return g->producers.first_open_offset;
}

void log_ledger_cut(struct log_ledger *g, int64_t start)
{
    txnindex_cut(&g->aborted, start, INT64_MAX);
    epochs_cut_start(&g->epochs, start);
}

void log_ledger_expire(struct log_ledger *g, int64_t now_ms, int64_t expiration_ms)
{
    producers_expire(&g->producers, now_ms, expiration_ms);
}

enum outcome log_ledger_epoch_begin(struct log_ledger *g, int32_t epoch, int64_t end_offset)
{
    bool changed;
    return epochs_assign(&g->epochs, epoch, end_offset, &changed);
}

void log_ledger_epoch_end(const struct log_ledger *g, int32_t epoch, int64_t log_end,
                          int32_t *found, int64_t *end_offset)
{
    epochs_end_of(&g->epochs, epoch, log_end, found, end_offset);
}

int32_t log_ledger_epoch_at(const struct log_ledger *g, int64_t offset)
{
    ptrdiff_t i = epochs_at_offset(&g->epochs, offset);
    return i < 0 ? -1 : g->epochs.list[i].epoch;
}

int32_t log_ledger_epoch_latest(const struct log_ledger *g)
{
    return atomic_load_explicit(&g->epochs.latest, memory_order_acquire);
}

enum outcome log_ledger_aborted(const struct log_ledger *g, int64_t from, int64_t to,
                                struct arena *arena, struct log_aborted **list, size_t *count)
{
    return txnindex_overlapping(&g->aborted, from, to, arena, list, count);
}

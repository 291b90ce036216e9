/* SPDX-License-Identifier: MIT */
/*
 * Errands: the markers of a transaction that was prepared. First its record has to be on disk (else
 * a power cut could leave half a transaction committed), then the markers are written and flushed,
 * then the coordinator hears of it. A request of nobody carries them from thread to thread.
 */
#include "broker/keeper.h"

#include "watch/watch.h"

#include <stdlib.h>

#define ARENA_MAX MiB(64)
#define WAIT_NS 1000000

struct errand {
    struct request carrier;
    struct list node;          /* in its keeper */
    struct keeper *keeper;
    int32_t index;             /* of the partition of __transaction_state */
    struct bytes id;           /* in the carrier's arena, as all below */
    struct marking marking;
    struct flush_set flush;
    struct flush_wait wait;
};

static void errand_free(struct errand *e)
{
    list_remove(&e->node);
    arena_fini(&e->carrier.arena);
    free(e);
}

/* Owner: the coordinator learns what became of it. */
static void report(struct errand *e, bool done)
{
    struct keeper *k = e->keeper;
    int32_t index = e->index;
    struct arena arena = e->carrier.arena;
    struct txn_event event = {.kind = TXN_MARKED, .id = e->id, .done = done,
                              .producer_id = e->marking.producer_id,
                              .epoch = e->marking.epoch};
    e->carrier.arena = (struct arena){0};
    errand_free(e); /* before the seat is looked for: it may be loaded again now */
    struct seat **slot = keeper_seat(k, COORDINATOR_TXNS, index);
    if (slot != NULL)
        keeper_step(slot, (union coordinator_event){.txn = &event});
    arena_fini(&arena);
}

/* What can't be written any more has been given up, or is the concern of a newer epoch. */
static bool settled(enum outcome o)
{
    return o == OUT_OK || o == OUT_NOT_FOUND || o == OUT_INVALID_PRODUCER_EPOCH ||
           o == OUT_TXN_COORDINATOR_FENCED;
}

static void marked(struct request *r)
{
    struct errand *e = container_of(r, struct errand, carrier);
    bool done = true;
    for (size_t i = 0; i < e->marking.place_count; i++)
        done &= settled(e->marking.each[i]);
    if (!done)
        watch_log(WATCH_WARN, "broker", "markers of %.*s could not all be written; again soon",
                  (int)e->id.size, (const char *)e->id.at);
    report(e, done);
}

/* Owner: the record of the prepared transaction is durable. */
static void prepared(struct request *r)
{
    struct errand *e = container_of(r, struct errand, carrier);
    if (atomic_load(&e->flush.failed) || !marking_begin(&e->marking))
        report(e, false);
}

static bool fill(struct errand *e, const struct seat *s, const struct txn_markers *m)
{
    struct arena *a = &e->carrier.arena;
    struct txn_place *places = arena_array(a, struct txn_place, m->place_count);
    if (places == NULL)
        return false;
    for (size_t i = 0; i < m->place_count; i++)
        places[i] = (struct txn_place){arena_copy(a, m->places[i].topic), m->places[i].partition};
    e->id = arena_copy(a, m->id);
    e->marking = (struct marking){
        .request = &e->carrier, .producer_id = m->producer_id, .epoch = m->epoch,
        .coordinator_epoch = atomic_load(&s->partition->leader_epoch), .commit = m->commit,
        .places = places, .place_count = m->place_count,
        .each = arena_array(a, enum outcome, m->place_count), .done = marked};
    return !a->failed;
}

void errand_send(struct keeper *k, struct seat *s, const struct txn_markers *m, int64_t end)
{
    struct errand *e = calloc(1, sizeof *e);
    if (e == NULL) {
        s->state = OUT_NO_MEMORY; /* the partition is loaded again, then they are asked for again */
        return;
    }
    arena_init(&e->carrier.arena, ARENA_MAX);
    e->carrier.home = k->shard;
    e->keeper = k;
    e->index = s->partition->index;
    list_push(&k->errands, &e->node);
    if (!fill(e, s, m)) {
        s->state = OUT_NO_MEMORY;
        errand_free(e);
        return;
    }
    struct store_stat stat;
    store_stat(s->partition->store, &stat); /* a loaded one: all of the log */
    broker_flush_begin(&e->flush, &e->carrier, prepared);
    if (broker_config(s->partition->broker)->flush_mode != FLUSH_MODE_NONE)
        broker_flush_add(&e->flush, &e->wait, s->partition, end >= 0 ? end : stat.end_offset);
    if (!broker_flush_end(&e->flush))
        request_send(&e->carrier, k->shard, prepared);
}

bool errand_busy(const struct keeper *k, int32_t index)
{
    list_each(node, &k->errands) {
        if (container_of(node, struct errand, node)->index == index)
            return true;
    }
    return false;
}

static bool any_left(struct coordinator *c)
{
    for (int i = 0; i < c->shard_count; i++) {
        if (!list_empty(&c->keepers[i].errands))
            return true;
    }
    return false;
}

void errands_finish(struct coordinator *c)
{
    while (any_left(c)) {
        for (int i = 0; i < c->shard_count; i++) {
            struct shard *s = c->keepers[i].shard;
            shard_become(s);
            mailbox_wait(&s->mailbox, WAIT_NS);
            (void)shard_run_mail(s, 1);
            shard_become(NULL);
        }
    }
}

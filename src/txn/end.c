/* SPDX-License-Identifier: MIT */
/*
 * The end of a transaction, in two steps: what is to become of it is recorded (Prepare), then the
 * markers are written, then it is complete. Asked for by EndTxn, by a time-out, or by a producer
 * that takes over the id. With transaction version 2 (KIP-890) each end raises the epoch, so that
 * nothing late of this transaction can get into the next.
 */
#include "txn/private.h"

static struct txn_markers *note_markers(struct txn_shard *s, const struct txn *t)
{
    struct txn_markers *m = take_array(s, struct txn_markers, 1);
    struct txn_place *list = take_array(s, struct txn_place, t->places.count);
    if (m == NULL || list == NULL)
        return NULL;
    for (size_t i = 0; i < t->places.count; i++)
        list[i] = t->places.list[i];
    *m = (struct txn_markers){.id = t->id, .producer_id = t->producer_id, .epoch = t->epoch,
                              .commit = t->state == STATE_PREPARE_COMMIT, .version = t->version,
                              .places = list, .place_count = t->places.count};
    return m;
}

/* Until MARKED no timer runs: whoever was told to write them says what became of them. */
void txn_markers_send(struct txn_shard *s, struct txn *t)
{
    struct txn_markers *m = note_markers(s, t);
    if (m == NULL)
        return;
    *s->todo->markers_end = m;
    s->todo->markers_end = &m->next;
}

static void prepare(struct txn_shard *s, struct txn *t, bool commit)
{
    heap_remove(&s->timers, &t->timer);
    if (t->state != STATE_ONGOING)
        t->start_ms = s->event->wall_ms; /* an abort of nothing */
    t->state = commit ? STATE_PREPARE_COMMIT : STATE_PREPARE_ABORT;
    t->update_ms = s->event->wall_ms;
    if (t->version >= 2) {
        t->last_epoch = t->epoch;
        t->epoch++;
    }
    txn_record_state(s, t);
    txn_markers_send(s, t);
}

void txn_fence(struct txn_shard *s, struct txn *t)
{
    check(t->state == STATE_ONGOING);
    /* With version 2 the end itself raises it: to the one that no producer ever has, at the most.
     * The one before is remembered, so that the producer itself may go on (InitProducerId). */
    if (t->version < 2) {
        t->last_epoch = t->epoch;
        t->epoch = MIN(t->epoch + 1, INT16_MAX);
    }
    t->next_id = NO_ID;
    prepare(s, t, false);
}

void txn_time(struct txn_shard *s, struct txn *t)
{
    int64_t passed = s->event->wall_ms - t->start_ms;
    txn_timer_set(s, t, MAX(t->timeout_ms - MAX(passed, 0), 0));
}

void txn_due(struct txn_shard *s, struct txn *t)
{
    if (t->state == STATE_ONGOING)
        txn_fence(s, t);
    else if (txn_prepared(t))
        txn_markers_send(s, t);
}

/* ---- EndTxn ---- */

/* The state that the client wants to have been reached. */
static bool reached(const struct txn *t, bool commit)
{
    return t->state == (commit ? STATE_COMPLETE_COMMIT : STATE_COMPLETE_ABORT);
}

static bool on_the_way(const struct txn *t, bool commit)
{
    return t->state == (commit ? STATE_PREPARE_COMMIT : STATE_PREPARE_ABORT);
}

static void answer(struct txn_shard *s, const struct txn *t, bool recorded)
{
    struct txn_reply *r = txn_reply_own(s, OUT_OK);
    r->producer_id = t->next_id != NO_ID ? t->next_id : t->producer_id;
    r->epoch = t->next_id != NO_ID ? 0 : t->epoch;
    r->after_records = recorded;
}

static void end_first(struct txn_shard *s, struct txn *t)
{
    const struct txn_event *e = s->event;
    if (t->epoch != e->epoch) {
        (void)txn_reply_own(s, OUT_PRODUCER_FENCED);
    } else if (t->state == STATE_ONGOING) {
        t->version = e->version;
        prepare(s, t, e->commit);
        answer(s, t, true);
    } else if (reached(t, e->commit)) {
        answer(s, t, false);
    } else {
        (void)txn_reply_own(s, on_the_way(t, e->commit) ? OUT_CONCURRENT_TRANSACTIONS
                                                    : OUT_INVALID_TXN_STATE);
    }
}

/* Version 2: may the epochs be used up, then the next transaction has a new producer id. */
static void end_now(struct txn_shard *s, struct txn *t)
{
    const struct txn_event *e = s->event;
    if (t->epoch >= EPOCH_LAST && e->fresh_id < 0) {
        (void)txn_reply_own(s, OUT_NO_PRODUCER_ID);
        return;
    }
    t->next_id = t->epoch >= EPOCH_LAST ? e->fresh_id : NO_ID;
    t->version = e->version;
    prepare(s, t, e->commit);
    answer(s, t, true);
}

/* The epoch says whether this is a repetition: the end has raised it. */
static void end_second(struct txn_shard *s, struct txn *t)
{
    const struct txn_event *e = s->event;
    bool over = t->previous_id == e->producer_id && e->epoch == EPOCH_LAST && t->epoch == 0;
    bool again = t->epoch == e->epoch + 1 || over;
    bool complete = t->state == STATE_COMPLETE_COMMIT || t->state == STATE_COMPLETE_ABORT;
    bool valid = txn_prepared(t) ? again
                 : complete      ? again || e->epoch == t->epoch
                                 : e->epoch == t->epoch;
    if (t->producer_id != e->producer_id && !over)
        (void)txn_reply_own(s, OUT_INVALID_PRODUCER_ID_MAPPING);
    else if (!valid)
        (void)txn_reply_own(s, OUT_PRODUCER_FENCED);
    else if (t->state == STATE_ONGOING)
        end_now(s, t);
    else if (txn_prepared(t))
        (void)txn_reply_own(s, on_the_way(t, e->commit) ? OUT_CONCURRENT_TRANSACTIONS
                                                    : OUT_INVALID_TXN_STATE);
    else if (again && reached(t, e->commit))
        answer(s, t, false);
    else if (again || e->commit)
        (void)txn_reply_own(s, OUT_INVALID_TXN_STATE);
    else
        end_now(s, t); /* an abort of nothing: what the client had on its way is fenced */
}

void txn_on_end(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    struct txn *t = txn_find(s, e->id);
    if (t == NULL || (e->version < 2 && t->producer_id != e->producer_id))
        (void)txn_reply_own(s, OUT_INVALID_PRODUCER_ID_MAPPING);
    else if (e->version < 2)
        end_first(s, t);
    else
        end_second(s, t);
}

/* ---- the markers are written ---- */

static void complete(struct txn_shard *s, struct txn *t)
{
    bool commit = t->state == STATE_PREPARE_COMMIT;
    t->state = commit ? STATE_COMPLETE_COMMIT : STATE_COMPLETE_ABORT;
    t->update_ms = s->event->wall_ms;
    if (t->next_id != NO_ID) {
        t->previous_id = t->producer_id;
        t->producer_id = t->next_id;
        t->next_id = NO_ID;
        t->epoch = 0;
    }
    txn_places_clear(&t->places);
    txn_record_state(s, t);
    txn_waiters_answer(s, t, OUT_AGAIN);
}

void txn_on_marked(struct txn_shard *s)
{
    const struct txn_event *e = s->event;
    struct txn *t = txn_find(s, e->id);
    if (t == NULL || !txn_prepared(t) || t->producer_id != e->producer_id || t->epoch != e->epoch)
        return; /* of an end that is over */
    if (e->done)
        complete(s, t);
    else
        txn_timer_set(s, t, s->options.retry_ms);
}

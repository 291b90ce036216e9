/* SPDX-License-Identifier: MIT */
/*
 * A step's way from event to log: the machine changes, the records go into the log as one batch,
 * the replies are delivered. When the append fails the machine is ahead of the log: everything that
 * waits is refused and the seat is given up; whoever comes next loads the log again.
 */
#include "broker/seat.h"

#include "watch/watch.h"

#include <stdlib.h>

#define ARENA_MAX MiB(256)
#define BATCH_MAX MiB(64)
#define RECORDS_MAX MiB(64) /* of a compressed batch that somebody else wrote */
#define NS_PER_MS INT64_C(1000000)

/* ---- loading ---- */

static struct group_options options_of(struct broker *b)
{
    const struct config *c = broker_config(b);
    struct group_options o;
    group_options_default(&o);
    o.session_min_ms = c->group_min_session_timeout_ms;
    o.session_max_ms = c->group_max_session_timeout_ms;
    o.initial_delay_ms = c->group_initial_rebalance_delay_ms;
    o.members_max = c->group_max_size;
    o.metadata_max = c->offset_metadata_max_bytes;
    o.retention_ms = c->offsets_retention_minutes * 60000;
    return o;
}

static struct txn_options txn_options_of(struct broker *b)
{
    const struct config *c = broker_config(b);
    struct txn_options o;
    txn_options_default(&o);
    o.max_timeout_ms = c->transaction_max_timeout_ms;
    o.expiration_ms = c->transactional_id_expiration_ms;
    return o;
}

/* ---- one step of either machine ---- */

struct seat_todo {
    struct group_todo group;
    struct txn_todo txn;
    enum outcome outcome;
    int64_t deadline_ms;
    const struct step_record *records;
    size_t record_count;
};

static void run(struct seat *s, union coordinator_event e, struct seat_todo *todo)
{
    int64_t now_ms = s->shard->now_ns / NS_PER_MS, wall_ms = s->shard->wall_ms;
    arena_reset(&s->arena);
    if (s->kind == COORDINATOR_GROUPS) {
        e.group->now_ms = now_ms;
        e.group->wall_ms = wall_ms;
        todo->group = (struct group_todo){.arena = &s->arena};
        group_step(s->groups, e.group, &todo->group);
        todo->outcome = todo->group.outcome;
        todo->deadline_ms = todo->group.deadline_ms;
        todo->records = todo->group.records;
        todo->record_count = todo->group.record_count;
    } else {
        e.txn->now_ms = now_ms;
        e.txn->wall_ms = wall_ms;
        todo->txn = (struct txn_todo){.arena = &s->arena};
        txn_step(s->txns, e.txn, &todo->txn);
        todo->outcome = todo->txn.outcome;
        todo->deadline_ms = todo->txn.deadline_ms;
        todo->records = todo->txn.records;
        todo->record_count = todo->txn.record_count;
    }
}

/* A step whose replies and records are of no interest. */
static enum outcome step_silent(struct seat *s, union coordinator_event e)
{
    struct seat_todo todo;
    run(s, e, &todo);
    return todo.outcome;
}

static enum outcome load_record(struct seat *s, const struct log_batch *b,
                                const struct log_record *r)
{
    struct group_event g = {.kind = GROUP_LOAD,
                            .load = {r->key, r->value, (b->attributes & LOG_ATTR_TXN) != 0,
                                     b->producer_id}};
    struct txn_event t = {.kind = TXN_LOAD, .key = r->key, .value = r->value};
    return step_silent(s, s->kind == COORDINATOR_GROUPS ? (union coordinator_event){.group = &g}
                                                        : (union coordinator_event){.txn = &t});
}

/* A transaction marker: the offsets of its producer count, or not. */
static enum outcome load_marker(struct seat *s, const struct log_batch *b,
                                const struct log_record *r)
{
    if (s->kind != COORDINATOR_GROUPS || r->key.size < 4 ||
        get_be16(r->key.at + 2) > LOG_MARKER_COMMIT)
        return OUT_OK;
    struct group_event e = {.kind = GROUP_TXN_END, .token = s,
                            .end = {.producer_id = b->producer_id,
                                    .producer_epoch = b->producer_epoch,
                                    .commit = get_be16(r->key.at + 2) == LOG_MARKER_COMMIT}};
    return step_silent(s, (union coordinator_event){.group = &e});
}

static enum outcome load_records(struct seat *s, const struct log_batch *b, struct log_records *r)
{
    struct log_record record;
    enum outcome o;
    while ((o = log_records_next(r, &record)) == OUT_OK) {
        if (record.key.at == NULL)
            continue;
        o = (b->attributes & LOG_ATTR_CONTROL) != 0 ? load_marker(s, b, &record)
                                                    : load_record(s, b, &record);
        if (o != OUT_OK)
            return o;
    }
    return o == OUT_END ? OUT_OK : o;
}

static enum outcome load_batch(void *context, const struct log_batch *batch)
{
    struct log_records r;
    enum outcome o = log_records_begin(&r, batch, RECORDS_MAX);
    if (o == OUT_OK)
        o = load_records(context, batch, &r);
    log_records_fini(&r);
    return o;
}

static enum outcome load(struct seat *s)
{
    struct store_stat stat;
    store_stat(s->partition->store, &stat);
    enum outcome o = log_scan(s->partition->log, stat.start_offset, stat.end_offset, load_batch, s);
    if (o != OUT_OK)
        return outcome_add(o, "load %.*s-%d", (int)s->partition->topic.size,
                           (const char *)s->partition->topic.at, s->partition->index);
    return OUT_OK;
}

/* The event of the seat's kind. */
static bool step_either(struct seat *s, struct group_event *g, struct txn_event *t)
{
    return seat_step(s, s->kind == COORDINATOR_GROUPS ? (union coordinator_event){.group = g}
                                                      : (union coordinator_event){.txn = t});
}

static void due(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct group_event g = {.kind = GROUP_TIMER};
    struct txn_event t = {.kind = TXN_TIMER};
    struct seat *s = container_of(timer, struct seat, timer);
    if (!step_either(s, &g, &t))
        s->state = OUT_OFFLINE; /* closed by whoever asks for it next */
}

static void timer_to(struct seat *s, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX)
        shard_timer_cancel(&s->timer);
    else if (shard_timer_set(s->shard, &s->timer, deadline_ms * NS_PER_MS) != OUT_OK)
        s->state = OUT_NO_MEMORY;
}

static void let_go(struct seat *s)
{
    shard_timer_cancel(&s->timer);
    if (s->kind == COORDINATOR_GROUPS)
        group_shard_free(s->groups);
    else
        txn_shard_free(s->txns);
    log_builder_fini(&s->builder);
    arena_fini(&s->arena);
    partition_drop(s->partition);
    free(s);
}

static enum outcome fill(struct seat *s)
{
    struct group_options g = options_of(s->partition->broker);
    struct txn_options t = txn_options_of(s->partition->broker);
    if (s->kind == COORDINATOR_GROUPS)
        s->groups = group_shard_new(&g);
    else
        s->txns = txn_shard_new(&t);
    if (s->kind == COORDINATOR_GROUPS ? s->groups == NULL : s->txns == NULL)
        return fail(OUT_NO_MEMORY, "load a coordinator");
    return load(s);
}

struct seat *seat_open(enum coordinator_kind kind, struct partition *p, struct shard *shard,
                       const struct seat_owner *owner)
{
    struct seat *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->kind = kind;
    s->partition = partition_hold(p);
    s->shard = shard;
    s->owner = owner;
    s->timer = (struct shard_timer){.shard = shard, .fire = due};
    arena_init(&s->arena, ARENA_MAX);
    log_builder_init(&s->builder, BATCH_MAX);
    if (fill(s) != OUT_OK) {
        watch_log(WATCH_ERROR, "broker", "a coordinator is not available: %s", outcome_trail());
        let_go(s);
        return NULL;
    }
    /* Sessions of loaded members begin, prepared transactions go on. */
    struct group_event g = {.kind = GROUP_LOADED};
    struct txn_event t = {.kind = TXN_LOADED};
    if (!step_either(s, &g, &t))
        s->state = OUT_OFFLINE;
    return s;
}

/* ---- steps ---- */

/* The batch of a step: records, or a marker. */
static enum outcome build(struct seat *s, const struct seat_todo *todo, uint8_t **batch,
                          size_t *size, int32_t leader_epoch)
{
    struct log_builder_end end = log_builder_plain();
    const struct group_txn_end *marker = NULL;
    log_builder_reset(&s->builder);
    end.leader_epoch = leader_epoch;
    if (s->kind == COORDINATOR_GROUPS) {
        marker = todo->group.marker;
        end.producer_id = todo->group.producer_id;
        end.producer_epoch = (int16_t)todo->group.producer_epoch;
        end.attributes = todo->group.producer_id >= 0 ? LOG_ATTR_TXN : 0;
    }
    if (marker != NULL) {
        end.producer_id = marker->producer_id;
        end.producer_epoch = (int16_t)marker->producer_epoch;
        log_builder_marker(&s->builder, s->shard->wall_ms,
                           marker->commit ? LOG_MARKER_COMMIT : LOG_MARKER_ABORT,
                           marker->coordinator_epoch);
    }
    for (const struct step_record *r = todo->records; r != NULL; r = r->next)
        log_builder_add(&s->builder, s->shard->wall_ms, r->key, r->value, NULL, 0);
    enum outcome o = log_builder_finish(&s->builder, &end, batch, size);
    if (o != OUT_OK)
        return fail(o, "a batch of %zu records", todo->record_count);
    return OUT_OK;
}

static enum outcome append(struct seat *s, const struct seat_todo *todo, int64_t *end)
{
    uint8_t *batch;
    size_t size;
    struct store_appended done;
    int32_t leader_epoch = atomic_load(&s->partition->leader_epoch);
    enum outcome o = build(s, todo, &batch, &size, leader_epoch);
    if (o != OUT_OK)
        return o;
    struct store_append what = {.at = batch, .size = size, .leader_epoch = leader_epoch,
                                .origin = STORE_COORDINATOR, .now_ms = s->shard->wall_ms};
    o = store_append(s->partition->store, &what, &done);
    if (o != OUT_OK)
        return fail(o, "append: %s", outcome_text(o));
    *end = done.last_offset + 1;
    partition_notify(s->partition);
    return OUT_OK;
}

static void deliver_groups(struct seat *s, struct group_reply *list, enum outcome o, int64_t end)
{
    for (struct group_reply *r = list, *next; r != NULL; r = next) {
        next = r->next;
        if (o != OUT_OK && r->after_records)
            *r = (struct group_reply){.token = r->token, .kind = r->kind,
                                      .outcome = OUT_NOT_COORDINATOR};
        s->owner->group_reply(s, r, r->after_records ? end : -1);
    }
}

static void deliver_txns(struct seat *s, struct txn_reply *list, enum outcome o, int64_t end)
{
    for (struct txn_reply *r = list, *next; r != NULL; r = next) {
        next = r->next;
        if (o != OUT_OK && r->after_records)
            *r = (struct txn_reply){.token = r->token, .kind = r->kind, .producer_id = -1,
                                    .epoch = -1, .outcome = OUT_NOT_COORDINATOR};
        s->owner->txn_reply(s, r, r->after_records ? end : -1);
    }
}

static void deliver(struct seat *s, struct seat_todo *todo, enum outcome o, int64_t end)
{
    if (s->kind == COORDINATOR_GROUPS) {
        deliver_groups(s, todo->group.replies, o, end);
        return;
    }
    deliver_txns(s, todo->txn.replies, o, end);
    for (const struct txn_markers *m = todo->txn.markers; m != NULL && o == OUT_OK; m = m->next)
        s->owner->markers(s, m, end);
}

/* Everything that waits is told to ask again. */
static void stop(struct seat *s)
{
    struct group_event g = {.kind = GROUP_STOP};
    struct txn_event t = {.kind = TXN_STOP};
    struct seat_todo todo;
    run(s, s->kind == COORDINATOR_GROUPS ? (union coordinator_event){.group = &g}
                                         : (union coordinator_event){.txn = &t}, &todo);
    if (s->kind == COORDINATOR_GROUPS) {
        for (struct group_reply *r = todo.group.replies; r != NULL; r = r->next)
            r->outcome = OUT_NOT_COORDINATOR;
        deliver_groups(s, todo.group.replies, OUT_OK, -1);
    } else {
        for (struct txn_reply *r = todo.txn.replies; r != NULL; r = r->next)
            r->outcome = OUT_NOT_COORDINATOR;
        deliver_txns(s, todo.txn.replies, OUT_OK, -1);
    }
}

bool seat_step(struct seat *s, union coordinator_event e)
{
    struct seat_todo todo;
    int64_t end = -1;
    run(s, e, &todo);
    enum outcome o = todo.outcome;
    bool marker = s->kind == COORDINATOR_GROUPS && todo.group.marker != NULL;
    if (o == OUT_OK && (todo.record_count > 0 || marker))
        o = append(s, &todo, &end);
    if (o != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "%.*s-%d: %s", (int)s->partition->topic.size,
                  (const char *)s->partition->topic.at, s->partition->index,
                  todo.outcome != OUT_OK ? "out of memory" : outcome_trail());
    deliver(s, &todo, o, end);
    if (o == OUT_OK) {
        timer_to(s, todo.deadline_ms);
        o = s->state;
    }
    if (o != OUT_OK)
        stop(s);
    return o == OUT_OK;
}

void seat_close(struct seat *s)
{
    if (s == NULL)
        return;
    stop(s);
    let_go(s);
}

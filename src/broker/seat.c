/* SPDX-License-Identifier: MIT */
/*
 * A step's way from event to log: the groups change, the records go into the log as one batch, the
 * replies are delivered. When the append fails the groups in memory are ahead of the log:
 * everything that waits is refused and the seat is given up; whoever comes next loads the log
 * again.
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

/* A step whose replies and records are of no interest. */
static enum outcome step_silent(struct seat *s, struct group_event *e)
{
    arena_reset(&s->arena);
    struct group_todo todo = {.arena = &s->arena};
    e->now_ms = s->shard->now_ns / NS_PER_MS;
    e->wall_ms = s->shard->wall_ms;
    group_step(s->groups, e, &todo);
    return todo.outcome;
}

static enum outcome load_records(struct seat *s, struct log_records *r)
{
    struct log_record record;
    enum outcome o;
    while ((o = log_records_next(r, &record)) == OUT_OK) {
        struct group_event e = {.kind = GROUP_LOAD, .load = {record.key, record.value}};
        if (record.key.at == NULL)
            continue;
        o = step_silent(s, &e);
        if (o != OUT_OK)
            return o;
    }
    return o == OUT_END ? OUT_OK : o;
}

/* Transactional offsets count when their transaction is over; nothing here begins one, and what
 * another broker left open is not guessed at. */
static enum outcome load_batch(void *context, const struct log_batch *batch)
{
    struct log_records r;
    if ((batch->attributes & (LOG_ATTR_CONTROL | LOG_ATTR_TXN)) != 0)
        return OUT_OK;
    enum outcome o = log_records_begin(&r, batch, RECORDS_MAX);
    if (o == OUT_OK)
        o = load_records(context, &r);
    log_records_fini(&r);
    return o;
}

static enum outcome load(struct seat *s)
{
    struct store_stat stat;
    store_stat(s->partition->store, &stat);
    enum outcome o = log_scan(s->partition->log, stat.start_offset, stat.end_offset, load_batch, s);
    if (o != OUT_OK)
        return outcome_add(o, "load groups of %s-%d", OFFSETS_TOPIC, s->partition->index);
    struct group_event loaded = {.kind = GROUP_LOADED};
    return step_silent(s, &loaded);
}

static void due(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct group_event e = {.kind = GROUP_TIMER};
    struct seat *s = container_of(timer, struct seat, timer);
    if (!seat_step(s, &e))
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
    group_shard_free(s->groups);
    log_builder_fini(&s->builder);
    arena_fini(&s->arena);
    partition_drop(s->partition);
    free(s);
}

struct seat *seat_open(struct partition *p, struct shard *owner,
                       void (*deliver)(struct seat *, const struct group_reply *, int64_t))
{
    struct group_options o = options_of(p->broker);
    struct seat *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->partition = partition_hold(p);
    s->shard = owner;
    s->deliver = deliver;
    s->timer = (struct shard_timer){.shard = owner, .fire = due};
    s->groups = group_shard_new(&o);
    arena_init(&s->arena, ARENA_MAX);
    log_builder_init(&s->builder, BATCH_MAX);
    enum outcome loaded = s->groups == NULL ? fail(OUT_NO_MEMORY, "load groups") : load(s);
    if (loaded != OUT_OK) {
        watch_log(WATCH_ERROR, "broker", "groups are not available: %s", outcome_trail());
        let_go(s);
        return NULL;
    }
    /* Sessions of loaded members have begun: their timers are set by a step. */
    struct group_event e = {.kind = GROUP_TIMER};
    if (!seat_step(s, &e))
        s->state = OUT_OFFLINE;
    return s;
}

/* ---- steps ---- */

static enum outcome append(struct seat *s, const struct group_todo *todo, int64_t *end)
{
    uint8_t *batch;
    size_t size;
    struct log_builder_end plain = log_builder_plain();
    struct store_appended done;
    log_builder_reset(&s->builder);
    for (const struct step_record *r = todo->records; r != NULL; r = r->next)
        log_builder_add(&s->builder, s->shard->wall_ms, r->key, r->value, NULL, 0);
    plain.leader_epoch = atomic_load(&s->partition->leader_epoch);
    enum outcome o = log_builder_finish(&s->builder, &plain, &batch, &size);
    if (o != OUT_OK)
        return fail(o, "a batch of %zu group records", todo->record_count);
    struct store_append what = {.at = batch, .size = size, .leader_epoch = plain.leader_epoch,
                                .origin = STORE_COORDINATOR, .now_ms = s->shard->wall_ms};
    o = store_append(s->partition->store, &what, &done);
    if (o != OUT_OK)
        return fail(o, "append to %s-%d: %s", OFFSETS_TOPIC, s->partition->index,
                    outcome_text(o));
    *end = done.last_offset + 1;
    partition_notify(s->partition);
    return OUT_OK;
}

/* Everything that waits is told to ask again. */
static void stop(struct seat *s)
{
    struct group_event e = {.kind = GROUP_STOP, .now_ms = s->shard->now_ns / NS_PER_MS,
                            .wall_ms = s->shard->wall_ms};
    struct group_todo todo = {.arena = &s->arena};
    arena_reset(&s->arena);
    group_step(s->groups, &e, &todo);
    for (struct group_reply *r = todo.replies; r != NULL; r = r->next) {
        r->outcome = OUT_NOT_COORDINATOR;
        s->deliver(s, r, -1);
    }
}

bool seat_step(struct seat *s, struct group_event *e)
{
    struct group_todo todo = {.arena = &s->arena};
    int64_t end = -1;
    e->now_ms = s->shard->now_ns / NS_PER_MS;
    e->wall_ms = s->shard->wall_ms;
    arena_reset(&s->arena);
    group_step(s->groups, e, &todo);
    enum outcome o = todo.outcome;
    if (o == OUT_OK && todo.record_count > 0)
        o = append(s, &todo, &end);
    if (o != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "groups of %s-%d: %s", OFFSETS_TOPIC,
                  s->partition->index, todo.outcome != OUT_OK ? "out of memory" : outcome_trail());
    for (struct group_reply *r = todo.replies, *next; r != NULL; r = next) {
        next = r->next;
        if (o != OUT_OK && r->after_records)
            *r = (struct group_reply){.token = r->token, .kind = r->kind,
                                      .outcome = OUT_NOT_COORDINATOR};
        s->deliver(s, r, r->after_records ? end : -1);
    }
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

/* SPDX-License-Identifier: MIT */
/* See bench.h. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

static struct bytes copy(struct bytes b)
{
    if (b.at == NULL)
        return b;
    uint8_t *at = malloc(b.size + 1);
    if (at == NULL)
        abort();
    memcpy(at, b.at, b.size);
    return bytes_view(at, b.size);
}

void bench_open(struct bench *b)
{
    *b = (struct bench){.now = 1000, .wall = 1000000, .deadline = INT64_MAX, .next_token = 1,
                        .next_id = 100};
    txn_options_default(&b->options);
    b->answers = calloc(TOKENS, sizeof *b->answers);
    b->shard = txn_shard_new(&b->options);
    arena_init(&b->arena, MiB(64));
    if (b->answers == NULL || b->shard == NULL)
        abort();
}

void bench_close(struct bench *b)
{
    struct txn_event stop = {.kind = TXN_STOP};
    (void)bench_step(b, &stop);
    txn_shard_free(b->shard);
    for (size_t i = 0; i < b->record_count; i++) {
        free((void *)(uintptr_t)b->records[i].key.at);
        free((void *)(uintptr_t)b->records[i].value.at);
    }
    free(b->records);
    free(b->answers);
    arena_fini(&b->arena);
}

static void take_answer(struct bench *b, const struct txn_reply *r)
{
    struct answer *a = &b->answers[(uintptr_t)r->token];
    a->count++;
    a->outcome = r->outcome;
    a->after_records = r->after_records;
    a->producer_id = r->producer_id;
    a->epoch = r->epoch;
    if (r->kind == TXN_VERIFY && r->outcome == OUT_OK) {
        a->count_of = r->each_count;
        for (size_t i = 0; i < r->each_count && i < 8; i++)
            a->each[i] = r->each[i];
    }
    if ((r->kind == TXN_DESCRIBE || r->kind == TXN_LIST) && r->outcome == OUT_OK) {
        a->count_of = r->described_count;
        if (r->described_count == 0)
            return;
        const struct txn_described *d = r->described;
        snprintf(a->state, sizeof a->state, "%s", d->state);
        a->start_ms = d->start_ms;
        a->timeout_ms = d->timeout_ms;
        a->producer_id = d->producer_id;
        a->epoch = d->epoch;
        a->place_count = d->place_count;
        for (size_t i = 0; i < d->place_count && i < 8; i++)
            a->places[i].partition = d->places[i].partition;
    }
}

static void take_markers(struct bench *b, const struct txn_markers *m)
{
    if (b->marker_count == MARKERS)
        abort();
    struct asked *a = &b->markers[b->marker_count++];
    *a = (struct asked){.producer_id = m->producer_id, .epoch = m->epoch, .commit = m->commit,
                        .version = m->version, .place_count = m->place_count};
    snprintf(a->id, sizeof a->id, "%.*s", (int)m->id.size, (const char *)m->id.at);
}

int bench_step(struct bench *b, struct txn_event *e)
{
    struct txn_todo todo = {.arena = &b->arena};
    int token = e->kind <= TXN_LIST ? b->next_token++ : 0;
    if (token >= TOKENS)
        abort();
    e->token = token == 0 ? NULL : (void *)(uintptr_t)token;
    e->now_ms = b->now;
    e->wall_ms = b->wall;
    arena_reset(&b->arena);
    txn_step(b->shard, e, &todo);
    if (todo.outcome != OUT_OK)
        abort();
    b->deadline = todo.deadline_ms;
    b->step_records = todo.record_count;
    for (struct step_record *r = todo.records; r != NULL; r = r->next) {
        if (b->record_count == b->record_room) {
            /* By doubling: the sanitizers' realloc copies each time. */
            b->record_room = MAX(b->record_room * 2, 64);
            b->records = realloc(b->records, b->record_room * sizeof *b->records);
        }
        if (b->records == NULL)
            abort();
        b->records[b->record_count++] = (struct written){copy(r->key), copy(r->value)};
    }
    for (struct txn_reply *r = todo.replies; r != NULL; r = r->next)
        take_answer(b, r);
    for (struct txn_markers *m = todo.markers; m != NULL; m = m->next)
        take_markers(b, m);
    return token;
}

void bench_pass(struct bench *b, int64_t ms)
{
    int64_t until = b->now + ms;
    while (b->deadline <= until) {
        int64_t step = MAX(b->deadline - b->now, 0);
        struct txn_event e = {.kind = TXN_TIMER};
        b->now += step;
        b->wall += step;
        (void)bench_step(b, &e);
    }
    b->wall += until - b->now;
    b->now = until;
}

void bench_reload(struct bench *b)
{
    struct txn_event e = {.kind = TXN_STOP};
    (void)bench_step(b, &e);
    txn_shard_free(b->shard);
    b->shard = txn_shard_new(&b->options);
    b->marker_count = 0;
    if (b->shard == NULL)
        abort();
    for (size_t i = 0; i < b->record_count; i++) {
        e = (struct txn_event){.kind = TXN_LOAD, .key = b->records[i].key,
                               .value = b->records[i].value};
        (void)bench_step(b, &e);
    }
    e = (struct txn_event){.kind = TXN_LOADED};
    (void)bench_step(b, &e);
}

void bench_marked(struct bench *b, bool done)
{
    struct asked a = b->markers[0];
    struct txn_event e = {.kind = TXN_MARKED, .id = bytes_of(a.id), .producer_id = a.producer_id,
                          .epoch = a.epoch, .done = done};
    if (b->marker_count == 0)
        abort();
    memmove(b->markers, b->markers + 1, --b->marker_count * sizeof *b->markers);
    (void)bench_step(b, &e);
}

struct answer *bench_init(struct bench *b, const char *id, int64_t producer_id, int epoch)
{
    struct txn_event e = {.kind = TXN_INIT, .id = bytes_of(id), .producer_id = producer_id,
                          .epoch = epoch, .fresh_id = b->next_id++, .timeout_ms = 60000};
    return &b->answers[bench_step(b, &e)];
}

struct answer *bench_add(struct bench *b, const char *id, int64_t producer_id, int epoch,
                         int version, int partition)
{
    struct txn_place p = {bytes_of("topic"), partition};
    struct txn_event e = {.kind = TXN_ADD, .id = bytes_of(id), .producer_id = producer_id,
                          .epoch = epoch, .version = version, .places = &p, .place_count = 1};
    return &b->answers[bench_step(b, &e)];
}

struct answer *bench_end(struct bench *b, const char *id, int64_t producer_id, int epoch,
                         int version, bool commit)
{
    struct txn_event e = {.kind = TXN_END, .id = bytes_of(id), .producer_id = producer_id,
                          .epoch = epoch, .version = version, .commit = commit,
                          .fresh_id = b->next_id++};
    return &b->answers[bench_step(b, &e)];
}

struct answer *bench_describe(struct bench *b, const char *id)
{
    struct txn_event e = {.kind = TXN_DESCRIBE, .id = bytes_of(id)};
    return &b->answers[bench_step(b, &e)];
}

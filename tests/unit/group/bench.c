/* SPDX-License-Identifier: MIT */
/* See bench.h. */
#include "bench.h"

static const uint8_t subscription_t[] = {0, 1, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255,
                                         0, 0, 0, 0};
static struct group_protocol range = {
    .name = {(const uint8_t *)"range", 5}, .metadata = {subscription_t, sizeof subscription_t}};

void bench_open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    group_options_default(&b->options);
    b->options.session_min_ms = 10;
    b->options.session_max_ms = 100000;
    b->options.initial_delay_ms = 0;
    b->shard = group_shard_new(&b->options);
    arena_init(&b->arena, MiB(16));
    b->now = 1000;
    b->wall = 1700000000000;
    b->deadline = INT64_MAX;
}

void bench_close(struct bench *b)
{
    struct group_event stop = {.kind = GROUP_STOP};
    (void)bench_step(b, &stop);
    for (int i = 1; i <= b->next_token; i++)
        expect_eq(b->answers[i].count, 1);
    group_shard_free(b->shard);
    arena_fini(&b->arena);
    for (size_t i = 0; i < b->record_count; i++) {
        free((void *)(uintptr_t)b->records[i].key.at);
        free((void *)(uintptr_t)b->records[i].value.at);
    }
    free(b->records);
}

static void text(char *to, struct bytes from)
{
    size_t size = MIN(from.size, (size_t)TEXT - 1);
    if (from.at == NULL) {
        snprintf(to, TEXT, "(null)");
        return;
    }
    memcpy(to, from.at, size);
    to[size] = 0;
}

static void fill_joined(struct answer *a, const struct group_joined *j)
{
    a->generation = j->generation;
    a->skip_assignment = j->skip_assignment;
    text(a->member_id, j->member_id);
    text(a->leader, j->leader);
    text(a->protocol, j->protocol_name);
    text(a->type, j->protocol_type);
    a->count_of = j->member_count;
    for (size_t i = 0; i < j->member_count && i < MEMBERS; i++) {
        text(a->members[i], j->members[i].member_id);
        text(a->metadata[i], j->members[i].metadata);
    }
}

static void fill_described(struct answer *a, const struct group_described *d)
{
    snprintf(a->state, TEXT, "%s", d->state);
    text(a->protocol, d->protocol_name);
    text(a->type, d->protocol_type);
    a->count_of = d->member_count;
    for (size_t i = 0; i < d->member_count && i < MEMBERS; i++) {
        text(a->members[i], d->members[i].member_id);
        text(a->metadata[i], d->members[i].assignment);
    }
}

static void fill_offsets(struct answer *a, const struct group_reply *r)
{
    a->count_of = r->offset_count;
    for (size_t i = 0; i < r->offset_count && i < MEMBERS; i++) {
        a->offsets[i] = r->offsets[i].offset;
        text(a->topics[i], r->offsets[i].topic);
        text(a->metadata[i], r->offsets[i].metadata);
    }
}

static void fill(struct answer *a, const struct group_reply *r)
{
    a->count++;
    a->kind = r->kind;
    a->outcome = r->outcome;
    a->after_records = r->after_records;
    if (r->kind == GROUP_JOIN) {
        fill_joined(a, &r->joined);
    } else if (r->kind == GROUP_SYNC) {
        text(a->assignment, r->synced.assignment);
        text(a->protocol, r->synced.protocol_name);
    } else if (r->kind == GROUP_DESCRIBE) {
        fill_described(a, &r->described);
    } else if (r->kind == GROUP_OFFSET_FETCH) {
        fill_offsets(a, r);
        a->rest = r->rest;
    } else if (r->kind == GROUP_LIST) {
        a->count_of = r->group_count;
        for (size_t i = 0; i < r->group_count && i < MEMBERS; i++)
            snprintf(a->members[i], TEXT, "%.*s %s", (int)r->groups[i].group_id.size,
                     (const char *)r->groups[i].group_id.at, r->groups[i].state);
    } else if (r->outcome == OUT_OK && r->each != NULL) {
        a->count_of = r->each_count;
        for (size_t i = 0; i < r->each_count && i < MEMBERS; i++)
            a->each[i] = r->each[i];
    }
}

static struct bytes copy(struct bytes b)
{
    if (b.at == NULL)
        return b;
    uint8_t *at = malloc(b.size + 1);
    memcpy(at, b.at, b.size);
    return bytes_view(at, b.size);
}

int bench_step(struct bench *b, struct group_event *e)
{
    e->now_ms = b->now;
    e->wall_ms = b->wall;
    int token = 0;
    if (e->kind <= GROUP_TXN_END) {
        token = ++b->next_token;
        expect(token < TOKENS);
        e->token = (void *)(intptr_t)token;
    }
    if (e->kind == GROUP_JOIN)
        e->join.fresh.b[15] = ++b->uuids;
    arena_reset(&b->arena);
    struct group_todo todo = {.arena = &b->arena};
    group_step(b->shard, e, &todo);
    expect_eq(todo.outcome, OUT_OK);
    for (struct group_reply *r = todo.replies; r != NULL; r = r->next)
        fill(&b->answers[(intptr_t)r->token], r);
    b->step_records = todo.record_count;
    for (struct step_record *r = todo.records; r != NULL; r = r->next) {
        b->records = realloc(b->records, (b->record_count + 1) * sizeof *b->records);
        b->records[b->record_count++] = (struct written){copy(r->key), copy(r->value)};
    }
    b->deadline = todo.deadline_ms;
    return token;
}

void bench_pass(struct bench *b, int64_t ms)
{
    int64_t end = b->now + ms;
    while (b->deadline <= end) {
        int64_t to = MAX(b->deadline, b->now);
        b->wall += to - b->now;
        b->now = to;
        struct group_event e = {.kind = GROUP_TIMER};
        (void)bench_step(b, &e);
    }
    b->wall += end - b->now;
    b->now = end;
}

void bench_reload(struct bench *b)
{
    struct group_event stop = {.kind = GROUP_STOP};
    (void)bench_step(b, &stop);
    group_shard_free(b->shard);
    b->shard = group_shard_new(&b->options);
    size_t count = b->record_count;
    for (size_t i = 0; i < count; i++) {
        struct group_event e = {.kind = GROUP_LOAD,
                                .load = {b->records[i].key, b->records[i].value}};
        (void)bench_step(b, &e);
    }
    struct group_event loaded = {.kind = GROUP_LOADED};
    (void)bench_step(b, &loaded);
    expect_eq(b->record_count, count);
}

struct group_event join_event(const char *group, const char *member_id)
{
    return (struct group_event){
        .kind = GROUP_JOIN,
        .group_id = bytes_of(group),
        .join = {.member_id = bytes_of(member_id),
                 .client_id = bytes_of("c"),
                 .client_host = bytes_of("/127.0.0.1"),
                 .protocol_type = bytes_of("consumer"),
                 .protocols = &range,
                 .protocol_count = 1,
                 .session_ms = 1000,
                 .rebalance_ms = 3000},
    };
}

int bench_join(struct bench *b, const char *group, const char *member_id)
{
    struct group_event e = join_event(group, member_id);
    int token = bench_step(b, &e);
    bench_pass(b, 0);
    return token;
}

int bench_sync(struct bench *b, const char *group, const char *member_id, int generation,
               const struct group_assignment *assignments, size_t count)
{
    struct group_event e = {.kind = GROUP_SYNC,
                            .group_id = bytes_of(group),
                            .sync = {.member_id = bytes_of(member_id),
                                     .generation = generation,
                                     .assignments = assignments,
                                     .assignment_count = count}};
    return bench_step(b, &e);
}

enum outcome bench_heartbeat(struct bench *b, const char *group, const char *member_id,
                             int generation)
{
    struct group_event e = {.kind = GROUP_HEARTBEAT,
                            .group_id = bytes_of(group),
                            .heartbeat = {.member_id = bytes_of(member_id),
                                          .generation = generation}};
    return ANSWER(b, bench_step(b, &e))->outcome;
}

enum outcome bench_commit(struct bench *b, const char *group, const char *member_id,
                          int generation, const char *topic, int partition, int64_t offset)
{
    struct group_offset o = {.topic = bytes_of(topic), .partition = partition, .offset = offset,
                             .leader_epoch = -1, .metadata = bytes_of("m")};
    struct group_event e = {.kind = GROUP_OFFSET_COMMIT,
                            .group_id = bytes_of(group),
                            .commit = {.member_id = bytes_of(member_id),
                                       .generation = generation,
                                       .if_unknown = OUT_GROUP_ID_NOT_FOUND,
                                       .offsets = &o,
                                       .offset_count = 1}};
    const struct answer *a = ANSWER(b, bench_step(b, &e));
    return a->outcome != OUT_OK ? a->outcome : a->each[0];
}

int64_t bench_fetch(struct bench *b, const char *group, const char *topic, int partition)
{
    struct group_place place = {.topic = bytes_of(topic), .partition = partition};
    struct group_event e = {.kind = GROUP_OFFSET_FETCH, .group_id = bytes_of(group),
                            .places = {.places = &place, .count = 1}};
    return ANSWER(b, bench_step(b, &e))->offsets[0];
}

const char *bench_state(struct bench *b, const char *group)
{
    struct group_event e = {.kind = GROUP_DESCRIBE, .group_id = bytes_of(group)};
    return ANSWER(b, bench_step(b, &e))->state;
}

enum outcome bench_leave(struct bench *b, const char *group, const char *member_id)
{
    struct group_leaver l = {.member_id = bytes_of(member_id)};
    struct group_event e = {.kind = GROUP_LEAVE, .group_id = bytes_of(group),
                            .leave = {.leavers = &l, .leaver_count = 1}};
    return ANSWER(b, bench_step(b, &e))->each[0];
}

const char *bench_single(struct bench *b, const char *group)
{
    const struct answer *a = ANSWER(b, bench_join(b, group, ""));
    expect_eq(a->outcome, OUT_OK);
    struct group_assignment all = {bytes_of(a->member_id), bytes_of("all")};
    const struct answer *s = ANSWER(b, bench_sync(b, group, a->member_id, a->generation, &all, 1));
    expect_eq(s->outcome, OUT_OK);
    return a->member_id;
}

/* SPDX-License-Identifier: MIT */
/*
 * Random schedules under a virtual clock, a seed each. After every step: no token answered twice,
 * no generation goes back, an assignment only comes from a Stable group, the leader is a member. At
 * any moment a shard made from the records has the same groups, offsets and (when Stable)
 * assignments.
 */
#include "bench.h"

#define SEEDS 150
#define STEPS 250
#define GROUPS 3
#define CLIENTS 5

struct client {
    char id[TEXT];  /* "" before it has one */
    bool is_static;
    int generation;
    int waiting;    /* token of its join or sync, 0: none */
};

static struct bench b;
static uint64_t seed;
static struct client clients[GROUPS][CLIENTS];
static int generations[GROUPS];
static const char *const names[GROUPS] = {"g0", "g1", "g2"};

static int below(int n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)n);
}

static const char *instance_of(int client)
{
    static const char *const ids[] = {"i0", "i1", "i2", "i3", "i4"};
    return ids[client];
}

/* What a client learns from its answer. */
static void learn(int group, int client)
{
    struct client *c = &clients[group][client];
    if (c->waiting == 0)
        return;
    const struct answer *a = ANSWER(&b, c->waiting);
    expect(a->count <= 1);
    if (a->count == 0)
        return;
    c->waiting = 0;
    if (a->kind == GROUP_JOIN && a->outcome == OUT_OK) {
        expect(a->generation >= generations[group]);
        generations[group] = a->generation;
        c->generation = a->generation;
        snprintf(c->id, TEXT, "%s", a->member_id);
        for (size_t i = 0, found = 0; i < a->count_of; i++) {
            found += strcmp(a->members[i], a->leader) == 0;
            expect(i + 1 < a->count_of || found == 1);
        }
    } else if (a->kind == GROUP_JOIN && a->outcome == OUT_MEMBER_ID_REQUIRED) {
        snprintf(c->id, TEXT, "%s", a->member_id);
    } else if (a->outcome == OUT_UNKNOWN_MEMBER || a->outcome == OUT_FENCED_INSTANCE) {
        c->id[0] = 0;
    }
}

static void learn_all(void)
{
    for (int g = 0; g < GROUPS; g++) {
        for (int c = 0; c < CLIENTS; c++)
            learn(g, c);
    }
}

static void join(int group, int client)
{
    static const struct group_protocol protocols[] = {
        {{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}},
        {{(const uint8_t *)"b", 1}, {(const uint8_t *)"2", 1}},
        {{(const uint8_t *)"a", 1}, {(const uint8_t *)"3", 1}},
    };
    struct client *c = &clients[group][client];
    struct group_event e = join_event(names[group], c->id);
    e.join.id_required = below(2) == 0;
    e.join.can_skip_assignment = below(2) == 0;
    e.join.protocols = protocols + below(2);
    e.join.protocol_count = 2;
    e.join.session_ms = 200 + below(800);
    e.join.rebalance_ms = below(10) == 0 ? 0 : 100 + below(500);
    if (c->is_static)
        e.join.instance_id = bytes_of(instance_of(client));
    c->waiting = bench_step(&b, &e);
}

static void sync_one(int group, int client)
{
    struct client *c = &clients[group][client];
    struct group_assignment shares[CLIENTS];
    size_t count = 0;
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[group][i].id[0] != 0)
            shares[count++] = (struct group_assignment){bytes_of(clients[group][i].id),
                                                        bytes_of(clients[group][i].id)};
    }
    int token = bench_sync(&b, names[group], c->id, c->generation, shares, count);
    c->waiting = token;
    if (ANSWER(&b, token)->count == 1 && ANSWER(&b, token)->outcome == OUT_OK)
        expect_str(bench_state(&b, names[group]), "Stable");
}

static void leave_or_cancel(int group, int client)
{
    struct client *c = &clients[group][client];
    if (c->waiting != 0 && below(2) == 0) {
        struct group_event e = {.kind = GROUP_CANCEL, .group_id = bytes_of(names[group]),
                                .token = (void *)(intptr_t)c->waiting};
        (void)bench_step(&b, &e);
        expect_eq(ANSWER(&b, c->waiting)->outcome, OUT_CLOSED);
    } else if (c->id[0] != 0 && below(3) == 0) {
        (void)bench_leave(&b, names[group], c->id);
        c->id[0] = 0;
    }
}

static void delete_group(int group)
{
    struct group_event e = {.kind = GROUP_DELETE, .group_id = bytes_of(names[group])};
    if (ANSWER(&b, bench_step(&b, &e))->outcome == OUT_OK)
        generations[group] = 0;
}

static void housekeeping(int group)
{
    struct group_event e = {.kind = GROUP_EXPIRE};
    if (below(2) == 0)
        e = (struct group_event){.kind = GROUP_TOPIC_DELETED, .group_id = bytes_of("t")};
    (void)bench_step(&b, &e);
    if (strcmp(bench_state(&b, names[group]), "Dead") == 0)
        generations[group] = 0;
}

struct picture {
    struct answer list, described[GROUPS], offsets[GROUPS];
};

static void look(struct picture *p)
{
    struct group_event e = {.kind = GROUP_LIST};
    p->list = *ANSWER(&b, bench_step(&b, &e));
    for (int g = 0; g < GROUPS; g++) {
        e = (struct group_event){.kind = GROUP_DESCRIBE, .group_id = bytes_of(names[g])};
        p->described[g] = *ANSWER(&b, bench_step(&b, &e));
        e = (struct group_event){.kind = GROUP_OFFSET_FETCH, .group_id = bytes_of(names[g]),
                                 .places = {.all = true}};
        p->offsets[g] = *ANSWER(&b, bench_step(&b, &e));
    }
}

static void reload_and_compare(void)
{
    static struct picture before, after;
    look(&before);
    bench_reload(&b);
    look(&after);
    expect_eq(before.list.count_of, after.list.count_of);
    for (int g = 0; g < GROUPS; g++) {
        const struct answer *was = &before.offsets[g], *is = &after.offsets[g];
        expect_eq(was->count_of, is->count_of);
        expect(memcmp(was->offsets, is->offsets, sizeof was->offsets) == 0);
        expect(memcmp(was->topics, is->topics, sizeof was->topics) == 0);
        was = &before.described[g];
        is = &after.described[g];
        if (strcmp(was->state, "Stable") != 0 && strcmp(was->state, "Dead") != 0)
            continue;
        expect_str(was->state, is->state);
        expect_eq(was->count_of, is->count_of);
        expect(memcmp(was->members, is->members, sizeof was->members) == 0);
        expect(memcmp(was->metadata, is->metadata, sizeof was->metadata) == 0);
    }
    /* A round that was going on is forgotten with its generation. */
    for (int g = 0; g < GROUPS; g++)
        generations[g] = 0;
}

static void act(void)
{
    int group = below(GROUPS), client = below(CLIENTS);
    struct client *c = &clients[group][client];
    int what = below(100);
    if (what < 30 && c->waiting == 0)
        join(group, client);
    else if (what < 50 && c->waiting == 0 && c->id[0] != 0)
        sync_one(group, client);
    else if (what < 60 && c->id[0] != 0)
        (void)bench_heartbeat(&b, names[group], c->id, c->generation);
    else if (what < 70)
        (void)bench_commit(&b, names[group], c->id, c->id[0] == 0 ? -1 : c->generation,
                           below(2) ? "t" : "u", below(3), below(1000));
    else if (what < 78)
        leave_or_cancel(group, client);
    else if (what < 80)
        delete_group(group);
    else if (what < 82)
        housekeeping(group);
    else if (what < 83)
        reload_and_compare();
    else
        bench_pass(&b, below(150));
}

void test_random_schedules(void)
{
    for (uint64_t s = 1; s <= SEEDS; s++) {
        seed = s * UINT64_C(0x9e3779b97f4a7c15);
        bench_open(&b);
        b.options.initial_delay_ms = (int32_t)(s % 3) * 50;
        b.options.retention_ms = 5000;
        b.options.members_max = s % 5 == 0 ? 3 : INT32_MAX;
        group_shard_free(b.shard);
        b.shard = group_shard_new(&b.options);
        memset(clients, 0, sizeof clients);
        memset(generations, 0, sizeof generations);
        for (int i = 0; i < GROUPS; i++)
            clients[i][0].is_static = clients[i][1].is_static = s % 2 == 0;
        for (int step = 0; step < STEPS; step++) {
            act();
            learn_all();
        }
        reload_and_compare();
        bench_close(&b);
    }
}

/* Left alone, nobody waits for ever: the largest time-out ends every request. */
void test_every_wait_ends_by_itself(void)
{
    for (uint64_t s = 1; s <= SEEDS; s++) {
        seed = s;
        bench_open(&b);
        memset(clients, 0, sizeof clients);
        memset(generations, 0, sizeof generations);
        for (int step = 0; step < 60; step++) {
            act();
            learn_all();
        }
        bench_pass(&b, 10 * 60 * 1000);
        for (int i = 1; i <= b.next_token; i++)
            expect_eq(ANSWER(&b, i)->count, 1);
        for (int g = 0; g < GROUPS; g++) {
            const char *state = bench_state(&b, names[g]);
            expect(strcmp(state, "Empty") == 0 || strcmp(state, "Dead") == 0);
        }
        bench_close(&b);
    }
}

/* The arena runs dry at every possible place: the request is answered all the same. */
void test_out_of_memory_answers_what_was_asked(void)
{
    for (size_t limit = 0; limit < 64; limit++) {
        struct group_options o;
        group_options_default(&o);
        o.initial_delay_ms = 0;
        o.session_min_ms = 1;
        struct group_shard *shard = group_shard_new(&o);
        struct arena arena, roomy;
        arena_init(&arena, KiB(2)); /* one chunk, of which the beginning is taken: */
        arena_init(&roomy, MiB(1));
        struct group_event e = join_event("g", "");
        int token;
        e.token = &token;
        void *taken = arena_take(&arena, limit * 32);
        (void)taken;
        struct group_todo todo = {.arena = &arena};
        group_step(shard, &e, &todo);
        int answers = todo.replies != NULL;
        struct group_event stop = {.kind = GROUP_STOP};
        todo.arena = &roomy;
        group_step(shard, &stop, &todo);
        answers += todo.replies != NULL;
        expect_eq(answers, 1);
        group_shard_free(shard);
        arena_fini(&arena);
        arena_fini(&roomy);
    }
}

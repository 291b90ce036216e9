/* SPDX-License-Identifier: MIT */
/*
 * Random schedules: producers with old and new epochs, markers that fail or are late, the clock,
 * reloads. Whatever happens: each request is answered at most once, markers of one end all say the
 * same, an epoch never goes back, and a commit that was acknowledged is never aborted.
 */
#include "bench.h"

#define IDS 4
#define STEPS 4000

/* What the test believes of one id. */
struct believed {
    char id[8];
    int64_t producer_id;
    int epoch;             /* the highest given out */
    int version;
    bool committed;        /* an acknowledged commit is being completed */
    int64_t promised_id;
    int promised_epoch;
};

static struct bench b;
static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void check_markers(struct believed *ids)
{
    for (size_t i = 0; i < b.marker_count; i++) {
        const struct asked *m = &b.markers[i];
        for (int j = 0; j < IDS; j++) {
            struct believed *v = &ids[j];
            if (strcmp(v->id, m->id) == 0 && v->committed && m->producer_id == v->promised_id &&
                m->epoch == v->promised_epoch)
                expect(m->commit);
        }
    }
}

static void learn(struct believed *v, const struct answer *a)
{
    if (a->producer_id == v->producer_id)
        expect(a->epoch >= v->epoch);
    v->producer_id = a->producer_id;
    v->epoch = a->epoch;
}

static void end(struct believed *v, int64_t producer_id, int epoch)
{
    bool commit = any(2) != 0;
    size_t before = b.marker_count;
    const struct answer *a = bench_end(&b, v->id, producer_id, epoch, v->version, commit);
    expect_eq(a->count, 1);
    if (a->outcome != OUT_OK)
        return;
    expect_eq(producer_id, v->producer_id);
    learn(v, a);
    if (b.marker_count == before)
        return; /* a repetition */
    const struct asked *m = &b.markers[before];
    expect_eq(m->commit, commit);
    v->committed = commit;
    v->promised_id = m->producer_id;
    v->promised_epoch = m->epoch;
}

static void marked(struct believed *ids)
{
    struct asked m = b.markers[0];
    bool done = any(4) != 0;
    if (b.marker_count == 0)
        return;
    bench_marked(&b, done);
    for (int j = 0; j < IDS && done; j++) {
        if (strcmp(ids[j].id, m.id) != 0)
            continue;
        const struct answer *a = bench_describe(&b, m.id);
        if (ids[j].committed && m.producer_id == ids[j].promised_id &&
            m.epoch == ids[j].promised_epoch)
            expect_str(a->state, "CompleteCommit");
        ids[j].committed = false;
        learn(&ids[j], a); /* a time-out or a fence may have raised it */
    }
}

static void request(struct believed *v)
{
    bool old = any(8) == 0;
    int64_t producer_id = any(16) == 0 ? 1 : v->producer_id;
    int epoch = old ? v->epoch - 1 : v->epoch;
    struct txn_place p = {bytes_of("topic"), (int32_t)any(5)};
    struct txn_event add = {.kind = TXN_ADD, .id = bytes_of(v->id), .producer_id = producer_id,
                            .epoch = epoch, .version = v->version, .places = &p,
                            .place_count = 1, .patience_ms = any(2) ? 50 : 0};
    const struct answer *a;
    switch (any(5)) {
    case 0:
        a = bench_init(&b, v->id, -1, -1);
        if (a->outcome == OUT_OK)
            learn(v, a);
        break;
    case 1:
    case 2:
        a = &b.answers[bench_step(&b, &add)];
        if (a->count == 1 && a->outcome == OUT_OK)
            expect(!old && producer_id == v->producer_id);
        break;
    default:
        end(v, producer_id, epoch);
    }
}

static void run(uint64_t from)
{
    struct believed ids[IDS];
    seed = from;
    bench_open(&b);
    b.options.max_timeout_ms = 900000;
    for (int i = 0; i < IDS; i++) {
        ids[i] = (struct believed){.version = i % 2 * 2};
        snprintf(ids[i].id, sizeof ids[i].id, "id%d", i);
        learn(&ids[i], bench_init(&b, ids[i].id, -1, -1));
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = any(20);
        if (what < 12)
            request(&ids[any(IDS)]);
        else if (what < 16)
            marked(ids);
        else if (what < 18)
            bench_pass(&b, any(3000));
        else if (what == 18 && any(10) == 0)
            bench_pass(&b, 60000);
        else if (what == 19 && any(5) == 0)
            bench_reload(&b);
        check_markers(ids);
    }
    for (int i = 0; i < b.next_token; i++)
        expect(b.answers[i].count <= 1);
    /* Everything comes to an end. */
    for (int i = 0; i < 200; i++) {
        while (b.marker_count > 0)
            bench_marked(&b, true);
        bench_pass(&b, 1000);
    }
    for (int i = 0; i < IDS; i++) {
        const char *state = bench_describe(&b, ids[i].id)->state;
        expect(strncmp(state, "Complete", 8) == 0 || strcmp(state, "Empty") == 0);
    }
    bench_close(&b);
}

void test_random_schedules(void)
{
    for (uint64_t from = 1; from <= 150; from++)
        run(from);
}

/* SPDX-License-Identifier: MIT */
/*
 * Random keyed appends by plain, idempotent and transactional producers, tombstones, compactions
 * with little memory, retention by age and by size, DeleteRecords, restarts, other compressions;
 * after every pass a read_committed consumer must see the newest value of every key, at its old
 * offset, and nothing that is to be gone, and every producer is remembered as before.
 * A failing seed is printed; run it again with LOG_SEED=n.
 */
#include "compact_model.h"

#define STEPS 2500

static void restart(struct model *m)
{
    int64_t flushed;
    enum log_shutdown how = random_below(2) ? LOG_CLEAN : LOG_UNCLEAN;
    if (random_below(2))
        expect_eq(store_flush(log_store(m->s.log), &flushed), OUT_OK);
    m->s.open.recovery_point = random_below(3) ? stat_of(m->s.log).flushed_offset : 0;
    m->s.open.start_offset = m->start; /* as the checkpoint says */
    scratch_close(&m->s, how);
    scratch_open(&m->s);
    model_verify(m);
}

static void configure(struct model *m)
{
    static const enum log_codec codecs[] = {LOG_CODEC_PRODUCER, LOG_NONE, LOG_GZIP, LOG_SNAPPY,
                                            LOG_LZ4, LOG_ZSTD};
    struct log_options *o = &m->s.open.options;
    o->compression = codecs[random_below(COUNT_OF(codecs))];
    o->segment_bytes = 2000 + (int64_t)random_below(20000);
    o->index_interval_bytes = 100 + (int32_t)random_below(2000);
    o->min_compaction_lag_ms = random_below(4) == 0 ? 500 : 0;
    expect_eq(log_configure(m->s.log, o), OUT_OK);
}

/* Every way in which a log loses its oldest records. */
static void shorten(struct model *m)
{
    for (int i = 0; i < PRODUCERS; i++) /* of an open transaction they take nothing here */
        model_end_txn(m, i, random_below(2) ? LOG_MARKER_ABORT : LOG_MARKER_COMMIT);
    int64_t left = m->end - m->start;
    if (left < 50)
        return;
    switch (random_below(4)) {
    case 0: model_trim(m, m->start + (int64_t)random_below((uint64_t)left / 4)); break;
    case 1: model_retain(m, 2000 + (int64_t)random_below(20000), -1); break;
    case 2:
        model_retain(m, -1, stat_of(m->s.log).size_bytes * (60 + (int64_t)random_below(40)) / 100);
        break;
    default: model_trim(m, m->start); break;
    }
    model_verify(m);
}

static void step(struct model *m)
{
    struct log_compacted done;
    int32_t deleted;
    uint64_t what = random_below(1000);
    int who = (int)random_below(PRODUCERS);
    m->now_ms += (int64_t)random_below(20);
    if (what < 750)
        model_append(m, random_below(3) == 0 ? -1 : who);
    else if (what < 850)
        model_end_txn(m, who, random_below(2) ? LOG_MARKER_ABORT : LOG_MARKER_COMMIT);
    else if (what < 900)
        model_again(m, who);
    else if (what < 940) {
        expect_eq(model_compact(m, 10 + random_below(60), &done), OUT_OK);
        model_verify(m);
        if (random_below(4) == 0)
            restart(m);
    } else if (what < 960)
        restart(m);
    else if (what < 970)
        expect_eq(log_roll(m->s.log, m->now_ms), OUT_OK);
    else if (what < 980)
        configure(m);
    else if (what < 985)
        shorten(m);
    else if (what < 990)
        expect_eq(log_retain(m->s.log, m->now_ms, &deleted), OUT_OK);
    else
        m->now_ms += 600;
}

static void run(uint64_t seed)
{
    static struct model m;
    struct log_compacted done;
    const char *wanted = getenv("LOG_SEED");
    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : seed;
    random_state = seed * 0x9e3779b97f4a7c15u;
    printf("# seed %llu\n", (unsigned long long)seed);
    model_init(&m);
    scratch_open(&m.s);
    for (int i = 0; i < STEPS; i++)
        step(&m);
    /* Nothing open any more, nothing young: all but the newest of each key goes. */
    for (int i = 0; i < PRODUCERS; i++)
        model_end_txn(&m, i, LOG_MARKER_COMMIT);
    expect_eq(log_roll(m.s.log, m.now_ms), OUT_OK);
    for (int i = 0; i < 100 && m.first_dirty < m.end; i++) {
        m.now_ms += 2000;
        expect_eq(model_compact(&m, 20, &done), OUT_OK);
    }
    expect_eq(m.first_dirty, m.end);
    model_verify(&m);
    expect(m.start > 0);
    expect(m.dropped > m.end / 4);
    expect(m.passes > 50);
    printf("# %lld records from %lld on, %lld dropped in %lld passes\n", (long long)m.end,
           (long long)m.start, (long long)m.dropped, (long long)m.passes);
    for (int i = 0; i < PRODUCERS; i++) {
        model_again(&m, i);
        model_append(&m, i);
    }
    restart(&m);
    scratch_close(&m.s, LOG_CLEAN);
}

void test_consumers_see_the_newest_of_each_key_1(void)
{
    run(1);
}

void test_consumers_see_the_newest_of_each_key_2(void)
{
    run(2);
}

void test_consumers_see_the_newest_of_each_key_3(void)
{
    run(3);
}

void test_consumers_see_the_newest_of_each_key_4(void)
{
    run(4);
}

void test_consumers_see_the_newest_of_each_key_5(void)
{
    run(5);
}

void test_consumers_see_the_newest_of_each_key_13(void) /* a log without epochs was not flushed */
{
    run(13);
}

/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a model in memory: append, read, seek, trim, retention, roll, flush,
 * truncate, clean and unclean restarts, changed options. After each step the log must agree.
 * A failing seed is printed; run it again with LOG_SEED=n.
 */
#include "helper.h"

#define MODEL_BATCHES 4000
#define STEPS 1500

/* One batch that was acknowledged. */
struct known {
    int64_t base, last, timestamp;
    uint32_t crc;
};

struct model {
    struct scratch s;
    struct known batches[MODEL_BATCHES];
    size_t count;
    int64_t start, end; /* start: lower bound, the log may be further after retention */
    int32_t epoch;
    uint32_t tag;
};

/* Index of the batch that holds `offset`. */
static size_t find(const struct model *m, int64_t offset)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->batches[i].last >= offset)
            return i;
    return m->count;
}

static void do_append(struct model *m)
{
    static struct log_builder b = {.limit = MiB(64), .size = LOG_BATCH_HEADER};
    uint8_t *at;
    struct store_appended done;
    int count = 1 + (int)random_below(8);
    uint32_t tag = m->tag + (uint32_t)random_below(50);
    size_t size = build(&b, tag, count, random_below(random_below(20) == 0 ? 600 : 200), &at);
    struct store_append a = {
        .at = at, .size = size, .origin = STORE_CLIENT, .now_ms = NOW, .leader_epoch = m->epoch};
    m->tag += (uint32_t)random_below(10);
    if (m->count == MODEL_BATCHES)
        return;
    expect_eq(store_append(log_store(m->s.log), &a, &done), OUT_OK);
    expect_eq(done.base_offset, m->end);
    m->batches[m->count++] =
        (struct known){done.base_offset, done.last_offset, NOW + tag, get_be32(at + 17)};
    m->end = done.last_offset + 1;
}

static void do_read(struct model *m)
{
    struct store_view v;
    struct log_batch b;
    int64_t start = stat_of(m->s.log).start_offset;
    struct store_read r = {.offset = start + (int64_t)random_below((uint64_t)(m->end - start) + 1),
                           .limit_offset = random_below(2)
                               ? INT64_MAX : start + (int64_t)random_below(500),
                           .max_bytes = random_below(20000),
                           .least = random_below(2) ? STORE_WHOLE_BATCH : STORE_CUT,
                           .map = random_below(2) ? STORE_MAPPED : STORE_UNMAPPED};
    expect_eq(store_read(log_store(m->s.log), &r, &v), OUT_OK);
    size_t i = find(m, r.offset);
    if (v.size == 0) {
        expect(r.offset == m->end || r.limit_offset <= m->batches[i].last ||
               (r.least == STORE_CUT && r.max_bytes == 0));
        return;
    }
    expect(r.least == STORE_CUT ? v.size <= r.max_bytes : v.size <= MAX(r.max_bytes, v.first_size));
    uint8_t *bytes = view_bytes(&v);
    expect(r.map == STORE_UNMAPPED || memcmp(bytes, v.at, v.size) == 0);
    struct bytes rest = {bytes, v.size};
    while (log_batch_next(&rest, &b) == OUT_OK) {
        expect(i < m->count);
        expect_eq(b.base_offset, m->batches[i].base);
        expect_eq(b.last_offset, m->batches[i].last);
        expect_eq(b.crc, m->batches[i].crc);
        expect(b.last_offset < r.limit_offset);
        i++;
    }
    free(bytes);
    store_hold_drop(v.hold);
}

static void do_seek(struct model *m)
{
    struct store_place p;
    int64_t start = stat_of(m->s.log).start_offset, want = -1;
    int64_t t = NOW + (int64_t)random_below(m->tag + 60);
    expect_eq(store_seek(log_store(m->s.log), t, &p), OUT_OK);
    for (size_t i = 0; i < m->count && want < 0; i++)
        if (m->batches[i].last >= start && m->batches[i].timestamp >= t)
            want = MAX(m->batches[i].base, start);
    expect_eq(p.offset, want);
}

static void do_trim(struct model *m)
{
    int64_t start = stat_of(m->s.log).start_offset, got;
    int64_t to = start + (int64_t)random_below((uint64_t)(m->end - start) / 4 + 1);
    int32_t deleted;
    expect_eq(store_trim(log_store(m->s.log), to, &got), OUT_OK);
    expect_eq(got, to);
    m->start = to;
    expect_eq(log_retain(m->s.log, NOW, &deleted), OUT_OK);
}

static void do_truncate(struct model *m)
{
    int64_t start = stat_of(m->s.log).start_offset;
    int64_t to = m->end - (int64_t)random_below((uint64_t)MIN(m->end - start, 30) + 1);
    expect_eq(log_truncate(m->s.log, to), OUT_OK);
    while (m->count > 0 && m->batches[m->count - 1].last >= to)
        m->end = m->batches[--m->count].base;
    expect_eq(stat_of(m->s.log).end_offset, m->end);
    m->start = stat_of(m->s.log).start_offset;
}

static void do_restart(struct model *m)
{
    int64_t flushed;
    enum log_shutdown how = random_below(2) ? LOG_CLEAN : LOG_UNCLEAN;
    if (random_below(2)) {
        expect_eq(store_flush(log_store(m->s.log), &flushed), OUT_OK);
        expect_eq(flushed, m->end);
    }
    struct store_stat st = stat_of(m->s.log);
    m->s.open.recovery_point = st.flushed_offset;
    m->s.open.start_offset = st.start_offset;
    scratch_close(&m->s, how);
    scratch_open(&m->s);
    expect_eq(stat_of(m->s.log).end_offset, m->end);
    expect_eq(stat_of(m->s.log).start_offset, st.start_offset);
    m->epoch += (int32_t)random_below(3);
    expect_eq(log_epoch_begin(m->s.log, m->epoch), OUT_OK);
}

static void do_configure(struct model *m)
{
    struct log_options o = m->s.open.options;
    o.segment_bytes = 6000 + (int64_t)random_below(20000);
    o.index_interval_bytes = 100 + (int32_t)random_below(4000);
    o.retention_bytes = random_below(3) ? -1 : 100000;
    expect_eq(log_configure(m->s.log, &o), OUT_OK);
    m->s.open.options = o;
}

static void do_retain(struct model *m)
{
    int32_t deleted;
    expect_eq(log_retain(m->s.log, NOW + (int64_t)random_below(100000), &deleted), OUT_OK);
    expect_eq(stat_of(m->s.log).end_offset, m->end);
    expect(stat_of(m->s.log).start_offset >= m->start);
}

static void step(struct model *m)
{
    uint64_t what = random_below(1000);
    if (what < 600)
        do_append(m);
    else if (what < 850)
        do_read(m);
    else if (what < 920)
        do_seek(m);
    else if (what < 935)
        do_trim(m);
    else if (what < 950)
        do_truncate(m);
    else if (what < 965)
        do_restart(m);
    else if (what < 975)
        do_configure(m);
    else if (what < 985)
        expect_eq(log_roll(m->s.log, NOW), OUT_OK);
    else
        do_retain(m);
}

static void run(uint64_t seed)
{
    static struct model m;
    const char *wanted = getenv("LOG_SEED");
    random_state = (wanted != NULL ? strtoull(wanted, NULL, 10) : seed) * 0x9e3779b97f4a7c15u;
    printf("# seed %llu\n", (unsigned long long)seed);
    memset(&m, 0, sizeof m);
    scratch_init(&m.s);
    m.s.open.options.segment_bytes = 10000;
    m.s.open.options.index_interval_bytes = 400;
    scratch_open(&m.s);
    for (int i = 0; i < STEPS; i++)
        step(&m);
    scratch_close(&m.s, LOG_CLEAN);
}

void test_random_operations_agree_with_the_model_1(void)
{
    run(1);
}

void test_random_operations_agree_with_the_model_2(void)
{
    run(2);
}

void test_random_operations_agree_with_the_model_3(void)
{
    run(3);
}

void test_random_operations_agree_with_the_model_4(void)
{
    run(4);
}

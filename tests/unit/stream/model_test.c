/* SPDX-License-Identifier: MIT */
/*
 * A stream against a list of batches, under random appends, trims, bounds that change, clocks that
 * move, reads anywhere. The model knows nothing of slabs.
 */
#include "helper.h"

#define BATCHES 4000

struct model {
    struct { int64_t base, last, timestamp; size_t size; uint32_t tag; } at[BATCHES];
    size_t count, first; /* batches made; the oldest that is kept */
    int64_t start, end, now;
    struct stream_options o;
};

static int64_t kept_bytes(const struct model *m)
{
    int64_t sum = 0;
    for (size_t i = m->first; i < m->count; i++)
        sum += (int64_t)m->at[i].size;
    return sum;
}

static void drop_first(struct model *m)
{
    m->start = MAX(m->start, m->at[m->first].last + 1);
    m->first++;
}

static void bound(struct model *m)
{
    const struct stream_options *o = &m->o;
    if (o->retention_records >= 0)
        m->start = MAX(m->start, m->end - MAX(o->retention_records, 1));
    for (; m->first < m->count; drop_first(m)) {
        bool below = m->at[m->first].last < m->start;
        bool much = o->batches.retention_bytes >= 0 && m->first + 1 < m->count &&
                    kept_bytes(m) > o->batches.retention_bytes;
        bool old = o->batches.retention_ms >= 0 &&
                   m->now - m->at[m->first].timestamp > o->batches.retention_ms;
        if (!below && !much && !old)
            break;
    }
}

static void compare_read(struct stream *s, const struct model *m, int64_t offset, int64_t limit,
                         size_t max)
{
    struct store_view v;
    struct store_read r = {.offset = offset, .limit_offset = limit, .max_bytes = max};
    enum outcome o = store_read(stream_store(s), &r, &v);
    if (offset < m->start || offset > m->end) {
        expect_eq(o, OUT_OFFSET_OUT_OF_RANGE);
        return;
    }
    expect_eq(o, OUT_OK);
    size_t i = m->first, whole = 0;
    while (i < m->count && m->at[i].last < offset)
        i++;
    struct bytes rest = {v.at, v.size};
    struct log_batch b;
    for (; log_batch_next(&rest, &b) == OUT_OK; i++) {
        expect(i < m->count && m->at[i].last < limit);
        expect_eq(b.base_offset, m->at[i].base);
        expect_eq(b.last_offset, m->at[i].last);
        expect_eq(b.size, m->at[i].size);
        expect_eq(b.max_timestamp, m->at[i].timestamp);
        expect(log_batch_crc_good(&b));
        whole++;
    }
    bool there = i < m->count && m->at[i].last < limit;
    if (whole == 0)
        expect(!there && v.size == 0);
    else if (there && !v.segment_done) /* what else was there did not fit */
        expect(v.size == MAX(max, v.first_size));
    store_hold_drop(v.hold);
}

static void compare(struct stream *s, const struct model *m)
{
    struct store_stat st = stream_stat(s);
    struct store_place p;
    expect_eq(st.start_offset, m->start);
    expect_eq(st.end_offset, m->end);
    expect_eq(st.size_bytes, kept_bytes(m));
    int64_t span = m->end - m->start + 20;
    for (int i = 0; i < 4; i++) {
        int64_t offset = m->start - 5 + (int64_t)random_below((uint64_t)span);
        int64_t limit = random_below(2) ? INT64_MAX : m->start + (int64_t)random_below(
                                                                     (uint64_t)span);
        /* A limit is a batch's end in a broker: the model cuts whole batches alike. */
        compare_read(s, m, offset, limit, random_below(3) ? random_below(30000) : 0);
    }
    int64_t when = m->now - (int64_t)random_below(5000), best = -1;
    for (size_t i = m->first; best < 0 && i < m->count; i++)
        if (m->at[i].timestamp >= when)
            best = MAX(m->at[i].base, m->start);
    expect_eq(store_seek(stream_store(s), when, &p), OUT_OK);
    expect_eq(p.offset, best);
    if (m->first == m->count)
        expect(st.segment_count == 0 && stream_memory(s) < 1000);
}

static void add(struct stream *s, struct model *m)
{
    int count = 1 + (int)random_below(5);
    size_t value = random_below(50) == 0 ? 30000 : random_below(600) + 4;
    static struct log_builder b = {.limit = MiB(64), .size = LOG_BATCH_HEADER};
    struct store_appended done;
    uint8_t *at;
    uint32_t tag = (uint32_t)(m->now - NOW);
    size_t size = build(&b, tag, count, value, &at);
    expect_eq(stream_put(s, at, size, m->now, &done), OUT_OK);
    expect_eq(done.base_offset, m->end);
    m->at[m->count].base = m->end;
    m->at[m->count].last = m->end + count - 1;
    m->at[m->count].timestamp = m->now;
    m->at[m->count++].size = size;
    m->end += count;
    bound(m);
}

static void change_bounds(struct stream *s, struct model *m)
{
    m->o.retention_records = random_below(2) ? -1 : (int64_t)random_below(300);
    m->o.batches.retention_bytes = random_below(2) ? -1 : (int64_t)random_below(300000);
    m->o.batches.retention_ms = random_below(2) ? -1 : (int64_t)random_below(4000);
    expect_eq(stream_configure(s, &m->o), OUT_OK);
}

static void run(uint64_t seed)
{
    static struct model m;
    memset(&m, 0, sizeof m);
    random_state = 88172645463325252u + seed * 7919;
    m.o = stream_defaults();
    m.now = NOW + 10000;
    struct stream *s = stream_open(&m.o);
    while (m.count < BATCHES) {
        int64_t start, to;
        switch (random_below(30)) {
        case 0:
            to = m.start + (int64_t)random_below((uint64_t)(m.end - m.start + 1));
            expect_eq(store_trim(stream_store(s), to, &start), OUT_OK);
            m.start = to;
            while (m.first < m.count && m.at[m.first].last < m.start)
                m.first++;
            expect_eq(start, to);
            break;
        case 1: change_bounds(s, &m); break;
        case 2:
            m.now += (int64_t)random_below(3000);
            start = m.start;
            bound(&m);
            expect_eq(stream_retain(s, m.now), m.start != start);
            break;
        default:
            m.now += (int64_t)random_below(20);
            add(s, &m);
        }
        compare(s, &m);
    }
    stream_free(s);
}

void test_random_histories_against_a_list(void)
{
    for (uint64_t seed = 0; seed < 12; seed++)
        run(seed);
}

/* SPDX-License-Identifier: MIT */
/*
 * Crashes: a tail torn at every byte, damage in the middle, files missing or odd, half-done
 * deletions. Each is recovered, appended to, crashed and recovered again.
 */
#include "helper.h"

/* How many records of which batch sizes are in the log, checked one by one. */
struct seen {
    int64_t next;
    int batches;
};

static enum outcome see(void *context, const struct log_batch *b)
{
    struct seen *s = context;
    struct log_records walk;
    struct log_record r;
    expect(log_batch_crc_good(b));
    expect_eq(b->base_offset, s->next);
    expect_eq(log_records_begin(&walk, b, MiB(1)), OUT_OK);
    while (log_records_next(&walk, &r) == OUT_OK)
        expect_eq(r.offset, s->next++);
    log_records_fini(&walk);
    s->batches++;
    return OUT_OK;
}

static struct seen look(struct log *l)
{
    struct seen s = {.next = stat_of(l).start_offset};
    expect_eq(log_scan(l, s.next, INT64_MAX, see, &s), OUT_OK);
    expect_eq(s.next, stat_of(l).end_offset);
    return s;
}

void test_a_tail_torn_at_every_byte_recovers_to_the_last_whole_batch(void)
{
    struct scratch s;
    char command[256];
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 3, 40);
    append(s.log, 2, 2, 40);
    long whole = (long)stat_of(s.log).size_bytes;
    append(s.log, 3, 4, 40);
    long full = (long)stat_of(s.log).size_bytes;
    scratch_close(&s, LOG_UNCLEAN);
    shell(s.dir, "cp 00000000000000000000.log ../keep");
    for (long cut = whole; cut < full; cut++) {
        snprintf(command, sizeof command, "head -c %ld ../keep > 00000000000000000000.log", cut);
        shell(s.dir, command);
        for (int again = 0; again < 2; again++) {
            int64_t expected = again == 0 ? 5 : 7;
            scratch_open(&s);
            struct log_recovered r;
            log_recovered(s.log, &r);
            expect_eq(r.bytes_truncated, again == 0 ? cut - whole : 0);
            expect_eq(stat_of(s.log).end_offset, expected);
            expect_eq(look(s.log).batches, again == 0 ? 2 : 3);
            expect_eq(append(s.log, 9, 2, 40), expected);
            scratch_close(&s, LOG_UNCLEAN);
        }
    }
}

void test_a_flipped_byte_ends_the_log_there(void)
{
    struct scratch s;
    char command[256];
    scratch_init(&s);
    s.open.options.segment_bytes = 4000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 60; i++)
        append(s.log, i, 2, 100);
    struct store_stat before = stat_of(s.log);
    int found = 0;
    scratch_close(&s, LOG_UNCLEAN);
    shell(s.base, "cp -r t-0 keep");
    for (int at = 100; at < 3900; at += 400) {
        shell(s.base, "rm -rf t-0 && cp -r keep t-0");
        snprintf(command, sizeof command,
                 "f=$(ls *.log | sed -n 2p); printf '\\377\\377' | "
                 "dd of=$f bs=1 seek=%d conv=notrunc 2>/dev/null",
                 at);
        shell(s.dir, command);
        scratch_open(&s);
        struct log_recovered r;
        log_recovered(s.log, &r);
        struct store_stat after = stat_of(s.log);
        if (r.bytes_truncated > 0) {
            expect_eq(after.segment_count, 2);
            expect(after.end_offset < before.end_offset);
            found++;
        } /* else it hit a leader epoch, which no checksum covers */
        int64_t end = after.end_offset;
        look(s.log);
        expect_eq(append(s.log, 1, 2, 100), end);
        scratch_close(&s, LOG_UNCLEAN);
        scratch_open(&s);
        expect_eq(stat_of(s.log).end_offset, end + 2);
        look(s.log);
        scratch_close(&s, LOG_UNCLEAN);
    }
    expect(found >= 8);
}

/* With a recovery point at the end only the active segment is looked at. */
void test_recovery_begins_at_the_recovery_point(void)
{
    struct scratch s;
    struct log_recovered r;
    scratch_init(&s);
    s.open.options.segment_bytes = 4000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 60; i++)
        append(s.log, i, 2, 100);
    expect_eq(store_flush(log_store(s.log), &s.open.recovery_point), OUT_OK);
    expect_eq(s.open.recovery_point, 120);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    log_recovered(s.log, &r);
    expect_eq(r.segments_scanned, 1);
    expect_eq(stat_of(s.log).end_offset, 120);
    scratch_close(&s, LOG_CLEAN);
    scratch_open(&s);
    log_recovered(s.log, &r);
    expect_eq(r.segments_scanned, 0);
    expect_eq(stat_of(s.log).flushed_offset, 120);
    scratch_close(&s, LOG_CLEAN);
}

void test_lost_and_odd_indexes_are_built_again(void)
{
    static const char *const damages[] = {
        "rm -f *.index *.timeindex",
        "for f in *index; do truncate -s 5 $f; done",
        "for f in *.index; do printf 'aaaaaaaaaaaaaaaa' > $f; done",
        "for f in *.timeindex; do head -c 12 /dev/zero | tr '\\0' '\\377' > $f; done",
        "for f in *.index; do truncate -s 65536 $f; done; "
        "for f in *.timeindex; do truncate -s 65532 $f; done",
        "rm -f *.snapshot leader-epoch-checkpoint",
        "echo garbage > leader-epoch-checkpoint",
    };
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 9000;
    s.open.options.index_interval_bytes = 300;
    scratch_open(&s);
    for (uint32_t i = 0; i < 100; i++)
        append(s.log, i, 2, 100);
    scratch_close(&s, LOG_CLEAN);
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        shell(s.dir, damages[i]);
        scratch_open(&s);
        expect_eq(stat_of(s.log).end_offset, 200 + 2 * (int64_t)i);
        look(s.log);
        for (int64_t k = 0; k < 100; k += 9) {
            struct store_place p;
            struct store_view v;
            struct store_read r = {.offset = 2 * k + 1, .limit_offset = INT64_MAX, .max_bytes = 0};
            expect_eq(store_seek(log_store(s.log), NOW + k, &p), OUT_OK);
            expect_eq(p.offset, 2 * k);
            expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
            uint8_t *bytes = view_bytes(&v);
            expect_eq(get_be64(bytes), 2 * k);
            free(bytes);
            store_hold_drop(v.hold);
        }
        append(s.log, 7, 2, 100);
        scratch_close(&s, LOG_CLEAN);
    }
}

void test_half_done_deletions_and_swaps_are_finished(void)
{
    struct scratch s;
    scratch_init(&s);
    s.open.options.segment_bytes = 3000;
    scratch_open(&s);
    for (uint32_t i = 0; i < 50; i++)
        append(s.log, i, 2, 100);
    scratch_close(&s, LOG_CLEAN);
    /* A compaction had written the first two segments as one and was about to rename it. */
    shell(s.dir, "set -- *.log; cat $1 $2 > $1.swap; touch 00000000000000000000.index.swap "
                 "00000000000000000000.timeindex.swap; touch 00000000000000000077.log.deleted");
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 100);
    expect_eq(look(s.log).batches, 50);
    shell(s.dir, "test $(ls | grep -c -e swap -e deleted) -eq 0");
    int32_t segments = stat_of(s.log).segment_count;
    scratch_close(&s, LOG_CLEAN);
    /* This one was not whole: a .cleaned is still there. */
    shell(s.dir, "set -- *.log; head -c 100 $1 > $1.swap; touch 00000000000000000000.log.cleaned");
    scratch_open(&s);
    expect_eq(stat_of(s.log).segment_count, segments);
    expect_eq(look(s.log).batches, 50);
    shell(s.dir, "test $(ls | grep -c -e swap -e cleaned) -eq 0");
    scratch_close(&s, LOG_CLEAN);
}

void test_a_start_beyond_the_end_begins_anew(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 5, 10);
    scratch_close(&s, LOG_CLEAN);
    s.open.start_offset = 77;
    scratch_open(&s);
    expect_eq(stat_of(s.log).start_offset, 77);
    expect_eq(stat_of(s.log).end_offset, 77);
    expect_eq(append(s.log, 1, 5, 10), 77);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 82);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_clean_log_that_is_not_clean_is_recovered(void)
{
    struct scratch s;
    struct log_recovered r;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 5, 10);
    append(s.log, 1, 5, 10);
    scratch_close(&s, LOG_CLEAN);
    shell(s.dir, "truncate -s -3 00000000000000000000.log");
    scratch_open(&s);
    log_recovered(s.log, &r);
    expect(r.bytes_truncated > 0);
    expect_eq(stat_of(s.log).end_offset, 5);
    scratch_close(&s, LOG_CLEAN);
}

void test_zeros_of_a_preallocated_file_are_cut_off(void)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    append(s.log, 1, 5, 10);
    scratch_close(&s, LOG_UNCLEAN);
    shell(s.dir, "truncate -s 100000 00000000000000000000.log");
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 5);
    expect_eq(append(s.log, 1, 1, 10), 5);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 6);
    scratch_close(&s, LOG_CLEAN);
}

void test_an_empty_log_is_flushed_after_a_crash(void)
{
    struct scratch s;
    int64_t flushed;
    scratch_init(&s);
    scratch_open(&s);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s); /* there is no file of epochs, and none is to be waited for */
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect(!stat_of(s.log).offline);
    expect_eq(append(s.log, 1, 5, 10), 0);
    scratch_close(&s, LOG_CLEAN);
}

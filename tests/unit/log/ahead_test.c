/* SPDX-License-Identifier: MIT */
/* Disk space that is taken ahead of the end of the segment that is written to. */
#include "helper.h"

#include <errno.h>

#define SIZE_VALUE KiB(60)

static struct {
    off_t at[64], size[64];
    int count, error;
    bool write_fails;
} asked;

static int ask(int fd, off_t at, off_t size)
{
    (void)fd;
    expect(asked.count < (int)COUNT_OF(asked.at));
    asked.at[asked.count] = at;
    asked.size[asked.count++] = size;
    errno = asked.error;
    return asked.error == 0 ? 0 : -1;
}

static ssize_t full_pwrite(int fd, const void *from, size_t size, off_t at)
{
    if (!asked.write_fails)
        return pwrite(fd, from, size, at);
    errno = ENOSPC;
    return -1;
}

static struct log_io io;

static void start(struct scratch *s)
{
    memset(&asked, 0, sizeof asked);
    io = log_io_kernel;
    io.allocate_ahead = ask;
    io.pwrite = full_pwrite;
    scratch_init(s);
    s->open.io = &io;
}

static int64_t grow(struct scratch *s, uint64_t size)
{
    while (stat_of(s->log).size_bytes < (int64_t)size)
        append(s->log, 1, 1, SIZE_VALUE);
    return stat_of(s->log).size_bytes;
}

static int64_t blocks(const struct scratch *s, int64_t base)
{
    char path[400];
    struct stat st;
    snprintf(path, sizeof path, "%s/%020lld.log", s->dir, (long long)base);
    expect(stat(path, &st) == 0);
    return (int64_t)st.st_blocks * 512;
}

void test_small_segments_ask_for_nothing(void)
{
    struct scratch s;
    start(&s);
    scratch_open(&s);
    grow(&s, MiB(4));
    expect_eq(asked.count, 0);
    append(s.log, 1, 1, SIZE_VALUE);
    expect_eq(asked.count, 1);
    scratch_close(&s, LOG_CLEAN);
}

void test_steps_are_an_eighth_of_what_is_there(void)
{
    struct scratch s;
    start(&s);
    s.open.options.allocate_ahead_bytes = MiB(4);
    s.open.options.segment_bytes = MiB(60);
    scratch_open(&s);
    int64_t written = grow(&s, MiB(59));
    expect_eq(stat_of(s.log).segment_count, 1);
    expect(asked.count > 10 && asked.count < 30);
    for (int i = 0; i < asked.count; i++) {
        int64_t end = asked.at[i] + asked.size[i], step = MAX((int64_t)MiB(1), asked.at[i] / 8);
        if (i > 0) /* each goes on where the one before ended */
            expect_eq(asked.at[i], asked.at[i - 1] + asked.size[i - 1]);
        expect(end <= (int64_t)MiB(60));
        expect(end == (int64_t)MiB(60) || asked.size[i] >= MIN(step, (int64_t)MiB(4)));
        expect(asked.size[i] <= (int64_t)(MiB(4) + KiB(200)));
    }
    expect(asked.at[asked.count - 1] + asked.size[asked.count - 1] >= written);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_disk_without_space_is_not_asked_at_each_append(void)
{
    struct scratch s;
    start(&s);
    asked.error = ENOSPC;
    scratch_open(&s);
    grow(&s, MiB(16));
    expect(asked.count >= 6 && asked.count <= 14);
    scratch_close(&s, LOG_CLEAN);
}

void test_no_space_ahead_is_wanted(void)
{
    struct scratch s;
    start(&s);
    s.open.options.allocate_ahead_bytes = 0;
    scratch_open(&s);
    grow(&s, MiB(10));
    expect_eq(asked.count, 0);
    scratch_close(&s, LOG_CLEAN);
}

static off_t at_once;

static int take(int fd, off_t at, off_t size)
{
    (void)fd;
    expect_eq(at, 0);
    at_once = size;
    return 0;
}

/* Whoever wants a segment's space at once gets what there is, and nothing is taken ahead of it. */
void test_a_whole_segment_that_is_wanted_is_not_taken_ahead(void)
{
    struct scratch s;
    start(&s);
    io.allocate = take;
    s.open.options.preallocate = true;
    s.open.options.segment_bytes = MiB(8);
    scratch_open(&s);
    grow(&s, MiB(7));
    expect_eq(at_once, MiB(8));
    expect_eq(asked.count, 0);
    scratch_close(&s, LOG_CLEAN);
}

/* What is cut off behind a failed write was also what was taken. */
void test_after_a_failed_write_space_is_asked_for_again(void)
{
    struct scratch s;
    struct log_builder b;
    struct store_appended done;
    uint8_t *at;
    start(&s);
    scratch_open(&s);
    int64_t end = grow(&s, MiB(5));
    int before = asked.count;
    log_builder_init(&b, MiB(1));
    size_t size = build(&b, 1, 1, 100, &at);
    asked.write_fails = true;
    expect_eq(put(s.log, at, size, &done), OUT_NO_SPACE);
    asked.write_fails = false;
    size = build(&b, 1, 1, 100, &at);
    expect_eq(put(s.log, at, size, &done), OUT_OK);
    expect_eq(asked.count, before + 1);
    expect_eq(asked.at[before], end);
    log_builder_fini(&b);
    scratch_close(&s, LOG_CLEAN);
}

/* On the real file system: `end` is how the log came to its end. */
static void expect_given_back(enum log_shutdown end, bool roll)
{
    struct scratch s;
    scratch_init(&s);
    scratch_open(&s);
    int64_t size = grow(&s, MiB(11));
    if (blocks(&s, 0) < size + (int64_t)KiB(512))
        skip_case("this file system has no fallocate, or too little space");
    expect(blocks(&s, 0) <= size + (int64_t)MiB(2));
    if (roll)
        expect_eq(log_roll(s.log, NOW), OUT_OK);
    else
        scratch_close(&s, end);
    if (end == LOG_UNCLEAN) {
        expect(blocks(&s, 0) > size + (int64_t)KiB(512)); /* as it was left */
        scratch_open(&s);
    }
    expect(blocks(&s, 0) <= size + (int64_t)KiB(64));
    if (s.log != NULL)
        scratch_close(&s, LOG_CLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).size_bytes, size);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_clean_end_gives_back(void)
{
    expect_given_back(LOG_CLEAN, false);
}

void test_the_start_after_a_crash_gives_back(void)
{
    expect_given_back(LOG_UNCLEAN, false);
}

void test_a_segment_that_ends_gives_back(void)
{
    expect_given_back(LOG_CLEAN, true);
}

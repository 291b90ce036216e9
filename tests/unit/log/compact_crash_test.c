/* SPDX-License-Identifier: MIT */
/*
 * The disk dies at each file operation of a compaction in turn, once for good (as SIGKILL does:
 * what was done stays done, nothing further is), once for that operation only. Consumers must see
 * the same as before, from the log that was open as long as it is usable, and after the next
 * start; the compaction is then done again, to its end.
 */
#include "compact_model.h"

#include <errno.h>

static struct {
    int64_t operations, at; /* at: the one that fails, -1 none */
    bool for_good;
} fault = {.at = -1};

static bool fails(void)
{
    int64_t n = fault.operations++;
    bool bad = fault.at >= 0 && (n == fault.at || (fault.for_good && n > fault.at));
    if (bad)
        errno = EIO;
    return bad;
}

static int faulty_open(const char *path, int flags, unsigned mode)
{
    return (flags & O_CREAT) != 0 && fails() ? -1 : open(path, flags, mode);
}

static ssize_t faulty_pwrite(int fd, const void *from, size_t size, off_t at)
{
    if (!fails())
        return pwrite(fd, from, size, at);
    ssize_t put = fault.operations == fault.at + 1 ? pwrite(fd, from, size / 2, at) : 0;
    errno = put < 0 ? errno : EIO;
    return -1; /* a part is there */
}

/* The kernel goes on: nothing has to reach the disk. */
static int faulty_sync(int fd)
{
    return fd < 0 || fails() ? -1 : 0;
}

static int faulty_write_out(int fd, off_t at, off_t size)
{
    return at < 0 || size <= 0 ? -1 : faulty_sync(fd);
}

static int faulty_ftruncate(int fd, off_t size)
{
    return fails() ? -1 : ftruncate(fd, size);
}

static int faulty_rename(const char *from, const char *to)
{
    return fails() ? -1 : rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return fails() ? -1 : unlink(path);
}

static struct log_io io;
static struct model m, before;

/* A log with a clean and a dirty part, aborted transactions and old tombstones; its directory is
 * kept aside. */
static void prepare(uint64_t seed)
{
    struct log_compacted done;
    if (access("/dev/shm", W_OK) == 0) /* thousands of small files */
        setenv("TMPDIR", "/dev/shm", 0);
    io = log_io_kernel;
    io.open = faulty_open;
    io.pwrite = faulty_pwrite;
    io.fdatasync = io.fsync = faulty_sync;
    io.write_out = faulty_write_out;
    io.ftruncate = faulty_ftruncate;
    io.rename = faulty_rename;
    io.unlink = faulty_unlink;
    random_state = seed * 0x9e3779b97f4a7c15u;
    model_init(&m);
    m.s.open.io = &io;
    m.s.open.options.segment_bytes = 3000;
    scratch_open(&m.s);
    for (int i = 0; i < 120; i++) {
        int who = (int)random_below(PRODUCERS);
        m.now_ms += (int64_t)random_below(20);
        model_append(&m, random_below(3) == 0 ? -1 : who);
        if (random_below(5) == 0)
            model_end_txn(&m, who, random_below(2) ? LOG_MARKER_ABORT : LOG_MARKER_COMMIT);
        if (i == 40 || i == 65) {
            for (int k = 0; k < PRODUCERS; k++)
                model_end_txn(&m, k, LOG_MARKER_ABORT);
            expect_eq(model_compact(&m, 1000, &done), OUT_OK);
            m.now_ms += 3000;
        }
    }
    for (int k = 0; k < PRODUCERS; k++)
        model_end_txn(&m, k, LOG_MARKER_COMMIT);
    expect_eq(log_roll(m.s.log, m.now_ms), OUT_OK);
    model_verify(&m);
    m.s.open.recovery_point = m.end;
    scratch_close(&m.s, LOG_CLEAN);
    shell(m.s.base, "cp -a t-0 template");
    before = m;
}

static void again(void)
{
    shell(before.s.base, "rm -rf t-0 && cp -a template t-0");
    m = before;
    fault.operations = 0;
}

/* Whatever happened: a start, all as before; a whole pass; another start. */
static void finish(int64_t at)
{
    struct log_compacted done;
    m.s.open.recovery_point = at % 3 == 0 ? 0 : m.end;
    scratch_open(&m.s);
    model_verify(&m);
    expect_eq(model_compact(&m, 1000, &done), OUT_OK);
    expect_eq(m.first_dirty, m.end);
    model_verify(&m);
    scratch_close(&m.s, at % 2 == 0 ? LOG_CLEAN : LOG_UNCLEAN);
    shell(m.s.dir, "test -z \"$(ls | grep -E 'swap|cleaned')\"");
    scratch_open(&m.s);
    model_verify(&m);
    for (int k = 0; k < PRODUCERS; k++)
        model_again(&m, k);
    model_append(&m, -1);
    scratch_close(&m.s, LOG_CLEAN);
}

/* How many operations a compaction of the prepared log takes. */
static int64_t count_operations(void)
{
    struct log_compacted done;
    again();
    scratch_open(&m.s);
    fault.operations = 0;
    expect_eq(model_compact(&m, 1000, &done), OUT_OK);
    int64_t n = fault.operations;
    expect(done.segments_after < done.segments_before);
    scratch_close(&m.s, LOG_UNCLEAN);
    return n;
}

static void break_at(int64_t at, bool for_good)
{
    struct log_compacted done;
    again();
    scratch_open(&m.s);
    for (int64_t i = 0; i < m.end; i++)
        if (m.records[i].cleaned_ms == 0)
            m.records[i].cleaned_ms = m.now_ms;
    fault.at = at;
    fault.operations = 0;
    fault.for_good = for_good;
    enum outcome o = model_compact(&m, 1000, &done);
    fault.at = -1;
    if (o == OUT_OK) /* only what tidies up was hit */
        expect(!for_good || fault.operations <= at + 16);
    if (!stat_of(m.s.log).offline && !for_good)
        model_verify(&m);
    m.s.open.was = LOG_UNCLEAN;
    expect_eq(log_close(&m.s.log, LOG_UNCLEAN), OUT_OK);
    finish(at);
}

void test_killed_at_any_operation(void)
{
    prepare(1);
    int64_t n = count_operations();
    printf("# %lld operations\n", (long long)n);
    for (int64_t i = 0; i < n; i++)
        break_at(i, true);
}

void test_any_operation_fails(void)
{
    prepare(2);
    int64_t n = count_operations();
    for (int64_t i = 0; i < n; i++)
        break_at(i, false);
}

/* SPDX-License-Identifier: MIT */
/* Disks that fail: short writes, no space, errors on write, flush, truncate, rename. */
#include "helper.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

static struct {
    int64_t write_budget; /* bytes until writes fail, -1: never */
    int write_error;
    int fdatasync_error, ftruncate_error, open_error, fsync_error;
    int pwrites, syncs;
    size_t write_most; /* a write takes at most so many bytes */
} fault;

static ssize_t faulty_pwrite(int fd, const void *from, size_t size, off_t at)
{
    fault.pwrites++;
    if (fault.write_most != 0 && size > fault.write_most)
        size = fault.write_most;
    if (fault.write_budget >= 0) {
        if (fault.write_budget == 0) {
            errno = fault.write_error;
            return -1;
        }
        size = MIN(size, (size_t)fault.write_budget);
        fault.write_budget -= (int64_t)size;
    }
    return pwrite(fd, from, size, at);
}

static int failing(int error)
{
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

static int faulty_fdatasync(int fd)
{
    fault.syncs++;
    return failing(fault.fdatasync_error) != 0 ? -1 : fdatasync(fd);
}

static int faulty_fsync(int fd)
{
    return failing(fault.fsync_error) != 0 ? -1 : fsync(fd);
}

static int faulty_ftruncate(int fd, off_t size)
{
    return failing(fault.ftruncate_error) != 0 ? -1 : ftruncate(fd, size);
}

static int faulty_open(const char *path, int flags, unsigned mode)
{
    return failing(fault.open_error) != 0 ? -1 : open(path, flags, mode);
}

static struct log_io io;

static void start(struct scratch *s)
{
    memset(&fault, 0, sizeof fault);
    fault.write_budget = -1;
    io = log_io_kernel;
    io.pwrite = faulty_pwrite;
    io.fdatasync = faulty_fdatasync;
    io.fsync = faulty_fsync;
    io.ftruncate = faulty_ftruncate;
    io.open = faulty_open;
    scratch_init(s);
    s->open.io = &io;
    scratch_open(s);
}

static enum outcome try_append(struct scratch *s, struct store_appended *done)
{
    static struct log_builder b = {.limit = MiB(64), .size = LOG_BATCH_HEADER};
    uint8_t *at;
    size_t size = build(&b, 5, 3, 100, &at);
    return put(s->log, at, size, done);
}

void test_short_writes_are_continued(void)
{
    struct scratch s;
    struct store_appended done;
    start(&s);
    fault.write_most = 17;
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.write_most = 0;
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 6);
    scratch_close(&s, LOG_CLEAN);
}

void test_one_write_call_an_append(void)
{
    struct scratch s;
    struct store_appended done;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK); /* notes the leader epoch too */
    fault.pwrites = 0;
    for (int i = 0; i < 10; i++)
        expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(fault.pwrites, 10);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_full_disk_refuses_and_resumes(void)
{
    struct scratch s;
    struct store_appended done;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK);
    int64_t size = stat_of(s.log).size_bytes;
    for (int64_t left = 0; left < size; left += 13) {
        fault.write_budget = left; /* a part is written, then nothing more */
        fault.write_error = ENOSPC;
        expect_eq(try_append(&s, &done), OUT_NO_SPACE);
        expect(done.base_offset == -1 && done.log_append_time_ms == -1);
        struct store_stat st = stat_of(s.log);
        expect(!st.offline);
        expect_eq(st.end_offset, 3);
        expect_eq(st.size_bytes, size);
        shell(s.dir, "true");
        struct stat on_disk;
        char path[400];
        snprintf(path, sizeof path, "%s/00000000000000000000.log", s.dir);
        expect(stat(path, &on_disk) == 0);
        expect_eq(on_disk.st_size, size);
        struct store_view v; /* reads go on */
        struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1 << 20};
        expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
        expect_eq(v.size, size);
        store_hold_drop(v.hold);
    }
    fault.write_budget = -1;
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(done.base_offset, 3);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 6);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_full_disk_at_a_roll_refuses_and_resumes(void)
{
    struct scratch s;
    struct store_appended done;
    start(&s);
    struct log_options o = s.open.options;
    o.segment_bytes = 600;
    expect_eq(log_configure(s.log, &o), OUT_OK);
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.open_error = ENOSPC;
    expect_eq(try_append(&s, &done), OUT_NO_SPACE);
    expect(!stat_of(s.log).offline);
    expect_eq(stat_of(s.log).segment_count, 1);
    fault.open_error = 0;
    fault.write_budget = 0; /* files can be made, the snapshot cannot be written */
    fault.write_error = ENOSPC;
    expect_eq(try_append(&s, &done), OUT_NO_SPACE);
    expect_eq(stat_of(s.log).segment_count, 1);
    shell(s.dir, "test $(ls *.log | wc -l) -eq 1");
    fault.write_budget = -1;
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(done.base_offset, 3);
    expect_eq(stat_of(s.log).segment_count, 2);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_write_error_takes_the_log_offline(void)
{
    struct scratch s;
    struct store_appended done;
    int64_t flushed;
    int32_t deleted;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.write_budget = 50;
    fault.write_error = EIO;
    expect_eq(try_append(&s, &done), OUT_IO);
    fault.write_budget = -1;
    expect(stat_of(s.log).offline);
    expect_eq(try_append(&s, &done), OUT_OFFLINE);
    expect_eq(done.log_start_offset, -1);
    struct store_view v;
    struct store_read r = {.limit_offset = INT64_MAX, .max_bytes = 1 << 20};
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OFFLINE);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OFFLINE);
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OFFLINE);
    expect_eq(log_roll(s.log, NOW), OUT_OFFLINE);
    expect_eq(log_epoch_begin(s.log, 9), OUT_OFFLINE);
    expect_eq(log_close(&s.log, LOG_CLEAN), OUT_OFFLINE);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 3);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_failed_cut_after_a_failed_write_takes_the_log_offline(void)
{
    struct scratch s;
    struct store_appended done;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.write_budget = 50;
    fault.write_error = ENOSPC;
    fault.ftruncate_error = EIO;
    expect_eq(try_append(&s, &done), OUT_OFFLINE);
    fault.ftruncate_error = 0;
    fault.write_budget = -1;
    expect_eq(try_append(&s, &done), OUT_OFFLINE);
    expect_eq(log_close(&s.log, LOG_UNCLEAN), OUT_OK);
    s.open.was = LOG_UNCLEAN;
    scratch_open(&s); /* recovery cuts the half batch off */
    expect_eq(stat_of(s.log).end_offset, 3);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(done.base_offset, 3);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_failed_flush_is_final(void)
{
    struct scratch s;
    struct store_appended done;
    int64_t flushed;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(flushed, 3);
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.fdatasync_error = EIO;
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OFFLINE);
    expect_eq(flushed, 3);
    fault.fdatasync_error = 0; /* the kernel may have dropped the pages: a retry would lie */
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OFFLINE);
    expect_eq(flushed, 3);
    expect_eq(try_append(&s, &done), OUT_OFFLINE);
    expect_eq(log_close(&s.log, LOG_CLEAN), OUT_OFFLINE);
}

void test_a_flush_with_nothing_to_do_calls_nothing(void)
{
    struct scratch s;
    struct store_appended done;
    int64_t flushed;
    start(&s);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    int syncs = fault.syncs;
    for (int i = 0; i < 5; i++)
        expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(fault.syncs, syncs);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(fault.syncs, syncs + 1);
    expect_eq(flushed, 6);
    scratch_close(&s, LOG_CLEAN);
}

void test_a_directory_that_cannot_be_written_is_told(void)
{
    struct scratch s;
    start(&s);
    scratch_close(&s, LOG_CLEAN);
    fault.open_error = EACCES;
    expect_eq(log_open(&s.open, &s.log), OUT_NO_ACCESS);
    expect(strstr(outcome_trail(), s.dir) != NULL);
    fault.open_error = EMFILE;
    expect_eq(log_open(&s.open, &s.log), OUT_NO_FILES);
    expect(s.log == NULL);
    fault.open_error = 0;
    s.open.path = "/nonexistent/t-0";
    expect_eq(log_open(&s.open, &s.log), OUT_NOT_FOUND);
    char long_path[2000];
    memset(long_path, 'x', sizeof long_path);
    long_path[1999] = '\0';
    s.open.path = long_path;
    expect_eq(log_open(&s.open, &s.log), OUT_TOO_LARGE);
}

void test_a_full_disk_delays_epochs_and_indexes_but_loses_nothing(void)
{
    struct scratch s;
    struct store_appended done;
    struct store_place p;
    int64_t flushed;
    start(&s);
    struct log_options o = s.open.options;
    o.segment_bytes = 600;
    expect_eq(log_configure(s.log, &o), OUT_OK);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(try_append(&s, &done), OUT_OK); /* rolls: the first segment waits for its index */
    fault.write_budget = 0;
    fault.write_error = ENOSPC;
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(flushed, 6);
    expect_eq(log_epoch_begin(s.log, 7), OUT_OK);
    expect_eq(log_epoch_latest(s.log), 7);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK); /* it has no records to lose */
    fault.write_budget = -1;
    expect_eq(try_append(&s, &done), OUT_OK);
    fault.write_budget = 0;
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_NO_SPACE);
    expect_eq(flushed, 6);
    expect(!stat_of(s.log).offline);
    shell(s.dir, "test ! -e 00000000000000000000.timeindex"); /* not half an index */
    s.open.recovery_point = 6; /* a crash now: the segment is trusted, its index built again */
    scratch_close(&s, LOG_UNCLEAN);
    fault.write_budget = -1;
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 9);
    expect_eq(store_seek(log_store(s.log), NOW, &p), OUT_OK);
    expect_eq(p.offset, 0);
    expect_eq(log_epoch_begin(s.log, 8), OUT_OK);
    expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    scratch_close(&s, LOG_CLEAN);
    shell(s.dir, "grep -q '^8 9$' leader-epoch-checkpoint");
}

/* A file system of 300 KiB, really full. */
void test_a_small_file_system_fills_up_and_resumes(void)
{
    struct scratch s;
    struct store_appended done;
    int64_t flushed;
    int appended = 0;
    enum outcome o;
    scratch_init(&s);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", s.base, "tmpfs", 0, "size=300k") != 0)
        skip_case("mounting needs privileges");
    s.open.options.segment_bytes = 40000;
    shell(s.base, "head -c 100000 /dev/zero > filler");
    scratch_open(&s);
    while ((o = try_append(&s, &done)) == OUT_OK)
        appended++;
    expect_eq(o, OUT_NO_SPACE);
    expect(appended > 100);
    for (int i = 0; i < 20; i++)
        expect_eq(try_append(&s, &done), OUT_NO_SPACE);
    struct store_stat st = stat_of(s.log);
    expect(!st.offline);
    expect_eq(st.end_offset, 3 * appended);
    o = store_flush(log_store(s.log), &flushed);
    expect(o == OUT_OK || o == OUT_NO_SPACE);
    struct store_view v;
    struct store_read r = {.offset = st.end_offset - 1, .limit_offset = INT64_MAX, .max_bytes = 1};
    expect_eq(store_read(log_store(s.log), &r, &v), OUT_OK);
    store_hold_drop(v.hold);
    shell(s.base, "rm filler");
    for (int i = 0; i < 20; i++)
        expect_eq(try_append(&s, &done), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s);
    expect_eq(stat_of(s.log).end_offset, 3 * (appended + 20));
    scratch_close(&s, LOG_CLEAN);
    expect(umount2(s.base, MNT_DETACH) == 0);
}

/* SPDX-License-Identifier: MIT */
/* House-keeping beside clients: what waits for the disk or its journal does not hold up appends. */
#include "helper.h"

#include "log/partition.h"

static struct log_io io;
static struct log *watched;
static int names, syncs, unlinks, held;
static int s_context;
static bool asked_to_lend, lending; /* names change only in what was lent */
static int strays, lent, bites, refuse;

/* Whether an append could go on at this moment. */
static void look(void)
{
    if (watched == NULL)
        return;
    if (pthread_mutex_trylock(&watched->append_lock) == 0)
        pthread_mutex_unlock(&watched->append_lock);
    else
        held++;
}

static int count_rename(const char *from, const char *to)
{
    look();
    strays += asked_to_lend && !lending;
    names++;
    return log_io_kernel.rename(from, to);
}

static int count_unlink(const char *path)
{
    look();
    names++;
    unlinks++;
    return log_io_kernel.unlink(path);
}

static int count_fdatasync(int fd)
{
    look();
    syncs++;
    return log_io_kernel.fdatasync(fd);
}

static int count_fsync(int fd) /* of directories */
{
    look();
    strays += asked_to_lend && !lending;
    syncs++;
    return log_io_kernel.fsync(fd);
}

/* The last to close a deleted file empties it. */
static int look_at_close(int fd)
{
    if (unlinks > 0)
        look();
    return log_io_kernel.close(fd);
}

static void begin(struct scratch *s, int segments)
{
    int64_t flushed;
    scratch_init(s);
    io = log_io_kernel;
    io.rename = count_rename;
    io.unlink = count_unlink;
    io.fdatasync = count_fdatasync;
    io.fsync = count_fsync;
    io.close = look_at_close;
    s->open.io = &io;
    s->open.options.file_delete_delay_ms = 0;
    scratch_open(s);
    expect_eq(log_epoch_begin(s->log, 3), OUT_OK);
    for (int i = 0; i < segments; i++) {
        append(s->log, (uint32_t)i, 20, 100);
        expect_eq(log_roll(s->log, NOW), OUT_OK);
    }
    append(s->log, 99, 20, 100);
    expect_eq(store_flush(log_store(s->log), &flushed), OUT_OK);
    expect_eq(flushed, 20 * (segments + 1));
}

static void watch(struct log *l)
{
    watched = l;
    names = syncs = unlinks = held = 0;
}

void test_retention_changes_names_beside_appends(void)
{
    struct scratch s;
    int32_t deleted;
    begin(&s, 5);
    s.open.options.retention_bytes = 1;
    expect_eq(log_configure(s.log, &s.open.options), OUT_OK);
    watch(s.log);
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OK);
    expect_eq(deleted, 5);
    expect(names >= 5 * 2); /* at least the .log of each, to .deleted and away */
    expect_eq(held, 0);
    watch(NULL);
    expect_eq(stat_of(s.log).start_offset, 100);
    scratch_close(&s, LOG_UNCLEAN);
}

/* Whoever waits for the disk waits for records, not for what was deleted. */
void test_a_flush_after_retention_is_one_sync(void)
{
    struct scratch s;
    int32_t deleted;
    int64_t flushed;
    begin(&s, 5);
    s.open.options.retention_bytes = 1;
    expect_eq(log_configure(s.log, &s.open.options), OUT_OK);
    expect_eq(log_retain(s.log, NOW, &deleted), OUT_OK);
    expect_eq(deleted, 5);
    append(s.log, 100, 20, 100);
    watch(s.log);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(flushed, 140);
    expect_eq(syncs, 1);
    expect_eq(held, 0);
    watch(NULL);
    scratch_close(&s, LOG_UNCLEAN);
    scratch_open(&s); /* the epochs that retention cut are cut again */
    expect_eq(stat_of(s.log).start_offset, 100);
    expect_eq(log_epoch_at(s.log, 100), 3);
    int32_t found;
    int64_t end;
    log_epoch_end(s.log, 3, &found, &end);
    expect_eq(found, 3);
    expect_eq(end, 140);
    append(s.log, 101, 20, 100); /* what is saved next is saved whole */
    scratch_close(&s, LOG_CLEAN);
    shell(s.dir, "grep -qx '3 100' leader-epoch-checkpoint");
}

/* Segments of which one brings the keys of another again. */
static void begin_compacted(struct scratch *s)
{
    begin(s, 3);
    append(s->log, 0, 20, 100);
    expect_eq(log_roll(s->log, NOW), OUT_OK);
    append(s->log, 98, 20, 100);
    s->open.options.cleanup_compact = true;
    s->open.options.cleanup_delete = false;
    expect_eq(log_configure(s->log, &s->open.options), OUT_OK);
    watch(s->log);
}

void test_compaction_waits_for_the_disk_beside_appends(void)
{
    struct scratch s;
    struct log_dirt d;
    struct log_compacted done;
    begin_compacted(&s);
    expect_eq(log_dirt(s.log, 0, NOW, &d), OUT_OK);
    struct log_compact what = {.first_dirty = 0, .end = d.end, .now_ms = NOW,
                               .key_bytes = MiB(1), .key_load = 0.9, .ttl_ms = -1};
    expect_eq(log_compact(s.log, &what, &done), OUT_OK);
    expect(done.records_kept < done.records_read);
    expect(syncs > 0 && names > 0);
    expect_eq(held, 0);
    watch(NULL);
    scratch_close(&s, LOG_CLEAN);
}

static enum outcome lend(void *context, enum outcome (*work)(void *arg), void *arg)
{
    expect(context == &s_context && !lending);
    lending = true;
    enum outcome o = lent == refuse ? OUT_NO_MEMORY : work(arg);
    lent++;
    lending = false;
    return o;
}

/* Between two pieces of work, a pass holds nothing that clients, flushes or retention wait for. */
static bool holds_nothing(void *context, size_t bytes)
{
    pthread_mutex_t *const locks[] = {&watched->flush_lock, &watched->layout_lock,
                                      &watched->append_lock, &watched->open_lock};
    expect(context == &s_context && bytes > 0 && !lending);
    bites++;
    for (size_t i = 0; i < COUNT_OF(locks); i++) {
        expect_eq(pthread_mutex_trylock(locks[i]), 0);
        pthread_mutex_unlock(locks[i]);
    }
    return true;
}

static enum outcome compact_lending(struct scratch *s, struct log_compacted *done)
{
    struct log_dirt d;
    expect_eq(log_dirt(s->log, 0, NOW, &d), OUT_OK);
    struct log_compact what = {.first_dirty = 0, .end = d.end, .now_ms = NOW,
                               .key_bytes = MiB(1), .key_load = 0.9, .ttl_ms = -1,
                               .go_on = holds_nothing, .lend = lend, .context = &s_context};
    asked_to_lend = true;
    lent = bites = strays = 0;
    enum outcome o = log_compact(s->log, &what, done);
    asked_to_lend = false;
    return o;
}

void test_what_takes_locks_is_lent(void)
{
    struct scratch s;
    struct log_compacted done;
    begin_compacted(&s);
    refuse = -1;
    expect_eq(compact_lending(&s, &done), OUT_OK);
    expect(done.records_kept < done.records_read);
    expect(lent >= 5 && bites > 0 && names > 0);
    expect_eq(strays, 0);
    expect_eq(held, 0);
    watch(NULL);
    scratch_close(&s, LOG_CLEAN);
}

/* Whatever can't be lent, the log is as good as before, and the next pass does it all. */
void test_a_refused_loan_ends_the_pass(void)
{
    struct scratch s;
    struct log_compacted done;
    for (int at = 0; at < 5; at++) {
        begin_compacted(&s);
        refuse = at;
        expect_eq(compact_lending(&s, &done), OUT_NO_MEMORY);
        expect(!stat_of(s.log).offline);
        expect_eq(stat_of(s.log).end_offset, 120);
        refuse = -1;
        expect_eq(compact_lending(&s, &done), OUT_OK);
        watch(NULL);
        scratch_close(&s, LOG_CLEAN);
        shell(s.dir, "test -z \"$(ls | grep -E 'swap|cleaned')\"");
        scratch_end();
    }
}

/* An epoch costs files nothing before it has records, and is on disk with the first of them. */
void test_an_epoch_is_saved_with_its_first_records(void)
{
    struct scratch s;
    int64_t flushed;
    begin(&s, 1); /* 40 records of epoch 3, flushed */
    watch(s.log);
    expect_eq(log_epoch_begin(s.log, 4), OUT_OK);
    expect_eq(log_epoch_begin(s.log, 5), OUT_OK);
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(names, 0);
    expect_eq(syncs, 0);
    append(s.log, 7, 20, 100);
    expect_eq(log_epoch_begin(s.log, 6), OUT_OK); /* one that never has any */
    expect_eq(store_flush(log_store(s.log), &flushed), OUT_OK);
    expect_eq(flushed, 60);
    expect_eq(names, 1);
    watch(NULL);
    scratch_close(&s, LOG_UNCLEAN);
    shell(s.dir, "grep -qx '3 0' leader-epoch-checkpoint");
    shell(s.dir, "grep -qx '5 40' leader-epoch-checkpoint");
    s.open.recovery_point = 60;
    scratch_open(&s);
    expect_eq(log_epoch_at(s.log, 39), 3);
    expect_eq(log_epoch_at(s.log, 40), 5);
    expect_eq(log_epoch_latest(s.log), 5);
    scratch_close(&s, LOG_CLEAN);
}

/* SPDX-License-Identifier: MIT */
/* The store of the metadata: a fresh directory, coming back to it, torn tails, snapshots. */
#include "helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

static int32_t epoch_of(struct meta *m, const char *topic)
{
    const struct meta_topic *t = meta_topic(meta_newest(m), bytes_of(topic));
    expect(t != NULL);
    return t->partitions[0].leader_epoch;
}

void test_a_fresh_directory_gets_everything(void)
{
    const char *dir = scratch();
    struct meta *m = open_dir(dir);
    const struct meta_image *i = meta_newest(m);
    expect_eq(i->topic_count, 0);
    expect_eq(i->feature_count, 6);
    expect_eq(i->broker_count, 1);
    expect_eq(i->cluster_id.size, UUID_TEXT_SIZE - 1);
    expect_eq(i->broker_epoch, 8); /* LeaderChange, six features, one setting, then the broker */
    const struct meta_broker *b = meta_broker(i, 1);
    expect(b != NULL && !b->fenced);
    expect_eq(b->epoch, i->broker_epoch);
    expect_eq(b->endpoints[0].port, 9092);
    expect(bytes_is(b->endpoints[0].host, "localhost"));
    const struct meta_configs *c = meta_configs(i, 4, bytes_of(""));
    expect(c != NULL && bytes_is(c->pairs[0].name, "min.insync.replicas"));
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(shell("cd \"$A\"; test -s meta.properties; test -s bootstrap.checkpoint;"
                    "grep -q '\"leaderEpoch\":1' __cluster_metadata-0/quorum-state;"
                    "grep -q AAAAAAAAAAAAAAAAAAAAAQ __cluster_metadata-0/partition.metadata",
                    dir, ""), 0);
}

void test_a_configured_cluster_id(void)
{
    struct meta_options o = options(scratch());
    o.cluster_id = "the-cluster";
    struct meta *m = open_with(&o);
    expect(bytes_is(meta_newest(m)->cluster_id, "the-cluster"));
    expect_eq(meta_close(&m), OUT_OK);
    o.cluster_id = "";
    m = open_with(&o);
    expect(bytes_is(meta_newest(m)->cluster_id, "the-cluster"));
    expect_eq(meta_close(&m), OUT_OK);
    o.cluster_id = "another";
    expect_eq(meta_open(&o, &m), OUT_INVALID);
    expect(strstr(outcome_trail(), "belongs to cluster the-cluster, not another") != NULL);
}

void test_foreign_directories_are_refused(void)
{
    struct meta_options o = options(scratch());
    struct meta *m = open_with(&o);
    expect_eq(meta_close(&m), OUT_OK);
    o.node_id = 2;
    expect_eq(meta_open(&o, &m), OUT_INVALID);
    expect(strstr(outcome_trail(), "belongs to broker 1, not 2") != NULL);
    expect(m == NULL);
    o.node_id = 1;
    expect_eq(shell("rm \"$A\"/meta.properties", o.dir, ""), 0);
    expect_eq(meta_open(&o, &m), OUT_INVALID);
    expect(strstr(outcome_trail(), "no meta.properties") != NULL);
}

void test_everything_is_there_again(void)
{
    struct meta_options o = options(scratch());
    struct arena arena;
    arena_init(&arena, MiB(64));
    struct meta *m = open_with(&o);
    struct uuid id = create(m, "one", 3);
    create(m, "two", 1);
    set_config(m, "one", "retention.ms", "5");
    set_config(m, "one", "cleanup.policy", "compact");
    set_config(m, "one", "cleanup.policy", NULL);
    struct meta_change change;
    meta_change_init(&change);
    expect_eq(meta_plan_producer_ids(meta_newest(m), 1, 1000, &change), OUT_OK);
    commit(m, &change);
    struct bytes before = image_text(meta_newest(m), true, &arena);
    expect_eq(meta_close(&m), OUT_OK);

    o.clean = true;
    m = open_with(&o);
    struct bytes after = image_text(meta_newest(m), true, &arena);
    expect(bytes_equal(before, after));
    const struct meta_topic *t = meta_topic_by_id(meta_newest(m), &id);
    expect(t != NULL && bytes_is(t->name, "one"));
    expect_eq(meta_newest(m)->next_producer_id, 1000);
    expect_eq(meta_close(&m), OUT_OK);
    arena_fini(&arena);
}

void test_leader_epochs_rise_after_an_unclean_stop_only(void)
{
    struct meta_options o = options(scratch());
    struct meta *m = open_with(&o);
    create(m, "t", 2);
    expect_eq(epoch_of(m, "t"), 0);
    expect_eq(meta_close(&m), OUT_OK);
    for (int i = 1; i < 4; i++) {
        m = open_with(&o);
        expect_eq(epoch_of(m, "t"), i);
        expect_eq(meta_close(&m), OUT_OK);
    }
    o.clean = true;
    m = open_with(&o);
    expect_eq(epoch_of(m, "t"), 3);
    expect_eq(meta_close(&m), OUT_OK);
}

static void delete(struct meta *m, const char *name)
{
    struct meta_change change;
    meta_change_init(&change);
    expect_eq(meta_plan_delete(meta_topic(meta_newest(m), bytes_of(name)), &change), OUT_OK);
    commit(m, &change);
}

void test_a_deleted_topic_takes_its_settings_along(void)
{
    struct meta_options o = options(scratch());
    struct meta *m = open_with(&o);
    struct uuid id = create(m, "t", 1);
    set_config(m, "t", "retention.ms", "5");
    const struct meta_image *old = meta_image_hold(meta_newest(m));
    delete(m, "t");
    expect(meta_topic(meta_newest(m), bytes_of("t")) == NULL);
    expect(meta_topic_by_id(meta_newest(m), &id) == NULL);
    expect(meta_configs(meta_newest(m), 2, bytes_of("t")) == NULL);
    expect(meta_topic(old, bytes_of("t")) != NULL); /* who holds the old image still has it */
    meta_image_drop(old);
    struct uuid again = create(m, "t", 1);
    expect(!uuid_equal(&id, &again));
    expect_eq(meta_close(&m), OUT_OK);
    m = open_with(&o);
    expect(meta_topic_by_id(meta_newest(m), &again) != NULL);
    expect(meta_configs(meta_newest(m), 2, bytes_of("t")) == NULL);
    expect_eq(meta_close(&m), OUT_OK);
}

static long log_size(const char *dir)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/__cluster_metadata-0/00000000000000000000.log", dir);
    expect(stat(path, &st) == 0);
    return (long)st.st_size;
}

/* A power cut anywhere in the last commit leaves what was committed before it. */
void test_a_torn_tail_at_every_byte(void)
{
    const char *dir = scratch();
    struct meta_options o = options(dir);
    char whole[300], torn[300], path[600];
    struct meta *m = open_with(&o);
    create(m, "first", 1);
    long before = log_size(dir);
    create(m, "second", 2);
    long after = log_size(dir);
    expect_eq(meta_close(&m), OUT_OK);
    snprintf(whole, sizeof whole, "%s-whole", dir);
    snprintf(torn, sizeof torn, "%s-torn", dir);
    expect_eq(shell("rm -rf \"$B\"; cp -r \"$A\" \"$B\"", dir, whole), 0);
    for (long size = before; size <= after; size += size + 40 < after ? 7 : 1) {
        expect_eq(shell("rm -rf \"$B\"; cp -r \"$A\" \"$B\"", whole, torn), 0);
        snprintf(path, sizeof path, "%s/__cluster_metadata-0/00000000000000000000.log", torn);
        expect(truncate(path, size) == 0);
        o.dir = torn;
        m = open_with(&o);
        expect(meta_topic(meta_newest(m), bytes_of("first")) != NULL);
        expect_eq(meta_topic(meta_newest(m), bytes_of("second")) != NULL, size == after);
        create(m, "third", 1);
        expect_eq(meta_close(&m), OUT_OK);
        m = open_with(&o);
        expect(meta_topic(meta_newest(m), bytes_of("third")) != NULL);
        expect_eq(epoch_of(m, "first"), 2);
        expect_eq(meta_close(&m), OUT_OK);
    }
    expect_eq(shell("rm -rf \"$A\" \"$B\"", whole, torn), 0);
}

/* ---- snapshots ---- */

static int files_like(const char *dir, const char *end)
{
    char path[300];
    int count = 0;
    struct dirent *e;
    snprintf(path, sizeof path, "%s/__cluster_metadata-0", dir);
    DIR *d = opendir(path);
    expect(d != NULL);
    while ((e = readdir(d)) != NULL) {
        size_t size = strlen(e->d_name), tail = strlen(end);
        count += size > tail && strcmp(e->d_name + size - tail, end) == 0;
    }
    closedir(d);
    return count;
}

/* A record of a type that nobody knows, and one that only other rooms know. */
static void commit_odd(struct meta *m)
{
    static const uint8_t unknown[] = {1, 0xe7, 0x07, 0, 'x', 'y', 'z'}; /* type 999 */
    struct meta_change change;
    struct user_scram_credential_record r;
    wire_defaults(&wire_user_scram_credential_record, &r);
    r.name = bytes_of("alice");
    r.mechanism = 1;
    r.salt = bytes_of("salt");
    r.stored_key = bytes_of("stored");
    r.server_key = bytes_of("server");
    r.iterations = 4096;
    meta_change_init(&change);
    expect_eq(meta_change_add_framed(&change, bytes_view(unknown, sizeof unknown)), OUT_OK);
    expect_eq(meta_change_add(&change, &wire_user_scram_credential_record, 0, &r), OUT_OK);
    commit(m, &change);
}

void test_snapshots_replace_the_log_and_lose_nothing(void)
{
    struct meta_options o = options(scratch());
    struct arena arena;
    char name[32];
    arena_init(&arena, MiB(64));
    o.snapshot_bytes = (int64_t)KiB(4);
    struct meta *m = open_with(&o);
    commit_odd(m);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "topic-%d", i);
        create(m, name, 1 + i % 3);
        set_config(m, name, "retention.ms", "7");
        if (i % 4 == 0)
            delete(m, name);
    }
    expect_eq(files_like(o.dir, ".checkpoint"), 1); /* older ones are gone */
    expect(files_like(o.dir, ".log") <= 2);
    int64_t offset = meta_newest(m)->offset;
    struct bytes before = image_text(meta_newest(m), true, &arena);
    expect(meta_newest(m)->kept_count == 2);
    expect_eq(meta_close(&m), OUT_OK);
    o.clean = true;
    for (int i = 0; i < 3; i++) {
        m = open_with(&o);
        struct bytes after = image_text(meta_newest(m), true, &arena);
        if (!bytes_equal(before, after))
            printf("# %.*s\n# %.*s\n", (int)before.size, before.at, (int)after.size, after.at);
        expect(bytes_equal(before, after));
        expect(meta_newest(m)->offset > offset);
        offset = meta_newest(m)->offset;
        expect_eq(meta_close(&m), OUT_OK);
    }
    arena_fini(&arena);
}

void test_a_damaged_snapshot_is_said(void)
{
    struct meta_options o = options(scratch());
    o.snapshot_bytes = 500;
    struct meta *m = open_with(&o);
    create(m, "t", 20);
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(shell("cd \"$A\"/__cluster_metadata-0; f=$(ls *.checkpoint | tail -n 1);"
                    "printf X | dd of=$f bs=1 seek=300 conv=notrunc 2>/dev/null", o.dir, ""), 0);
    expect_eq(meta_open(&o, &m), OUT_CORRUPT);
    expect(strstr(outcome_trail(), ".checkpoint") != NULL);
    expect(strstr(outcome_trail(), "wrong checksum") != NULL);
}

/* Records that contradict the image never get into the log. */
void test_a_bad_change_changes_nothing(void)
{
    struct meta_options o = options(scratch());
    struct meta *m = open_with(&o);
    create(m, "t", 1);
    int64_t offset = meta_newest(m)->offset;
    struct meta_change change;
    struct topic_record r;
    wire_defaults(&wire_topic_record, &r);
    r.name = bytes_of("t");
    r.topic_id = uuid_random();
    meta_change_init(&change);
    expect_eq(meta_change_add(&change, &wire_topic_record, 0, &r), OUT_OK);
    expect_eq(meta_commit(m, &change, NOW), OUT_CORRUPT);
    meta_change_fini(&change);
    expect_eq(meta_newest(m)->offset, offset);
    create(m, "u", 1);
    expect_eq(meta_close(&m), OUT_OK);
    m = open_with(&o);
    expect_eq(meta_newest(m)->topic_count, 2);
    expect_eq(meta_close(&m), OUT_OK);
}

/* ---- a disk that fails ---- */

static int failing_errno;
static int failing_flush;

static ssize_t failing_write(int fd, const void *from, size_t size, off_t at)
{
    if (failing_errno == 0)
        return log_io_kernel.pwrite(fd, from, size, at);
    errno = failing_errno;
    return -1;
}

static int failing_sync(int fd)
{
    if (failing_flush == 0)
        return log_io_kernel.fdatasync(fd);
    errno = failing_flush;
    return -1;
}

static enum outcome try_create(struct meta *m, const char *name)
{
    struct meta_change change;
    struct meta_rules rules = rules_of(m);
    struct meta_new_topic t = {.name = bytes_of(name), .partition_count = 1,
                               .replication_factor = -1};
    struct uuid id;
    meta_change_init(&change);
    expect_eq(meta_plan_topic(meta_newest(m), &rules, &t, &change, &id), OUT_OK);
    enum outcome o = meta_commit(m, &change, NOW);
    meta_change_fini(&change);
    return o;
}

/* A full disk refuses a change and is over when there is room again. */
void test_a_full_disk(void)
{
    struct meta_options o = options(scratch());
    struct log_io io = log_io_kernel;
    io.pwrite = failing_write;
    o.io = &io;
    struct meta *m = open_with(&o);
    create(m, "before", 1);
    failing_errno = ENOSPC;
    expect_eq(try_create(m, "refused"), OUT_NO_SPACE);
    expect(strstr(outcome_trail(), "write the metadata log") != NULL);
    expect(meta_topic(meta_newest(m), bytes_of("refused")) == NULL);
    failing_errno = 0;
    create(m, "behind", 1);
    expect_eq(meta_close(&m), OUT_OK);
    m = open_with(&o);
    expect_eq(meta_newest(m)->topic_count, 2);
    expect(meta_topic(meta_newest(m), bytes_of("refused")) == NULL);
    expect_eq(meta_close(&m), OUT_OK);
}

/* A failed flush is final: nothing is committed any more; what was is there at the next start. */
void test_a_failed_flush(void)
{
    struct meta_options o = options(scratch());
    struct log_io io = log_io_kernel;
    io.fdatasync = failing_sync;
    o.io = &io;
    struct meta *m = open_with(&o);
    create(m, "before", 1);
    failing_flush = EIO;
    expect(try_create(m, "lost") != OUT_OK);
    failing_flush = 0;
    expect_eq(try_create(m, "later"), OUT_OFFLINE);
    expect_eq(meta_newest(m)->topic_count, 1);
    enum outcome closed = meta_close(&m);
    expect(closed != OUT_OK && m == NULL);
    m = open_with(&o);
    expect(meta_topic(meta_newest(m), bytes_of("before")) != NULL);
    expect(meta_topic(meta_newest(m), bytes_of("later")) == NULL);
    expect_eq(meta_close(&m), OUT_OK);
}

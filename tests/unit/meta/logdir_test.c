/* SPDX-License-Identifier: MIT */
/*
 * Directories that a real Kafka 4.3.1 wrote, one stopped and one killed: topics, ids, settings,
 * features are what it had, and ours goes on from there.
 */
#include "helper.h"

static const char *unpack(const char *which)
{
    static char dir[300];
    const char *base = scratch();
    expect_eq(shell("tar xzf \"$A\" -C \"$B\"", which, base), 0);
    snprintf(dir, sizeof dir, "%s/%s", base, strstr(which, "killed") ? "logdir-killed" : "logdir");
    return dir;
}

static const char stopped[] = TEST_DATA "/logdir.tar.gz";
static const char killed[] = TEST_DATA "/logdir-killed.tar.gz";

struct expected {
    const char *topic;
    int32_t partitions;
};

static const struct expected topics[] = {
    {"__consumer_offsets", 1}, {"__share_group_state", 1}, {"__transaction_state", 1},
    {"a.b_c-D", 1}, {"append-time", 1}, {"codec-gzip", 1}, {"codec-lz4", 1}, {"codec-snappy", 1},
    {"codec-zstd", 1}, {"compacted", 1}, {"empty", 2}, {"idempotent", 1}, {"mixed", 1},
    {"plain", 1}, {"retained", 1}, {"three", 3}, {"to-delete", 1}, {"trimmed", 1}, {"txn", 2},
};

static void expect_config(const struct meta_image *i, const char *topic, const char *name,
                          const char *value)
{
    const struct meta_configs *c = meta_configs(i, 2, bytes_of(topic));
    expect(c != NULL);
    for (size_t k = 0; k < c->count; k++) {
        if (bytes_is(c->pairs[k].name, name)) {
            expect(bytes_is(c->pairs[k].value, value));
            return;
        }
    }
    printf("# %s of %s is not set\n", name, topic);
    expect(false);
}

/* partition.metadata of every partition repeats the topic's id. */
static void expect_ids(const struct meta_image *i, const char *dir)
{
    struct logdir_partition *list;
    size_t count, seen = 0;
    expect_eq(logdir_partitions(dir, &list, &count), OUT_OK);
    for (size_t k = 0; k < count; k++) {
        if (strcmp(list[k].topic, "__cluster_metadata") == 0)
            continue;
        const struct meta_topic *t = meta_topic(i, bytes_of(list[k].topic));
        expect(t != NULL);
        expect(uuid_equal(&t->id, &list[k].topic_id));
        expect(meta_topic_by_id(i, &list[k].topic_id) == t);
        expect(list[k].partition < t->partition_count);
        seen++;
    }
    expect(seen >= 22);
    free(list);
}

static void expect_all(const struct meta_image *i, bool deleted, int32_t epoch)
{
    size_t seen = 0;
    for (size_t k = 0; k < COUNT_OF(topics); k++) {
        if (deleted && strcmp(topics[k].topic, "to-delete") == 0)
            continue;
        const struct meta_topic *t = meta_topic(i, bytes_of(topics[k].topic));
        expect(t != NULL);
        expect(t == i->topics[seen]);
        expect_eq(t->partition_count, topics[k].partitions);
        for (int32_t p = 0; p < t->partition_count; p++) {
            expect_eq(t->partitions[p].leader, 1);
            expect_eq(t->partitions[p].leader_epoch, epoch);
            expect_eq(t->partitions[p].placement->replica_count, 1);
            expect_eq(t->partitions[p].placement->isr_count, 1);
            expect_eq(t->partitions[p].placement->isr[0], 1);
            expect_eq(t->partitions[p].placement->elr_count, 0);
            expect_eq(t->partitions[p].placement->directory_count, 1);
        }
        seen++;
    }
    expect_eq(i->topic_count, seen);
    expect(bytes_is(i->cluster_id, "4L6g3nShT-eMCtK--X86sw"));
    expect_config(i, "plain", "segment.bytes", "1048576");
    expect_config(i, "three", "index.interval.bytes", "64");
    expect_config(i, "append-time", "message.timestamp.type", "LogAppendTime");
    expect_config(i, "compacted", "cleanup.policy", "compact");
    expect_config(i, "__consumer_offsets", "cleanup.policy", "compact");
    expect_eq(i->feature_count, 6);
    for (size_t k = 0; k < i->feature_count; k++)
        expect_eq(i->features[k].level, bytes_is(i->features[k].name, "metadata.version") ? 30
                  : bytes_is(i->features[k].name, "transaction.version") ? 2 : 1);
}

/* Each start of Kafka raised leader epochs by two (0, 2); its stop once more, leaving no leader;
 * ours takes over. */
void test_a_stopped_kafka(void)
{
    const char *dir = unpack(stopped);
    struct meta_options o = options(dir);
    o.clean = true;
    struct meta *m = open_with(&o);
    const struct meta_topic *t = meta_topic(meta_newest(m), bytes_of("plain"));
    int32_t epoch = t->partitions[0].leader_epoch;
    expect_eq(epoch, 4);
    expect_all(meta_newest(m), false, epoch);
    expect_ids(meta_newest(m), dir);
    expect_eq(meta_newest(m)->next_producer_id, 2000);
    expect_eq(meta_newest(m)->kept_count, 1); /* the controller's registration */
    expect_eq(meta_close(&m), OUT_OK);

    m = open_with(&o);
    expect_all(meta_newest(m), false, epoch);
    expect_eq(meta_close(&m), OUT_OK);
    o.clean = false;
    m = open_with(&o);
    expect_all(meta_newest(m), false, epoch + 1);
    expect_eq(meta_close(&m), OUT_OK);
}

void test_a_killed_kafka(void)
{
    const char *dir = unpack(killed);
    struct meta_options o = options(dir);
    struct meta *m = open_with(&o);
    expect_all(meta_newest(m), true, 5); /* 4 while Kafka ran */
    expect_ids(meta_newest(m), dir);
    expect_eq(meta_newest(m)->next_producer_id, 3000);
    struct uuid id = create(m, "ours", 2);
    expect_eq(meta_close(&m), OUT_OK);
    m = open_with(&o);
    expect(meta_topic_by_id(meta_newest(m), &id) != NULL);
    expect_eq(meta_newest(m)->topic_count, COUNT_OF(topics)); /* one less, one more */
    expect_eq(meta_close(&m), OUT_OK);
}

/* Kafka's own records stay when a snapshot replaces its log. */
void test_a_snapshot_of_kafkas_metadata(void)
{
    const char *dir = unpack(killed);
    struct meta_options o = options(dir);
    struct arena arena;
    arena_init(&arena, MiB(64));
    o.snapshot_bytes = 100;
    struct meta *m = open_with(&o);
    struct bytes before = image_text(meta_newest(m), true, &arena);
    expect_eq(meta_close(&m), OUT_OK);
    o.clean = true;
    m = open_with(&o);
    struct bytes after = image_text(meta_newest(m), true, &arena);
    expect(bytes_equal(before, after));
    expect_ids(meta_newest(m), dir);
    expect_eq(meta_close(&m), OUT_OK);
    arena_fini(&arena);
    expect_eq(shell("cd \"$A\"/__cluster_metadata-0; test ! -e 00000000000000000000.log;"
                    "ls *.checkpoint >/dev/null", dir, ""), 0);
}

void test_another_brokers_directory(void)
{
    struct meta_options o = options(unpack(stopped));
    struct meta *m;
    o.node_id = 7;
    expect_eq(meta_open(&o, &m), OUT_INVALID);
    expect(strstr(outcome_trail(), "belongs to broker 1, not 7") != NULL);
}

/* ---- directories that a Kafka could have left ---- */

static struct log *open_raw(const char *dir)
{
    static char path[400];
    struct log *l;
    struct log_open what = {.path = path, .now_ms = NOW, .was = LOG_UNCLEAN};
    snprintf(path, sizeof path, "%s/__cluster_metadata-0", dir);
    log_options_default(&what.options);
    what.options.retention_ms = -1;
    expect_eq(log_open(&what, &l), OUT_OK);
    return l;
}

static void append_raw(struct log *l, const struct meta_change *change)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct store_append a = {.origin = STORE_RAFT, .now_ms = NOW};
    struct store_appended done;
    log_builder_init(&b, MiB(1));
    for (const struct meta_record *r = change->first; r != NULL; r = r->next)
        log_builder_add(&b, NOW, (struct bytes){NULL, 0}, r->framed, NULL, 0);
    end.leader_epoch = a.leader_epoch = log_epoch_latest(l);
    expect_eq(log_builder_finish(&b, &end, &a.at, &a.size), OUT_OK);
    expect_eq(store_append(log_store(l), &a, &done), OUT_OK);
    log_builder_fini(&b);
}

static void add_topic(struct meta_change *change, const char *name)
{
    struct topic_record r;
    wire_defaults(&wire_topic_record, &r);
    r.name = bytes_of(name);
    r.topic_id = uuid_random();
    expect_eq(meta_change_add(change, &wire_topic_record, 0, &r), OUT_OK);
}

/* Appends a transaction that is ended, aborted or left open, then opens as a broker does. */
static void transaction(const struct wire_message *end, bool counts)
{
    const char *dir = scratch();
    struct meta_change change;
    union {
        struct begin_transaction_record begin;
        struct end_transaction_record end;
        struct abort_transaction_record abort;
    } r;
    struct meta *m = open_dir(dir);
    create(m, "before", 1);
    expect_eq(meta_close(&m), OUT_OK);
    struct log *l = open_raw(dir);
    meta_change_init(&change);
    wire_defaults(&wire_begin_transaction_record, &r.begin);
    r.begin.name = bytes_of("some");
    expect_eq(meta_change_add(&change, &wire_begin_transaction_record, 0, &r), OUT_OK);
    add_topic(&change, "inside");
    if (end != NULL) {
        wire_defaults(end, &r);
        expect_eq(meta_change_add(&change, end, 0, &r), OUT_OK);
        add_topic(&change, "behind");
    }
    append_raw(l, &change);
    meta_change_fini(&change);
    expect_eq(log_close(&l, LOG_UNCLEAN), OUT_OK);
    for (int i = 0; i < 2; i++) {
        m = open_dir(dir);
        expect(meta_topic(meta_newest(m), bytes_of("before")) != NULL);
        expect_eq(meta_topic(meta_newest(m), bytes_of("inside")) != NULL, counts);
        expect_eq(meta_topic(meta_newest(m), bytes_of("behind")) != NULL, end != NULL);
        expect_eq(meta_newest(m)->topic_count, 1u + counts + (end != NULL) + (unsigned)i);
        if (i == 0)
            create(m, "later", 1); /* is there the next time */
        expect_eq(meta_close(&m), OUT_OK);
    }
}

void test_an_ended_transaction_counts(void)
{
    transaction(&wire_end_transaction_record, true);
}

void test_an_aborted_transaction_does_not(void)
{
    transaction(&wire_abort_transaction_record, false);
}

void test_an_open_transaction_is_aborted(void)
{
    transaction(NULL, false);
}

void test_replicas_elsewhere_are_refused(void)
{
    const char *dir = scratch();
    struct meta_options o = options(dir);
    struct meta_change change;
    int32_t replicas[3] = {1, 2, 3};
    struct meta *m = open_with(&o);
    struct uuid id = create(m, "t", 1);
    struct partition_record r;
    wire_defaults(&wire_partition_record, &r);
    r.partition_id = 0;
    r.topic_id = id;
    r.replicas = r.isr = replicas;
    r.replicas_count = r.isr_count = 3;
    r.leader = 2;
    r.leader_epoch = r.partition_epoch = 4;
    meta_change_init(&change);
    expect_eq(meta_change_add(&change, &wire_partition_record, 0, &r), OUT_OK);
    commit(m, &change);
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(meta_open(&o, &m), OUT_INVALID);
    expect(strstr(outcome_trail(), "partition 0 of t has replicas on other brokers") != NULL);
}

/* metadata-dirs.tar.gz: what Kafka 4.3.1's format tool leaves (with --add-scram), never started;
 * and a directory formatted with --standalone (kraft.version 1), started, given topic `one`,
 * stopped. */
static const char dirs[] = TEST_DATA "/metadata-dirs.tar.gz";

void test_a_formatted_directory(void)
{
    char dir[300];
    const char *base = scratch();
    expect_eq(shell("tar xzf \"$A\" -C \"$B\"", dirs, base), 0);
    snprintf(dir, sizeof dir, "%s/formatted", base);
    struct meta_options o = options(dir);
    for (int i = 0; i < 2; i++) {
        struct meta *m = open_with(&o);
        expect_eq(meta_newest(m)->feature_count, 6);
        expect_eq(meta_newest(m)->kept_count, 1);
        expect_eq(meta_newest(m)->kept[0]->type, METADATA_USER_SCRAM_CREDENTIAL_RECORD);
        expect(bytes_is(meta_newest(m)->cluster_id, "AAAAAAAAQACAAAAAAAAAAQ"));
        expect_eq(meta_close(&m), OUT_OK);
    }
}

/* The types of control records in a snapshot, a bit for each. */
static int controls(const char *dir, const char *name)
{
    char *text;
    size_t size;
    int types = 0;
    struct log_batch batch;
    expect_eq(logdir_file_read(dir, name, &text, &size), OUT_OK);
    struct bytes rest = bytes_view(text, size);
    while (log_batch_next(&rest, &batch) == OUT_OK) {
        struct log_records walk;
        struct log_record record;
        expect_eq(log_records_begin(&walk, &batch, MiB(1)), OUT_OK);
        while ((batch.attributes & LOG_ATTR_CONTROL) &&
               log_records_next(&walk, &record) == OUT_OK)
            types |= 1 << get_be16(record.key.at + 2);
        log_records_fini(&walk);
    }
    free(text);
    return types;
}

void test_a_quorum_that_knows_its_voters(void)
{
    char dir[300];
    const char *base = scratch();
    expect_eq(shell("tar xzf \"$A\" -C \"$B\"", dirs, base), 0);
    snprintf(dir, sizeof dir, "%s/standalone", base);
    struct meta_options o = options(dir);
    struct meta *m = open_with(&o);
    const struct meta_topic *t = meta_topic(meta_newest(m), bytes_of("one"));
    expect(t != NULL && t->partition_count == 2);
    expect_eq(t->partitions[1].placement->elr_count, 0);
    expect_eq(t->partitions[1].placement->isr_count, 1);
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(shell("grep -q '\"leaderEpoch\":2.*\"data_version\":1'"
                    " \"$A\"/__cluster_metadata-0/quorum-state", dir, ""), 0);
    o.snapshot_bytes = 1; /* the voters are in the snapshot, nowhere else */
    m = open_with(&o);
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(shell("cd \"$A\"/__cluster_metadata-0; test ! -e 00000000000000000000.log;"
                    "cp *.checkpoint ../snapshot", dir, ""), 0);
    expect_eq(controls(dir, "snapshot"), 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);
    m = open_with(&o);
    expect(meta_topic(meta_newest(m), bytes_of("one")) != NULL);
    expect_eq(meta_close(&m), OUT_OK);
    expect_eq(shell("cd \"$A\"; grep -q '\"data_version\":1' __cluster_metadata-0/quorum-state",
                    dir, ""), 0);
}

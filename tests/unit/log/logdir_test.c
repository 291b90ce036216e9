/* SPDX-License-Identifier: MIT */
/*
 * Two log directories that a real Kafka wrote, one stopped, one killed: every partition opens (the
 * killed ones by recovery), and offsets, records, transactions and producers are what clients saw
 * on the real broker. Then the small files of a log directory.
 */
#include "helper.h"
#include "vectors.h"

/* Wall clock of the broker that was asked: producers expire by it. */
#define ASKED_MS INT64_C(1795227310000)

struct expected {
    json_t **records;
    size_t count, room;
};

struct comparison {
    const struct expected *want;
    size_t at;                   /* next record of this partition in `want` */
    const char *topic;
    int32_t partition;
    int64_t start, stable;
    const struct log_aborted *aborted;
    size_t aborted_count;
    int compared;
};

static void load_expected(const char *name, struct expected *e, const char *what)
{
    gzFile f = vectors_open(name);
    json_t *line;
    *e = (struct expected){0};
    while ((line = vectors_next(f)) != NULL) {
        if (strcmp(text_of(line, "what"), what) != 0) {
            json_decref(line);
            continue;
        }
        if (e->count == e->room) {
            e->room = e->room == 0 ? 64 : e->room * 2;
            e->records = realloc(e->records, e->room * sizeof(json_t *));
        }
        e->records[e->count++] = line;
    }
    gzclose(f);
}

static void free_expected(struct expected *e)
{
    for (size_t i = 0; i < e->count; i++)
        json_decref(e->records[i]);
    free(e->records);
}

static bool is_of(const json_t *line, const char *topic, int32_t partition)
{
    return strcmp(text_of(line, "topic"), topic) == 0 && number_of(line, "partition") == partition;
}

static bool same_text(struct bytes b, const json_t *v)
{
    return json_is_null(v) ? b.at == NULL
                           : bytes_equal(b,
                                         bytes_view(json_string_value(v), json_string_length(v)));
}

static bool is_committed(const struct comparison *c, const struct log_batch *b, int64_t offset)
{
    if (offset >= c->stable)
        return false;
    for (size_t i = 0; (b->attributes & LOG_ATTR_TXN) != 0 && i < c->aborted_count; i++)
        if (c->aborted[i].producer_id == b->producer_id && c->aborted[i].first_offset <= offset &&
            offset <= c->aborted[i].last_offset)
            return false;
    return true;
}

static void compare_record(struct comparison *c, const struct log_batch *b,
                           const struct log_record *r)
{
    while (c->at < c->want->count && !is_of(c->want->records[c->at], c->topic, c->partition))
        c->at++;
    expect(c->at < c->want->count);
    const json_t *v = c->want->records[c->at++];
    expect_eq(r->offset, number_of(v, "offset"));
    expect_eq(r->timestamp, number_of(v, "timestamp"));
    expect_eq(b->leader_epoch, number_of(v, "leaderEpoch"));
    expect(same_text(r->key, json_object_get(v, "key")));
    expect(same_text(r->value, json_object_get(v, "value")));
    expect_eq(is_committed(c, b, r->offset), json_is_true(json_object_get(v, "committed")));
    struct bytes rest = r->headers;
    struct log_header h;
    size_t i;
    json_t *pair;
    json_array_foreach(json_object_get(v, "headers"), i, pair) {
        expect(log_header_next(&rest, &h));
        expect(same_text(h.key, json_array_get(pair, 0)));
        expect(same_text(h.value, json_array_get(pair, 1)));
    }
    expect(!log_header_next(&rest, &h));
    c->compared++;
}

static enum outcome compare_batch(void *context, const struct log_batch *b)
{
    struct comparison *c = context;
    struct log_records walk;
    struct log_record r;
    expect(log_batch_crc_good(b));
    expect_eq(log_records_begin(&walk, b, MiB(16)), OUT_OK);
    while (log_records_next(&walk, &r) == OUT_OK)
        if (r.offset >= c->start && (b->attributes & LOG_ATTR_CONTROL) == 0)
            compare_record(c, b, &r);
    log_records_fini(&walk);
    return OUT_OK;
}

static int compare_producers(struct log *l, const struct expected *want, const char *topic,
                             int32_t partition)
{
    struct log_producer list[64];
    size_t count = log_producers(l, list, COUNT_OF(list)), expected_count = 0;
    for (size_t i = 0; i < want->count; i++) {
        const json_t *v = want->records[i];
        if (!is_of(v, topic, partition))
            continue;
        size_t k = 0;
        while (k < count && list[k].producer_id != number_of(v, "producerId"))
            k++;
        expect(k < count);
        expect_eq(list[k].epoch, number_of(v, "epoch"));
        expect_eq(list[k].last_sequence, number_of(v, "lastSequence"));
        expect_eq(list[k].coordinator_epoch, number_of(v, "coordinatorEpoch"));
        expect_eq(list[k].txn_start_offset, number_of(v, "currentTxnStart"));
        expected_count++;
    }
    expect_eq(count, expected_count);
    return (int)count;
}

static int compare_partition(struct log *l, const json_t *v, const struct expected *records)
{
    const char *topic = text_of(v, "topic");
    struct store_stat st = stat_of(l);
    struct store_place p;
    struct uuid id = log_topic_id(l);
    char id_text[UUID_TEXT_SIZE];
    bool internal = strncmp(topic, "__", 2) == 0; /* written to until the very stop */
    uuid_print(&id, id_text);
    expect_str(id_text, text_of(v, "topicId"));
    expect_eq(st.start_offset, number_of(v, "earliest"));
    if (internal) {
        expect(st.end_offset >= number_of(v, "latest"));
        return 0;
    }
    expect_eq(st.end_offset, number_of(v, "latest"));
    expect_eq(st.stable_offset, number_of(v, "lastStable"));
    expect_eq(store_seek(log_store(l), STORE_MAX_TIMESTAMP, &p), OUT_OK);
    expect_eq(p.offset, number_of(v, "maxTimestampOffset"));
    expect_eq(p.timestamp, number_of(v, "maxTimestamp"));
    struct arena arena;
    arena_init(&arena, MiB(1));
    struct comparison c = {records, 0, topic, (int32_t)number_of(v, "partition"), st.start_offset,
                           st.stable_offset, NULL, 0, 0};
    struct log_aborted *aborted;
    expect_eq(log_aborted(l, st.start_offset, st.end_offset, &arena, &aborted, &c.aborted_count),
              OUT_OK);
    c.aborted = aborted;
    expect_eq(log_scan(l, st.start_offset, INT64_MAX, compare_batch, &c), OUT_OK);
    expect_eq(c.compared, number_of(v, "records"));
    arena_fini(&arena);
    return c.compared;
}

static struct log_open opening(const char *path, enum log_shutdown was)
{
    struct log_open o = {.path = path, .now_ms = ASKED_MS, .was = was};
    log_options_default(&o.options);
    return o;
}

static void check_directory(const char *name, const char *tar, const char *reads,
                            enum log_shutdown want)
{
    struct scratch s;
    char dir[300], path[800];
    struct expected partitions, records, producers;
    enum log_shutdown was;
    int64_t broker_epoch;
    struct logdir_offset *points, *starts;
    size_t point_count, start_count, opened = 0;
    int compared = 0, producer_count = 0;
    scratch_init(&s);
    snprintf(path, sizeof path, "tar xzf '%s/%s'", TEST_DATA, tar);
    shell(s.base, path);
    snprintf(dir, sizeof dir, "%s/%s", s.base, name);
    load_expected(reads, &partitions, "partition");
    load_expected(reads, &records, "record");
    load_expected(reads, &producers, "producer");
    struct log_meta_properties m;
    expect_eq(logdir_meta_read(dir, &m), OUT_OK);
    expect_eq(m.node_id, 1);
    expect_eq(strlen(m.cluster_id), 22);
    expect_eq(logdir_clean_take(dir, &was, &broker_epoch), OUT_OK);
    expect_eq(was, want);
    expect_eq(broker_epoch, want == LOG_CLEAN ? 167 : -1);
    expect_eq(logdir_offsets_read(dir, LOGDIR_RECOVERY_POINT, &points, &point_count), OUT_OK);
    expect_eq(logdir_offsets_read(dir, LOGDIR_LOG_START, &starts, &start_count), OUT_OK);
    for (int round = 0; round < 2; round++) { /* then what we wrote at our own stop */
        for (size_t i = 0; i < partitions.count; i++) {
            const json_t *v = partitions.records[i];
            const char *topic = text_of(v, "topic");
            int32_t partition = (int32_t)number_of(v, "partition");
            snprintf(path, sizeof path, "%s/%s-%d", dir, topic, partition);
            struct log_open o = opening(path, round == 0 ? was : LOG_CLEAN);
            o.recovery_point = logdir_offset_of(points, point_count, topic, partition, 0);
            o.start_offset = logdir_offset_of(starts, start_count, topic, partition, 0);
            struct log *l;
            enum outcome out = log_open(&o, &l);
            if (out != OUT_OK)
                printf("# %s: %s\n", path, outcome_trail());
            expect_eq(out, OUT_OK);
            compared += compare_partition(l, v, &records);
            if (want == LOG_UNCLEAN && topic[0] != '_') /* the other was asked before a restart */
                producer_count += compare_producers(l, &producers, topic, partition);
            expect_eq(log_close(&l, LOG_CLEAN), OUT_OK);
            opened++;
        }
    }
    expect_eq(opened, 2 * partitions.count);
    expect_eq(compared, 2 * (int)records.count);
    expect(want == LOG_CLEAN || producer_count == 2 * (int)producers.count);
    free(points);
    free(starts);
    free_expected(&partitions);
    free_expected(&records);
    free_expected(&producers);
}

void test_a_stopped_kafkas_directory_reads_the_same(void)
{
    check_directory("logdir", "logdir.tar.gz", "logdir.reads.jsonl.gz", LOG_CLEAN);
}

void test_a_killed_kafkas_directory_recovers_to_the_same(void)
{
    check_directory("logdir-killed", "logdir-killed.tar.gz", "logdir-killed.reads.jsonl.gz",
                    LOG_UNCLEAN);
}

/* Without marker and checkpoints everything is verified: nothing may be cut. */
void test_a_stopped_kafkas_directory_survives_full_recovery(void)
{
    struct scratch s;
    char dir[300], path[800];
    struct logdir_partition *list;
    size_t count;
    scratch_init(&s);
    snprintf(path, sizeof path, "tar xzf '%s/logdir.tar.gz'", TEST_DATA);
    shell(s.base, path);
    snprintf(dir, sizeof dir, "%s/logdir", s.base);
    expect_eq(logdir_partitions(dir, &list, &count), OUT_OK);
    expect_eq(count, 24); /* 23 and the metadata log */
    for (size_t i = 0; i < count; i++) {
        struct log *l;
        struct log_recovered r;
        snprintf(path, sizeof path, "%s/%s-%d", dir, list[i].topic, list[i].partition);
        struct log_open o = opening(path, LOG_CLEAN);
        expect_eq(log_open(&o, &l), OUT_OK);
        struct store_stat before = stat_of(l);
        struct uuid id = log_topic_id(l);
        expect(uuid_equal(&id, &list[i].topic_id));
        expect_eq(log_close(&l, LOG_UNCLEAN), OUT_OK);
        o.was = LOG_UNCLEAN;
        expect_eq(log_open(&o, &l), OUT_OK);
        struct store_stat after = stat_of(l);
        log_recovered(l, &r);
        expect_eq(r.bytes_truncated, 0);
        expect_eq(r.segments_scanned, after.segment_count);
        expect_eq(after.end_offset, before.end_offset);
        expect_eq(after.start_offset, before.start_offset);
        expect_eq(after.stable_offset, before.stable_offset);
        expect_eq(log_close(&l, LOG_CLEAN), OUT_OK);
    }
    free(list);
}

void test_checkpoints_round_trip_and_say_what_is_damaged(void)
{
    struct scratch s;
    struct logdir_offset list[] =
        {{"b", 1, 5}, {"a", 10, 7}, {"a", 2, 9}, {"a.b_c-D", 0, INT64_MAX}};
    struct logdir_offset *got;
    size_t count;
    scratch_init(&s);
    expect_eq(logdir_offsets_read(s.base, LOGDIR_RECOVERY_POINT, &got, &count), OUT_OK);
    expect(count == 0 && got == NULL);
    expect_eq(logdir_offsets_write(s.base, LOGDIR_RECOVERY_POINT, list, 4), OUT_OK);
    shell(s.base, "printf '0\\n4\\nb 1 5\\na 10 7\\na 2 9\\na.b_c-D 0 9223372036854775807\\n' | "
                  "cmp - recovery-point-offset-checkpoint");
    expect_eq(logdir_offsets_read(s.base, LOGDIR_RECOVERY_POINT, &got, &count), OUT_OK);
    expect_eq(count, 4);
    expect_eq(logdir_offset_of(got, count, "a", 10, -1), 7);
    expect_eq(logdir_offset_of(got, count, "a", 2, -1), 9);
    expect_eq(logdir_offset_of(got, count, "b", 1, -1), 5);
    expect_eq(logdir_offset_of(got, count, "b", 0, -1), -1);
    free(got);
    shell(s.base, "printf '0\\n2\\na 1 5\\nb 2\\n' > replication-offset-checkpoint");
    expect_eq(logdir_offsets_read(s.base, LOGDIR_HIGH_WATERMARK, &got, &count), OUT_CORRUPT);
    expect(strstr(outcome_trail(), "line 4") != NULL);
    shell(s.base, ": > log-start-offset-checkpoint"); /* as a new Kafka leaves it */
    expect_eq(logdir_offsets_read(s.base, LOGDIR_LOG_START, &got, &count), OUT_OK);
    expect_eq(count, 0);
    shell(s.base, "printf '1\\n0\\n' > cleaner-offset-checkpoint");
    expect_eq(logdir_offsets_read(s.base, LOGDIR_CLEANER, &got, &count), OUT_CORRUPT);
}

void test_the_lock_keeps_others_out(void)
{
    struct scratch s;
    int one, two;
    scratch_init(&s);
    expect_eq(logdir_lock(s.base, &one), OUT_OK);
    expect_eq(logdir_lock(s.base, &two), OUT_IN_USE);
    expect(strstr(outcome_trail(), "used by another process") != NULL);
    logdir_unlock(s.base, one);
    expect_eq(logdir_lock(s.base, &two), OUT_OK);
    logdir_unlock(s.base, two);
    expect_eq(logdir_lock("/nonexistent", &one), OUT_NOT_FOUND);
}

void test_properties_and_marker_round_trip(void)
{
    struct scratch s;
    struct log_meta_properties m = {"4L6g3nShT-eMCtK--X86sw", 7, "FIRI3IjvVmRRXa9tzub22A", 1}, got;
    enum log_shutdown was;
    int64_t epoch;
    scratch_init(&s);
    expect_eq(logdir_meta_read(s.base, &got), OUT_NOT_FOUND);
    expect_eq(logdir_meta_write(s.base, &m), OUT_OK);
    expect_eq(logdir_meta_read(s.base, &got), OUT_OK);
    expect_str(got.cluster_id, m.cluster_id);
    expect_str(got.directory_id, m.directory_id);
    expect_eq(got.node_id, 7);
    shell(s.base, "printf 'version=1\\ncluster.id=x\\n' > meta.properties");
    expect_eq(logdir_meta_read(s.base, &got), OUT_CORRUPT);
    expect(strstr(outcome_trail(), "node.id") != NULL);
    shell(s.base, "printf 'version=0\\nbroker.id=3\\n' > meta.properties");
    expect_eq(logdir_meta_read(s.base, &got), OUT_OK);
    expect(got.version == 0 && got.node_id == 3);
    expect_eq(logdir_clean_take(s.base, &was, &epoch), OUT_OK);
    expect_eq(was, LOG_UNCLEAN);
    expect_eq(logdir_clean_write(s.base, 42), OUT_OK);
    expect_eq(logdir_clean_take(s.base, &was, &epoch), OUT_OK);
    expect(was == LOG_CLEAN && epoch == 42);
    expect_eq(logdir_clean_take(s.base, &was, &epoch), OUT_OK);
    expect_eq(was, LOG_UNCLEAN);
}

void test_only_partition_directories_are_listed(void)
{
    struct scratch s;
    struct logdir_partition *list;
    size_t count;
    scratch_init(&s);
    shell(s.base, "mkdir a-0 a-b-12 b-0-stray c-0.f00-future d- ./-1 e-x f-01 plain; touch g-1; "
                  "mkdir h-0.9404cf3b2509496cb0cdef7508ec8729-delete; "
                  "touch h-0.9404cf3b2509496cb0cdef7508ec8729-delete/x.log");
    expect_eq(logdir_partitions(s.base, &list, &count), OUT_OK);
    expect_eq(count, 2);
    expect(strcmp(list[0].topic, "a") == 0 && list[0].partition == 0);
    expect(strcmp(list[1].topic, "a-b") == 0 && list[1].partition == 12);
    free(list);
    shell(s.base, "test ! -e h-0.9404cf3b2509496cb0cdef7508ec8729-delete && test -e b-0-stray");
}

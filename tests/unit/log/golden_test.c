/* SPDX-License-Identifier: MIT */
/*
 * Golden files: the batches of a real Kafka's partitions, appended one by one with the same
 * settings and the same restarts, give the same files, byte for byte: logs, indexes, transaction
 * indexes, epochs, snapshots (of partitions without producers; with them the order of entries is
 * free).
 */
#include "helper.h"
#include "vectors.h"

struct again {
    struct scratch *s;
    int32_t epoch;
    int batches;
};

/* The leader epoch rises at each start of that broker: stop and start here too. */
static enum outcome append_again(void *context, const struct log_batch *b)
{
    struct again *g = context;
    struct store_appended done;
    if (b->leader_epoch != g->epoch && g->epoch >= 0) {
        scratch_close(g->s, LOG_CLEAN);
        scratch_open(g->s);
    }
    if (b->leader_epoch != g->epoch)
        expect_eq(log_epoch_begin(g->s->log, b->leader_epoch), OUT_OK);
    g->epoch = b->leader_epoch;
    uint8_t *copy = malloc(b->size);
    memcpy(copy, b->at, b->size);
    /* A marker is stamped with the wall clock, so it is the clock of what is around it. */
    struct store_append a = {
        .at = copy, .size = b->size, .origin = STORE_REPLICA, .now_ms = b->max_timestamp};
    expect_eq(store_append(log_store(g->s->log), &a, &done), OUT_OK);
    expect_eq(done.base_offset, b->base_offset);
    free(copy);
    g->batches++;
    return OUT_OK;
}

static const struct {
    const char *name;
    int64_t segment_bytes;
    int32_t index_interval_bytes;
    const char *files; /* compared */
} partitions[] = {
    {"plain-0", 1 << 20, 4096, "*"},
    {"three-0", 1 << 30, 64, "*"},
    {"three-1", 1 << 30, 64, "*"},
    {"three-2", 1 << 30, 64, "*"},
    {"append-time-0", 1 << 30, 100, "*"},
    {"a.b_c-D-0", 1 << 30, 4096, "*"},
    {"codec-gzip-0", 1 << 30, 256, "*"},
    {"codec-snappy-0", 1 << 30, 256, "*"},
    {"codec-lz4-0", 1 << 30, 256, "*"},
    {"codec-zstd-0", 1 << 30, 256, "*"},
    {"mixed-0", 1 << 30, 4096, "*"},
    {"idempotent-0", 1 << 30, 4096, "*.log *index leader* partition*"},
    {"txn-0", 1 << 30, 4096, "*.log *index leader* partition*"},
    {"txn-1", 1 << 30, 4096, "*.log *index leader* partition*"},
};

void test_the_same_batches_give_the_same_files(void)
{
    struct scratch s, ours;
    char command[1200], path[700];
    scratch_init(&s);
    snprintf(command, sizeof command, "tar xzf '%s/logdir.tar.gz'; cp -r logdir keep", TEST_DATA);
    shell(s.base, command);
    for (size_t i = 0; i < COUNT_OF(partitions); i++) {
        struct log *theirs;
        snprintf(path, sizeof path, "%s/logdir/%s", s.base, partitions[i].name);
        struct log_open open = {.path = path, .was = LOG_CLEAN, .now_ms = NOW};
        log_options_default(&open.options);
        open.options.producer_expiration_ms = INT64_MAX / 2;
        expect_eq(log_open(&open, &theirs), OUT_OK);
        ours = s;
        snprintf(ours.dir, sizeof ours.dir, "%s/%s", s.base, partitions[i].name);
        ours.open = open;
        ours.open.path = ours.dir;
        ours.open.topic_id = log_topic_id(theirs);
        ours.open.options.segment_bytes = partitions[i].segment_bytes;
        ours.open.options.index_interval_bytes = partitions[i].index_interval_bytes;
        scratch_open(&ours);
        struct again g = {&ours, -1, 0};
        expect_eq(log_scan(theirs, 0, INT64_MAX, append_again, &g), OUT_OK);
        expect(g.batches > 0);
        scratch_close(&ours, LOG_CLEAN);
        expect_eq(log_close(&theirs, LOG_UNCLEAN), OUT_OK);
        snprintf(command, sizeof command,
                 "cd keep/%s; for f in %s; do "
                 "cmp $f ../../%s/$f || { echo \"# %s/$f\"; exit 1; }; done",
                 partitions[i].name, partitions[i].files, partitions[i].name, partitions[i].name);
        printf("# %s\n", partitions[i].name);
        fflush(stdout);
        shell(s.base, command);
    }
}

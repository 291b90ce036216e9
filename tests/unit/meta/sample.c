/* SPDX-License-Identifier: MIT */
/* Writes metadata of every kind into a directory, for Kafka's own tool to read: sample DIR. */
#include "meta/meta.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <stdio.h>
#include <sys/stat.h>

#define NOW INT64_C(1700000000000)

static bool any_config(int8_t type, struct bytes name, struct bytes value, char *message)
{
    (void)type;
    (void)name;
    (void)value;
    message[0] = '\0';
    return true;
}

static enum outcome plan_one(struct meta *m, const char *name, struct meta_change *change)
{
    const struct meta_pair pairs[2] = {{bytes_of("retention.ms"), bytes_of("-1")},
                                       {bytes_of("cleanup.policy"), bytes_of("compact")}};
    struct meta_rules rules = {.node_id = 1, .directory_id = meta_directory_id(m),
                               .default_partitions = 3, .config_check = any_config};
    struct meta_new_topic t = {.name = bytes_of(name), .partition_count = -1,
                               .replication_factor = 1, .configs = pairs, .config_count = 2};
    struct uuid id;
    enum outcome o = meta_plan_topic(meta_newest(m), &rules, &t, change, &id);
    return o == OUT_OK ? meta_plan_producer_ids(meta_newest(m), 1, 1000, change) : o;
}

static enum outcome commit(struct meta *m, enum outcome planned, struct meta_change *change)
{
    enum outcome o = planned == OUT_OK ? meta_commit(m, change, NOW) : planned;
    meta_change_fini(change);
    meta_change_init(change);
    return o;
}

static enum outcome fill(struct meta *m, int round)
{
    struct meta_change change;
    char name[32];
    meta_change_init(&change);
    enum outcome o = OUT_OK;
    for (int i = 0; i < 30 && o == OUT_OK; i++) {
        snprintf(name, sizeof name, "topic-%d-%d", round, i);
        o = commit(m, plan_one(m, name, &change), &change);
    }
    const struct meta_topic *t = meta_topic(meta_newest(m), bytes_of(name));
    if (o == OUT_OK && t != NULL)
        o = commit(m, meta_plan_delete(t, &change), &change);
    meta_change_fini(&change);
    return o;
}

/* A start after a crash, one after a clean stop; with and without a snapshot. */
static enum outcome write_dir(const char *dir, int64_t snapshot_bytes)
{
    struct meta *m;
    enum outcome o = OUT_OK;
    if (mkdir(dir, 0755) != 0)
        return fail(OUT_IO, "make %s", dir);
    for (int round = 0; round < 3 && o == OUT_OK; round++) {
        struct meta_options options = {
            .dir = dir, .node_id = 1, .cluster_id = "", .host = "localhost", .port = 9092,
            .flush = true, .clean = round == 2, .now_ms = NOW, .snapshot_bytes = snapshot_bytes};
        o = meta_open(&options, &m);
        if (o != OUT_OK)
            return o;
        o = fill(m, round);
        enum outcome closed = meta_close(&m);
        o = o == OUT_OK ? closed : o;
    }
    return o;
}

int main(int argc, char **argv)
{
    char dir[1024];
    if (argc != 2)
        return 2;
    snprintf(dir, sizeof dir, "%s/plain", argv[1]);
    enum outcome o = write_dir(dir, 0);
    snprintf(dir, sizeof dir, "%s/snapshots", argv[1]);
    if (o == OUT_OK)
        o = write_dir(dir, 4000);
    if (o != OUT_OK)
        printf("# %s: %s\n", outcome_name(o), outcome_trail());
    return o == OUT_OK ? 0 : 1;
}

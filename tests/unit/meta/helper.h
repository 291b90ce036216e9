/* SPDX-License-Identifier: MIT */
/* What the tests of the metadata share: scratch directories, opening and closing, small changes. */
#ifndef META_HELPER_H
#define META_HELPER_H

#include "log/log.h"
#include "meta/meta.h"
#include "tap.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <sys/stat.h>

#define NOW INT64_C(1700000000000)
#define UNUSED __attribute__((unused))

static char scratch_base[200];

UNUSED static void scratch_end(void)
{
    char command[256];
    if (scratch_base[0] == '\0')
        return;
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_base);
    if (system(command) != 0)
        printf("# could not remove %s\n", scratch_base);
}

/* A fresh directory, removed at the end of the case. */
UNUSED static const char *scratch(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch_base, sizeof scratch_base, "%s/fluxmq-meta-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    expect(mkdtemp(scratch_base) != NULL);
    atexit(scratch_end);
    return scratch_base;
}

UNUSED static int shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    int size = snprintf(command, sizeof command, "set -e; A='%s'; B='%s'; %s", a, b, format);
    expect(size > 0 && (size_t)size < sizeof command);
    return system(command);
}

UNUSED static struct meta_options options(const char *dir)
{
    return (struct meta_options){.dir = dir, .node_id = 1, .cluster_id = "", .host = "localhost",
                                 .port = 9092, .flush = true, .now_ms = NOW};
}

UNUSED static struct meta *open_with(const struct meta_options *o)
{
    struct meta *m = NULL;
    enum outcome out = meta_open(o, &m);
    if (out != OUT_OK)
        printf("# %s: %s\n", outcome_name(out), outcome_trail());
    expect_eq(out, OUT_OK);
    return m;
}

UNUSED static struct meta *open_dir(const char *dir)
{
    struct meta_options o = options(dir);
    return open_with(&o);
}

UNUSED static bool any_config(int8_t type, struct bytes name, struct bytes value, char *message)
{
    (void)type;
    (void)value;
    snprintf(message, 256, "Unknown topic config name: %.*s", (int)name.size,
             (const char *)name.at);
    return memchr(name.at, '!', name.size) == NULL;
}

UNUSED static struct meta_rules rules_of(const struct meta *m)
{
    return (struct meta_rules){.node_id = meta_node_id(m), .directory_id = meta_directory_id(m),
                               .default_partitions = 1, .config_check = any_config};
}

UNUSED static void commit(struct meta *m, struct meta_change *change)
{
    enum outcome o = meta_commit(m, change, NOW);
    if (o != OUT_OK)
        printf("# %s: %s\n", outcome_name(o), outcome_trail());
    expect_eq(o, OUT_OK);
    meta_change_fini(change);
}

UNUSED static struct uuid create(struct meta *m, const char *name, int32_t partitions)
{
    struct meta_change change;
    struct meta_rules rules = rules_of(m);
    struct meta_new_topic t = {.name = bytes_of(name), .partition_count = partitions,
                               .replication_factor = -1};
    struct uuid id;
    meta_change_init(&change);
    expect_eq(meta_plan_topic(meta_newest(m), &rules, &t, &change, &id), OUT_OK);
    commit(m, &change);
    return id;
}

UNUSED static void set_config(struct meta *m, const char *topic, const char *name,
                              const char *value)
{
    struct meta_change change;
    meta_change_init(&change);
    expect_eq(meta_plan_config(2, bytes_of(topic), bytes_of(name), bytes_of(value), &change),
              OUT_OK);
    commit(m, &change);
}

/* What an image means: two images that print alike are the same to everyone who reads them. */
UNUSED static struct bytes image_text(const struct meta_image *i, bool epochs, struct arena *arena)
{
    char id[UUID_TEXT_SIZE];
    struct bytes text = arena_print(arena, "cluster %s ids %lld\n", i->cluster_id_text,
                                    (long long)i->next_producer_id);
    for (size_t k = 0; k < i->topic_count; k++) {
        const struct meta_topic *t = i->topics[k];
        uuid_print(&t->id, id);
        text = arena_print(arena, "%.*s%.*s %s\n", (int)text.size, (const char *)text.at,
                           (int)t->name.size, (const char *)t->name.at, id);
        for (int32_t p = 0; p < t->partition_count; p++) {
            const struct meta_partition *it = &t->partitions[p];
            text = arena_print(arena, "%.*s  %d leader %d epoch %d %d replicas %d isr %d dirs %d\n",
                               (int)text.size, (const char *)text.at, p, it->leader,
                               epochs ? it->leader_epoch : 0, epochs ? it->partition_epoch : 0,
                               it->placement->replica_count, it->placement->isr_count,
                               it->placement->directory_count);
        }
    }
    for (size_t k = 0; k < i->config_count; k++) {
        const struct meta_configs *c = i->configs[k];
        for (size_t p = 0; p < c->count; p++)
            text = arena_print(arena, "%.*s%d %.*s: %.*s=%.*s\n", (int)text.size,
                               (const char *)text.at, c->type, (int)c->name.size,
                               (const char *)c->name.at, (int)c->pairs[p].name.size,
                               (const char *)c->pairs[p].name.at, (int)c->pairs[p].value.size,
                               (const char *)c->pairs[p].value.at);
    }
    for (size_t k = 0; k < i->feature_count; k++)
        text = arena_print(arena, "%.*sfeature %s %d\n", (int)text.size, (const char *)text.at,
                           i->feature_names[k], i->features[k].level);
    for (size_t k = 0; k < i->kept_count; k++)
        text = arena_print(arena, "%.*skept %u of %zu bytes\n", (int)text.size,
                           (const char *)text.at, i->kept[k]->type, i->kept[k]->framed.size);
    expect(text.at != NULL);
    return text;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The metadata log of one node: __cluster_metadata-0 in the log directory, in KRaft's own batches.
 *
 * Opening replays what is there (replay.c), begins a new leader epoch (a LeaderChange control
 * record), registers this broker, and makes it the leader of every partition: leader epochs rise
 * after an unclean stop, since a power cut may have taken records that were acknowledged by one,
 * and stay after a clean one. A commit is one batch, so it is there whole or not at all.
 */
#include "base/check.h"
#include "meta/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TOPIC_DIR "__cluster_metadata-0"
#define BOOTSTRAP "bootstrap.checkpoint"
#define SNAPSHOT_BYTES MiB(20)      /* Kafka's metadata.log.max.record.bytes.between.snapshots */
#define SNAPSHOT_STOP_BYTES MiB(1)  /* at a clean stop */
#define LEADERSHIP_MAX 5000         /* partitions in one batch */

const struct meta_image *meta_newest(struct meta *m)
{
    return m->image;
}

struct uuid meta_directory_id(const struct meta *m)
{
    return m->directory_id;
}

int32_t meta_node_id(const struct meta *m)
{
    return m->options.node_id;
}

int32_t meta_epoch(const struct meta *m)
{
    return m->epoch;
}

/* ---- writing ---- */

static enum outcome append(struct meta *m, int16_t attributes, int64_t now_ms, int64_t *base)
{
    struct log_builder_end end = log_builder_plain();
    end.leader_epoch = m->epoch;
    end.attributes = attributes;
    uint8_t *batch;
    size_t size;
    enum outcome o = log_builder_finish(&m->builder, &end, &batch, &size);
    if (o != OUT_OK)
        return o;
    struct store_append what = {.at = batch, .size = size, .leader_epoch = m->epoch,
                                .origin = STORE_RAFT, .now_ms = now_ms};
    struct store_appended done;
    o = store_append(log_store(m->log), &what, &done);
    *base = done.base_offset;
    return o == OUT_OK ? o : outcome_add(o, "write the metadata log");
}

/* Not flushed: the registration that follows is. */
static enum outcome begin_epoch(struct meta *m)
{
    struct leader_change_message message;
    struct leader_change_message_voters voter = {
        .voter_id = m->options.node_id, .voter_directory_id = m->directory_id};
    struct leader_change_message_granting_voters granting = {
        .voter_id = m->options.node_id, .voter_directory_id = m->directory_id};
    struct arena arena;
    struct bytes value;
    uint8_t key[4] = {0, 0, 0, META_LEADER_CHANGE};
    int16_t version = m->quorum.version == 0 ? 0 : 1;
    int64_t base;
    arena_init(&arena, KiB(64));
    wire_defaults(&wire_leader_change_message, &message);
    message.leader_id = m->options.node_id;
    message.version = version;
    message.voters = &voter;
    message.granting_voters = &granting;
    message.voters_count = message.granting_voters_count = 1;
    enum outcome o =
        wire_encode_new(&wire_leader_change_message, version, &message, &arena, &value);
    if (o == OUT_OK)
        o = log_epoch_begin(m->log, m->epoch);
    if (o == OUT_OK) {
        log_builder_reset(&m->builder);
        log_builder_add(&m->builder, m->options.now_ms, bytes_view(key, sizeof key), value, NULL,
                        0);
        o = append(m, LOG_ATTR_CONTROL, m->options.now_ms, &base);
    }
    arena_fini(&arena);
    return o;
}

/* The change is applied to a draft before it is written: what can't be applied never gets into the
 * log. Offsets are known beforehand, since nobody else writes. */
enum outcome meta_commit(struct meta *m, struct meta_change *change, int64_t now_ms)
{
    const struct meta_image *next;
    struct store_stat stat;
    int64_t base, flushed;
    if (change->count == 0)
        return OUT_OK;
    store_stat(log_store(m->log), &stat);
    enum outcome o = meta_image_apply(m->image, change, stat.end_offset, &next);
    if (o != OUT_OK)
        return o;
    log_builder_reset(&m->builder);
    for (const struct meta_record *r = change->first; r != NULL; r = r->next)
        log_builder_add(&m->builder, now_ms, (struct bytes){NULL, 0}, r->framed, NULL, 0);
    o = append(m, 0, now_ms, &base);
    if (o == OUT_OK && m->options.flush)
        o = store_flush(log_store(m->log), &flushed);
    if (o != OUT_OK) {
        meta_image_drop(next);
        return o;
    }
    check(base == stat.end_offset);
    meta_image_drop(m->image);
    m->image = next;
    snapshot_maybe(m, m->options.snapshot_bytes > 0 ? m->options.snapshot_bytes
                                                    : (int64_t)SNAPSHOT_BYTES, now_ms);
    return OUT_OK;
}

/* ---- this broker in the metadata ---- */

static enum outcome plan_features(struct meta_change *change)
{
    /* What a fresh Kafka 4.3 finalizes. */
    static const struct { const char *name; int16_t level; } rows[] = {
        {"metadata.version", 30}, {"eligible.leader.replicas.version", 1}, {"group.version", 1},
        {"share.version", 1}, {"streams.version", 1}, {"transaction.version", 2},
    };
    enum { BROKER_RESOURCE = 4 };
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < COUNT_OF(rows) && o == OUT_OK; i++) {
        struct feature_level_record r;
        wire_defaults(&wire_feature_level_record, &r);
        r.name = bytes_of(rows[i].name);
        r.feature_level = rows[i].level;
        o = meta_change_add(change, &wire_feature_level_record, 0, &r);
    }
    if (o == OUT_OK)
        o = meta_plan_config(BROKER_RESOURCE, bytes_of(""), bytes_of("min.insync.replicas"),
                             bytes_of("1"), change);
    return o;
}

static enum outcome plan_registration(struct meta *m, struct meta_change *change)
{
    struct register_broker_record r;
    struct register_broker_record_end_points point = {
        .name = bytes_of("PLAINTEXT"), .host = bytes_of(m->options.host),
        .port = (uint16_t)m->options.port};
    struct register_broker_record_features features[8];
    struct uuid directories[1 + META_DIRECTORIES_MAX] = {m->directory_id};
    struct store_stat stat;
    size_t count;
    const struct meta_supported_feature *supported = meta_supported_features(&count);
    check(count <= COUNT_OF(features));
    check(m->options.directory_count <= META_DIRECTORIES_MAX);
    store_stat(log_store(m->log), &stat);
    wire_defaults(&wire_register_broker_record, &r);
    for (size_t i = 0; i < count; i++)
        features[i] = (struct register_broker_record_features){
            .name = bytes_of(supported[i].name), .min_supported_version = supported[i].min,
            .max_supported_version = supported[i].max};
    r.broker_id = m->options.node_id;
    r.incarnation_id = uuid_random();
    /* The epoch is the record's own offset: it is the next one but for those planned before it. */
    r.broker_epoch = stat.end_offset + (int64_t)change->count;
    r.end_points = &point;
    r.end_points_count = 1;
    r.features = features;
    r.features_count = (int32_t)count;
    for (int32_t i = 0; i < m->options.directory_count; i++)
        directories[1 + i] = m->options.directories[i];
    r.log_dirs = directories;
    r.log_dirs_count = 1 + m->options.directory_count;
    r.fenced = false;
    return meta_change_add(change, &wire_register_broker_record,
                           versions_of(m->image).register_broker, &r);
}

/* Every partition must live here alone: who else has newer records can't be asked. */
static enum outcome check_replicas(const struct meta *m)
{
    int32_t node = m->options.node_id;
    for (size_t i = 0; i < m->image->topic_count; i++) {
        const struct meta_topic *t = m->image->topics[i];
        for (int32_t p = 0; p < t->partition_count; p++) {
            const struct meta_placement *at = t->partitions[p].placement;
            errno = 0;
            if (at != NULL && (at->replica_count != 1 || at->replicas[0] != node))
                return fail(OUT_INVALID, "the data directory %s belongs to a cluster: partition %d "
                            "of %.*s has replicas on other brokers", m->options.dir, p,
                            (int)t->name.size, (const char *)t->name.at);
        }
    }
    return OUT_OK;
}

static enum outcome plan_leader(struct meta *m, const struct meta_topic *t, int32_t index,
                                struct meta_change *change)
{
    const struct meta_placement *at = t->partitions[index].placement;
    int32_t node = m->options.node_id;
    struct partition_change_record r;
    wire_defaults(&wire_partition_change_record, &r);
    r.partition_id = index;
    r.topic_id = t->id;
    r.leader = node;
    if (at->isr_count != 1 || at->isr[0] != node) {
        r.isr = &node;
        r.isr_count = 1;
    }
    /* A stopped Kafka leaves its broker out of the ISR, as an eligible leader: never both
     * (KIP-966). */
    if (at->elr_count > 0)
        r.eligible_leader_replicas_count = 0;
    if (at->last_elr_count > 0)
        r.last_known_elr_count = 0;
    return meta_change_add(change, &wire_partition_change_record,
                           versions_of(m->image).partition_change, &r);
}

static bool leads_alone(const struct meta_partition *p, int32_t node)
{
    return p->leader == node && p->placement->isr_count == 1 && p->placement->elr_count == 0;
}

/* A topic in memory begins anew with every start: a new epoch tells consumers so. */
static bool forgets(const struct meta_image *image, const struct meta_topic *t)
{
    enum { TOPIC_RESOURCE = 2 };
    const struct meta_configs *c = meta_configs(image, TOPIC_RESOURCE, t->name);
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        if (bytes_is(c->pairs[i].name, "storage.class"))
            return bytes_is(c->pairs[i].value, "memory");
    }
    return false;
}

/* In several commits: which partitions are done a next start sees. */
static enum outcome take_leadership(struct meta *m)
{
    const struct meta_image *image = meta_image_hold(m->image);
    struct meta_change change;
    enum outcome o = check_replicas(m);
    meta_change_init(&change);
    for (size_t i = 0; i < image->topic_count && o == OUT_OK; i++) {
        const struct meta_topic *t = image->topics[i];
        bool same = m->options.clean && !forgets(image, t);
        for (int32_t p = 0; p < t->partition_count && o == OUT_OK; p++) {
            const struct meta_partition *it = &t->partitions[p];
            if (it->placement == NULL || (same && leads_alone(it, m->options.node_id)))
                continue;
            o = plan_leader(m, t, p, &change);
            if (o == OUT_OK && change.count == LEADERSHIP_MAX) {
                o = meta_commit(m, &change, m->options.now_ms);
                meta_change_fini(&change);
                meta_change_init(&change);
            }
        }
    }
    if (o == OUT_OK)
        o = meta_commit(m, &change, m->options.now_ms);
    meta_change_fini(&change);
    meta_image_drop(image);
    return o;
}

/* ---- the first start ---- */

static bool has_features(const struct meta_image *image)
{
    for (size_t i = 0; i < image->feature_count; i++) {
        if (bytes_is(image->features[i].name, "metadata.version"))
            return true;
    }
    return false;
}

/* What the first leader writes: bootstrap.checkpoint, which a format by Kafka's tool may have
 * left. */
static enum outcome plan_bootstrap(struct meta *m, struct meta_change *change)
{
    static const struct meta_quorum no_quorum;
    enum outcome o = snapshot_records(m->options.dir, BOOTSTRAP, change);
    if (o != OUT_NOT_FOUND)
        return o;
    errno = 0;
    o = plan_features(change);
    if (o == OUT_OK)
        o = snapshot_file(m->options.dir, BOOTSTRAP, 0, &no_quorum, change, m->options.now_ms);
    return o;
}

/* A transaction that the last leader did not end counts as aborted from here on. */
static enum outcome plan_abort(struct meta_change *change)
{
    struct abort_transaction_record r;
    wire_defaults(&wire_abort_transaction_record, &r);
    r.reason = bytes_of("the controller was restarted");
    return meta_change_add(change, &wire_abort_transaction_record, 0, &r);
}

static enum outcome begin(struct meta *m)
{
    struct meta_change change;
    meta_change_init(&change);
    enum outcome o = begin_epoch(m);
    if (o == OUT_OK && m->in_transaction)
        o = plan_abort(&change);
    if (o == OUT_OK && !has_features(m->image))
        o = plan_bootstrap(m, &change);
    if (o == OUT_OK)
        o = plan_registration(m, &change);
    if (o == OUT_OK)
        o = meta_commit(m, &change, m->options.now_ms);
    meta_change_fini(&change);
    return o == OUT_OK ? take_leadership(m) : o;
}

/* ---- open and close ---- */

static enum outcome open_log(struct meta *m)
{
    struct log_open what = {.path = m->path, .topic_id = {.b = {[15] = 1}}, .was = LOG_UNCLEAN,
                            .now_ms = m->options.now_ms, .io = m->options.io,
                            .failed = m->options.failed, .context = m->options.context};
    log_options_default(&what.options);
    what.options.retention_ms = what.options.retention_bytes = -1;
    what.options.max_message_bytes = (int32_t)META_BATCH_MAX;
    what.options.segment_index_bytes = (int32_t)KiB(64);
    what.options.segment_ms = INT64_MAX;
    what.options.file_delete_delay_ms = 0;
    return log_open(&what, &m->log);
}

/* As a crash would. */
static void let_go(struct meta **meta)
{
    struct meta *m = *meta;
    if (m->log != NULL) {
        enum outcome o = log_close(&m->log, LOG_UNCLEAN);
        (void)o; /* nothing is promised */
    }
    meta_image_drop(m->image);
    log_builder_fini(&m->builder);
    free(m);
    *meta = NULL;
}

enum outcome meta_open(const struct meta_options *o, struct meta **out)
{
    struct meta *m = calloc(1, sizeof *m);
    if (m == NULL)
        return fail(OUT_NO_MEMORY, "open the metadata");
    m->options = *o;
    snprintf(m->path, sizeof m->path, "%s/%s", o->dir, TOPIC_DIR);
    log_builder_init(&m->builder, META_BATCH_MAX);
    enum outcome result = identify(m);
    if (result == OUT_OK)
        result = open_log(m);
    if (result == OUT_OK)
        result = replay(m);
    if (result == OUT_OK) {
        m->epoch = MAX(quorum_state_epoch(m), log_epoch_latest(m->log)) + 1;
        result = quorum_state_write(m);
    }
    if (result == OUT_OK)
        result = begin(m);
    *out = m;
    if (result != OUT_OK)
        let_go(out);
    return result;
}

enum outcome meta_close(struct meta **meta)
{
    struct meta *m = *meta;
    int64_t bytes = m->options.snapshot_bytes > 0 ? m->options.snapshot_bytes
                                                  : (int64_t)SNAPSHOT_STOP_BYTES;
    snapshot_maybe(m, bytes, m->options.now_ms);
    enum outcome o = log_close(&m->log, LOG_CLEAN);
    let_go(meta);
    return o;
}

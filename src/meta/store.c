/* SPDX-License-Identifier: MIT */
/*
 * The metadata log of one node: __cluster_metadata-0 in the log directory, in KRaft's own batches.
 *
 * Opening replays the newest snapshot (NNN-EEE.checkpoint) and the log behind it, begins a new leader
 * epoch (a LeaderChange control record), registers this broker when something about it changed, and
 * makes it the leader of every partition: leader epochs rise after an unclean stop, since a power cut
 * may have taken acknowledged-by-one records, and stay after a clean one.
 */
#include "base/check.h"
#include "log/log.h"
#include "meta/image.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TOPIC_DIR "__cluster_metadata-0"
#define BATCH_MAX MiB(8)
#define SCRATCH_MAX MiB(64)
#define REGISTER_BROKER_VERSION 4
#define PARTITION_CHANGE_VERSION 2
enum { CONTROL_LEADER_CHANGE = 2 };

struct meta {
    struct meta_options options;
    struct log *log;
    struct log_meta_properties properties;
    struct uuid directory_id;
    int32_t epoch; /* of this leader, that is: of this start */
    const struct meta_image *image;
    struct log_builder builder;
    char path[LOG_PATH_MAX];
};

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

/* ---- replay ---- */

struct replay {
    struct meta_image *draft;
    struct arena scratch;
    int64_t from; /* records below are in the snapshot */
};

static enum outcome replay_batch(void *context, const struct log_batch *batch)
{
    struct replay *r = context;
    struct log_records walk;
    struct log_record record;
    if (batch->attributes & LOG_ATTR_CONTROL)
        return OUT_OK;
    enum outcome o = log_records_begin(&walk, batch, SCRATCH_MAX);
    while (o == OUT_OK && (o = log_records_next(&walk, &record)) == OUT_OK) {
        if (record.offset >= r->from)
            o = image_apply(r->draft, record.offset, record.value, &r->scratch);
        arena_reset(&r->scratch);
    }
    log_records_fini(&walk);
    return o == OUT_END ? OUT_OK : o;
}

/* The newest snapshot's name; false: none. */
static bool newest_snapshot(const char *path, char name[static 64], int64_t *end_offset)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    bool found = false;
    *end_offset = 0;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        long long offset;
        int epoch, used = 0;
        if (sscanf(e->d_name, "%20lld-%10d.checkpoint%n", &offset, &epoch, &used) != 2 ||
            used == 0 || e->d_name[used] != '\0' || (found && offset < *end_offset))
            continue;
        memcpy(name, e->d_name, (size_t)used + 1); /* 20 + 1 + 10 + 11 at most */
        *end_offset = offset;
        found = true;
    }
    if (dir != NULL)
        closedir(dir);
    errno = 0;
    return found;
}

static enum outcome replay_snapshot(struct meta *m, struct replay *r)
{
    char name[64], *text;
    size_t size;
    int64_t end;
    if (!newest_snapshot(m->path, name, &end))
        return OUT_OK;
    enum outcome o = logdir_file_read(m->path, name, &text, &size);
    if (o != OUT_OK)
        return outcome_add(o, "read the metadata snapshot %s", name);
    struct bytes rest = bytes_view(text, size);
    struct log_batch batch;
    while ((o = log_batch_next(&rest, &batch)) == OUT_OK) {
        if (!log_batch_crc_good(&batch))
            o = fail(OUT_CORRUPT, "the metadata snapshot %s has a wrong checksum", name);
        else
            o = replay_batch(r, &batch);
        if (o != OUT_OK)
            break;
    }
    free(text);
    r->from = end;
    return o == OUT_MORE ? OUT_OK : o;
}

static enum outcome replay(struct meta *m, bool *fresh)
{
    struct replay r = {.draft = image_draft(NULL)};
    struct store_stat stat;
    if (r.draft == NULL)
        return fail(OUT_NO_MEMORY, "read the metadata");
    arena_init(&r.scratch, SCRATCH_MAX);
    memcpy(r.draft->cluster_id_text, m->properties.cluster_id, sizeof r.draft->cluster_id_text);
    r.draft->cluster_id = bytes_of(r.draft->cluster_id_text);
    r.draft->node_id = m->options.node_id;
    enum outcome o = replay_snapshot(m, &r);
    store_stat(log_store(m->log), &stat);
    if (o == OUT_OK && stat.end_offset > stat.start_offset)
        o = log_scan(m->log, MAX(stat.start_offset, r.from), stat.end_offset, replay_batch, &r);
    *fresh = stat.end_offset == 0 && r.from == 0;
    arena_fini(&r.scratch);
    if (o == OUT_OK)
        o = image_finish(r.draft);
    if (o == OUT_OK)
        m->image = r.draft;
    else
        meta_image_drop(r.draft);
    return o == OUT_OK ? o : outcome_add(o, "replay the metadata log in %s", m->path);
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
    if (o != OUT_OK)
        return outcome_add(o, "write the metadata log");
    *base = done.base_offset;
    int64_t flushed;
    return m->options.flush ? store_flush(log_store(m->log), &flushed) : OUT_OK;
}

static enum outcome begin_epoch(struct meta *m)
{
    struct leader_change_message message;
    struct leader_change_message_voters voter = {.voter_id = m->options.node_id};
    struct arena arena;
    struct bytes value;
    uint8_t key[4] = {0, 0, 0, CONTROL_LEADER_CHANGE};
    int64_t base;
    arena_init(&arena, KiB(64));
    wire_defaults(&wire_leader_change_message, &message);
    message.leader_id = m->options.node_id;
    struct leader_change_message_granting_voters granting = {.voter_id = m->options.node_id};
    message.voters = &voter;
    message.granting_voters = &granting;
    message.voters_count = message.granting_voters_count = 1;
    enum outcome o = wire_encode_new(&wire_leader_change_message, 0, &message, &arena, &value);
    if (o == OUT_OK)
        o = log_epoch_begin(m->log, m->epoch);
    if (o == OUT_OK) {
        log_builder_reset(&m->builder);
        log_builder_add(&m->builder, m->options.now_ms, bytes_view(key, sizeof key), value, NULL, 0);
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
    int64_t base;
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
    if (o != OUT_OK) {
        meta_image_drop(next);
        return o;
    }
    check(base == stat.end_offset);
    meta_image_drop(m->image);
    m->image = next;
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
    struct uuid directory = m->directory_id;
    struct store_stat stat;
    size_t count;
    const struct meta_supported_feature *supported = meta_supported_features(&count);
    check(count <= COUNT_OF(features));
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
    r.log_dirs = &directory;
    r.log_dirs_count = 1;
    r.fenced = false;
    return meta_change_add(change, &wire_register_broker_record, REGISTER_BROKER_VERSION, &r);
}

static enum outcome plan_leadership(struct meta *m, struct meta_change *change)
{
    int32_t node = m->options.node_id;
    for (size_t i = 0; i < m->image->topic_count; i++) {
        const struct meta_topic *t = m->image->topics[i];
        for (int32_t p = 0; p < t->partition_count; p++) {
            if (m->options.clean && t->partitions[p].leader == node)
                continue;
            struct partition_change_record r;
            wire_defaults(&wire_partition_change_record, &r);
            r.partition_id = p;
            r.topic_id = t->id;
            r.isr = &node;
            r.isr_count = 1;
            r.leader = node;
            r.eligible_leader_replicas_count = r.last_known_elr_count = 0;
            enum outcome o = meta_change_add(change, &wire_partition_change_record,
                                             PARTITION_CHANGE_VERSION, &r);
            if (o != OUT_OK)
                return o;
        }
    }
    return OUT_OK;
}

static enum outcome begin(struct meta *m, bool fresh)
{
    struct meta_change change;
    meta_change_init(&change);
    enum outcome o = begin_epoch(m);
    if (o == OUT_OK && fresh)
        o = plan_features(&change);
    if (o == OUT_OK)
        o = plan_registration(m, &change);
    if (o == OUT_OK)
        o = plan_leadership(m, &change);
    if (o == OUT_OK)
        o = meta_commit(m, &change, m->options.now_ms);
    meta_change_fini(&change);
    return o;
}

/* ---- identity ---- */

static enum outcome make_identity(struct meta *m)
{
    struct log_meta_properties *p = &m->properties;
    struct uuid cluster = uuid_random();
    char text[UUID_TEXT_SIZE];
    uuid_print(&cluster, text);
    *p = (struct log_meta_properties){.node_id = m->options.node_id, .version = 1};
    snprintf(p->cluster_id, sizeof p->cluster_id, "%s",
             m->options.cluster_id[0] == '\0' ? text : m->options.cluster_id);
    m->directory_id = uuid_random();
    uuid_print(&m->directory_id, p->directory_id);
    return logdir_meta_write(m->options.dir, p);
}

static enum outcome identify(struct meta *m)
{
    struct log_meta_properties *p = &m->properties;
    enum outcome o = logdir_meta_read(m->options.dir, p);
    if (o == OUT_NOT_FOUND)
        return make_identity(m);
    if (o != OUT_OK)
        return o;
    errno = 0;
    if (p->node_id != m->options.node_id)
        return fail(OUT_INVALID, "the data directory %s belongs to broker %d, not %d: start with "
                    "--broker-id %d or choose another --data-dir", m->options.dir, p->node_id,
                    m->options.node_id, p->node_id);
    if (m->options.cluster_id[0] != '\0' && strcmp(p->cluster_id, m->options.cluster_id) != 0)
        return fail(OUT_INVALID, "the data directory %s belongs to cluster %s, not %s",
                    m->options.dir, p->cluster_id, m->options.cluster_id);
    if (!uuid_parse(bytes_of(p->directory_id), &m->directory_id))
        return fail(OUT_CORRUPT, "%s/meta.properties has no valid directory.id", m->options.dir);
    return OUT_OK;
}

/* KRaft's vote of one: who leads in which epoch. */
static enum outcome write_quorum_state(struct meta *m)
{
    char text[512];
    int size = snprintf(text, sizeof text,
                        "{\"clusterId\":\"\",\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":-1,"
                        "\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":%d}],\"data_version\":0}",
                        m->options.node_id, m->epoch, m->options.node_id);
    return logdir_file_write(m->path, "quorum-state", bytes_view(text, (size_t)size));
}

static int32_t quorum_epoch(const struct meta *m)
{
    char *text;
    size_t size;
    int32_t epoch = 0;
    if (logdir_file_read(m->path, "quorum-state", &text, &size) != OUT_OK)
        return 0;
    const char *at = strstr(text, "\"leaderEpoch\":");
    if (at != NULL)
        epoch = (int32_t)strtol(at + strlen("\"leaderEpoch\":"), NULL, 10);
    free(text);
    return epoch;
}

static enum outcome open_log(struct meta *m)
{
    struct log_open what = {.path = m->path, .topic_id = {.b = {[15] = 1}}, .was = LOG_UNCLEAN,
                            .now_ms = m->options.now_ms};
    log_options_default(&what.options);
    what.options.retention_ms = what.options.retention_bytes = -1;
    what.options.max_message_bytes = (int32_t)BATCH_MAX;
    what.options.segment_index_bytes = (int32_t)KiB(64);
    what.options.segment_ms = INT64_MAX;
    return log_open(&what, &m->log);
}

enum outcome meta_open(const struct meta_options *o, struct meta **out)
{
    struct meta *m = calloc(1, sizeof *m);
    bool fresh = false;
    if (m == NULL)
        return fail(OUT_NO_MEMORY, "open the metadata");
    m->options = *o;
    snprintf(m->path, sizeof m->path, "%s/%s", o->dir, TOPIC_DIR);
    log_builder_init(&m->builder, BATCH_MAX);
    enum outcome result = identify(m);
    if (result == OUT_OK)
        result = open_log(m);
    if (result == OUT_OK)
        result = replay(m, &fresh);
    if (result == OUT_OK) {
        m->epoch = MAX(quorum_epoch(m), log_epoch_latest(m->log)) + 1;
        result = write_quorum_state(m);
    }
    if (result == OUT_OK)
        result = begin(m, fresh);
    *out = m;
    if (result != OUT_OK) {
        enum outcome closed = meta_close(out);
        (void)closed; /* the first failure is the one to tell */
    }
    return result;
}

enum outcome meta_close(struct meta **meta)
{
    struct meta *m = *meta;
    enum outcome o = m->log == NULL ? OUT_OK : log_close(&m->log, LOG_CLEAN);
    if (m->image != NULL)
        meta_image_drop(m->image);
    log_builder_fini(&m->builder);
    free(m);
    *meta = NULL;
    return o;
}

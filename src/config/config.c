/* SPDX-License-Identifier: MIT */
/* Values by source, and the typed fields that the code reads. */
#include "config/private.h"

#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const uint8_t source_of_rank[] = {
    [RANK_DEFAULT] = CONFIG_FROM_DEFAULT, [RANK_FILE] = CONFIG_FROM_STATIC,
    [RANK_ENVIRONMENT] = CONFIG_FROM_STATIC, [RANK_OPTION] = CONFIG_FROM_STATIC,
    [RANK_DYNAMIC_DEFAULT] = CONFIG_FROM_DYNAMIC_DEFAULT,
    [RANK_DYNAMIC] = CONFIG_FROM_DYNAMIC_BROKER,
};

enum outcome config_set(struct config *c, const char *name, const char *value, uint8_t rank)
{
    char message[CONFIG_MESSAGE];
    int i = broker_row_index(name);
    if (i < 0)
        return fail(OUT_NOT_FOUND, "unknown setting %s; did you mean %s?", name,
                    config_nearest(name));
    size_t count;
    const struct config_row *row = &config_rows(CONFIG_BROKER, &count)[i];
    if (!config_valid(row, bytes_of(value), message))
        return fail(OUT_INVALID, "%s", message);
    if (c->text[i] != NULL && c->source[i] > rank)
        return OUT_OK;
    struct bytes word = trimmed(bytes_of(value)); /* as it was checked */
    char *copy = strndup((const char *)word.at, word.size);
    if (copy == NULL)
        return fail(OUT_NO_MEMORY, "keep a setting");
    free(c->text[i]);
    c->text[i] = copy;
    c->source[i] = rank; /* ranks while loading; config_text() turns them into sources */
    return OUT_OK;
}

const char *config_text(const struct config *c, const char *name, enum config_source *source)
{
    int i = broker_row_index(name);
    size_t count;
    if (source != NULL)
        *source = CONFIG_FROM_DEFAULT;
    if (i < 0)
        return NULL;
    if (c->text[i] == NULL)
        return config_rows(CONFIG_BROKER, &count)[i].standard;
    if (source != NULL)
        *source = source_of_rank[c->source[i]];
    return c->text[i];
}

static int64_t number(const struct config *c, const char *name)
{
    const char *text = config_text(c, name, NULL);
    return text == NULL ? -1 : strtoll(text, NULL, 10);
}

static bool truth(const struct config *c, const char *name)
{
    const char *text = config_text(c, name, NULL);
    return text != NULL && strcasecmp(text, "true") == 0;
}

static bool is(const struct config *c, const char *name, const char *value)
{
    const char *text = config_text(c, name, NULL);
    return text != NULL && strcmp(text, value) == 0;
}

static double fraction(const struct config *c, const char *name)
{
    const char *text = config_text(c, name, NULL);
    return text == NULL ? 0 : strtod(text, NULL);
}

static void copy(char *to, size_t room, const char *text)
{
    snprintf(to, room, "%s", text == NULL ? "" : text);
}

static void settle_groups(struct config *c)
{
    c->group_min_session_timeout_ms = (int32_t)number(c, "group.min.session.timeout.ms");
    c->group_max_session_timeout_ms = (int32_t)number(c, "group.max.session.timeout.ms");
    c->group_max_size = (int32_t)number(c, "group.max.size");
    c->group_initial_rebalance_delay_ms = (int32_t)number(c, "group.initial.rebalance.delay.ms");
    c->offset_metadata_max_bytes = (int32_t)number(c, "offset.metadata.max.bytes");
    c->offsets_topic_num_partitions = (int32_t)number(c, "offsets.topic.num.partitions");
    c->offsets_topic_segment_bytes = (int32_t)number(c, "offsets.topic.segment.bytes");
    c->offsets_retention_minutes = number(c, "offsets.retention.minutes");
    c->memory_retention_bytes = number(c, "memory.retention.bytes");
    c->offsets_retention_check_interval_ms = number(c, "offsets.retention.check.interval.ms");
}

static void settle_transactions(struct config *c)
{
    c->transaction_max_timeout_ms = (int32_t)number(c, "transaction.max.timeout.ms");
    c->transaction_topic_num_partitions =
        (int32_t)number(c, "transaction.state.log.num.partitions");
    c->transaction_topic_segment_bytes =
        (int32_t)number(c, "transaction.state.log.segment.bytes");
    c->transactional_id_expiration_ms = number(c, "transactional.id.expiration.ms");
    c->transaction_expiry_interval_ms =
        number(c, "transaction.remove.expired.transaction.cleanup.interval.ms");
    c->transaction_verification = truth(c, "transaction.partition.verification.enable");
}

static void settle_cleaner(struct config *c)
{
    c->cleaner_enable = truth(c, "log.cleaner.enable");
    c->cleaner_threads = (int32_t)number(c, "log.cleaner.threads");
    c->recovery_threads = (int32_t)number(c, "num.recovery.threads.per.data.dir");
    c->cleaner_backoff_ms = number(c, "log.cleaner.backoff.ms");
    c->cleaner_key_bytes = number(c, "log.cleaner.dedupe.buffer.size");
    c->cleaner_key_load = fraction(c, "log.cleaner.io.buffer.load.factor");
    c->cleaner_bytes_per_second = fraction(c, "log.cleaner.io.max.bytes.per.second");
}

static void settle_network(struct config *c)
{
    c->reactors = (int32_t)number(c, "reactors");
    c->max_connections = (int32_t)number(c, "max.connections");
    c->max_connections_per_ip = (int32_t)number(c, "max.connections.per.ip");
    c->socket_request_max_bytes = (int32_t)number(c, "socket.request.max.bytes");
    c->connections_max_idle_ms = number(c, "connections.max.idle.ms");
    c->receive_memory_max_bytes = number(c, "receive.memory.max.bytes");
    c->busy_poll_ns = number(c, "busy.poll.us") * 1000;
    copy(c->metrics_host, sizeof c->metrics_host, config_text(c, "metrics.host", NULL));
    c->metrics_port = (int32_t)number(c, "metrics.port");
}

static void settle_nats(struct config *c)
{
    c->nats_port = (int32_t)number(c, "nats.port");
    c->nats_max_payload = (int32_t)number(c, "nats.max.payload");
    c->nats_max_control_line = (int32_t)number(c, "nats.max.control.line");
    c->nats_max_connections = (int32_t)number(c, "nats.max.connections");
    c->nats_max_subscriptions = (int32_t)number(c, "nats.max.subscriptions");
    c->nats_ping_max = (int32_t)number(c, "nats.ping.max");
    c->nats_overflow_messages = (int32_t)number(c, "nats.overflow.messages");
    c->nats_max_pending = number(c, "nats.max.pending");
    c->nats_ping_interval_ms = number(c, "nats.ping.interval.ms");
    c->nats_write_deadline_ms = number(c, "nats.write.deadline.ms");
    c->nats_auth_timeout_ms = number(c, "nats.auth.timeout.ms");
    c->nats_lame_duck_ms = number(c, "nats.lame.duck.ms");
    copy(c->nats_users_file, sizeof c->nats_users_file, config_text(c, "nats.users.file", NULL));
    copy(c->nats_server_name, sizeof c->nats_server_name,
         config_text(c, "nats.server.name", NULL));
    if (!config_overflow(bytes_of(config_text(c, "nats.overflow", NULL)), &c->nats_overflow))
        c->nats_overflow = NATS_OVERFLOW_DISCONNECT;
}

static enum outcome settle_dirs(struct config *c)
{
    const char *dirs = config_text(c, "log.dirs", NULL);
    const char *meta = config_text(c, "metadata.log.dir", NULL);
    char given[sizeof c->log_dirs[0]];
    struct bytes rest, dir;
    if (dirs == NULL)
        dirs = config_text(c, "log.dir", NULL);
    rest = bytes_of(dirs);
    for (c->log_dir_count = 0; config_list_next(&rest, &dir); c->log_dir_count++) {
        if (c->log_dir_count == CONFIG_LOG_DIRS)
            return fail(OUT_INVALID, "log.dirs: more than %d directories", CONFIG_LOG_DIRS);
        char *to = c->log_dirs[c->log_dir_count];
        if (dir.size == 0 || dir.size >= sizeof c->log_dirs[0])
            return fail(OUT_INVALID, "log.dirs: a directory of 1 to %zu bytes is needed",
                        sizeof c->log_dirs[0] - 1);
        memcpy(given, dir.at, dir.size);
        given[dir.size] = '\0';
        if (!os_absolute(given, to, sizeof c->log_dirs[0]))
            return fail(OUT_INVALID, "log.dirs: the whole path of %s is longer than %zu bytes",
                        given, sizeof c->log_dirs[0] - 1);
        for (int32_t i = 0; i < c->log_dir_count; i++) {
            if (strcmp(c->log_dirs[i], to) == 0)
                return fail(OUT_INVALID, "log.dirs: %s is given twice", to);
        }
    }
    if (c->log_dir_count == 0)
        return fail(OUT_INVALID, "log.dirs: a directory of 1 to %zu bytes is needed",
                    sizeof c->log_dirs[0] - 1);
    if (meta == NULL || meta[0] == '\0')
        copy(c->data_dir, sizeof c->data_dir, c->log_dirs[0]);
    else if (!os_absolute(meta, c->data_dir, sizeof c->data_dir))
        return fail(OUT_INVALID, "metadata.log.dir: longer than %zu bytes",
                    sizeof c->data_dir - 1);
    return OUT_OK;
}

static enum outcome settle_storage(struct config *c)
{
    enum outcome o = settle_dirs(c);
    if (o != OUT_OK)
        return o;
    int64_t broker_id = number(c, "broker.id"), node_id = number(c, "node.id");
    if (node_id < 0 && broker_id < -1)
        return fail(OUT_INVALID, "broker.id=%lld: an id is 0 or more", (long long)broker_id);
    c->node_id = (int32_t)(node_id >= 0 ? node_id : MAX(broker_id, 0));
    copy(c->cluster_id, sizeof c->cluster_id, config_text(c, "cluster.id", NULL));
    c->flush_mode = is(c, "flush.mode", "none") ? FLUSH_MODE_NONE : FLUSH_MODE_GROUP;
    c->allocate_ahead_bytes = number(c, "log.allocate.ahead.bytes");
    c->validation_full = is(c, "message.validation", "full");
    c->log_retention_check_interval_ms = number(c, "log.retention.check.interval.ms");
    c->checkpoint_interval_ms = MIN(number(c, "log.flush.offset.checkpoint.interval.ms"),
                                    number(c, "log.flush.start.offset.checkpoint.interval.ms"));
    c->log_segment_delete_delay_ms = number(c, "log.segment.delete.delay.ms");
    c->producer_id_expiration_ms = number(c, "producer.id.expiration.ms");
    return OUT_OK;
}

enum outcome config_settle(struct config *c)
{
    enum outcome o = config_settle_listeners(c);
    if (o == OUT_OK)
        o = settle_storage(c);
    if (o == OUT_OK)
        o = config_settle_subjects(c);
    settle_network(c);
    settle_groups(c);
    settle_cleaner(c);
    settle_transactions(c);
    settle_nats(c);
    c->num_partitions = (int32_t)number(c, "num.partitions");
    c->default_replication_factor = (int32_t)number(c, "default.replication.factor");
    c->max_request_partition_size_limit =
        (int32_t)number(c, "max.request.partition.size.limit");
    c->auto_create_topics_enable = truth(c, "auto.create.topics.enable");
    c->delete_topic_enable = truth(c, "delete.topic.enable");
    c->fetch_max_bytes = (int32_t)number(c, "fetch.max.bytes");
    c->max_incremental_fetch_session_cache_slots =
        (int32_t)number(c, "max.incremental.fetch.session.cache.slots");
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (is(c, "log.level", levels[i]))
            c->log_level = (int32_t)i;
    }
    return o;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(c->text); i++)
        free(c->text[i]);
    free(c->subjects);
    free(c);
}

static void overlay(struct config *c, const struct config_pair *pairs, size_t count, uint8_t rank)
{
    for (size_t i = 0; i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)MIN(pairs[i].name.size, sizeof name - 1),
                 (const char *)pairs[i].name.at);
        char *value = strndup((const char *)pairs[i].value.at, pairs[i].value.size);
        if (value == NULL)
            continue;
        enum outcome o = config_set(c, name, value, rank);
        free(value);
        if (o != OUT_OK)
            continue; /* an unknown one is kept in the metadata and means nothing here */
    }
}

struct config *config_with(const struct config *base, const struct config_pair *defaults,
                           size_t default_count, const struct config_pair *own, size_t own_count)
{
    struct config *c = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    *c = *base;
    c->subjects = NULL; /* of the base */
    c->subject_count = 0;
    for (size_t i = 0; i < COUNT_OF(c->text); i++) {
        bool dynamic = base->source[i] >= RANK_DYNAMIC_DEFAULT;
        c->text[i] = base->text[i] == NULL || dynamic ? NULL : strdup(base->text[i]);
        c->source[i] = c->text[i] == NULL ? RANK_DEFAULT : base->source[i];
    }
    overlay(c, defaults, default_count, RANK_DYNAMIC_DEFAULT);
    overlay(c, own, own_count, RANK_DYNAMIC);
    if (config_settle(c) != OUT_OK) {
        config_free(c);
        return NULL;
    }
    return c;
}

/* SPDX-License-Identifier: MIT */
/* Effective settings of a topic: its own, else the broker's by another name, else the default. */
#include "config/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* "log.retention.hours*": what one unit is in milliseconds. */
static int64_t unit_ms(struct bytes word)
{
    static const char hours[] = ".hours*", minutes[] = ".minutes*";
    if (word.size > strlen(hours) &&
        memcmp(word.at + word.size - strlen(hours), hours, strlen(hours)) == 0)
        return 3600000;
    if (word.size > strlen(minutes) &&
        memcmp(word.at + word.size - strlen(minutes), minutes, strlen(minutes)) == 0)
        return 60000;
    return 1;
}

const char *config_topic_default(const struct config *c, const struct config_row *row,
                                 char buffer[static CONFIG_TEXT], const char **synonym,
                                 enum config_source *source)
{
    struct bytes rest = bytes_of(row->synonyms), word;
    *source = CONFIG_FROM_DEFAULT;
    *synonym = NULL;
    while (config_list_next(&rest, &word)) {
        char name[128];
        int64_t unit = unit_ms(word);
        size_t size = word.size - (word.at[word.size - 1] == '*');
        snprintf(name, sizeof name, "%.*s", (int)size, (const char *)word.at);
        enum config_source from;
        const char *text = config_text(c, name, &from);
        if (text == NULL || from == CONFIG_FROM_DEFAULT)
            continue;
        int i = broker_row_index(name);
        size_t count;
        *synonym = config_rows(CONFIG_BROKER, &count)[i].name;
        *source = from;
        if (unit == 1)
            return text;
        long long value = strtoll(text, NULL, 10);
        snprintf(buffer, CONFIG_TEXT, "%lld", value < 0 ? -1 : value * unit);
        return buffer;
    }
    return row->standard;
}

static const char *effective(const struct config *c, const char *name,
                             const struct config_pair *overrides, size_t count,
                             char buffer[static CONFIG_TEXT])
{
    for (size_t i = 0; i < count; i++) {
        if (!bytes_is(overrides[i].name, name) || overrides[i].value.at == NULL)
            continue;
        struct bytes value = trimmed(overrides[i].value);
        snprintf(buffer, CONFIG_TEXT, "%.*s", (int)value.size, (const char *)value.at);
        return buffer;
    }
    const char *synonym;
    enum config_source source;
    const struct config_row *row = config_row(CONFIG_TOPIC, bytes_of(name));
    const char *text = config_topic_default(c, row, buffer, &synonym, &source);
    return text == NULL ? "" : text;
}

static const struct number_field {
    const char *name;
    size_t offset;
} number_fields[] = {
    {"retention.ms", offsetof(struct topic_config, retention_ms)},
    {"retention.bytes", offsetof(struct topic_config, retention_bytes)},
    {"segment.bytes", offsetof(struct topic_config, segment_bytes)},
    {"segment.ms", offsetof(struct topic_config, segment_ms)},
    {"segment.jitter.ms", offsetof(struct topic_config, segment_jitter_ms)},
    {"max.message.bytes", offsetof(struct topic_config, max_message_bytes)},
    {"index.interval.bytes", offsetof(struct topic_config, index_interval_bytes)},
    {"segment.index.bytes", offsetof(struct topic_config, segment_index_bytes)},
    {"message.timestamp.before.max.ms", offsetof(struct topic_config, timestamp_before_max_ms)},
    {"message.timestamp.after.max.ms", offsetof(struct topic_config, timestamp_after_max_ms)},
    {"file.delete.delay.ms", offsetof(struct topic_config, file_delete_delay_ms)},
    {"min.insync.replicas", offsetof(struct topic_config, min_insync_replicas)},
    {"delete.retention.ms", offsetof(struct topic_config, delete_retention_ms)},
    {"min.compaction.lag.ms", offsetof(struct topic_config, min_compaction_lag_ms)},
    {"max.compaction.lag.ms", offsetof(struct topic_config, max_compaction_lag_ms)},
    {"compression.gzip.level", offsetof(struct topic_config, gzip_level)},
    {"compression.lz4.level", offsetof(struct topic_config, lz4_level)},
    {"compression.zstd.level", offsetof(struct topic_config, zstd_level)},
    {"flush.messages", offsetof(struct topic_config, flush_messages)},
    {"flush.ms", offsetof(struct topic_config, flush_ms)},
    {"retention.records", offsetof(struct topic_config, retention_records)},
    {"message.ttl.ms", offsetof(struct topic_config, message_ttl_ms)},
    {"live.backlog", offsetof(struct topic_config, live_backlog)},
};

void topic_config_make(const struct config *c, const struct config_pair *overrides, size_t count,
                       struct topic_config *out)
{
    char buffer[CONFIG_TEXT];
    *out = (struct topic_config){0};
    for (size_t i = 0; i < COUNT_OF(number_fields); i++) {
        const char *text = effective(c, number_fields[i].name, overrides, count, buffer);
        int64_t value = strtoll(text, NULL, 10);
        memcpy((char *)out + number_fields[i].offset, &value, sizeof value);
    }
    out->min_cleanable_ratio =
        strtod(effective(c, "min.cleanable.dirty.ratio", overrides, count, buffer), NULL);
    const char *type = effective(c, "message.timestamp.type", overrides, count, buffer);
    out->append_time = strcmp(type, "LogAppendTime") == 0;
    out->memory = strcmp(effective(c, "storage.class", overrides, count, buffer), "memory") == 0;
    enum nats_overflow overflow;
    const char *policy = effective(c, "live.overflow", overrides, count, buffer);
    out->live_overflow = config_overflow(bytes_of(policy), &overflow) ? (int8_t)overflow : -1;
    const char *preallocate = effective(c, "preallocate", overrides, count, buffer);
    out->preallocate = strcasecmp(preallocate, "true") == 0;
    const char *metadata = effective(c, "live.metadata", overrides, count, buffer);
    out->live_metadata = strcasecmp(metadata, "true") == 0;
    snprintf(out->compression_type, sizeof out->compression_type, "%s",
             effective(c, "compression.type", overrides, count, buffer));
    struct bytes rest = bytes_of(effective(c, "cleanup.policy", overrides, count, buffer)), word;
    while (config_list_next(&rest, &word)) {
        out->cleanup_delete |= bytes_is(word, "delete");
        out->cleanup_compact |= bytes_is(word, "compact");
    }
}

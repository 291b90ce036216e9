/* SPDX-License-Identifier: MIT */
/* Effective settings of a topic, and dynamic values of the broker on top of the loaded ones. */
#include "helper.h"

static struct config_pair pair(const char *name, const char *value)
{
    return (struct config_pair){bytes_of(name), bytes_of(value)};
}

static const char *topic_default(const struct config *c, const char *name, const char **synonym,
                                 enum config_source *source)
{
    static char buffer[CONFIG_TEXT];
    return config_topic_default(c, config_row(CONFIG_TOPIC, bytes_of(name)), buffer, synonym,
                                source);
}

void test_kafka_defaults(void)
{
    struct config *c = from_file("");
    struct topic_config t;
    topic_config_make(c, NULL, 0, &t);
    expect_eq(t.retention_ms, 604800000);
    expect_eq(t.retention_bytes, -1);
    expect_eq(t.segment_bytes, 1 << 30);
    expect_eq(t.segment_ms, 604800000);
    expect_eq(t.max_message_bytes, 1048588);
    expect_eq(t.index_interval_bytes, 4096);
    expect_eq(t.segment_index_bytes, 10485760);
    expect_eq(t.file_delete_delay_ms, 60000);
    expect_eq(t.flush_messages, INT64_MAX);
    expect_eq(t.timestamp_before_max_ms, INT64_MAX);
    expect_eq(t.timestamp_after_max_ms, 3600000);
    expect_eq(t.min_insync_replicas, 1);
    expect(t.cleanup_delete && !t.cleanup_compact && !t.append_time && !t.preallocate);
    expect_str(t.compression_type, "producer");
    config_free(c);
}

void test_overrides(void)
{
    struct config *c = from_file("log.retention.ms=1000\nlog.segment.bytes=1500000\n");
    struct config_pair own[] = {pair("retention.ms", " 5 "),
                                pair("cleanup.policy", "compact , delete"),
                                pair("message.timestamp.type", "LogAppendTime"),
                                pair("preallocate", "TRUE"), pair("compression.type", "lz4"),
                                {bytes_of("segment.bytes"), {0}}};
    struct topic_config t;
    topic_config_make(c, own, COUNT_OF(own), &t);
    expect_eq(t.retention_ms, 5);
    expect_eq(t.segment_bytes, 1500000); /* null: not set, so the broker's */
    expect(t.cleanup_delete && t.cleanup_compact && t.append_time && t.preallocate);
    expect_str(t.compression_type, "lz4");
    config_free(c);
}

void test_hours_minutes_and_milliseconds(void)
{
    static const struct {
        const char *file;
        int64_t ms;
        const char *synonym;
    } rows[] = {
        {"log.retention.hours=3\n", 3ll * 3600000, "log.retention.hours"},
        {"log.retention.hours=3\nlog.retention.minutes=2\n", 120000, "log.retention.minutes"},
        {"log.retention.hours=3\nlog.retention.minutes=2\nlog.retention.ms=77\n", 77,
         "log.retention.ms"},
        {"log.retention.hours=-1\n", -1, "log.retention.hours"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config *c = from_file(rows[i].file);
        struct topic_config t;
        const char *synonym;
        enum config_source source;
        topic_config_make(c, NULL, 0, &t);
        expect_eq(t.retention_ms, rows[i].ms);
        expect_eq(atoll(topic_default(c, "retention.ms", &synonym, &source)), rows[i].ms);
        expect_str(synonym, rows[i].synonym);
        expect_eq(source, CONFIG_FROM_STATIC);
        config_free(c);
    }
}

void test_a_default_has_no_synonym(void)
{
    struct config *c = from_file("");
    const char *synonym;
    enum config_source source;
    expect_str(topic_default(c, "retention.ms", &synonym, &source), "604800000");
    expect(synonym == NULL);
    expect_eq(source, CONFIG_FROM_DEFAULT);
    config_free(c);
}

void test_dynamic_values(void)
{
    struct config *c = from_file("log.retention.ms=1000\nmax.connections=7\n");
    struct config_pair defaults[] = {pair("log.retention.ms", "2000"),
                                     pair("log.segment.bytes", "2000000")};
    struct config_pair own[] = {pair("log.segment.bytes", "3000000"), pair("no.such.thing", "1")};
    struct config *d = config_with(c, defaults, 2, own, 2);
    struct topic_config t;
    expect(d != NULL);
    topic_config_make(d, NULL, 0, &t);
    expect_eq(t.retention_ms, 2000);
    expect_eq(t.segment_bytes, 3000000); /* this broker's before the cluster's */
    expect_eq(d->max_connections, 7);
    expect_eq(source_of(d, "log.retention.ms"), CONFIG_FROM_DYNAMIC_DEFAULT);
    expect_eq(source_of(d, "log.segment.bytes"), CONFIG_FROM_DYNAMIC_BROKER);
    expect_eq(source_of(d, "max.connections"), CONFIG_FROM_STATIC);
    topic_config_make(c, NULL, 0, &t);
    expect_eq(t.retention_ms, 1000); /* the loaded one is as it was */
    config_free(d);
    config_free(c);
}

/* Dynamic values that are taken back leave the file's: each picture starts from the loaded one. */
void test_dynamic_values_taken_back(void)
{
    struct config *c = from_file("log.retention.ms=1000\n");
    struct config_pair own[] = {pair("log.retention.ms", "5"), pair("max.connections", "bad")};
    struct config *d = config_with(c, NULL, 0, own, 2);
    struct config *e = config_with(c, NULL, 0, NULL, 0);
    struct topic_config t;
    expect(d != NULL && e != NULL);
    expect_eq(d->max_connections, 10000); /* a value that does not fit changes nothing */
    topic_config_make(e, NULL, 0, &t);
    expect_eq(t.retention_ms, 1000);
    expect_eq(source_of(e, "log.retention.ms"), CONFIG_FROM_STATIC);
    config_free(e);
    config_free(d);
    config_free(c);
}

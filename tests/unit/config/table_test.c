/* SPDX-License-Identifier: MIT */
/* The rows: names, defaults that fit their own row, ranges, choices, lists, nearest names. */
#include "helper.h"

static bool fits(enum config_resource r, const char *name, const char *value)
{
    char message[CONFIG_MESSAGE] = "";
    const struct config_row *row = config_row(r, bytes_of(name));
    expect(row != NULL);
    bool good = config_valid(row, bytes_of(value), message);
    expect(good || strstr(message, name) != NULL); /* a refusal names the setting */
    return good;
}

static const enum config_resource kinds[] = {CONFIG_TOPIC, CONFIG_BROKER, CONFIG_GROUP,
                                             CONFIG_CLIENT_METRICS};

void test_lists_of_throttled_replicas(void)
{
    char message[CONFIG_MESSAGE];
    struct bytes name = bytes_of("leader.replication.throttled.replicas");
    static const char *const good[] = {"", "*", "0:1", "0:1,12:34", " 0:1 , 2:0"};
    static const char *const bad[] = {"x", "0", "0:", ":1", "0:1:2", "0:1,*", "a:1"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        expect(config_check(CONFIG_TOPIC, name, bytes_of(good[i]), message));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect(!config_check(CONFIG_TOPIC, name, bytes_of(bad[i]), message));
}

void test_settings_say_what_they_do(void)
{
    expect(strstr(config_about(CONFIG_TOPIC, "retention.ms"), "for ever") != NULL);
    expect(strstr(config_about(CONFIG_BROKER, "flush.mode"), "acks=all") != NULL);
    expect_str(config_about(CONFIG_TOPIC, "unclean.leader.election.enable"),
               "It is kept and shown, and changes nothing here.");
}

void test_every_default_fits_its_row(void)
{
    char message[CONFIG_MESSAGE];
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        size_t count;
        const struct config_row *rows = config_rows(kinds[k], &count);
        expect(count > 0);
        for (size_t i = 0; i < count; i++) {
            if (rows[i].standard == NULL)
                continue;
            bool good = config_valid(&rows[i], bytes_of(rows[i].standard), message);
            if (!good)
                printf("# %s\n", message);
            expect(good);
        }
    }
}

void test_names_are_unique_and_found(void)
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        size_t count;
        const struct config_row *rows = config_rows(kinds[k], &count);
        for (size_t i = 0; i < count; i++)
            expect(config_row(kinds[k], bytes_of(rows[i].name)) == &rows[i]);
    }
    size_t none = 1;
    expect(config_rows(CONFIG_BROKER_LOGGER, &none) == NULL);
    expect_eq(none, 0);
    expect(config_row(CONFIG_TOPIC, bytes_of("retention.msx")) == NULL);
    expect(config_row(CONFIG_TOPIC, bytes_of("retention.m")) == NULL);
}

void test_synonyms_are_broker_settings(void)
{
    size_t count;
    const struct config_row *rows = config_rows(CONFIG_TOPIC, &count);
    for (size_t i = 0; i < count; i++) {
        for (const char *at = rows[i].synonyms; *at != '\0';) {
            size_t size = strcspn(at, ",*");
            struct bytes name = {(const uint8_t *)at, size};
            if (config_row(CONFIG_BROKER, name) == NULL)
                printf("# %s: %s\n", rows[i].name, at);
            expect(config_row(CONFIG_BROKER, name) != NULL);
            at += size;
            at += strspn(at, ",*");
        }
    }
}

void test_whole_numbers(void)
{
    expect(fits(CONFIG_BROKER, "num.partitions", "1"));
    expect(fits(CONFIG_BROKER, "num.partitions", " 7 "));
    expect(!fits(CONFIG_BROKER, "num.partitions", "0"));
    expect(!fits(CONFIG_BROKER, "num.partitions", ""));
    expect(!fits(CONFIG_BROKER, "num.partitions", "7x"));
    expect(!fits(CONFIG_BROKER, "num.partitions", "7.0"));
    expect(!fits(CONFIG_BROKER, "num.partitions", "2147483648"));
    expect(fits(CONFIG_TOPIC, "retention.ms", "9223372036854775807"));
    expect(!fits(CONFIG_TOPIC, "retention.ms", "9223372036854775808"));
    expect(fits(CONFIG_TOPIC, "retention.ms", "-1"));
    expect(!fits(CONFIG_TOPIC, "retention.ms", "-2"));
    expect(!fits(CONFIG_BROKER, "transaction.state.log.replication.factor", "32768"));
}

void test_ranges(void)
{
    expect(fits(CONFIG_BROKER, "metrics.port", "0"));
    expect(fits(CONFIG_BROKER, "metrics.port", "65535"));
    expect(!fits(CONFIG_BROKER, "metrics.port", "65536"));
    expect(!fits(CONFIG_BROKER, "metrics.port", "-1"));
    expect(fits(CONFIG_TOPIC, "compression.gzip.level", "-1"));
    expect(!fits(CONFIG_TOPIC, "compression.gzip.level", "0"));
    expect(fits(CONFIG_TOPIC, "compression.gzip.level", "9"));
    expect(!fits(CONFIG_TOPIC, "compression.gzip.level", "10"));
    expect(fits(CONFIG_TOPIC, "min.cleanable.dirty.ratio", "1"));
    expect(!fits(CONFIG_TOPIC, "min.cleanable.dirty.ratio", "1.01"));
    expect(!fits(CONFIG_TOPIC, "min.cleanable.dirty.ratio", "half"));
}

void test_choices_and_lists(void)
{
    expect(fits(CONFIG_TOPIC, "compression.type", "zstd"));
    expect(!fits(CONFIG_TOPIC, "compression.type", "zst"));
    expect(!fits(CONFIG_TOPIC, "compression.type", "ZSTD"));
    expect(!fits(CONFIG_TOPIC, "compression.type", ""));
    expect(fits(CONFIG_TOPIC, "cleanup.policy", "compact, delete"));
    expect(!fits(CONFIG_TOPIC, "cleanup.policy", "compact,remove"));
    expect(fits(CONFIG_BROKER, "group.consumer.migration.policy", "Upgrade"));
    expect(fits(CONFIG_BROKER, "auto.create.topics.enable", "FALSE"));
    expect(!fits(CONFIG_BROKER, "auto.create.topics.enable", "no"));
}

void test_check_by_resource(void)
{
    char message[CONFIG_MESSAGE];
    expect(config_check(CONFIG_TOPIC, bytes_of("retention.ms"), bytes_of("5"), message));
    expect(!config_check(CONFIG_TOPIC, bytes_of("retention.ms"), bytes_of("x"), message));
    expect(strstr(message, "Invalid value x for configuration retention.ms") != NULL);
    expect(!config_check(CONFIG_TOPIC, bytes_of("retention"), bytes_of("5"), message));
    expect_str(message, "Unknown topic config name: retention");
    expect(!config_check(CONFIG_TOPIC, bytes_of("retention.ms"), (struct bytes){0}, message));
    expect(strstr(message, "null") != NULL);
    expect(config_check(CONFIG_GROUP, bytes_of("consumer.heartbeat.interval.ms"), bytes_of("9"),
                        message));
}

void test_a_long_value_is_cut_in_the_message(void)
{
    char message[CONFIG_MESSAGE], value[4096];
    memset(value, 'y', sizeof value);
    value[sizeof value - 1] = '\0';
    expect(!config_check(CONFIG_TOPIC, bytes_of("retention.ms"), bytes_of(value), message));
    expect(strlen(message) < CONFIG_MESSAGE);
    expect(!config_check(CONFIG_TOPIC, bytes_of(value), bytes_of("1"), message));
    expect(strlen(message) < CONFIG_MESSAGE);
}

void test_nearest_name(void)
{
    expect_str(config_nearest("num.partition"), "num.partitions");
    expect_str(config_nearest("log.retention.hour"), "log.retention.hours");
    expect_str(config_nearest("listener"), "listeners");
    expect_str(config_nearest("log.segmnet.bytes"), "log.segment.bytes");
}

void test_subjects(void)
{
    static const char *const good[] = {"a=block", "a.>=drop-oldest:5:1h", "*.b=5s", ">=7", "",
                                       "a=5s:9:drop-newest, b=250ms", "a=b=block", "a.>b=block"};
    static const char *const bad[] = {"a", "=block", "a=", "a.=block", ".a=block", "a..b=block",
                                      "a.>.b=block", "a b=block", "a=nonsense", "a=0", "a=block:",
                                      "a=5x", "a=99999999999", "a=s", "a=block:-5", "b=1s,a"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        expect(fits(CONFIG_BROKER, "nats.subjects", good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect(!fits(CONFIG_BROKER, "nats.subjects", bad[i]));
    struct config *c = from_file("nats.subjects=a.>=drop-oldest:5:1m,b=block\n");
    expect_eq(c->subject_count, 2);
    expect_str(c->subjects[0].pattern, "a.>");
    expect_eq(c->subjects[0].overflow, NATS_OVERFLOW_DROP_OLDEST);
    expect_eq(c->subjects[0].messages, 5);
    expect_eq(c->subjects[0].ttl_ms, 60000);
    expect_eq(c->subjects[1].overflow, NATS_OVERFLOW_BLOCK);
    expect_eq(c->subjects[1].ttl_ms, -1);
    struct config_pair more = {bytes_of("nats.subjects"), bytes_of("c=9")};
    struct config *d = config_with(c, &more, 1, NULL, 0);
    expect_eq(d->subject_count, 1);
    expect_eq(d->subjects[0].messages, 9);
    expect_eq(c->subject_count, 2);
    config_free(d);
    config_free(c);
}

/* SPDX-License-Identifier: MIT */
/*
 * What may be changed of a broker while it runs, with which value: Kafka's rules. A value that does
 * not fit is an invalid request here, not an invalid config as a topic's.
 */
#include "kafka/alter.h"

#include <stdlib.h>

#define MINIMUM "min.insync.replicas"
#define DEDUPE_LEAST ((long long)MiB(1))

static int16_t refuse(struct call *c, struct bytes *why, int16_t error, const char *before,
                      const char *name, const char *after)
{
    *why = arena_print(c->arena, "%s%s%s", before, name, after);
    return error;
}

static bool one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Eligible leader replicas (KIP-966) need this one for the whole cluster, and only so. */
static int16_t minimum_stays(struct call *c, struct bytes resource, struct bytes *why)
{
    if (resource.size > 0)
        return refuse(c, why, KAFKA_INVALID_CONFIG, "Broker-level ", MINIMUM,
                      " cannot be altered while ELR is enabled.");
    return refuse(c, why, KAFKA_INVALID_CONFIG, "Cluster-level ", MINIMUM,
                  " cannot be removed while ELR is enabled.");
}

int16_t alter_broker_key(struct call *c, struct bytes resource, const struct alteration *w,
                         const struct config_row *row, struct bytes *why)
{
    if (w->operation == ALTER_DELETE && strcmp(row->name, MINIMUM) == 0)
        return minimum_stays(c, resource, why);
    if (w->operation == ALTER_DELETE)
        return KAFKA_NONE; /* it changes nothing, or takes away what should not be there */
    if (row->mode == CONFIG_READ_ONLY)
        return refuse(c, why, KAFKA_INVALID_REQUEST, "Cannot update these configs dynamically: [",
                      row->name, "]");
    if (row->mode == CONFIG_PER_BROKER && resource.size == 0)
        return refuse(c, why, KAFKA_INVALID_REQUEST, "Cannot update these configs at default "
                      "cluster level, broker id must be specified: [", row->name, "]");
    return KAFKA_NONE;
}

/* Threads: at most twice as many as there are, at least half. */
static bool threads_fit(const struct call *c, const char *name, const char *text)
{
    static const char *const counts[] = {
        "background.threads", "log.cleaner.threads", "num.io.threads", "num.network.threads",
        "num.recovery.threads.per.data.dir", "num.replica.fetchers",
        "remote.log.manager.copier.thread.pool.size",
        "remote.log.manager.expiration.thread.pool.size",
        "remote.log.manager.follower.thread.pool.size", "remote.log.reader.threads",
    };
    const char *now = config_text(c->config, name, NULL);
    if (now == NULL || !one_of(name, counts, COUNT_OF(counts)))
        return true;
    long long before = strtoll(now, NULL, 10), after = strtoll(text, NULL, 10);
    return after >= 1 && after <= before * 2 && after >= before / 2;
}

/* "HOST:COUNT,HOST:COUNT" */
static bool overrides_fit(struct bytes value)
{
    struct bytes word;
    while (config_list_next(&value, &word)) {
        size_t digits = 0;
        while (digits < word.size && word.at[word.size - 1 - digits] >= '0' &&
               word.at[word.size - 1 - digits] <= '9')
            digits++;
        if (digits == 0 || digits + 2 > word.size || word.at[word.size - 1 - digits] != ':')
            return false;
    }
    return true;
}

static bool dirs_fit(const struct call *c, struct bytes value)
{
    struct bytes word;
    while (config_list_next(&value, &word)) {
        bool there = word.size == 0;
        for (int i = 0; i < broker_dir_count(c->broker) && !there; i++)
            there = bytes_is(word, broker_dir_path(c->broker, i));
        if (!there)
            return false;
    }
    return true;
}

/* Java's classes can't be loaded here: only those that Kafka has by default are known. */
static bool classes_fit(const struct config_row *row, struct bytes value)
{
    return value.size == 0 ? row->type == CONFIG_LIST
                           : row->standard != NULL && bytes_is(value, row->standard);
}

static const char *numbers_wrong(const struct call *c, const char *name, const char *text)
{
    long long threads = strtoll(config_text(c->config, "log.cleaner.threads", NULL), NULL, 10);
    if (!threads_fit(c, name, text))
        return "the number of threads can be halved or doubled at once, not more";
    if (strcmp(name, "log.cleaner.dedupe.buffer.size") == 0 &&
        strtoll(text, NULL, 10) < DEDUPE_LEAST * MAX(threads, 1))
        return "must be at least 1MB per cleaner thread.";
    if (strcmp(name, "log.retention.ms") == 0 && strtoll(text, NULL, 10) == 0)
        return "must be unlimited (-1) or equal or greater than 1";
    return NULL;
}

/* Where clients connect is settled at the start. */
static bool listeners_same(const struct call *c, const char *name, const char *text)
{
    const char *now = config_text(c->config, name, NULL);
    return now != NULL && strcmp(now, text) == 0;
}

int16_t alter_broker_value(struct call *c, struct bytes resource, const struct config_row *row,
                           struct bytes value, struct bytes *why)
{
    static const char *const listener_only[] = {
        "ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key",
        "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type",
        "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password",
        "ssl.truststore.type",
    };
    static const char *const fixed[] = {"listeners", "listener.security.protocol.map"};
    const char *wrong = NULL, *name = row->name;
    const char *text = (const char *)arena_print(c->arena, "%.*s", (int)value.size,
                                                 (const char *)value.at).at;
    if (text == NULL)
        return error_of(OUT_NO_MEMORY);
    if (resource.size > 0 && strcmp(name, MINIMUM) == 0)
        return minimum_stays(c, resource, why);
    if (one_of(name, listener_only, COUNT_OF(listener_only)))
        return refuse(c, why, KAFKA_INVALID_REQUEST, "These security configs can be dynamically "
                      "updated only per-listener using the listener prefix: [", name, "]");
    if (row->type == CONFIG_INT || row->type == CONFIG_LONG)
        wrong = numbers_wrong(c, name, text);
    else if ((row->type == CONFIG_CLASS || strcmp(name, "metric.reporters") == 0) &&
             !classes_fit(row, value))
        wrong = "there is no such class here";
    else if (strcmp(name, "max.connections.per.ip.overrides") == 0 && !overrides_fit(value))
        wrong = "HOST:COUNT is expected, or several of them";
    else if (strcmp(name, "cordoned.log.dirs") == 0 && !dirs_fit(c, value))
        wrong = "all entries must be present in log.dirs or log.dir";
    else if (one_of(name, fixed, COUNT_OF(fixed)) && !listeners_same(c, name, text))
        wrong = "it needs a restart";
    if (wrong == NULL)
        return KAFKA_NONE;
    *why = arena_print(c->arena, "Invalid value %.80s for configuration %s: %s", text, name, wrong);
    return KAFKA_INVALID_REQUEST;
}

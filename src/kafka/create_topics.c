/* SPDX-License-Identifier: MIT */
/*
 * CreateTopics: each topic is planned on its own, all are committed together. Done on the control
 * thread; the reply comes when every reactor knows the topics.
 */
#include "kafka/call.h"

#include <stdlib.h>

#define ASKED struct create_topics_request_topics
#define RESULT struct create_topics_response_topics
#define PARTITIONS_PER_REQUEST 10000

static void refuse(struct call *c, RESULT *out, int16_t error, const char *why)
{
    out->error_code = error;
    out->error_message = why == NULL ? bytes_of(NULL) : arena_print(c->arena, "%s", why);
    out->num_partitions = -1;
    out->replication_factor = -1;
}

static bool wish(struct call *c, const ASKED *asked, struct meta_new_topic *t)
{
    struct meta_assignment *assignments =
        arena_array(c->arena, struct meta_assignment, (size_t)asked->assignments_count);
    struct meta_pair *configs =
        arena_array(c->arena, struct meta_pair, (size_t)asked->configs_count);
    if (assignments == NULL || configs == NULL)
        return false;
    for (int32_t i = 0; i < asked->assignments_count; i++)
        assignments[i] = (struct meta_assignment){asked->assignments[i].partition_index,
                                                  asked->assignments[i].broker_ids,
                                                  asked->assignments[i].broker_ids_count};
    for (int32_t i = 0; i < asked->configs_count; i++)
        configs[i] = (struct meta_pair){asked->configs[i].name, asked->configs[i].value};
    *t = (struct meta_new_topic){
        .name = asked->name, .partition_count = asked->num_partitions,
        .replication_factor = asked->replication_factor,
        .assignment_count = (size_t)asked->assignments_count, .assignments = assignments,
        .config_count = (size_t)asked->configs_count, .configs = configs};
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct create_topics_response_topics_configs *x = a, *y = b;
    return bytes_compare(x->name, y->name);
}

/* v5 and above: the settings the topic has now. */
static void fill_configs(struct call *c, RESULT *out, const struct meta_new_topic *t)
{
    size_t rows, given = 0;
    const struct config_row *row = config_rows(CONFIG_TOPIC, &rows);
    out->configs = arena_array(c->arena, struct create_topics_response_topics_configs, rows);
    if (out->configs == NULL)
        return;
    for (size_t i = 0; i < rows; i++) {
        struct create_topics_response_topics_configs *e = &out->configs[given];
        char buffer[CONFIG_TEXT];
        const char *synonym;
        enum config_source source;
        const char *text = config_topic_default(c->config, &row[i], buffer, &synonym, &source);
        e->name = bytes_of(row[i].name);
        e->value = text == NULL ? bytes_of(NULL) : arena_print(c->arena, "%s", text);
        e->config_source = (int8_t)source;
        for (size_t k = 0; k < t->config_count; k++) {
            if (bytes_equal(t->configs[k].name, e->name)) {
                e->value = t->configs[k].value;
                e->config_source = CONFIG_FROM_TOPIC;
            }
        }
        given += row[i].described || e->config_source == CONFIG_FROM_TOPIC;
    }
    qsort(out->configs, given, sizeof *out->configs, by_name);
    out->configs_count = (int32_t)given;
}

/* What a topic in memory can't be; the settings one by one are meta's to check. */
static const char *memory_conflict(struct call *c, const struct meta_new_topic *t)
{
    struct topic_config config;
    topic_config_make(c->config, (const struct config_pair *)t->configs, t->config_count, &config);
    if (!config.memory)
        return NULL;
    if (meta_topic_internal(t->name))
        return "An internal topic can't be in memory (storage.class=memory).";
    return config.cleanup_compact ? "A topic in memory (storage.class=memory) can't be compacted."
                                  : NULL;
}

static void plan_one(struct call *c, const ASKED *asked, RESULT *out, struct meta_change *change)
{
    struct meta_rules rules = broker_rules(c->broker);
    struct meta_new_topic t;
    if (!wish(c, asked, &t))
        return;
    const struct view *v = broker_newest(c->broker);
    const char *conflict = memory_conflict(c, &t);
    if (conflict != NULL && view_topic(v, t.name) == NULL) {
        refuse(c, out, KAFKA_INVALID_CONFIG, conflict);
        return;
    }
    enum outcome o = meta_plan_topic(v->image, &rules, &t, change, &out->topic_id);
    if (o != OUT_OK) {
        refuse(c, out, error_of(o), outcome_trail());
        out->topic_id = (struct uuid){{0}};
        return;
    }
    out->num_partitions = t.assignment_count > 0 ? (int32_t)t.assignment_count
                          : t.partition_count == -1 ? rules.default_partitions
                                                    : t.partition_count;
    out->replication_factor = 1;
    fill_configs(c, out, &t);
}

static bool too_many(const struct call *c, const struct create_topics_request *in)
{
    int64_t partitions = 0;
    for (int32_t i = 0; i < in->topics_count; i++) {
        int32_t asked = in->topics[i].num_partitions;
        if (asked == -1)
            asked = c->config->num_partitions;
        partitions += MAX(MAX(asked, 0), in->topics[i].assignments_count);
    }
    return partitions >= PARTITIONS_PER_REQUEST;
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct create_topics_request *in = c->in;
    struct create_topics_response *out = c->out;
    struct meta_change change;
    bool many = too_many(c, in);
    meta_change_init(&change);
    for (int32_t i = 0; i < in->topics_count; i++)
        entry_note(c, in->topics[i].name);
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!entry_first(c, in->topics[i].name))
            continue;
        RESULT *result = &out->topics[out->topics_count++];
        *result = (RESULT){.name = in->topics[i].name, .configs_count = 0};
        if (in->timeout_ms <= 0)
            refuse(c, result, KAFKA_REQUEST_TIMED_OUT, NULL);
        else if (entry_repeated(c, in->topics[i].name))
            refuse(c, result, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        else if (many)
            refuse(c, result, KAFKA_POLICY_VIOLATION, "Too many partitions in one request.");
        else
            plan_one(c, &in->topics[i], result, &change);
    }
    if (!in->validate_only && change.count > 0) {
        enum outcome o = broker_apply(c->broker, &change);
        for (int32_t i = 0; o != OUT_OK && i < out->topics_count; i++) {
            if (out->topics[i].error_code == KAFKA_NONE)
                refuse(c, &out->topics[i], error_of(o), outcome_trail());
        }
    }
    meta_change_fini(&change);
    request_return(r, call_finish_request);
}

enum verdict create_topics_handle(struct call *c)
{
    const struct create_topics_request *in = c->in;
    struct create_topics_response *out = c->out;
    out->topics = arena_array(c->arena, RESULT, (size_t)in->topics_count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

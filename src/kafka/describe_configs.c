/* SPDX-License-Identifier: MIT */
/*
 * DescribeConfigs: settings of topics, the broker, groups and client metrics subscriptions, with
 * where each value comes from (KIP-226). An unknown key is left out; no error still has the message
 * "".
 */
#include "kafka/call.h"

#include <stdio.h>

#define ASKED struct describe_configs_request_resources
#define RESULT struct describe_configs_response_results
#define ENTRY struct describe_configs_response_results_configs
#define SYNONYM struct describe_configs_response_results_configs_synonyms
#define SYNONYMS_MAX 4

/* What one resource is described from. */
struct subject {
    enum config_resource type;
    const struct meta_configs *own;      /* its overrides, or NULL */
    const struct meta_configs *defaults; /* broker: the cluster default's */
    enum config_source own_source;
};

static const struct meta_pair *pair_of(const struct meta_configs *c, const char *name)
{
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        if (bytes_is(c->pairs[i].name, name))
            return &c->pairs[i];
    }
    return NULL;
}

static void add_synonym(ENTRY *e, const char *name, struct bytes value, int source, bool sensitive)
{
    e->synonyms[e->synonyms_count++] = (SYNONYM){
        .name = bytes_of(name), .value = sensitive ? bytes_of(NULL) : value,
        .source = (int8_t)source};
}

/* The first source found is the value's. */
static void offer(ENTRY *e, const char *name, struct bytes value, int source, bool sensitive)
{
    if (e->config_source == CONFIG_FROM_UNKNOWN) {
        e->value = sensitive ? bytes_of(NULL) : value;
        e->config_source = (int8_t)source;
    }
    add_synonym(e, name, value, source, sensitive);
}

/* A topic's value falls back on the broker's setting of another name. */
static void topic_fallback(struct call *c, const struct subject *s, const struct config_row *row,
                           ENTRY *e)
{
    char buffer[CONFIG_TEXT], name[128];
    const char *synonym;
    enum config_source source;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(row->synonyms, ",*"), row->synonyms);
    const struct meta_pair *dynamic = pair_of(s->defaults, name);
    struct bytes label = arena_print(c->arena, "%s", name[0] == '\0' ? row->name : name);
    if (dynamic != NULL)
        offer(e, (const char *)label.at, dynamic->value, CONFIG_FROM_DYNAMIC_DEFAULT, false);
    const char *text = config_topic_default(c->config, row, buffer, &synonym, &source);
    if (source == CONFIG_FROM_STATIC)
        offer(e, synonym, arena_print(c->arena, "%s", text), source, false);
    const struct config_row *broker = config_row(CONFIG_BROKER, label);
    if (broker != NULL && broker->standard != NULL)
        offer(e, broker->name, bytes_of(broker->standard), CONFIG_FROM_DEFAULT, false);
    if (e->config_source == CONFIG_FROM_UNKNOWN) { /* a default that no broker setting gives */
        e->value = bytes_of(row->standard);
        e->config_source = CONFIG_FROM_DEFAULT;
    }
}

static void broker_fallback(struct call *c, const struct subject *s, const struct config_row *row,
                            ENTRY *e)
{
    const struct meta_pair *dynamic = pair_of(s->defaults, row->name);
    enum config_source source;
    if (dynamic != NULL)
        offer(e, row->name, dynamic->value, CONFIG_FROM_DYNAMIC_DEFAULT, row->sensitive);
    const char *text = config_text(c->config, row->name, &source);
    const char *standard = source == CONFIG_FROM_DEFAULT ? text : row->standard; /* or ours */
    if (source == CONFIG_FROM_STATIC)
        offer(e, row->name, bytes_of(text), source, row->sensitive);
    if (standard != NULL)
        offer(e, row->name, bytes_of(standard), CONFIG_FROM_DEFAULT, row->sensitive);
    else if (e->config_source == CONFIG_FROM_UNKNOWN)
        e->config_source = CONFIG_FROM_DEFAULT;
}

static void describe_one(struct call *c, const struct subject *s, const struct config_row *row,
                         ENTRY *e)
{
    const struct describe_configs_request *in = c->in;
    SYNONYM *synonyms = arena_array(c->arena, SYNONYM, SYNONYMS_MAX);
    *e = (ENTRY){.name = bytes_of(row->name), .config_type = (int8_t)row->type,
                 .is_sensitive = row->sensitive, .synonyms = synonyms};
    if (synonyms == NULL)
        return;
    const struct meta_pair *own = pair_of(s->own, row->name);
    if (own != NULL)
        offer(e, row->name, own->value, s->own_source, row->sensitive);
    if (s->type == CONFIG_TOPIC) {
        topic_fallback(c, s, row, e);
    } else if (s->type == CONFIG_BROKER) {
        e->read_only = row->mode == CONFIG_READ_ONLY;
        broker_fallback(c, s, row, e);
    } else {
        const char *name = row->synonyms[0] == '\0' ? row->name : row->synonyms;
        offer(e, name, bytes_of(row->standard), CONFIG_FROM_DEFAULT, false);
    }
    if (!in->include_synonyms)
        e->synonyms_count = 0;
    e->documentation = bytes_of(in->include_documentation ? config_about(s->type, row->name)
                                                          : NULL);
}

static bool asked_for(const ASKED *asked, const char *name)
{
    if (asked->configuration_keys_count <= 0)
        return true;
    for (int32_t i = 0; i < asked->configuration_keys_count; i++) {
        if (bytes_is(asked->configuration_keys[i], name))
            return true;
    }
    return false;
}

static void describe(struct call *c, const struct subject *s, const ASKED *asked, RESULT *out)
{
    size_t rows;
    const struct config_row *row = config_rows(s->type, &rows);
    out->configs = arena_array(c->arena, ENTRY, rows);
    if (out->configs == NULL)
        return;
    for (size_t i = 0; i < rows; i++) {
        /* Our own settings of topics: to those who know them, or where they are set. */
        bool shown = row[i].described || (s->type == CONFIG_TOPIC &&
                                          (asked->configuration_keys_count > 0 ||
                                           pair_of(s->own, row[i].name) != NULL));
        if (shown && asked_for(asked, row[i].name))
            describe_one(c, s, &row[i], &out->configs[out->configs_count++]);
    }
}

static void refuse(RESULT *out, int16_t error, const char *why)
{
    out->error_code = error;
    out->error_message = bytes_of(why);
}

/* The cluster default lists only what is set. */
static void describe_default(struct call *c, const struct meta_configs *set, const ASKED *asked,
                             RESULT *out)
{
    size_t count = set == NULL ? 0 : set->count;
    out->configs = arena_array(c->arena, ENTRY, count);
    if (out->configs == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct config_row *row = config_row(CONFIG_BROKER, set->pairs[i].name);
        if (row == NULL || !asked_for(asked, row->name))
            continue;
        ENTRY *e = &out->configs[out->configs_count++];
        SYNONYM *synonyms = arena_array(c->arena, SYNONYM, SYNONYMS_MAX);
        if (synonyms == NULL)
            return;
        *e = (ENTRY){.name = set->pairs[i].name, .config_type = (int8_t)row->type,
                     .is_sensitive = row->sensitive, .synonyms = synonyms};
        offer(e, row->name, set->pairs[i].value, CONFIG_FROM_DYNAMIC_DEFAULT, row->sensitive);
    }
}

static void describe_broker(struct call *c, const ASKED *asked, RESULT *out)
{
    const struct meta_image *image = broker_view()->image;
    char id[16];
    snprintf(id, sizeof id, "%d", broker_node_id(c->broker));
    struct subject s = {CONFIG_BROKER, meta_configs(image, CONFIG_BROKER, asked->resource_name),
                        meta_configs(image, CONFIG_BROKER, bytes_of("")),
                        CONFIG_FROM_DYNAMIC_BROKER};
    if (asked->resource_name.size == 0)
        describe_default(c, s.defaults, asked, out);
    else if (!bytes_is(asked->resource_name, id))
        refuse(out, KAFKA_INVALID_REQUEST, "Unexpected broker id: only this broker's settings are "
                                           "described here.");
    else
        describe(c, &s, asked, out);
}

static void describe_logger(struct call *c, const ASKED *asked, RESULT *out)
{
    static const char *const levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
    out->configs = arena_new(c->arena, ENTRY);
    if (out->configs == NULL || !asked_for(asked, "root"))
        return;
    out->configs_count = 1;
    *out->configs = (ENTRY){.name = bytes_of("root"),
                            .value = bytes_of(levels[c->config->log_level]),
                            .config_source = CONFIG_FROM_LOGGER, .documentation = bytes_of("")};
}

static void describe_resource(struct call *c, const ASKED *asked, RESULT *out)
{
    const struct meta_image *image = broker_view()->image;
    struct bytes name = asked->resource_name;
    struct subject s = {(enum config_resource)asked->resource_type,
                        meta_configs(image, asked->resource_type, name),
                        meta_configs(image, CONFIG_BROKER, bytes_of("")), CONFIG_FROM_TOPIC};
    *out = (RESULT){.error_message = bytes_of(""), .resource_type = asked->resource_type,
                    .resource_name = name};
    switch (asked->resource_type) {
    case CONFIG_TOPIC:
        if (!meta_topic_name_valid(name))
            refuse(out, KAFKA_INVALID_TOPIC_EXCEPTION, "The topic name is invalid.");
        else if (view_topic(broker_view(), name) == NULL)
            out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        else
            describe(c, &s, asked, out);
        break;
    case CONFIG_BROKER: describe_broker(c, asked, out); break;
    case CONFIG_BROKER_LOGGER: describe_logger(c, asked, out); break;
    case CONFIG_GROUP:
    case CONFIG_CLIENT_METRICS:
        s.own_source = asked->resource_type == CONFIG_GROUP ? CONFIG_FROM_GROUP
                                                            : CONFIG_FROM_CLIENT_METRICS;
        if (name.size == 0)
            refuse(out, KAFKA_INVALID_REQUEST, "The name of the resource must not be empty.");
        else
            describe(c, &s, asked, out);
        break;
    default: refuse(out, KAFKA_INVALID_REQUEST, "Unsupported resource type."); break;
    }
}

/* Version 0 has a flag where later ones have the source. */
static void tell_defaults(RESULT *out)
{
    for (int32_t i = 0; i < out->configs_count; i++)
        out->configs[i].is_default = out->configs[i].config_source == CONFIG_FROM_DEFAULT;
}

enum verdict describe_configs_handle(struct call *c)
{
    const struct describe_configs_request *in = c->in;
    struct describe_configs_response *out = c->out;
    out->results = arena_array(c->arena, RESULT, (size_t)in->resources_count);
    if (out->results == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->resources_count; i++) {
        describe_resource(c, &in->resources[i], &out->results[out->results_count++]);
        if (c->version == 0)
            tell_defaults(&out->results[i]);
    }
    return REQ_DONE;
}

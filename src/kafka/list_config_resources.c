/* SPDX-License-Identifier: MIT */
/*
 * ListConfigResources: what has settings (KIP-1142). Topics and this broker are always there,
 * groups and client metrics subscriptions where something is set. Version 0 knows the last only.
 */
#include "kafka/call.h"

#include <stdio.h>

#define ENTRY struct list_config_resources_response_config_resources
#define SINCE_TYPES 1

static const int8_t types[] = {CONFIG_TOPIC, CONFIG_GROUP, CONFIG_CLIENT_METRICS, CONFIG_BROKER,
                               CONFIG_BROKER_LOGGER};

static bool is_wanted(const struct call *c, int8_t type)
{
    const struct list_config_resources_request *in = c->in;
    if (c->version < SINCE_TYPES)
        return type == CONFIG_CLIENT_METRICS;
    for (int32_t i = 0; i < in->resource_types_count; i++) {
        if (in->resource_types[i] == type)
            return true;
    }
    return in->resource_types_count == 0;
}

static bool all_known(const struct list_config_resources_request *in)
{
    for (int32_t i = 0; i < in->resource_types_count; i++) {
        bool known = false;
        for (size_t k = 0; k < COUNT_OF(types) && !known; k++)
            known = types[k] == in->resource_types[i];
        if (!known)
            return false;
    }
    return true;
}

static void add(struct list_config_resources_response *out, int8_t type, struct bytes name)
{
    out->config_resources[out->config_resources_count++] =
        (ENTRY){.resource_name = name, .resource_type = type};
}

static void add_all(struct call *c, const struct view *v, int8_t type)
{
    struct list_config_resources_response *out = c->out;
    const struct meta_image *image = v->image;
    if (type == CONFIG_TOPIC) {
        for (size_t i = 0; i < v->topic_count; i++)
            add(out, type, v->topics[i]->name);
    } else if (type == CONFIG_BROKER || type == CONFIG_BROKER_LOGGER) {
        add(out, type, arena_print(c->arena, "%d", (int)broker_node_id(c->broker)));
    } else {
        for (size_t i = 0; i < image->config_count; i++) {
            if (image->configs[i]->type == type && image->configs[i]->count > 0)
                add(out, type, image->configs[i]->name);
        }
    }
}

enum verdict list_config_resources_handle(struct call *c)
{
    struct list_config_resources_response *out = c->out;
    const struct view *v = broker_view();
    if (c->version >= SINCE_TYPES && !all_known(c->in)) {
        out->error_code = KAFKA_UNSUPPORTED_VERSION;
        return REQ_DONE;
    }
    out->config_resources = arena_array(c->arena, ENTRY,
                                        v->topic_count + v->image->config_count + COUNT_OF(types));
    if (out->config_resources == NULL)
        return REQ_CLOSE;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (is_wanted(c, types[i]))
            add_all(c, v, types[i]);
    }
    return REQ_DONE;
}

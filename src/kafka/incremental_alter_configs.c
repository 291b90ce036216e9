/* SPDX-License-Identifier: MIT */
/* IncrementalAlterConfigs: set, delete, append, subtract single keys (KIP-339), on the control
 * thread. */
#include "kafka/alter.h"

#define ASKED struct incremental_alter_configs_request_resources
#define RESULT struct incremental_alter_configs_response_responses

static const struct alteration *wish(struct call *c, const ASKED *asked, size_t *count)
{
    *count = (size_t)asked->configs_count;
    struct alteration *wishes = arena_array(c->arena, struct alteration, *count);
    for (size_t i = 0; wishes != NULL && i < *count; i++)
        wishes[i] = (struct alteration){asked->configs[i].name, asked->configs[i].value,
                                        asked->configs[i].config_operation};
    return wishes;
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct incremental_alter_configs_request *in = c->in;
    struct incremental_alter_configs_response *out = c->out;
    size_t count = (size_t)in->resources_count;
    struct alter_resource *all = c->state;
    for (size_t i = 0; i < count; i++) {
        const ASKED *asked = &in->resources[i];
        RESULT *result = &out->responses[i];
        *result = (RESULT){.resource_type = asked->resource_type,
                           .resource_name = asked->resource_name};
        all[i] = (struct alter_resource){asked->resource_type, asked->resource_name, NULL, 0,
                                         &result->error_code, &result->error_message};
        all[i].wishes = wish(c, asked, &all[i].count);
    }
    out->responses_count = in->resources_count;
    alter_all(c, all, count, in->validate_only);
    request_return(r, call_finish_request);
}

enum verdict incremental_alter_configs_handle(struct call *c)
{
    const struct incremental_alter_configs_request *in = c->in;
    struct incremental_alter_configs_response *out = c->out;
    out->responses = arena_array(c->arena, RESULT, (size_t)in->resources_count);
    c->state = arena_array(c->arena, struct alter_resource, (size_t)in->resources_count);
    if (out->responses == NULL || c->state == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

/* SPDX-License-Identifier: MIT */
/* IncrementalAlterConfigs: set, delete, append, subtract single keys (KIP-339), on the control
 * thread. */
#include "kafka/alter.h"

#define ASKED struct incremental_alter_configs_request_resources
#define RESULT struct incremental_alter_configs_response_responses

static void plan(struct call *c, const ASKED *asked, RESULT *out, struct meta_change *change)
{
    struct alteration *wishes =
        arena_array(c->arena, struct alteration, (size_t)asked->configs_count);
    if (wishes == NULL)
        return;
    for (int32_t i = 0; i < asked->configs_count; i++)
        wishes[i] = (struct alteration){asked->configs[i].name, asked->configs[i].value,
                                        asked->configs[i].config_operation};
    out->error_code = alter_plan(c, asked->resource_type, asked->resource_name, wishes,
                                 (size_t)asked->configs_count, change, &out->error_message);
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct incremental_alter_configs_request *in = c->in;
    struct incremental_alter_configs_response *out = c->out;
    struct meta_change change;
    meta_change_init(&change);
    for (int32_t i = 0; i < in->resources_count; i++) {
        RESULT *result = &out->responses[out->responses_count++];
        *result = (RESULT){.resource_type = in->resources[i].resource_type,
                           .resource_name = in->resources[i].resource_name};
        plan(c, &in->resources[i], result, &change);
    }
    enum outcome o = in->validate_only ? OUT_OK : broker_apply(c->broker, &change);
    for (int32_t i = 0; o != OUT_OK && i < out->responses_count; i++) {
        if (out->responses[i].error_code == KAFKA_NONE)
            out->responses[i].error_code = error_of(o);
    }
    meta_change_fini(&change);
    request_return(r, call_finish_request);
}

enum verdict incremental_alter_configs_handle(struct call *c)
{
    const struct incremental_alter_configs_request *in = c->in;
    struct incremental_alter_configs_response *out = c->out;
    out->responses = arena_array(c->arena, RESULT, (size_t)in->resources_count);
    if (out->responses == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

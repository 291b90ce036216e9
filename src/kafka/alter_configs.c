/* SPDX-License-Identifier: MIT */
/* AlterConfigs, the old request: what it does not list is reset to the default, but for where a
 * topic's records are, which can't be. */
#include "kafka/alter.h"

#define ASKED struct alter_configs_request_resources
#define RESULT struct alter_configs_response_responses

static bool listed(const ASKED *asked, struct bytes name)
{
    for (int32_t i = 0; i < asked->configs_count; i++) {
        if (bytes_equal(asked->configs[i].name, name))
            return true;
    }
    return false;
}

static void plan(struct call *c, const ASKED *asked, RESULT *out, struct meta_change *change)
{
    const struct meta_configs *now = meta_configs(broker_newest(c->broker)->image,
                                                  asked->resource_type, asked->resource_name);
    size_t most = (size_t)asked->configs_count + (now == NULL ? 0 : now->count), count = 0;
    struct alteration *wishes = arena_array(c->arena, struct alteration, most);
    if (wishes == NULL)
        return;
    for (int32_t i = 0; i < asked->configs_count; i++)
        wishes[count++] =
            (struct alteration){asked->configs[i].name, asked->configs[i].value, ALTER_SET};
    for (size_t i = 0; now != NULL && i < now->count; i++) {
        if (!listed(asked, now->pairs[i].name) &&
            !bytes_is(now->pairs[i].name, "storage.class"))
            wishes[count++] =
                (struct alteration){now->pairs[i].name, bytes_of(NULL), ALTER_DELETE};
    }
    out->error_code = alter_plan(c, asked->resource_type, asked->resource_name, wishes, count,
                                 change, &out->error_message);
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct alter_configs_request *in = c->in;
    struct alter_configs_response *out = c->out;
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

enum verdict alter_configs_handle(struct call *c)
{
    const struct alter_configs_request *in = c->in;
    struct alter_configs_response *out = c->out;
    out->responses = arena_array(c->arena, RESULT, (size_t)in->resources_count);
    if (out->responses == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

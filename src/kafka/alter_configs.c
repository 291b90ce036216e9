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

/* The wishes that make a resource's settings those of the request. */
static const struct alteration *wish(struct call *c, const ASKED *asked, size_t *count)
{
    const struct meta_configs *now = meta_configs(broker_newest(c->broker)->image,
                                                  asked->resource_type, asked->resource_name);
    size_t most = (size_t)asked->configs_count + (now == NULL ? 0 : now->count);
    struct alteration *wishes = arena_array(c->arena, struct alteration, most);
    *count = 0;
    if (wishes == NULL)
        return NULL;
    for (int32_t i = 0; i < asked->configs_count; i++)
        wishes[(*count)++] =
            (struct alteration){asked->configs[i].name, asked->configs[i].value, ALTER_SET};
    for (size_t i = 0; now != NULL && i < now->count; i++) {
        if (!listed(asked, now->pairs[i].name) &&
            !bytes_is(now->pairs[i].name, "storage.class"))
            wishes[(*count)++] =
                (struct alteration){now->pairs[i].name, bytes_of(NULL), ALTER_DELETE};
    }
    return wishes;
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct alter_configs_request *in = c->in;
    struct alter_configs_response *out = c->out;
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

enum verdict alter_configs_handle(struct call *c)
{
    const struct alter_configs_request *in = c->in;
    struct alter_configs_response *out = c->out;
    out->responses = arena_array(c->arena, RESULT, (size_t)in->resources_count);
    c->state = arena_array(c->arena, struct alter_resource, (size_t)in->resources_count);
    if (out->responses == NULL || c->state == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

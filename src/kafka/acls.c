/* SPDX-License-Identifier: MIT */
/*
 * DescribeAcls, CreateAcls, DeleteAcls of a broker that asks nobody for permission: what Kafka says
 * without an authorizer. So tools can tell "security is disabled" from "too old to know", and
 * MirrorMaker, which looks for rules to take over, goes on in peace.
 */
#include "kafka/call.h"

static const char reason[] = "No Authorizer is configured.";

enum verdict describe_acls_handle(struct call *c)
{
    struct describe_acls_response *out = c->out;
    out->error_code = KAFKA_SECURITY_DISABLED;
    out->error_message = bytes_of(reason);
    return REQ_DONE;
}

#define CREATED struct create_acls_response_results

enum verdict create_acls_handle(struct call *c)
{
    const struct create_acls_request *in = c->in;
    struct create_acls_response *out = c->out;
    size_t count = (size_t)MAX(in->creations_count, 0);
    out->results = arena_array(c->arena, CREATED, count);
    if (out->results == NULL)
        return REQ_CLOSE;
    out->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        out->results[i] = (CREATED){.error_code = KAFKA_SECURITY_DISABLED,
                                    .error_message = bytes_of(reason)};
    return REQ_DONE;
}

#define DELETED struct delete_acls_response_filter_results

enum verdict delete_acls_handle(struct call *c)
{
    const struct delete_acls_request *in = c->in;
    struct delete_acls_response *out = c->out;
    size_t count = (size_t)MAX(in->filters_count, 0);
    out->filter_results = arena_array(c->arena, DELETED, count);
    if (out->filter_results == NULL)
        return REQ_CLOSE;
    out->filter_results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        out->filter_results[i] = (DELETED){.error_code = KAFKA_SECURITY_DISABLED,
                                           .error_message = bytes_of(reason)};
    return REQ_DONE;
}

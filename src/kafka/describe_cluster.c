/* SPDX-License-Identifier: MIT */
/* DescribeCluster: the brokers as the admin client sees them (KIP-700, KIP-919). */
#include "kafka/call.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

enum verdict describe_cluster_handle(struct call *c)
{
    const struct describe_cluster_request *in = c->in;
    struct describe_cluster_response *out = c->out;
    if (in->endpoint_type == ENDPOINT_CONTROLLERS) {
        out->error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        out->error_message = bytes_of("This is a broker endpoint; controllers are not reached "
                                      "here.");
        return REQ_DONE;
    }
    if (in->endpoint_type != ENDPOINT_BROKERS) {
        out->error_code = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        out->error_message = bytes_of("Unknown endpoint type.");
        return REQ_DONE;
    }
    struct broker_address address = broker_address(c->broker, c->request->listener);
    out->brokers = arena_new(c->arena, struct describe_cluster_response_brokers);
    if (out->brokers == NULL)
        return REQ_CLOSE;
    out->brokers_count = 1;
    out->brokers->broker_id = broker_node_id(c->broker);
    out->brokers->host = bytes_of(address.host);
    out->brokers->port = address.port;
    out->controller_id = broker_node_id(c->broker);
    out->cluster_id = broker_view()->image->cluster_id;
    if (in->include_cluster_authorized_operations)
        out->cluster_authorized_operations = CLUSTER_OPERATIONS;
    return REQ_DONE;
}

/* SPDX-License-Identifier: MIT */
/*
 * FindCoordinator: this node, for groups and transactions, as soon as their topic is there (the
 * first question makes it). Share groups have no coordinator here yet: the answer is one that
 * clients do not retry.
 */
#include "kafka/call.h"

enum { KEY_GROUP, KEY_TRANSACTION, KEY_SHARE };

#define SHARE_SINCE 6 /* version */

static int16_t judge(struct call *c, int8_t type, const char **why)
{
    *why = "";
    if (type == KEY_GROUP)
        return coordinator_ready(c->broker) ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (type == KEY_TRANSACTION)
        return coordinator_txn_ready(c->broker) ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (type == KEY_SHARE && c->version >= SHARE_SINCE) {
        *why = "Share groups are not supported by this broker.";
        return KAFKA_UNSUPPORTED_VERSION;
    }
    *why = type == KEY_SHARE ? "" : "Unknown coordinator key type.";
    return KAFKA_INVALID_REQUEST;
}

enum verdict find_coordinator_handle(struct call *c)
{
    const struct find_coordinator_request *in = c->in;
    struct find_coordinator_response *out = c->out;
    const char *why;
    int16_t error = judge(c, in->key_type, &why);
    bool good = error == KAFKA_NONE;
    struct broker_address address = broker_address(c->broker, c->request->listener);
    struct find_coordinator_response_coordinators one = {
        .node_id = good ? broker_node_id(c->broker) : -1,
        .host = bytes_of(good ? address.host : ""),
        .port = good ? address.port : -1,
        .error_code = error,
        .error_message = bytes_of(why),
    };
    out->error_code = one.error_code;
    out->error_message = bytes_of(good ? "NONE" : why[0] != 0 ? why : kafka_error_text(error));
    out->node_id = one.node_id;
    out->host = one.host;
    out->port = one.port;
    if (c->version < 4)
        return REQ_DONE;
    out->coordinators = arena_array(c->arena, struct find_coordinator_response_coordinators,
                                    (size_t)MAX(in->coordinator_keys_count, 0));
    if (out->coordinators == NULL)
        return REQ_CLOSE;
    for (int32_t i = 0; i < in->coordinator_keys_count; i++) {
        one.key = in->coordinator_keys[i];
        out->coordinators[out->coordinators_count++] = one;
    }
    return REQ_DONE;
}

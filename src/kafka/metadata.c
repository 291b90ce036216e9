/* SPDX-License-Identifier: MIT */
/*
 * Metadata: brokers, topics, partitions and their leaders.
 *
 * An unknown topic that may be created is answered with "unknown" first and created behind the
 * reply (KRaft's way); clients ask again. As soon as one entry has a topic id, entries by name are
 * left out of the reply, as Kafka does.
 */
#include "kafka/call.h"

static void fill_partitions(struct call *c, struct metadata_response_topics *e,
                            const struct topic *t)
{
    size_t count = (size_t)t->partition_count;
    e->partitions = arena_array(c->arena, struct metadata_response_topics_partitions, count);
    int32_t *node = arena_new(c->arena, int32_t);
    if (e->partitions == NULL || node == NULL)
        return;
    *node = broker_node_id(c->broker);
    e->partitions_count = t->partition_count;
    for (int32_t i = 0; i < t->partition_count; i++) {
        struct metadata_response_topics_partitions *p = &e->partitions[i];
        const struct partition *here = t->partitions[i];
        p->partition_index = i;
        p->replica_nodes = p->isr_nodes = node;
        p->replica_nodes_count = p->isr_nodes_count = 1;
        p->leader_id = *node;
        if (here != NULL) {
            p->leader_epoch = atomic_load_explicit(&here->leader_epoch, memory_order_relaxed);
            continue;
        }
        p->error_code = KAFKA_LEADER_NOT_AVAILABLE;
        p->leader_id = -1;
        p->leader_epoch = t->meta->partitions[i].leader_epoch;
        p->isr_nodes_count = 0;
        p->offline_replicas = node;
        p->offline_replicas_count = 1;
    }
}

static void fill_topic(struct call *c, struct metadata_response_topics *e, const struct topic *t)
{
    const struct metadata_request *in = c->in;
    e->name = t->name;
    e->topic_id = t->id;
    e->is_internal = t->internal;
    if (in->include_topic_authorized_operations)
        e->topic_authorized_operations = TOPIC_OPERATIONS;
    fill_partitions(c, e, t);
}

static void fill_error(struct metadata_response_topics *e, struct bytes name,
                       const struct uuid *id, int16_t error)
{
    e->name = name;
    e->topic_id = *id;
    e->error_code = error;
}

static void fill_cluster(struct call *c, struct metadata_response *out)
{
    const struct metadata_request *in = c->in;
    struct broker_address address = broker_address(c->broker, c->request->listener);
    out->brokers = arena_new(c->arena, struct metadata_response_brokers);
    if (out->brokers == NULL)
        return;
    out->brokers_count = 1;
    out->brokers->node_id = broker_node_id(c->broker);
    out->brokers->host = bytes_of(address.host);
    out->brokers->port = address.port;
    out->controller_id = broker_node_id(c->broker);
    out->cluster_id = broker_view()->image->cluster_id;
    if (in->include_cluster_authorized_operations)
        out->cluster_authorized_operations = CLUSTER_OPERATIONS;
}

static void all_topics(struct call *c, struct metadata_response *out)
{
    const struct view *v = broker_view();
    for (size_t i = 0; i < v->topic_count; i++)
        fill_topic(c, &out->topics[out->topics_count++], v->topics[i]);
}

/* The topic by name: found, invalid, or unknown (and then perhaps created behind the reply). */
static void by_name(struct call *c, struct metadata_response_topics *e, struct bytes name)
{
    static const struct uuid none;
    const struct metadata_request *in = c->in;
    const struct topic *t = view_topic(broker_view(), name);
    if (t != NULL) {
        fill_topic(c, e, t);
    } else if (!meta_topic_name_valid(name)) {
        fill_error(e, name, &none, KAFKA_INVALID_TOPIC_EXCEPTION);
    } else {
        fill_error(e, name, &none, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        if (in->allow_auto_topic_creation && c->config->auto_create_topics_enable)
            broker_create_topic(c->broker, name);
    }
}

/* Versions that can't do what the entry asks for; such replies name no broker (Kafka's way). */
static int16_t refuse(const struct call *c, const struct metadata_request_topics *asked)
{
    if (asked->name.at == NULL && uuid_is_zero(&asked->topic_id))
        return KAFKA_UNKNOWN_SERVER_ERROR;
    if (c->version < 12 && (asked->name.at == NULL || !uuid_is_zero(&asked->topic_id)))
        return KAFKA_INVALID_REQUEST;
    return KAFKA_NONE;
}

static bool any_id(const struct metadata_request *in)
{
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!uuid_is_zero(&in->topics[i].topic_id))
            return true;
    }
    return false;
}

static void some_topics(struct call *c, struct metadata_response *out)
{
    const struct metadata_request *in = c->in;
    bool ids = any_id(in);
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct metadata_request_topics *asked = &in->topics[i];
        if (ids && uuid_is_zero(&asked->topic_id))
            continue;
        if (!ids && seen_before(c, asked->name, 0))
            continue;
        struct metadata_response_topics *e = &out->topics[out->topics_count++];
        if (!ids) {
            by_name(c, e, asked->name);
            continue;
        }
        const struct topic *t = view_topic_by_id(broker_view(), &asked->topic_id);
        if (t != NULL)
            fill_topic(c, e, t);
        else
            fill_error(e, (struct bytes){NULL, 0}, &asked->topic_id, KAFKA_UNKNOWN_TOPIC_ID);
    }
}

static bool refused(struct call *c, struct metadata_response *out)
{
    const struct metadata_request *in = c->in;
    int16_t error = KAFKA_NONE;
    for (int32_t i = 0; i < in->topics_count && error == KAFKA_NONE; i++)
        error = refuse(c, &in->topics[i]);
    if (error == KAFKA_NONE)
        return false;
    for (int32_t i = 0; i < in->topics_count; i++) {
        struct bytes name = in->topics[i].name.at == NULL ? bytes_of("") : in->topics[i].name;
        fill_error(&out->topics[out->topics_count++], name, &in->topics[i].topic_id, error);
    }
    return true;
}

enum verdict metadata_handle(struct call *c)
{
    const struct metadata_request *in = c->in;
    struct metadata_response *out = c->out;
    bool all = in->topics_count < 0 || (c->version == 0 && in->topics_count == 0);
    size_t count = all ? broker_view()->topic_count : (size_t)in->topics_count;
    out->topics = arena_array(c->arena, struct metadata_response_topics, count);
    if (out->topics == NULL)
        return REQ_CLOSE;
    for (size_t i = 0; i < count; i++)
        out->topics[i].topic_authorized_operations = NO_OPERATIONS;
    if (!all && refused(c, out))
        return REQ_DONE;
    fill_cluster(c, out);
    if (all)
        all_topics(c, out);
    else
        some_topics(c, out);
    return REQ_DONE;
}

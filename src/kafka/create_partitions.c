/* SPDX-License-Identifier: MIT */
/* CreatePartitions: more partitions for topics that exist, on the control thread. */
#include "kafka/call.h"

#define ASKED struct create_partitions_request_topics
#define RESULT struct create_partitions_response_results

static void plan_one(struct call *c, const ASKED *asked, RESULT *out, struct meta_change *change)
{
    const struct meta_image *image = broker_newest(c->broker)->image;
    const struct meta_topic *t = meta_topic(image, asked->name);
    struct meta_rules rules = broker_rules(c->broker);
    struct meta_assignment *assignments = NULL;
    if (t == NULL) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (asked->assignments_count >= 0) {
        assignments =
            arena_array(c->arena, struct meta_assignment, (size_t)asked->assignments_count);
        if (assignments == NULL)
            return;
    }
    for (int32_t i = 0; i < asked->assignments_count; i++)
        assignments[i] = (struct meta_assignment){.brokers = asked->assignments[i].broker_ids,
                                                  .broker_count =
                                                      asked->assignments[i].broker_ids_count};
    enum outcome o = asked->count >= 10000 + t->partition_count
                         ? fail(OUT_POLICY_VIOLATION, "Too many partitions in one request.")
                         : meta_plan_partitions(image, &rules, t, asked->count, assignments,
                                                asked->assignments_count, change);
    out->error_code = error_of(o);
    if (o != OUT_OK)
        out->error_message = arena_print(c->arena, "%s", outcome_trail());
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct create_partitions_request *in = c->in;
    struct create_partitions_response *out = c->out;
    struct meta_change change;
    meta_change_init(&change);
    for (int32_t i = 0; i < in->topics_count; i++)
        entry_note(c, in->topics[i].name);
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (!entry_first(c, in->topics[i].name))
            continue;
        RESULT *result = &out->results[out->results_count++];
        *result = (RESULT){.name = in->topics[i].name};
        if (entry_repeated(c, in->topics[i].name)) {
            result->error_code = KAFKA_INVALID_REQUEST;
            result->error_message = bytes_of("Duplicate topic name.");
        } else {
            plan_one(c, &in->topics[i], result, &change);
        }
    }
    enum outcome o = in->validate_only ? OUT_OK : broker_apply(c->broker, &change);
    for (int32_t i = 0; o != OUT_OK && i < out->results_count; i++) {
        if (out->results[i].error_code == KAFKA_NONE)
            out->results[i].error_code = error_of(o);
    }
    meta_change_fini(&change);
    request_return(r, call_finish_request);
}

enum verdict create_partitions_handle(struct call *c)
{
    const struct create_partitions_request *in = c->in;
    struct create_partitions_response *out = c->out;
    out->results = arena_array(c->arena, RESULT, (size_t)in->topics_count);
    if (out->results == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

/* SPDX-License-Identifier: MIT */
/* DeleteTopics by name or (version 6) by id, on the control thread. */
#include "kafka/call.h"

#define RESULT struct delete_topics_response_responses

static void refuse(RESULT *out, int16_t error, const char *why)
{
    out->error_code = error;
    out->error_message = bytes_of(why);
}

/* One entry by name (id zero) or by id. */
static void plan_one(struct call *c, struct bytes name, const struct uuid *id, RESULT *out,
                     struct meta_change *change)
{
    const struct meta_image *image = broker_newest(c->broker)->image;
    bool by_id = !uuid_is_zero(id);
    *out = (RESULT){.name = name, .topic_id = *id};
    if (by_id && name.at != NULL) {
        refuse(out, KAFKA_INVALID_REQUEST, "You may not specify both topic name and topic id.");
        return;
    }
    if (!by_id && name.at == NULL) {
        refuse(out, KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
        return;
    }
    const struct meta_topic *t = by_id ? meta_topic_by_id(image, id) : meta_topic(image, name);
    if (t == NULL) {
        refuse(out, by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
               by_id ? "This server does not host this topic ID."
                     : "This server does not host this topic-partition.");
        return;
    }
    out->name = arena_copy(c->arena, t->name);
    out->topic_id = t->id;
    enum outcome o = meta_plan_delete(t, change);
    if (o != OUT_OK)
        refuse(out, error_of(o), "The deletion could not be planned.");
}

/* What the i-th entry names: a topic's name, or the bytes of an id that nobody has. */
static struct bytes key_of(struct call *c, int32_t i, bool names)
{
    const struct delete_topics_request *in = c->in;
    if (names)
        return in->topic_names[i];
    if (in->topics[i].name.at != NULL)
        return in->topics[i].name;
    const struct meta_topic *t =
        meta_topic_by_id(broker_newest(c->broker)->image, &in->topics[i].topic_id);
    return t != NULL ? t->name : bytes_view(&in->topics[i].topic_id, sizeof(struct uuid));
}

#define SEEN_BY_ID 3 /* beside the marks of entry_note */

/* Named twice: nothing is deleted. By name and by id: both are shown. */
static void refuse_repeated(struct call *c, int32_t i, bool names, RESULT *out)
{
    const struct meta_topic *t =
        meta_topic(broker_newest(c->broker)->image, key_of(c, i, names));
    if (t != NULL && seen_has(c, key_of(c, i, names), SEEN_BY_ID)) {
        out->name = arena_copy(c->arena, t->name);
        out->topic_id = t->id;
    }
    refuse(out, KAFKA_INVALID_REQUEST, "Duplicate topic name or id.");
}

static void serve_one(struct call *c, int32_t i, bool names, struct meta_change *change)
{
    static const struct uuid none;
    const struct delete_topics_request *in = c->in;
    struct delete_topics_response *out = c->out;
    struct bytes name = names ? in->topic_names[i] : in->topics[i].name;
    const struct uuid *id = names ? &none : &in->topics[i].topic_id;
    if (!entry_first(c, key_of(c, i, names)))
        return;
    RESULT *result = &out->responses[out->responses_count++];
    *result = (RESULT){.name = name, .topic_id = *id};
    if (!c->config->delete_topic_enable)
        refuse(result, c->version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED,
               "Topic deletion is disabled.");
    else if (entry_repeated(c, key_of(c, i, names)))
        refuse_repeated(c, i, names, result);
    else
        plan_one(c, name, id, result, change);
}

static void work(struct request *r)
{
    struct call *c = call_of(r);
    const struct delete_topics_request *in = c->in;
    struct delete_topics_response *out = c->out;
    struct meta_change change;
    bool names = c->version < 6;
    int32_t count = names ? in->topic_names_count : in->topics_count;
    meta_change_init(&change);
    for (int32_t i = 0; i < count; i++) {
        entry_note(c, key_of(c, i, names));
        if (!names && in->topics[i].name.at == NULL)
            (void)seen_before(c, key_of(c, i, names), SEEN_BY_ID);
    }
    for (int32_t i = 0; i < count; i++)
        serve_one(c, i, names, &change);
    enum outcome o = broker_apply(c->broker, &change);
    for (int32_t i = 0; i < out->responses_count; i++) {
        if (out->responses[i].error_code == KAFKA_NONE && o == OUT_OK)
            coordinator_topic_deleted(c->broker, out->responses[i].name);
        else if (out->responses[i].error_code == KAFKA_NONE)
            refuse(&out->responses[i], error_of(o), "The deletion could not be stored.");
    }
    meta_change_fini(&change);
    request_return(r, call_finish_request);
}

enum verdict delete_topics_handle(struct call *c)
{
    const struct delete_topics_request *in = c->in;
    struct delete_topics_response *out = c->out;
    size_t most = (size_t)MAX(in->topic_names_count, in->topics_count);
    out->responses = arena_array(c->arena, RESULT, most);
    if (out->responses == NULL)
        return REQ_CLOSE;
    broker_control(c->request, work);
    return REQ_PARKED;
}

/* SPDX-License-Identifier: MIT */
/*
 * The Kafka door: a frame becomes a call, the call a reply.
 *
 * What can't be decoded, or is not served, closes the connection without a reply, as Kafka does;
 * only ApiVersions of an unknown version is answered (in version 0, with the range of ApiVersions).
 */
#include "kafka/kafka.h"

#include "kafka/call.h"
#include "kafka/consumed.h"
#include "watch/watch.h"

#define API_VERSIONS_KEY 18

/* One for each file range and one behind the last. */
static size_t count_slices(const struct call *c)
{
    size_t n = 0;
    for (const struct call_slice *s = c->slices; s != NULL; s = s->next)
        n++;
    return n;
}

static void release_slices(struct call *c)
{
    for (struct call_slice *s = c->slices; s != NULL; s = s->next)
        store_hold_drop(s->view.hold);
    c->slices = NULL;
}

static void slice_sent(void *context)
{
    store_hold_drop(context);
}

static bool add_slice(struct call *c, const struct store_view *v)
{
    if (v->fd < 0) /* a topic in memory */
        return request_reply_held(c->request, bytes_view(v->at, v->size), slice_sent, v->hold);
    return request_reply_file(c->request, v->fd, v->position, v->size, slice_sent, v->hold);
}

/* Hands the encoded memory and the ranges of records to the connection, in order. */
static bool add_pieces(struct call *c, struct bytes out, const struct wire_cut *cuts, size_t count)
{
    size_t at = 0;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        const struct call_slice *s = cuts[i].external;
        struct bytes before = {out.at + at, cuts[i].position - at};
        good &= request_reply_bytes(c->request, before);
        if (!add_slice(c, &s->view)) {
            store_hold_drop(s->view.hold);
            good = false;
        }
        at = cuts[i].position;
    }
    c->slices = NULL;
    return good && request_reply_bytes(c->request, (struct bytes){out.at + at, out.size - at});
}

/* Encodes size, header and body into one exact buffer. False: the reply can't be made. */
static bool encode(struct call *c)
{
    const struct wire_message *m = c->api->response;
    size_t body = 0, cut_count = count_slices(c);
    size_t header = 4 + wire_response_header_size(c->api->key, c->version);
    if (c->arena->failed || wire_measure(m, c->version, c->out, &body) != OUT_OK)
        return false;
    uint8_t *out = arena_take(c->arena, header + body);
    struct wire_cut *cuts = arena_array(c->arena, struct wire_cut, cut_count);
    if (out == NULL || cuts == NULL)
        return false;
    if (wire_encode(m, c->version, c->out, out + header, body, cuts, &cut_count) != OUT_OK)
        return false;
    size_t total = header - 4 + body;
    for (size_t i = 0; i < cut_count; i++) {
        cuts[i].position += header;
        total += cuts[i].size;
    }
    if (total > INT32_MAX)
        return false;
    put_be32(out, (uint32_t)total);
    wire_response_header_encode(c->api->key, c->version, c->correlation_id, out + 4);
    return add_pieces(c, (struct bytes){out, header + body}, cuts, cut_count);
}

static enum verdict finish(struct call *c)
{
    bool good = encode(c);
    release_slices(c);
    if (!good)
        count(replies_failed, 1);
    return good ? REQ_DONE : REQ_CLOSE;
}

void call_finish(struct call *c)
{
    struct request *r = c->request;
    enum verdict v = finish(c);
    observe(request_latency, r->home->now_ns - r->received_ns);
    request_complete(r, v);
}

void call_finish_request(struct request *r)
{
    call_finish(call_of(r));
}

/* KIP-511: a client from the future learns which versions of ApiVersions there are. */
static enum verdict refuse_api_versions(struct call *c)
{
    struct api_versions_response *out = c->out;
    struct api_versions_response_api_keys *row =
        arena_new(c->arena, struct api_versions_response_api_keys);
    if (row == NULL)
        return REQ_CLOSE;
    row->api_key = API_VERSIONS_KEY;
    row->min_version = c->api->version_min;
    row->max_version = c->api->version_max;
    out->error_code = KAFKA_UNSUPPORTED_VERSION;
    out->api_keys = row;
    out->api_keys_count = 1;
    c->version = 0;
    return finish(c);
}

static bool prepare(struct call *c, const struct api_row *api)
{
    c->api = api;
    c->in = arena_take(c->arena, api->request->size);
    c->out = arena_take(c->arena, api->response->size);
    if (c->in == NULL || c->out == NULL)
        return false;
    wire_defaults(api->response, c->out);
    return true;
}

/* The request may go on living (PARKED, PIPELINED): everything of it is in its arena. */
static enum verdict serve(struct request *r)
{
    struct wire_request_header header;
    size_t used;
    struct call *c = arena_new(&r->arena, struct call);
    if (c == NULL)
        return REQ_CLOSE;
    r->door_state = c;
    *c = (struct call){.magic = CALL_MAGIC, .request = r, .arena = &r->arena,
                       .broker = broker_self()};
    c->config = broker_config(c->broker);
    if (wire_request_header_decode(r->frame, &header, &used) != OUT_OK) {
        count(requests_malformed, 1);
        return REQ_CLOSE;
    }
    const struct api_row *api = api_row(header.key);
    c->version = header.version;
    c->correlation_id = header.correlation_id;
    c->client_id = header.client_id;
    count(requests, 1);
    if (api == NULL || !prepare(c, api)) {
        count(requests_unsupported, 1);
        return REQ_CLOSE;
    }
    if (c->version < api->version_min || c->version > api->version_max) {
        count(requests_unsupported, 1);
        return api->key == API_VERSIONS_KEY ? refuse_api_versions(c) : REQ_CLOSE;
    }
    struct bytes body = {r->frame.at + used, r->frame.size - used};
    if (wire_decode(api->request, c->version, body, c->arena, c->in, NULL) != OUT_OK) {
        count(requests_malformed, 1);
        return REQ_CLOSE;
    }
    enum verdict v = api->handle(c);
    if (v == REQ_DONE) {
        v = finish(c);
        observe(request_latency, os_now_ns() - r->received_ns);
    } else if (v == REQ_CLOSE || v == REQ_NO_REPLY) {
        release_slices(c);
    }
    return v;
}

const struct door kafka_door = {.name = "kafka", .serve = serve, .closed = consumed_free};

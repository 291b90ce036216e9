/* SPDX-License-Identifier: MIT */
/*
 * One Kafka request on its way through the house (private to kafka/).
 *
 * serve.c decodes the header and the body into `in`, calls the API's handler, encodes `out`. A
 * handler speaks domain only: it reads its request struct, fills its response struct (which starts
 * as its defaults) and returns a verdict. Parked handlers end with call_finish on the home thread.
 */
#ifndef KAFKA_CALL_H
#define KAFKA_CALL_H

#include "broker/broker.h"
#include "wire/messages.h"
#include "wire/wire.h"

#define CALL_MAGIC 0x4b43414cu

struct api_row;

struct call {
    uint32_t magic;
    struct request *request;
    const struct api_row *api;
    struct broker *broker;
    const struct config *config;
    struct arena *arena;      /* the request's: lives until the reply is sent */
    struct bytes client_id;
    int16_t version;
    int32_t correlation_id;
    void *in;                 /* the API's request struct */
    void *out;                /* the API's response struct */
    void *state;              /* the handler's own, in the arena */
    struct seen_set *seen;    /* entries met so far, for seen_before */
    struct call_slice *slices; /* file ranges the reply sends, for release on any exit */
};

typedef enum verdict call_handler(struct call *c);

/* The row of one API that is served here. */
struct api_row {
    const char *name;
    int16_t key;
    int16_t version_min, version_max;             /* really answered */
    int16_t advertised_min;                        /* what ApiVersions says */
    const struct wire_message *request, *response;
    call_handler *handle;
};

/* The row of an API key, NULL when it is not served; all rows in order of key. */
const struct api_row *api_row(int16_t key);
const struct api_row *api_rows(size_t *count);

/* Home thread: encodes the response of a parked call and completes its request. */
void call_finish(struct call *c);

static inline struct call *call_of(struct request *r)
{
    struct call *c = r->door_state;
    check(c != NULL && c->magic == CALL_MAGIC);
    return c;
}

/* The Kafka error an outcome stands for; the only mapping (errors.c). */
int16_t error_of(enum outcome o);

/* The request's topic entry resolved by id when the version has ids, else by name. */
struct topic *call_topic(const struct view *v, struct bytes name, const struct uuid *id,
                         bool by_id, int16_t *error);

/* Whether this request had (name, index) before; notes it. Constant time, whatever a peer sends. */
bool seen_before(struct call *c, struct bytes name, int32_t index);
bool seen_has(const struct call *c, struct bytes name, int32_t index);
/* For a request whose entries must be named once: note every entry first, then serve each that
 * entry_first lets through; entry_repeated says that it came more than once. */
enum { SEEN_ONCE, SEEN_TWICE, SEEN_SERVED };
static inline void entry_note(struct call *c, struct bytes name)
{
    if (seen_before(c, name, SEEN_ONCE))
        (void)seen_before(c, name, SEEN_TWICE);
}
static inline bool entry_first(struct call *c, struct bytes name)
{
    return !seen_before(c, name, SEEN_SERVED);
}
static inline bool entry_repeated(const struct call *c, struct bytes name)
{
    return seen_has(c, name, SEEN_TWICE);
}

/* FENCED or UNKNOWN_LEADER_EPOCH when the epoch a client gives (-1: none) is not the current
 * one. */
int16_t check_leader_epoch(const struct partition *p, int32_t asked);

/* ListOffsets 0, which is another request (list_offsets_old.c). */
enum verdict list_offsets_old(struct call *c);

/* call_finish for request_return. */
void call_finish_request(struct request *r);

/* A file range of the reply: kept on the call so that it is released whatever happens. */
struct call_slice {
    struct call_slice *next;
    struct store_view view;
};

/* Every handler: a row without one does not link. */
#define API(name, key, advertised, low, high) call_handler name##_handle;
#include "kafka/api.def"
#undef API

/* Kafka's bit sets of everything that can be authorised on a topic and on the cluster. */
#define TOPIC_OPERATIONS 3576
#define CLUSTER_OPERATIONS 8096
#define NO_OPERATIONS INT32_MIN

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What is asked of a Kafka before the load: versions, topic, leaders, offsets. One question at a
 * time over a connection of its own, each with a deadline.
 */
#include "bench/private.h"

#include "wire/messages.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MS 30000
#define ANSWER_MAX MiB(64)
#define TRIES 50          /* for a topic whose leaders are being chosen */
#define PAUSE_NS 100000000
#define CLIENT "fluxmq-bench"
#define EARLIEST (-2)
#define LATEST (-1)

enum outcome bench_buffer_room(struct bench_buffer *b, size_t room)
{
    if (b->room >= room)
        return OUT_OK;
    size_t wanted = MAX(room, b->room * 2);
    uint8_t *at = realloc(b->at, wanted);
    if (at == NULL)
        return fail(OUT_NO_MEMORY, "%zu bytes", wanted);
    b->at = at;
    b->room = wanted;
    return OUT_OK;
}

enum outcome bench_encode(const struct wire_message *m, int16_t version, int32_t correlation,
                          const void *body, struct bench_buffer *to, struct wire_cut *cuts,
                          size_t *cut_count)
{
    size_t size, head = 4 + 2 + 2 + 4 + 2 + sizeof CLIENT - 1 + (version >= m->flexible_from);
    size_t external = 0;
    enum outcome o = wire_measure(m, version, body, &size);
    if (o == OUT_OK)
        o = bench_buffer_room(to, head + size);
    if (o != OUT_OK)
        return o;
    uint8_t *at = to->at;
    put_be16(at + 4, (uint16_t)m->key);
    put_be16(at + 6, (uint16_t)version);
    put_be32(at + 8, (uint32_t)correlation);
    put_be16(at + 12, sizeof CLIENT - 1);
    memcpy(at + 14, CLIENT, sizeof CLIENT - 1);
    at[head - 1] = version >= m->flexible_from ? 0 : at[head - 1]; /* no tagged fields */
    o = wire_encode(m, version, body, at + head, size, cuts, cut_count);
    for (size_t i = 0; cuts != NULL && i < *cut_count; i++) {
        cuts[i].position += head;
        external += cuts[i].size;
    }
    put_be32(at, (uint32_t)(head - 4 + size + external));
    to->used = head + size;
    return o;
}

/* ---- questions ---- */

struct asker {
    int fd;
    const struct bench_broker *broker;
    const struct bench_options *o;
    int16_t versions[64]; /* the newest that both sides know, by key; -1: none */
    struct arena *arena;
};

static enum outcome wait_for(struct asker *a, short what)
{
    struct pollfd p = {.fd = a->fd, .events = what};
    int got = poll(&p, 1, ANSWER_MS);
    errno = 0;
    if (got < 0)
        return a->o->stopped() ? OUT_END : OUT_OK;
    if (got == 0)
        return fail(OUT_TIMED_OUT, "%s:%s does not answer", a->broker->host, a->broker->port);
    return OUT_OK;
}

static enum outcome closed(const struct asker *a)
{
    errno = 0;
    return fail(OUT_CLOSED, "%s:%s closed the connection: is it a Kafka?", a->broker->host,
                a->broker->port);
}

static enum outcome send_all(struct asker *a, const uint8_t *at, size_t size)
{
    while (size > 0) {
        struct iovec piece = {(void *)(uintptr_t)at, size};
        size_t sent = 0;
        enum outcome o = os_send(a->fd, &piece, 1, false, &sent);
        if (o == OUT_AGAIN)
            o = wait_for(a, POLLOUT);
        if (o != OUT_OK)
            return o == OUT_CLOSED ? closed(a) : o;
        at += sent;
        size -= sent;
    }
    return OUT_OK;
}

static enum outcome receive_all(struct asker *a, uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t got = 0;
        enum outcome o = os_receive(a->fd, at, size, &got);
        if (o == OUT_AGAIN)
            o = wait_for(a, POLLIN);
        if (o != OUT_OK)
            return o == OUT_CLOSED || (o == OUT_END && !a->o->stopped()) ? closed(a) : o;
        at += got;
        size -= got;
    }
    return OUT_OK;
}

/* The answer's memory is the arena's. */
static enum outcome ask(struct asker *a, int key, int16_t version, const void *request,
                        void *response)
{
    const struct wire_api *api = wire_api(key);
    struct bench_buffer out = {0};
    uint8_t prefix[4];
    enum outcome o = bench_encode(api->request, version, 1, request, &out, NULL, NULL);
    if (o == OUT_OK)
        o = send_all(a, out.at, out.used);
    free(out.at);
    if (o == OUT_OK)
        o = receive_all(a, prefix, sizeof prefix);
    if (o != OUT_OK)
        return o;
    size_t size = get_be32(prefix), head = wire_response_header_size(key, version);
    if (size < head || size > ANSWER_MAX)
        return fail(OUT_MALFORMED, "%s:%s is no Kafka", a->broker->host, a->broker->port);
    uint8_t *in = arena_take(a->arena, size);
    if (in == NULL)
        return fail(OUT_NO_MEMORY, "an answer of %zu bytes", size);
    o = receive_all(a, in, size);
    if (o != OUT_OK)
        return o;
    if (get_be32(in) != 1 ||
        wire_decode(api->response, version, bytes_view(in + head, size - head), a->arena, response,
                    NULL) != OUT_OK)
        return fail(OUT_MALFORMED, "%s:%s answers %s with what can't be read", a->broker->host,
                    a->broker->port, api->name);
    return OUT_OK;
}

static enum outcome learn_versions(struct asker *a)
{
    struct api_versions_request request = {.client_software_name = bytes_of(CLIENT),
                                           .client_software_version = bytes_of(FLUXMQ_VERSION)};
    struct api_versions_response response;
    memset(a->versions, -1, sizeof a->versions);
    enum outcome o = ask(a, 18, 3, &request, &response);
    if (o != OUT_OK)
        return o;
    if (response.error_code != KAFKA_NONE)
        return fail(OUT_UNSUPPORTED, "%s:%s: %s; Kafka 2.4 or newer is wanted", a->broker->host,
                    a->broker->port, kafka_error_name(response.error_code));
    for (int32_t i = 0; i < response.api_keys_count; i++) {
        int16_t key = response.api_keys[i].api_key, theirs = response.api_keys[i].max_version;
        const struct wire_api *api = wire_api(key);
        if (api == NULL || key < 0 || (size_t)key >= COUNT_OF(a->versions))
            continue;
        int16_t ours = MIN(api->highest, (int16_t)(api->request->unstable_from - 1));
        a->versions[key] = MIN(ours, theirs);
    }
    if (a->versions[0] < 9 || a->versions[1] < 12 || a->versions[3] < 9)
        return fail(OUT_UNSUPPORTED, "%s:%s is too old: Kafka 2.8 or newer is wanted",
                    a->broker->host, a->broker->port);
    return OUT_OK;
}

static enum outcome asker_open(struct asker *a, const struct bench_options *o,
                               const struct bench_broker *broker, struct arena *arena)
{
    *a = (struct asker){.fd = -1, .o = o, .broker = broker, .arena = arena};
    enum outcome out = o->dial(broker->host, broker->port, &a->fd);
    return out == OUT_OK ? learn_versions(a) : out;
}

/* ---- the topic ---- */

static enum outcome make_topic(struct asker *a, struct bytes name, int32_t partitions)
{
    struct create_topics_request_topics topic = {.name = name, .num_partitions = partitions,
                                                 .replication_factor = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1,
                                            .timeout_ms = ANSWER_MS};
    struct create_topics_response response;
    enum outcome o = ask(a, 19, a->versions[19], &request, &response);
    if (o != OUT_OK)
        return o;
    int code = response.topics_count == 1 ? response.topics[0].error_code : KAFKA_NONE;
    if (code != KAFKA_NONE && code != KAFKA_TOPIC_ALREADY_EXISTS)
        return fail(OUT_INVALID, "can't make topic %.*s: %s: %s", (int)name.size, name.at,
                    kafka_error_name(code), kafka_error_text(code));
    return OUT_OK;
}

static enum outcome metadata(struct asker *a, struct bytes name,
                             struct metadata_response *response)
{
    struct metadata_request_topics topic = {.name = name};
    struct metadata_request request = {.topics = &topic, .topics_count = 1};
    enum outcome o = ask(a, 3, a->versions[3], &request, response);
    if (o == OUT_OK && response->topics_count != 1)
        o = fail(OUT_MALFORMED, "%s:%s names no topic", a->broker->host, a->broker->port);
    return o;
}

static int32_t broker_place(const struct bench_topic *t, int32_t id)
{
    for (int32_t i = 0; i < t->broker_count; i++) {
        if (t->brokers[i].id == id)
            return i;
    }
    return -1;
}

/* OUT_AGAIN: a partition has no leader yet. */
static enum outcome keep(const struct metadata_response *m, struct arena *arena,
                         struct bench_topic *t)
{
    const struct metadata_response_topics *topic = &m->topics[0];
    t->id = topic->topic_id;
    t->broker_count = m->brokers_count;
    t->partition_count = topic->partitions_count;
    t->brokers = arena_array(arena, struct bench_broker, (size_t)t->broker_count);
    t->partitions = arena_array(arena, struct bench_partition, (size_t)t->partition_count);
    if (t->brokers == NULL || t->partitions == NULL)
        return fail(OUT_NO_MEMORY, "a topic of %d partitions", t->partition_count);
    for (int32_t i = 0; i < t->broker_count; i++) {
        struct bench_broker *b = &t->brokers[i];
        b->id = m->brokers[i].node_id;
        snprintf(b->host, sizeof b->host, "%.*s", (int)m->brokers[i].host.size,
                 m->brokers[i].host.at);
        snprintf(b->port, sizeof b->port, "%d", m->brokers[i].port);
    }
    for (int32_t i = 0; i < t->partition_count; i++) {
        struct bench_partition *p = &t->partitions[i];
        p->index = topic->partitions[i].partition_index;
        p->broker = broker_place(t, topic->partitions[i].leader_id);
        if (p->broker < 0)
            return OUT_AGAIN;
    }
    return t->partition_count > 0 ? OUT_OK : OUT_AGAIN;
}

enum outcome bench_refused(const struct bench_topic *t, int32_t partition, int code)
{
    errno = 0;
    return fail(OUT_INVALID, "partition %d of %.*s: %s: %s", partition, (int)t->name.size,
                t->name.at, kafka_error_name(code) == NULL ? "?" : kafka_error_name(code),
                kafka_error_text(code));
}

static enum outcome find(struct asker *a, struct bench_topic *t)
{
    struct metadata_response m;
    bool made = false;
    enum outcome o = OUT_AGAIN;
    for (int i = 0; i < TRIES && o == OUT_AGAIN && !a->o->stopped(); i++) {
        if (i > 0)
            ppoll(NULL, 0, &(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        o = metadata(a, t->name, &m);
        if (o != OUT_OK)
            break;
        int code = m.topics[0].error_code;
        if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION && a->o->create_partitions > 0) {
            o = made ? OUT_OK : make_topic(a, t->name, a->o->create_partitions);
            o = o == OUT_OK ? OUT_AGAIN : o;
            made = true;
        } else if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
            o = fail(OUT_NOT_FOUND, "there is no topic %.*s; --partitions N makes it",
                     (int)t->name.size, t->name.at);
        } else if (code != KAFKA_NONE && code != KAFKA_LEADER_NOT_AVAILABLE) {
            o = fail(OUT_INVALID, "topic %.*s: %s: %s", (int)t->name.size, t->name.at,
                     kafka_error_name(code), kafka_error_text(code));
        } else {
            o = keep(&m, a->arena, t);
        }
    }
    if (o == OUT_AGAIN && a->o->stopped())
        return OUT_END;
    return o == OUT_AGAIN ? fail(OUT_TIMED_OUT, "topic %.*s has no leader", (int)t->name.size,
                                 t->name.at) : o;
}

enum outcome bench_topic_find(const struct bench_options *o, struct arena *arena,
                              struct bench_topic *t)
{
    struct bench_broker first = {0};
    struct asker a;
    *t = (struct bench_topic){.name = bytes_of(o->name)};
    snprintf(first.host, sizeof first.host, "%s", o->host);
    snprintf(first.port, sizeof first.port, "%s", o->port);
    enum outcome out = asker_open(&a, o, &first, arena);
    if (out == OUT_OK)
        out = find(&a, t);
    t->produce_version = a.versions[0];
    t->fetch_version = a.versions[1];
    os_close(a.fd);
    return out;
}

/* ---- offsets ---- */

/* They come in any order. */
static enum outcome keep_offsets(const struct list_offsets_response_topics *from,
                                 struct bench_topic *t, int64_t timestamp)
{
    int32_t at = 0;
    for (int32_t i = 0; i < from->partitions_count; i++) {
        const struct list_offsets_response_topics_partitions *r = &from->partitions[i];
        for (int32_t k = 0; t->partitions[at].index != r->partition_index; k++) {
            if (k == t->partition_count)
                return fail(OUT_MALFORMED, "the offset of a partition that there is not");
            at = (at + 1) % t->partition_count;
        }
        if (r->error_code != KAFKA_NONE) {
            enum outcome o = bench_refused(t, r->partition_index, r->error_code);
            return kafka_error_retriable(r->error_code) ? OUT_AGAIN : o;
        }
        if (timestamp == EARLIEST)
            t->partitions[at].start = r->offset;
        else
            t->partitions[at].end = r->offset;
    }
    return OUT_OK;
}

static enum outcome offsets_of(struct asker *a, struct bench_topic *t, int32_t broker,
                               int64_t timestamp)
{
    struct list_offsets_request_topics_partitions *list =
        arena_array(a->arena, struct list_offsets_request_topics_partitions,
                    (size_t)t->partition_count);
    struct list_offsets_request_topics topic = {.name = t->name, .partitions = list};
    struct list_offsets_request request = {.replica_id = -1, .topics = &topic, .topics_count = 1,
                                           .timeout_ms = ANSWER_MS};
    struct list_offsets_response response;
    if (list == NULL)
        return fail(OUT_NO_MEMORY, "offsets of %d partitions", t->partition_count);
    for (int32_t i = 0; i < t->partition_count; i++) {
        if (t->partitions[i].broker == broker)
            list[topic.partitions_count++] = (struct list_offsets_request_topics_partitions){
                .partition_index = t->partitions[i].index, .current_leader_epoch = -1,
                .timestamp = timestamp};
    }
    if (topic.partitions_count == 0)
        return OUT_OK;
    enum outcome o = ask(a, 2, a->versions[2], &request, &response);
    if (o != OUT_OK)
        return o;
    if (response.topics_count != 1)
        return fail(OUT_MALFORMED, "offsets of another topic than asked for");
    return keep_offsets(&response.topics[0], t, timestamp);
}

static enum outcome offsets_at(const struct bench_options *o, struct arena *arena,
                               struct bench_topic *t, int32_t broker)
{
    struct asker a;
    enum outcome out = asker_open(&a, o, &t->brokers[broker], arena);
    if (out == OUT_OK)
        out = offsets_of(&a, t, broker, EARLIEST);
    if (out == OUT_OK)
        out = offsets_of(&a, t, broker, LATEST);
    os_close(a.fd);
    return out;
}

/* A leader that was just chosen may not know yet that it is one. */
enum outcome bench_topic_offsets(const struct bench_options *o, struct arena *arena,
                                 struct bench_topic *t)
{
    enum outcome out = OUT_OK;
    for (int32_t i = 0; i < t->broker_count && out == OUT_OK; i++) {
        out = OUT_AGAIN;
        for (int n = 0; n < TRIES && out == OUT_AGAIN && !o->stopped(); n++) {
            if (n > 0)
                ppoll(NULL, 0, &(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
            out = offsets_at(o, arena, t, i);
        }
    }
    return out;
}

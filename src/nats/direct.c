/* SPDX-License-Identifier: MIT */
/*
 * $JS.API.DIRECT.GET.<topic>: replay from the log for any NATS client, in the form of JetStream's
 * stateless reads (ADR-31). The request is JSON:
 *     seq          the record at this offset or the next one
 *     start_time   the first at or after this time (RFC 3339)
 *     last         the last so many (ours)
 *     batch        how many (1), each a message of its own, then "204 EOB"
 *     max_bytes    of payloads in a batch
 *     next_by_subj, last_by_subj   only records of subjects under this pattern; the last of them
 *     partition    of the topic (ours); without it the one that the topic's name maps to, or the
 *                  subject asked for
 * An empty request, or one with a subject behind the topic's name, asks for the last record.
 * Offsets are Kafka's own, so they begin with 0. The walk looks at a bounded part of the log.
 */
#include "nats/api.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH_MAX 10000
#define WALK_BYTES MiB(64)  /* of the log for one request */
#define LAST_RECORDS 4096   /* looked back at first for the last of a subject */

struct get {
    struct nats_session *session;
    struct nats_topic topic;
    struct partition *partition;
    struct bytes reply;
    struct bytes pattern;       /* size 0: any subject */
    int64_t from, left, bytes_left;
    int64_t end;                /* the last stable offset when it began */
    int64_t sent, last;         /* how many, offset of the last */
    bool batch, newest;         /* newest: only the last that matches */
    bool found;
    int64_t found_offset;
};

static void say_status(const struct get *g, const char *status)
{
    nats_answer_status(g->session->home, g->reply, status);
}

static int64_t unix_ms(const char *text)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL)
        return -1;
    double part = 0;
    if (*rest == '.')
        part = strtod(rest, (char **)(uintptr_t)&rest);
    int hours = 0, minutes = 0;
    char sign = *rest;
    if (sign != 'Z' && sscanf(rest + (sign != '\0'), "%2d:%2d", &hours, &minutes) != 2)
        return -1;
    int64_t shift = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    return ((int64_t)timegm(&parts) - (sign == 'Z' ? 0 : shift)) * 1000 + (int64_t)(part * 1000);
}

/* ---- answers ---- */

static size_t time_text(int64_t ms, char text[static 40])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    size_t size = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &parts);
    return size + (size_t)snprintf(text + size, 40 - size, ".%03dZ", (int)(ms % 1000));
}

int nats_place_lines(const struct partition *p, const struct log_record *r, char *to, size_t room)
{
    char time[40];
    time_text(MAX(r->timestamp, 0), time);
    return snprintf(to, room,
                    "Nats-Stream: %.*s\r\nNats-Sequence: %lld\r\nNats-Time-Stamp: %s\r\n"
                    "Nats-Partition: %d\r\n",
                    (int)p->topic.size, (const char *)p->topic.at, (long long)r->offset, time,
                    p->index);
}

static void answer(struct get *g, const struct log_record *r, const struct live_message *plain)
{
    struct nats_shard *h = g->session->home;
    char extra[LIVE_SUBJECT_MAX + 700];
    struct live_message m;
    int size = nats_place_lines(g->partition, r, extra, sizeof extra);
    size += snprintf(extra + size, sizeof extra - (size_t)size, "Nats-Subject: %.*s\r\n",
                     (int)MIN(plain->subject.size, LIVE_SUBJECT_MAX),
                     (const char *)plain->subject.at);
    if (g->batch)
        size += snprintf(extra + size, sizeof extra - (size_t)size,
                         "Nats-Num-Pending: %lld\r\nNats-Last-Sequence: %lld\r\n",
                         (long long)MAX(g->end - 1 - r->offset, 0), (long long)g->last);
    if (!nats_from_record(r, g->partition->topic, g->topic.patterns, g->topic.pattern_count,
                          bytes_view(extra, (size_t)size), &h->scratch, &m))
        return;
    nats_answer(h, g->reply, m.headers, m.payload);
    g->last = r->offset;
    g->sent++;
}

/* A record on the way: expired ones are gone, also for those who replay. */
static enum nats_walk look(void *context, const struct log_record *r)
{
    struct get *g = context;
    struct nats_shard *h = g->session->home;
    struct live_message m;
    int64_t deadline = nats_record_deadline(r, g->topic.topic->config.message_ttl_ms);
    if (deadline != 0 && deadline <= h->shard->wall_ms)
        return NATS_WALK_ON;
    if (!nats_from_record(r, g->partition->topic, g->topic.patterns, g->topic.pattern_count,
                          (struct bytes){0}, &h->scratch, &m))
        return NATS_WALK_STOP;
    if (g->pattern.size > 0 && !live_matches(g->pattern, m.subject))
        return NATS_WALK_ON;
    if (g->newest) {
        g->found = true;
        g->found_offset = r->offset;
        return NATS_WALK_ON;
    }
    g->bytes_left -= (int64_t)r->value.size;
    if (g->bytes_left < 0 && g->sent > 0)
        return NATS_WALK_STOP;
    answer(g, r, &m);
    g->left--;
    return g->left > 0 ? NATS_WALK_ON : NATS_WALK_STOP;
}

/* The last record that matches: looks further and further back. */
static void find_last(struct get *g)
{
    struct store_stat stat;
    int64_t end;
    store_stat(g->partition->store, &stat);
    int64_t back = g->pattern.size == 0 ? 1 : LAST_RECORDS;
    g->newest = true;
    for (size_t bytes = WALK_BYTES; !g->found; back *= 16) {
        int64_t from = MAX(stat.start_offset, stat.stable_offset - back);
        (void)nats_walk(g->partition, from, bytes, &end, look, g);
        if (from == stat.start_offset || back > LAST_RECORDS * (int64_t)4096)
            break;
    }
    g->newest = false;
    g->from = g->found ? g->found_offset : INT64_MAX;
}

/* ---- the request ---- */

static int64_t number(const json_t *o, const char *name, int64_t missing)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : missing;
}

static bool place(struct get *g, const json_t *o)
{
    struct store_stat stat;
    struct store_place found;
    const char *since = json_string_value(json_object_get(o, "start_time"));
    const char *last = json_string_value(json_object_get(o, "last_by_subj"));
    const char *next = json_string_value(json_object_get(o, "next_by_subj"));
    store_stat(g->partition->store, &stat);
    g->end = stat.stable_offset;
    if (next != NULL || last != NULL)
        g->pattern = bytes_of(next != NULL ? next : last);
    if (json_object_get(o, "seq") != NULL) {
        g->from = number(o, "seq", -1);
        return g->from >= 0;
    }
    if (since != NULL) {
        int64_t ms = unix_ms(since);
        if (ms < 0 || store_seek(g->partition->store, ms, &found) != OUT_OK)
            return false;
        g->from = found.offset < 0 ? INT64_MAX : found.offset;
        return true;
    }
    if (number(o, "last", 0) > 0) {
        g->left = MIN(number(o, "last", 0), BATCH_MAX);
        g->batch = true;
        g->from = MAX(stat.start_offset, stat.stable_offset - g->left);
        return true;
    }
    if (next != NULL) {
        g->from = stat.start_offset;
        return true;
    }
    find_last(g);
    return true;
}

static bool choose_partition(struct get *g, const json_t *o)
{
    struct bytes subject = g->topic.topic->name;
    const char *by = json_string_value(json_object_get(o, "last_by_subj"));
    if (by == NULL)
        by = json_string_value(json_object_get(o, "next_by_subj"));
    if (by != NULL && live_subject_kind(bytes_of(by)) == LIVE_LITERAL)
        subject = bytes_of(by);
    int32_t count = g->topic.topic->partition_count;
    int64_t index = number(o, "partition", nats_partition_of(subject, (struct bytes){0}, count));
    g->partition = index < 0 || index >= count
                       ? NULL : topic_partition(g->topic.topic, (int32_t)index);
    return g->partition != NULL;
}

static void serve(struct get *g, const json_t *o)
{
    char eob[128];
    int64_t end;
    if (!choose_partition(g, o)) {
        say_status(g, "404 Partition Not Found");
        return;
    }
    g->batch = json_object_get(o, "batch") != NULL;
    g->left = MIN(MAX(number(o, "batch", 1), 1), BATCH_MAX);
    g->bytes_left = number(o, "max_bytes", INT64_MAX);
    if (!place(g, o)) {
        say_status(g, "408 Bad Request");
        return;
    }
    if (g->from != INT64_MAX)
        (void)nats_walk(g->partition, g->from, WALK_BYTES, &end, look, g);
    if (g->sent == 0) {
        say_status(g, "404 Message Not Found");
    } else if (g->batch) {
        snprintf(eob, sizeof eob, "204 EOB\r\nNats-Num-Pending: %lld\r\nNats-Last-Sequence: %lld",
                 (long long)MAX(g->end - 1 - g->last, 0), (long long)g->last);
        say_status(g, eob);
    }
}

/* The topic whose name `rest` is or begins with, and the subject behind it. */
static bool split(struct bytes rest, struct nats_topic *t, struct bytes *subject)
{
    const struct view *v = broker_view();
    *subject = (struct bytes){0};
    for (size_t size = rest.size; size > 0; size--) {
        if (size < rest.size && rest.at[size] != '.')
            continue;
        struct topic *topic = view_topic(v, (struct bytes){rest.at, size});
        if (topic == NULL || topic->internal)
            continue;
        nats_topic_patterns(topic, t);
        if (size < rest.size)
            *subject = (struct bytes){rest.at + size + 1, rest.size - size - 1};
        return true;
    }
    return false;
}

void nats_direct_get(struct nats_session *s, struct bytes rest, const struct live_message *m)
{
    struct get g = {.session = s, .reply = m->reply, .last = -1};
    struct bytes subject;
    if (!split(rest, &g.topic, &subject)) {
        nats_answer_status(s->home, m->reply, "404 Stream Not Found");
        return;
    }
    json_t *o = m->payload.size == 0
                    ? json_object()
                    : json_loadb((const char *)m->payload.at, m->payload.size, 0, NULL);
    if (o != NULL && subject.size > 0)
        json_object_set_new(o, "last_by_subj",
                            json_stringn((const char *)subject.at, subject.size));
    if (json_is_object(o))
        serve(&g, o);
    else
        nats_answer_status(s->home, m->reply, "408 Bad Request");
    json_decref(o);
}

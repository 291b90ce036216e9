/* SPDX-License-Identifier: MIT */
/*
 * What a durable consumer keeps beyond a restart: the offsets of the Kafka group of its name, with
 * its settings as their metadata. Kafka's tools see it as any group, its lag included.
 */
#include "nats/consumer.h"

#include "broker/coordinator.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMIT_NS 200000000 /* gathered for so long */
#define RETRY_NS 500000000  /* the coordinator was not to be had */
#define SETTINGS_MAX 512

/* One call of the coordinator. */
struct consumer_commit {
    struct request carrier;
    struct coordinator_work work;
    struct group_event event;
    struct consumer *consumer;
    enum outcome outcome;
    char settings[SETTINGS_MAX];
    struct group_offset *offsets;  /* of a commit */
    struct group_place *places;    /* of a fetch */
};

struct bytes consumer_settings_print(const struct consumer_settings *s, char *to, size_t room)
{
    int size = snprintf(to, room,
                        "{\"ack_wait_ms\":%lld,\"max_deliver\":%d,\"max_ack_pending\":%d,"
                        "\"backoff_ms\":%lld,\"backoff_max_ms\":%lld,\"dead_letter\":\"%s\"}",
                        (long long)s->ack_wait_ms, s->max_deliver, s->window,
                        (long long)s->backoff_ms, (long long)s->backoff_max_ms, s->dead_letter);
    return bytes_view(to, MIN((size_t)size, room - 1));
}

/* False when it is there and not within the bounds. */
static bool take(const json_t *o, const char *name, int64_t least, int64_t most, int64_t *value)
{
    const json_t *v = json_object_get(o, name);
    if (v == NULL)
        return true;
    *value = json_is_integer(v) ? json_integer_value(v) : least - 1;
    return *value >= least && *value <= most;
}

static bool take_start(const json_t *o, int64_t *start)
{
    const json_t *v = json_object_get(o, "start");
    const char *text = json_string_value(v);
    if (v == NULL)
        return true;
    if (text != NULL && strcmp(text, "earliest") == 0)
        *start = STORE_EARLIEST;
    else if (text != NULL && strcmp(text, "latest") == 0)
        *start = STORE_LATEST;
    else
        *start = json_is_integer(v) ? json_integer_value(v) : -9;
    return *start != -9 && *start >= STORE_EARLIEST;
}

bool consumer_settings_parse(struct bytes json, struct consumer_settings *s)
{
    json_t *o = json.size == 0 ? json_object()
                               : json_loadb((const char *)json.at, json.size, 0, NULL);
    int64_t deliver = s->max_deliver, window = s->window;
    const char *dead = json_string_value(json_object_get(o, "dead_letter"));
    bool good = json_is_object(o) && take(o, "ack_wait_ms", 1, 86400000, &s->ack_wait_ms) &&
                take(o, "backoff_ms", 1, 86400000, &s->backoff_ms) &&
                take(o, "backoff_max_ms", 1, 86400000, &s->backoff_max_ms) &&
                take(o, "max_deliver", 1, 1000000, &deliver) &&
                take(o, "max_ack_pending", 1, 65536, &window) && take_start(o, &s->start);
    if (good && dead != NULL) {
        good = meta_topic_name_valid(bytes_of(dead)) && !meta_topic_internal(bytes_of(dead));
        snprintf(s->dead_letter, sizeof s->dead_letter, "%s", dead);
    }
    s->max_deliver = (int32_t)deliver;
    s->window = (int32_t)window;
    json_decref(o);
    return good;
}

/* ---- calling the coordinator ---- */

static void call_free(struct consumer_commit *k)
{
    arena_fini(&k->carrier.arena);
    free(k->offsets);
    free(k->places);
    free(k);
}

static struct consumer_commit *call_new(struct consumer *c, enum group_event_kind kind,
                                        void (*done)(struct request *r))
{
    struct consumer_commit *k = calloc(1, sizeof *k);
    if (k == NULL)
        return NULL;
    arena_init(&k->carrier.arena, MiB(16));
    k->carrier.home = c->home->shard;
    k->consumer = c;
    k->outcome = OUT_CLOSED;
    k->event = (struct group_event){.kind = kind, .group_id = bytes_of(c->name)};
    k->work = (struct coordinator_work){.request = &k->carrier, .events = &k->event,
                                        .event_count = 1, .done = done, .context = k};
    return k;
}

static void submit(struct consumer_commit *k)
{
    k->consumer->committing = k;
    if (coordinator_submit(&k->work) != REQ_PARKED)
        k->work.done(&k->carrier);
}

static void try_again(struct consumer *c, int64_t ns)
{
    if (shard_timer_set(c->home->shard, &c->commit, c->home->shard->now_ns + ns) != OUT_OK)
        watch_log(WATCH_WARN, "nats", "no memory for a timer");
}

/* ---- commits ---- */

static void committed(struct coordinator_work *w, size_t index, const struct group_reply *reply)
{
    struct consumer_commit *k = w->context;
    (void)index;
    k->outcome = reply->outcome;
    for (size_t i = 0; reply->outcome == OUT_OK && i < k->event.commit.offset_count; i++) {
        if (reply->each[i] != OUT_OK)
            k->outcome = reply->each[i];
    }
}

static void commit_done(struct request *carrier)
{
    struct consumer_commit *k = container_of(carrier, struct consumer_commit, carrier);
    struct consumer *c = k->consumer;
    c->committing = NULL;
    if (k->outcome != OUT_OK) {
        for (size_t i = 0; i < k->event.commit.offset_count; i++)
            c->parts[k->offsets[i].partition].dirty = true;
        try_again(c, RETRY_NS);
    }
    call_free(k);
    if (c->gone)
        consumer_free(c);
    else
        consumer_commit_soon(c);
}

void consumer_commit_now(struct shard_timer *t, int64_t now_ns)
{
    struct consumer *c = container_of(t, struct consumer, commit);
    (void)now_ns;
    if (!c->ready) {
        consumer_load(c);
        return;
    }
    if (c->committing != NULL || !coordinator_ready(broker_self()))
        return;
    struct consumer_commit *k = call_new(c, GROUP_OFFSET_COMMIT, commit_done);
    if (k == NULL || (k->offsets = calloc((size_t)c->part_count, sizeof *k->offsets)) == NULL) {
        if (k != NULL)
            call_free(k);
        try_again(c, RETRY_NS);
        return;
    }
    struct bytes settings =
        consumer_settings_print(&c->settings, k->settings, sizeof k->settings);
    size_t count = 0;
    for (int32_t i = 0; i < c->part_count; i++) {
        struct consumer_part *p = &c->parts[i];
        if (p->partition == NULL || !p->dirty)
            continue;
        p->dirty = false;
        k->offsets[count++] = (struct group_offset){
            .topic = bytes_of(c->topic), .partition = i, .offset = p->committed,
            .leader_epoch = -1, .metadata = settings, .topic_id = p->partition->topic_id};
    }
    k->event.commit = (struct group_commit){.member_id = bytes_of(""), .generation = -1,
                                            .offsets = k->offsets, .offset_count = count};
    k->work.answer = committed;
    if (count == 0)
        call_free(k);
    else
        submit(k);
}

void consumer_commit_soon(struct consumer *c)
{
    bool dirty = false;
    for (int32_t i = 0; i < c->part_count; i++)
        dirty |= c->parts[i].dirty;
    if (dirty && c->committing == NULL && !heap_holds(&c->commit.node))
        try_again(c, COMMIT_NS);
}

/* ---- the offsets at the beginning ---- */

/* Perhaps on the coordinator's thread: into the call's own memory. */
static void fetched(struct coordinator_work *w, size_t index, const struct group_reply *reply)
{
    struct consumer_commit *k = w->context;
    (void)index;
    k->outcome = reply->outcome;
    for (size_t i = 0; reply->outcome == OUT_OK && i < reply->offset_count; i++) {
        const struct group_offset *o = &reply->offsets[i];
        if (o->partition < 0 || (size_t)o->partition >= k->event.places.count || o->offset < 0)
            continue;
        k->offsets[o->partition].offset = o->offset;
        if (o->metadata.size > 0 && o->metadata.size < sizeof k->settings) {
            memcpy(k->settings, o->metadata.at, o->metadata.size);
            k->settings[o->metadata.size] = '\0';
        }
    }
}

static void place_part(struct consumer *c, struct consumer_part *p, int64_t committed)
{
    struct store_stat stat;
    p->committed = committed;
    if (p->partition == NULL)
        return;
    store_stat(p->partition->store, &stat);
    if (p->committed < 0) {
        int64_t start = c->settings.start;
        p->committed = start == STORE_EARLIEST ? stat.start_offset
                       : start == STORE_LATEST ? stat.stable_offset : start;
        p->dirty = true; /* the durable name is taken from now on */
    }
    p->position = p->committed;
}

static void fetch_done(struct request *carrier)
{
    struct consumer_commit *k = container_of(carrier, struct consumer_commit, carrier);
    struct consumer *c = k->consumer;
    bool good = k->outcome == OUT_OK;
    c->committing = NULL;
    struct consumer_settings kept = c->settings;
    if (good && !c->told && consumer_settings_parse(bytes_of(k->settings), &kept))
        c->settings = kept; /* else somebody else's metadata: a Kafka group of that name */
    for (int32_t i = 0; good && i < c->part_count; i++)
        place_part(c, &c->parts[i], k->offsets[i].offset);
    call_free(k);
    if (c->gone) {
        consumer_free(c);
    } else if (good) {
        c->ready = true;
        consumer_commit_soon(c);
        consumer_run(c);
    } else {
        try_again(c, RETRY_NS);
    }
}

void consumer_load(struct consumer *c)
{
    if (c->committing != NULL)
        return;
    if (!coordinator_ready(broker_self())) {
        try_again(c, RETRY_NS);
        return;
    }
    struct consumer_commit *k = call_new(c, GROUP_OFFSET_FETCH, fetch_done);
    if (k != NULL) {
        k->places = calloc((size_t)c->part_count, sizeof *k->places);
        k->offsets = calloc((size_t)c->part_count, sizeof *k->offsets);
    }
    if (k == NULL || k->places == NULL || k->offsets == NULL) {
        if (k != NULL)
            call_free(k);
        try_again(c, RETRY_NS);
        return;
    }
    for (int32_t i = 0; i < c->part_count; i++) {
        k->places[i] = (struct group_place){bytes_of(c->topic), i};
        k->offsets[i].offset = -1;
    }
    k->event.places = (struct group_places){.places = k->places, .count = (size_t)c->part_count};
    k->work.answer = fetched;
    submit(k);
}

/* SPDX-License-Identifier: MIT */
/*
 * Durable consumers by name: who owns which, how they are made, asked and deleted. See consumer.h.
 * What comes in on another reactor goes to the owner as mail.
 */
#include "nats/consumer.h"

#include <stdio.h>
#include <stdlib.h>

#define CONSUMERS_MAX 1000 /* of one reactor */

enum errand_kind { ERRAND_SUBSCRIBED, ERRAND_SETTLE, ERRAND_CREATE, ERRAND_INFO, ERRAND_DELETE };

/* Something for the owner to do. */
struct errand {
    struct mail mail;
    struct nats_shard *to;
    enum errand_kind kind;
    enum consumer_verdict verdict;
    int32_t partition;
    int64_t offset, delay_ms;
    char name[CONSUMER_NAME_MAX + 1], topic[CONSUMER_TOPIC_MAX];
    struct bytes reply, body; /* behind the struct */
};

/* ---- names ---- */

static bool copy_text(char *to, size_t room, struct bytes from)
{
    if (from.size == 0 || from.size >= room)
        return false;
    memcpy(to, from.at, from.size);
    to[from.size] = '\0';
    return true;
}

/* "<durable>.<topic>" */
static bool split_names(struct bytes text, char *name, char *topic)
{
    const uint8_t *dot = text.size == 0 ? NULL : memchr(text.at, '.', text.size);
    if (dot == NULL)
        return false;
    size_t size = (size_t)(dot - text.at);
    struct bytes durable = {text.at, size}, rest = {dot + 1, text.size - size - 1};
    return live_subject_kind(text) == LIVE_LITERAL &&
           copy_text(name, CONSUMER_NAME_MAX + 1, durable) &&
           copy_text(topic, CONSUMER_TOPIC_MAX, rest) && meta_topic_name_valid(rest) &&
           !meta_topic_internal(rest);
}

struct bytes consumer_queue(struct bytes pattern)
{
    size_t prefix = sizeof CONSUME_PREFIX - 1;
    char name[CONSUMER_NAME_MAX + 1], topic[CONSUMER_TOPIC_MAX];
    if (pattern.size <= prefix || memcmp(pattern.at, CONSUME_PREFIX, prefix) != 0 ||
        !split_names((struct bytes){pattern.at + prefix, pattern.size - prefix}, name, topic))
        return (struct bytes){0};
    return (struct bytes){pattern.at + prefix, strlen(name)};
}

/* ---- life of one ---- */

static struct consumer *find(struct nats_shard *h, const char *name, const char *topic)
{
    list_each(n, &h->consumers) {
        struct consumer *c = container_of(n, struct consumer, node);
        if (!c->gone && strcmp(c->name, name) == 0 && strcmp(c->topic, topic) == 0)
            return c;
    }
    return NULL;
}

static void woken(struct request *carrier)
{
    struct consumer *c = container_of(carrier, struct consumer, carrier);
    if (c->gone) {
        consumer_free(c);
        return;
    }
    watcher_rearm(&c->watcher);
    consumer_run(c);
}

static bool make_parts(struct consumer *c, const struct topic *t)
{
    c->parts = calloc((size_t)t->partition_count, sizeof *c->parts);
    if (c->parts == NULL)
        return false;
    c->part_count = t->partition_count;
    for (int32_t i = 0; i < t->partition_count; i++) {
        struct consumer_part *p = &c->parts[i];
        p->consumer = c;
        p->position = p->committed = -1;
        list_init(&p->flights);
        p->partition = topic_partition(t, i);
        if (p->partition != NULL)
            partition_watch(partition_hold(p->partition), &p->watch, &c->watcher);
    }
    return true;
}

static struct consumer *make(struct nats_shard *h, const struct errand *e)
{
    struct topic *t = view_topic(broker_view(), bytes_of(e->topic));
    struct consumer *c = t == NULL || h->consumer_count >= CONSUMERS_MAX ? NULL
                                                                         : calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->home = h;
    memcpy(c->name, e->name, sizeof c->name);
    memcpy(c->topic, e->topic, sizeof c->topic);
    snprintf(c->subject, sizeof c->subject, CONSUME_PREFIX "%s.%s", c->name, c->topic);
    c->settings = (struct consumer_settings){.ack_wait_ms = 30000, .backoff_ms = 100,
                                             .backoff_max_ms = 60000, .max_deliver = 4,
                                             .window = 1000, .start = STORE_EARLIEST};
    snprintf(c->settings.dead_letter, sizeof c->settings.dead_letter, "%.*s.dead",
             (int)sizeof c->settings.dead_letter - 6, c->topic);
    c->commit = (struct shard_timer){.shard = h->shard, .fire = consumer_commit_now};
    c->carrier.home = h->shard;
    watcher_init(&c->watcher, &c->carrier, woken);
    if (!make_parts(c, t)) {
        free(c);
        return NULL;
    }
    h->consumer_count++;
    list_push(&h->consumers, &c->node);
    return c;
}

/* Takes it apart; memory goes when nothing is on its way to it. */
static void retire(struct consumer *c)
{
    if (!c->gone) {
        c->gone = true;
        shard_timer_cancel(&c->commit);
        for (int32_t i = 0; i < c->part_count; i++)
            consumer_flights_stop(&c->parts[i]);
        for (int32_t i = 0; i < c->part_count; i++) {
            struct consumer_part *p = &c->parts[i];
            if (p->partition != NULL) {
                partition_unwatch(&p->watch);
                partition_drop(p->partition);
            }
        }
    }
    consumer_free(c);
}

void consumer_free(struct consumer *c)
{
    if (c->committing != NULL || c->dying > 0 || !watcher_idle(&c->watcher))
        return;
    for (int32_t i = 0; i < c->part_count; i++)
        consumer_flights_free(&c->parts[i]);
    c->home->consumer_count--;
    list_remove(&c->node);
    free(c->parts);
    free(c);
}

/* The reactors have stopped: nothing is on its way any more. */
void consumers_close(struct nats_shard *h)
{
    while (!list_empty(&h->consumers)) {
        struct consumer *c = container_of(h->consumers.next, struct consumer, node);
        c->committing = NULL; /* its memory is the broker's to lose */
        c->dying = 0;
        atomic_store(&c->watcher.in_flight, false);
        retire(c);
    }
}

/* ---- what the owner does ---- */

static void tell(const struct errand *e, struct consumer *c)
{
    char text[1200], settings[512];
    int64_t pending = 0;
    struct store_stat stat;
    for (int32_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].partition == NULL || c->parts[i].position < 0)
            continue;
        store_stat(c->parts[i].partition->store, &stat);
        pending += stat.stable_offset - c->parts[i].position;
    }
    struct bytes s = consumer_settings_print(&c->settings, settings, sizeof settings);
    int size = snprintf(text, sizeof text,
                        "{\"name\":\"%s\",\"stream_name\":\"%s\",\"deliver_subject\":\"%s\","
                        "\"config\":%.*s,\"num_ack_pending\":%d,\"num_pending\":%lld,"
                        "\"delivered\":%llu,\"redelivered\":%llu,\"acknowledged\":%llu,"
                        "\"dead_letters\":%llu}",
                        c->name, c->topic, c->subject, (int)s.size, (const char *)s.at,
                        c->flight_count, (long long)pending, (unsigned long long)c->delivered,
                        (unsigned long long)c->redelivered, (unsigned long long)c->acknowledged,
                        (unsigned long long)c->dead);
    nats_answer(c->home, e->reply, (struct bytes){0}, bytes_view(text, (size_t)size));
}

static void refuse(const struct errand *e, int code, const char *why)
{
    char text[256];
    int size = snprintf(text, sizeof text, "{\"error\":{\"code\":%d,\"description\":\"%s\"}}",
                        code, why);
    nats_answer(e->to, e->reply, (struct bytes){0}, bytes_view(text, (size_t)size));
}

static void create(const struct errand *e, struct consumer *c)
{
    struct consumer_settings settings;
    bool fresh = c == NULL;
    if (fresh)
        c = make(e->to, e);
    if (c == NULL) {
        refuse(e, 404, "there is no such topic, or there are too many consumers");
        return;
    }
    settings = c->settings;
    if (!consumer_settings_parse(e->body, &settings)) {
        refuse(e, 400, "a setting is not known as it is, or out of its bounds");
        if (fresh)
            retire(c);
        return;
    }
    c->settings = settings;
    c->told = true;
    for (int32_t i = 0; i < c->part_count; i++)
        c->parts[i].dirty |= c->ready; /* the settings are kept with the offsets */
    if (fresh)
        consumer_load(c);
    else
        consumer_commit_soon(c);
    tell(e, c);
}

static void subscribed(const struct errand *e, struct consumer *c)
{
    if (c == NULL && (c = make(e->to, e)) != NULL)
        consumer_load(c);
    if (c == NULL)
        return;
    c->idle = false;
    consumer_run(c);
}

static void settle(const struct errand *e, struct consumer *c)
{
    if (c != NULL && e->partition >= 0 && e->partition < c->part_count)
        consumer_settle(c, &c->parts[e->partition], e->offset, e->verdict, e->delay_ms);
    if (e->reply.size > 0)
        nats_answer(e->to, e->reply, (struct bytes){0}, bytes_of(""));
}

static void carry_out(const struct errand *e)
{
    struct consumer *c = find(e->to, e->name, e->topic);
    switch (e->kind) {
    case ERRAND_SUBSCRIBED: subscribed(e, c); break;
    case ERRAND_SETTLE: settle(e, c); break;
    case ERRAND_CREATE: create(e, c); break;
    case ERRAND_INFO:
        if (c == NULL)
            refuse(e, 404, "there is no such consumer");
        else
            tell(e, c);
        break;
    case ERRAND_DELETE:
        if (c == NULL) {
            refuse(e, 404, "there is no such consumer");
        } else {
            retire(c);
            nats_answer(e->to, e->reply, (struct bytes){0}, bytes_of("{\"success\":true}"));
        }
        break;
    }
}

/* ---- getting there ---- */

static void arrive(struct mail *mail)
{
    struct errand *e = container_of(mail, struct errand, mail);
    if (nats_door_open != NULL && shard_self() != NULL)
        carry_out(e);
    free(e);
}

static struct errand *errand(enum errand_kind kind, struct bytes reply, struct bytes body)
{
    struct errand *e = calloc(1, sizeof *e + reply.size + body.size);
    if (e == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)(e + 1);
    e->kind = kind;
    e->mail.deliver = arrive;
    if (reply.size > 0)
        memcpy(at, reply.at, reply.size);
    if (body.size > 0)
        memcpy(at + reply.size, body.at, body.size);
    e->reply = bytes_view(at, reply.size);
    e->body = bytes_view(at + reply.size, body.size);
    return e;
}

static void post(struct nats *n, struct errand *e)
{
    uint64_t which = bytes_hash(bytes_of(e->name)) ^ bytes_hash(bytes_of(e->topic));
    e->to = &n->shards[which % (uint64_t)n->options.shard_count];
    shard_post(e->to->shard, &e->mail);
}

void consumer_subscribed(struct nats_shard *h, struct bytes pattern)
{
    size_t prefix = sizeof CONSUME_PREFIX - 1;
    struct errand *e = errand(ERRAND_SUBSCRIBED, (struct bytes){0}, (struct bytes){0});
    if (e == NULL)
        return;
    if (split_names((struct bytes){pattern.at + prefix, pattern.size - prefix}, e->name, e->topic))
        post(h->nats, e);
    else
        free(e);
}

/* ---- requests ---- */

static bool next_token(struct bytes *rest, struct bytes *token)
{
    const uint8_t *dot = rest->size == 0 ? NULL : memchr(rest->at, '.', rest->size);
    size_t size = dot == NULL ? rest->size : (size_t)(dot - rest->at);
    *token = (struct bytes){rest->at, size};
    size_t used = MIN(size + 1, rest->size);
    *rest = (struct bytes){rest->at + used, rest->size - used};
    return size > 0;
}

static bool to_number(struct bytes text, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || i > 17)
            return false;
        *number = *number * 10 + (text.at[i] - '0');
    }
    return text.size > 0;
}

/* _.p<partition>.<topic>.<durable>.<deliveries>.<offset>... */
static bool parse_place(struct bytes rest, struct errand *e)
{
    struct bytes domain, part, topic, name, deliveries, offset;
    int64_t partition;
    if (!next_token(&rest, &domain) || !next_token(&rest, &part) || !next_token(&rest, &topic) ||
        !next_token(&rest, &name) || !next_token(&rest, &deliveries) ||
        !next_token(&rest, &offset) || part.at[0] != 'p' ||
        !to_number((struct bytes){part.at + 1, part.size - 1}, &partition) ||
        partition > INT32_MAX || !to_number(offset, &e->offset) ||
        !copy_text(e->name, sizeof e->name, name) || !copy_text(e->topic, sizeof e->topic, topic))
        return false;
    e->partition = (int32_t)partition;
    for (char *c = e->topic; *c != '\0'; c++)
        *c = *c == '~' ? '.' : *c;
    return true;
}

static bool begins(struct bytes text, const char *word)
{
    return text.size >= strlen(word) && memcmp(text.at, word, strlen(word)) == 0;
}

/* `-NAK {"delay": nanoseconds}` */
static int64_t delay_of(struct bytes body)
{
    static const char word[] = "\"delay\":";
    for (size_t i = 0; i + sizeof word - 1 < body.size; i++) {
        struct bytes rest = {body.at + i, body.size - i};
        if (!begins(rest, word))
            continue;
        int64_t ns = 0;
        for (size_t j = sizeof word - 1; j < rest.size && j < 30; j++) {
            if (rest.at[j] >= '0' && rest.at[j] <= '9')
                ns = MIN(ns, INT64_MAX / 20) * 10 + (rest.at[j] - '0');
            else if (rest.at[j] != ' ')
                break;
        }
        return MIN(ns / 1000000, 86400000);
    }
    return -1;
}

void consumer_acknowledge(struct nats_session *s, struct bytes rest, const struct live_message *m)
{
    struct errand *e = errand(ERRAND_SETTLE, m->reply, (struct bytes){0});
    if (e == NULL)
        return; /* it is delivered again */
    e->delay_ms = -1;
    if (begins(m->payload, "-NAK")) {
        e->verdict = CONSUMER_NAK;
        e->delay_ms = delay_of(m->payload);
    } else if (begins(m->payload, "+WPI")) {
        e->verdict = CONSUMER_PROGRESS;
    } else if (begins(m->payload, "+TERM")) {
        e->verdict = CONSUMER_TERM;
    } else {
        e->verdict = CONSUMER_ACK; /* "", +ACK, +NXT, anything */
    }
    if (parse_place(rest, e))
        post(s->home->nats, e);
    else
        free(e);
}

void consumer_api(struct nats_session *s, struct bytes rest, const struct live_message *m)
{
    static const struct { const char *name; enum errand_kind kind; } verbs[] = {
        {"CREATE", ERRAND_CREATE}, {"INFO", ERRAND_INFO}, {"DELETE", ERRAND_DELETE}};
    struct bytes verb;
    struct errand *e = errand(ERRAND_INFO, m->reply, m->payload);
    if (e == NULL)
        return;
    e->to = s->home;
    bool known = false;
    if (next_token(&rest, &verb)) {
        for (size_t i = 0; i < COUNT_OF(verbs); i++) {
            if (bytes_is(verb, verbs[i].name)) {
                e->kind = verbs[i].kind;
                known = true;
            }
        }
    }
    if (known && split_names(rest, e->name, e->topic)) {
        post(s->home->nats, e);
        return;
    }
    refuse(e, 400, "it is CREATE, INFO or DELETE, a durable name, and a topic");
    free(e);
}

/* SPDX-License-Identifier: MIT */
/*
 * Deliveries of a durable consumer: what is out, when it is due again, where it ends. On the
 * consumer's own reactor.
 *
 * A message goes to the queue of the consumer's subscribers through the fan-out engine, so to any
 * reactor. What nobody took was not delivered: the consumer is idle until somebody subscribes.
 */
#include "nats/consumer.h"

#include <stdio.h>
#include <stdlib.h>

#define WALK_BYTES MiB(1)   /* of a log in one go */
#define RETRY_MS 100        /* a dead-letter topic that is on its way */

/* ---- times ---- */

static void due_in(struct flight *f, int64_t ms)
{
    nats_timer_in(&f->part->consumer->home->timers, &f->timer, ms);
}

static void cancel(struct flight *f)
{
    nats_timer_cancel(&f->part->consumer->home->timers, &f->timer);
}

/* Doubles with each delivery, and some part of it is chance, so that what failed together does not
 * come again together. */
static int64_t back_off_ms(const struct flight *f)
{
    const struct consumer_settings *s = &f->part->consumer->settings;
    int64_t ms = s->backoff_ms << MIN(f->deliveries - 1, 30);
    if (ms > s->backoff_max_ms || ms < 0)
        ms = s->backoff_max_ms;
    struct { int64_t offset, now; } salt = {f->offset, f->part->consumer->home->shard->now_ns};
    uint64_t chance = bytes_hash(bytes_view(&salt, sizeof salt));
    return ms - ms / 4 + (int64_t)(chance % (uint64_t)(ms / 2 + 1));
}

/* ---- the list ---- */

static struct flight *find(struct consumer_part *p, int64_t offset)
{
    list_each(n, &p->flights) {
        struct flight *f = container_of(n, struct flight, node);
        if (f->offset == offset)
            return f;
        if (f->offset > offset)
            break;
    }
    return NULL;
}

static void flight_free(struct flight *f)
{
    struct consumer *c = f->part->consumer;
    cancel(f);
    list_remove(&f->node);
    c->flight_count--;
    free(f);
}

void consumer_flights_stop(struct consumer_part *p)
{
    list_each(n, &p->flights)
        cancel(container_of(n, struct flight, node));
}

void consumer_flights_free(struct consumer_part *p)
{
    while (!list_empty(&p->flights))
        flight_free(container_of(p->flights.next, struct flight, node));
}

/* It needs no more: what is done without a gap at the front moves the committed offset. */
static void done(struct flight *f)
{
    struct consumer_part *p = f->part;
    struct consumer *c = p->consumer;
    f->state = FLIGHT_DONE;
    cancel(f);
    while (!list_empty(&p->flights)) {
        struct flight *first = container_of(p->flights.next, struct flight, node);
        if (first->state != FLIGHT_DONE)
            break;
        flight_free(first);
    }
    int64_t floor = p->position;
    if (!list_empty(&p->flights))
        floor = container_of(p->flights.next, struct flight, node)->offset;
    if (floor > p->committed) {
        p->committed = floor;
        p->dirty = true;
        consumer_commit_soon(c);
    }
}

/* ---- delivering ---- */

/* The reply subject: where it came from, in JetStream's form. */
static void print_reply(const struct flight *f, const struct log_record *r, int64_t pending,
                        char *to, size_t room)
{
    const struct consumer_part *p = f->part;
    char topic[CONSUMER_TOPIC_MAX];
    size_t size = strlen(p->consumer->topic);
    for (size_t i = 0; i <= size; i++)
        topic[i] = p->consumer->topic[i] == '.' ? '~' : p->consumer->topic[i];
    snprintf(to, room, "$JS.ACK._.p%d.%s.%s.%d.%lld.%llu.%lld.%lld._", p->partition->index, topic,
             p->consumer->name, f->deliveries, (long long)f->offset,
             (unsigned long long)p->consumer->number, (long long)r->timestamp * 1000000,
             (long long)pending);
}

/* False: nobody took it. */
static bool send(struct flight *f, const struct log_record *r)
{
    struct consumer *c = f->part->consumer;
    struct nats_shard *h = c->home;
    struct nats_topic topic = {0};
    struct topic *t = view_topic(broker_view(), bytes_of(c->topic));
    struct store_stat stat;
    struct live_message m;
    struct live_reach reach = {0};
    char reply[CONSUMER_TOPIC_MAX + CONSUMER_NAME_MAX + 200], extra[LIVE_SUBJECT_MAX + 64];
    if (t != NULL)
        nats_topic_patterns(t, &topic);
    if (!nats_from_record(r, bytes_of(c->topic), topic.patterns, topic.pattern_count,
                          (struct bytes){0}, &h->scratch, &m))
        return false;
    int size = snprintf(extra, sizeof extra, "Nats-Subject: %.*s\r\n",
                        (int)MIN(m.subject.size, LIVE_SUBJECT_MAX), (const char *)m.subject.at);
    if (!nats_from_record(r, bytes_of(c->topic), topic.patterns, topic.pattern_count,
                          bytes_view(extra, (size_t)size), &h->scratch, &m))
        return false;
    c->number++;
    f->deliveries++;
    store_stat(f->part->partition->store, &stat);
    print_reply(f, r, stat.stable_offset - 1 - r->offset, reply, sizeof reply);
    m.subject = bytes_of(c->subject);
    m.reply = bytes_of(reply);
    nats_fan_out(h, &m, NULL, NULL, &reach);
    if (reach.delivered == 0 && reach.forwarded == 0) {
        f->deliveries--;
        return false;
    }
    f->state = FLIGHT_OUT;
    c->delivered++;
    c->redelivered += f->deliveries > 1;
    due_in(f, c->settings.ack_wait_ms);
    return true;
}

static bool expired(const struct consumer *c, const struct log_record *r)
{
    const struct topic *t = view_topic(broker_view(), bytes_of(c->topic));
    int64_t deadline = nats_record_deadline(r, t == NULL ? -1 : t->config.message_ttl_ms);
    return deadline != 0 && deadline <= c->home->shard->wall_ms;
}

static void due(struct nats_timer *t);

static enum nats_walk fresh(void *context, const struct log_record *r)
{
    struct consumer_part *p = context;
    struct consumer *c = p->consumer;
    if (expired(c, r))
        return NATS_WALK_ON;
    struct flight *f = calloc(1, sizeof *f);
    if (f == NULL || c->flight_count >= c->settings.window) {
        free(f);
        c->idle |= f == NULL;
        p->position = r->offset;
        return NATS_WALK_STOP;
    }
    f->part = p;
    f->timer.fire = due;
    f->offset = r->offset;
    list_push(&p->flights, &f->node);
    c->flight_count++;
    if (!send(f, r)) {
        flight_free(f);
        c->idle = true;
        p->position = r->offset;
        return NATS_WALK_STOP;
    }
    return NATS_WALK_ON;
}

static void read_on(struct consumer_part *p)
{
    struct consumer *c = p->consumer;
    int64_t end, from = p->position;
    p->position = -1;
    int64_t next = nats_walk(p->partition, from, WALK_BYTES, &end, fresh, p);
    if (p->position < 0)
        p->position = next; /* else `fresh` stopped before that record */
    if (list_empty(&p->flights) && p->position > p->committed) {
        p->committed = p->position; /* nothing there that was for anybody */
        p->dirty = true;
        consumer_commit_soon(c);
    }
    if (p->position < end && p->position > from && !c->idle &&
        c->flight_count < c->settings.window && !atomic_exchange(&c->watcher.fired, true)) {
        atomic_store(&c->watcher.in_flight, true); /* more of it in another turn */
        shard_post(c->home->shard, &c->watcher.mail);
    }
}

void consumer_run(struct consumer *c)
{
    if (!c->ready || c->gone)
        return;
    for (int32_t i = 0; i < c->part_count; i++) {
        struct consumer_part *p = &c->parts[i];
        if (c->idle || c->flight_count >= c->settings.window)
            break;
        if (p->partition != NULL && !atomic_load(&p->partition->deleted))
            read_on(p);
    }
}

/* ---- again ---- */

struct again {
    struct flight *flight;
    bool found;
};

static enum nats_walk resend(void *context, const struct log_record *r)
{
    struct again *a = context;
    struct flight *f = a->flight;
    if (r->offset != f->offset || expired(f->part->consumer, r))
        return NATS_WALK_STOP;
    a->found = true;
    if (!send(f, r)) {
        f->state = FLIGHT_BACKING_OFF; /* until somebody subscribes, or its time comes again */
        due_in(f, back_off_ms(f));
    }
    return NATS_WALK_STOP;
}

static void dead(void *context, bool safe)
{
    struct flight *f = context;
    struct consumer *c = f->part->consumer;
    c->dying--;
    if (c->gone) {
        consumer_free(c);
        return;
    }
    if (safe) {
        c->dead++;
        done(f);
        consumer_run(c);
    } else {
        f->state = FLIGHT_BACKING_OFF;
        due_in(f, RETRY_MS);
    }
}

/* To the dead-letter topic, with where it came from and why. */
static enum nats_walk bury(void *context, const struct log_record *r)
{
    struct again *a = context;
    struct flight *f = a->flight;
    struct consumer *c = f->part->consumer;
    char partition[16], offset[32], deliveries[16];
    if (r->offset != f->offset)
        return NATS_WALK_STOP;
    a->found = true;
    snprintf(partition, sizeof partition, "%d", f->part->partition->index);
    snprintf(offset, sizeof offset, "%lld", (long long)f->offset);
    snprintf(deliveries, sizeof deliveries, "%d", f->deliveries);
    const struct log_header why[] = {
        {bytes_of("Dead-Letter-Reason"), bytes_of("max deliveries")},
        {bytes_of("Dead-Letter-Topic"), bytes_of(c->topic)},
        {bytes_of("Dead-Letter-Partition"), bytes_of(partition)},
        {bytes_of("Dead-Letter-Offset"), bytes_of(offset)},
        {bytes_of("Dead-Letter-Consumer"), bytes_of(c->name)},
        {bytes_of("Dead-Letter-Deliveries"), bytes_of(deliveries)},
    };
    f->state = FLIGHT_DYING;
    c->dying++;
    if (!nats_topic_store(c->home, bytes_of(c->settings.dead_letter), r, why, COUNT_OF(why), dead,
                          f))
        dead(f, false);
    return NATS_WALK_STOP;
}

static void again(struct flight *f)
{
    struct consumer *c = f->part->consumer;
    struct again a = {.flight = f};
    int64_t end;
    bool last = f->deliveries >= c->settings.max_deliver;
    (void)nats_walk(f->part->partition, f->offset, WALK_BYTES, &end, last ? bury : resend, &a);
    if (!a.found)
        done(f); /* deleted, compacted away or expired meanwhile */
}

static void due(struct nats_timer *t)
{
    struct flight *f = container_of(t, struct flight, timer);
    struct consumer *c = f->part->consumer;
    bool last = f->deliveries >= c->settings.max_deliver;
    if (f->state == FLIGHT_OUT && !last) { /* not acknowledged in time */
        f->state = FLIGHT_BACKING_OFF;
        due_in(f, back_off_ms(f));
    } else {
        again(f);
    }
    consumer_run(c);
}

void consumer_settle(struct consumer *c, struct consumer_part *p, int64_t offset,
                     enum consumer_verdict v, int64_t delay_ms)
{
    struct flight *f = find(p, offset);
    if (f == NULL || f->state == FLIGHT_DONE || f->state == FLIGHT_DYING)
        return; /* settled before */
    switch (v) {
    case CONSUMER_ACK:
    case CONSUMER_TERM:
        c->acknowledged++;
        done(f);
        break;
    case CONSUMER_NAK:
        f->state = FLIGHT_BACKING_OFF;
        if (f->deliveries >= c->settings.max_deliver)
            delay_ms = 0;
        due_in(f, delay_ms >= 0 ? delay_ms : back_off_ms(f));
        break;
    case CONSUMER_PROGRESS:
        if (f->state == FLIGHT_OUT)
            due_in(f, c->settings.ack_wait_ms);
        break;
    }
    consumer_run(c);
}

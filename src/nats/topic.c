/* SPDX-License-Identifier: MIT */
/*
 * Which topic a subject belongs to, and publishing into it. See topic.h.
 *
 * Most subjects belong to none: one look-up by name, and a walk over the declared patterns, of
 * which there are few. What is published gathers in one batch for each partition until the end of
 * the turn, or until the batch is large.
 */
#include "nats/topic.h"

#include "nats/consumer.h"

#include "base/murmur2.h"

#include <stdio.h>
#include <stdlib.h>

#define SUBJECTS_SETTING "live.subjects"
#define BATCH_BYTES KiB(512) /* then it is appended before the turn's end */

/* ---- subjects and topics ---- */

struct route {
    struct bytes pattern; /* of the view's image */
    struct topic *topic;
};

/* Of one reactor: the patterns of all topics in its view. */
struct nats_routes {
    const struct view *view;
    uint64_t serial;      /* of the view's image: addresses come again */
    struct route *routes;
    size_t count, room;
};

void nats_topic_patterns(const struct topic *topic, struct nats_topic *t)
{
    t->topic = (struct topic *)(uintptr_t)topic;
    t->pattern_count = 0;
    const struct meta_configs *c = topic->overrides;
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        if (!bytes_is(c->pairs[i].name, SUBJECTS_SETTING))
            continue;
        struct bytes rest = c->pairs[i].value, word;
        while (t->pattern_count < COUNT_OF(t->patterns) && config_list_next(&rest, &word)) {
            if (live_subject_kind(word) != LIVE_BAD)
                t->patterns[t->pattern_count++] = word;
        }
    }
}

static bool add_route(struct nats_routes *r, struct bytes pattern, struct topic *topic)
{
    if (r->count == r->room) {
        size_t room = MAX(2 * r->room, 16);
        struct route *more = realloc(r->routes, room * sizeof *more);
        if (more == NULL)
            return false;
        r->routes = more;
        r->room = room;
    }
    r->routes[r->count++] = (struct route){pattern, topic};
    return true;
}

static COLD void make_routes(struct nats_routes *r, const struct view *v)
{
    bool good = true;
    r->count = 0;
    for (size_t i = 0; i < v->topic_count; i++) {
        struct nats_topic t;
        if (v->topics[i]->overrides == NULL || v->topics[i]->internal)
            continue;
        nats_topic_patterns(v->topics[i], &t);
        for (size_t j = 0; j < t.pattern_count; j++)
            good &= add_route(r, t.patterns[j], t.topic);
    }
    r->view = good ? v : NULL; /* with more memory next time */
    r->serial = v->image->serial;
}

static struct nats_routes *routes_of(struct nats_shard *h, const struct view *v)
{
    struct nats_routes *r = h->routes;
    if (unlikely(r == NULL)) {
        r = h->routes = calloc(1, sizeof *r);
        if (r == NULL)
            return NULL;
    }
    if (unlikely(r->view != v || r->serial != v->image->serial))
        make_routes(r, v);
    return r;
}

static struct nats_shard *own_shard(void)
{
    return &nats_door_open->shards[shard_self()->index];
}

bool nats_topic_of(struct bytes subject, struct nats_topic *t)
{
    const struct view *v = broker_view();
    if (v == NULL || v->topic_count == 0 || subject.size == 0 || subject.at[0] == '$')
        return false;
    struct topic *named = view_topic(v, subject);
    if (named != NULL) {
        *t = (struct nats_topic){.topic = named};
        return !named->internal;
    }
    const struct nats_routes *r = routes_of(own_shard(), v);
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        if (live_matches(r->routes[i].pattern, subject)) {
            *t = (struct nats_topic){.topic = r->routes[i].topic};
            return true;
        }
    }
    return false;
}

int32_t nats_partition_of(struct bytes subject, struct bytes key, int32_t count)
{
    return murmur2_partition(key.at != NULL ? key : subject, count);
}

/* ---- publishing ---- */

/* A publication that wants to be told. */
struct waiter {
    struct waiter *next;
    int32_t index;             /* of its record in the batch */
    struct bytes reply;        /* behind the struct; or */
    void (*done)(void *context, bool safe);
    void *context;
};

/* What a reactor gathers for one partition in a turn; after the append it lives until the disk has
 * it, if somebody wants to be told. */
struct nats_batch {
    struct list node;          /* in the shard's batches */
    struct request carrier;    /* brings the end of the flush home */
    struct flush_set flush;
    struct flush_wait wait;
    struct nats_shard *home;
    struct partition *partition;
    struct log_builder builder;
    struct waiter *waiters, **waiters_end;
    int64_t base_offset;
};

static void batch_free(struct nats_batch *b)
{
    for (struct waiter *w; (w = b->waiters) != NULL;) {
        b->waiters = w->next;
        free(w);
    }
    log_builder_fini(&b->builder);
    if (b->partition != NULL)
        partition_drop(b->partition);
    free(b);
}

static void tell(struct nats_batch *b, const struct waiter *w, const char *why)
{
    char text[512];
    struct live_reach reach = {0};
    int size;
    if (why == NULL)
        size = snprintf(text, sizeof text, "{\"stream\":\"%.*s\",\"seq\":%lld,\"partition\":%d}",
                        (int)b->partition->topic.size, (const char *)b->partition->topic.at,
                        (long long)(b->base_offset + w->index), b->partition->index);
    else
        size = snprintf(text, sizeof text,
                        "{\"stream\":\"%.*s\",\"error\":{\"code\":503,\"description\":\"%s\"}}",
                        (int)b->partition->topic.size, (const char *)b->partition->topic.at, why);
    struct live_message m = {.subject = w->reply, .payload = bytes_view(text, (size_t)size),
                             .offset = -1, .timestamp_ms = b->home->shard->wall_ms};
    live_publish(b->home->live, &m, NULL, &reach);
}

static void tell_all(struct nats_batch *b, const char *why)
{
    for (const struct waiter *w = b->waiters; w != NULL; w = w->next) {
        if (w->done != NULL)
            w->done(w->context, why == NULL);
        else
            tell(b, w, why);
    }
}

/* Home thread: the disk has it, or never will. */
static void flushed(struct request *carrier)
{
    struct nats_batch *b = container_of(carrier, struct nats_batch, carrier);
    tell_all(b, atomic_load(&b->flush.failed) ? "the storage failed" : NULL);
    batch_free(b);
}

static bool waits_for_disk(struct nats_batch *b)
{
    if (b->waiters == NULL || broker_config(b->partition->broker)->flush_mode == FLUSH_MODE_NONE)
        return false;
    b->carrier.home = b->home->shard;
    broker_flush_begin(&b->flush, &b->carrier, flushed);
    broker_flush_add(&b->flush, &b->wait, b->partition, b->base_offset + b->builder.count);
    return broker_flush_end(&b->flush);
}

static enum outcome append(struct nats_batch *b)
{
    struct log_builder_end end = log_builder_plain();
    struct partition *p = b->partition;
    struct store_appended done;
    uint8_t *at;
    size_t size;
    if (atomic_load(&p->deleted))
        return fail(OUT_NOT_FOUND, "the topic is gone");
    end.leader_epoch = atomic_load_explicit(&p->leader_epoch, memory_order_relaxed);
    enum outcome o = log_builder_finish(&b->builder, &end, &at, &size);
    if (o != OUT_OK)
        return o;
    struct store_append what = {.at = at, .size = size, .leader_epoch = end.leader_epoch,
                                .origin = STORE_CLIENT, .now_ms = b->home->shard->wall_ms};
    o = store_append(p->store, &what, &done);
    if (o != OUT_OK)
        return o;
    b->base_offset = done.base_offset;
    count(messages_produced, (uint64_t)b->builder.count);
    count(bytes_produced, size);
    partition_appended(p, done.base_offset);
    return OUT_OK;
}

static void finish(struct nats_batch *b)
{
    enum outcome o = append(b);
    list_remove(&b->node);
    if (o != OUT_OK) {
        count(produce_errors, 1);
        watch_peer(WATCH_WARN, "nats", "what was published to %.*s is not stored: %s",
                   (int)b->partition->topic.size, (const char *)b->partition->topic.at,
                   outcome_trail());
        tell_all(b, outcome_text(o));
        batch_free(b);
        return;
    }
    if (!waits_for_disk(b)) /* or not any more: the flusher may be faster, in failing too */
        flushed(&b->carrier);
}

void nats_batches_end(struct shard_hook *hook, struct shard *s)
{
    struct nats_shard *h = container_of(hook, struct nats_shard, append);
    (void)s;
    while (!list_empty(&h->batches))
        finish(container_of(h->batches.next, struct nats_batch, node));
}

static struct nats_batch *batch_for(struct nats_shard *h, struct partition *p)
{
    list_each(n, &h->batches) {
        struct nats_batch *b = container_of(n, struct nats_batch, node);
        if (b->partition == p)
            return b;
    }
    struct nats_batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->home = h;
    b->partition = partition_hold(p);
    b->waiters_end = &b->waiters;
    log_builder_init(&b->builder, MiB(128));
    list_push(&h->batches, &b->node);
    shard_at_end(h->shard, &h->append);
    return b;
}

/* NULL: out of memory; a publication is unanswered then, and its client asks again. */
static struct waiter *want_answer(struct nats_batch *b, struct bytes reply)
{
    struct waiter *w = malloc(sizeof *w + reply.size);
    if (w == NULL)
        return NULL;
    if (reply.size > 0)
        memcpy(w + 1, reply.at, reply.size);
    *w = (struct waiter){.index = b->builder.count, .reply = bytes_view(w + 1, reply.size)};
    *b->waiters_end = w;
    b->waiters_end = &w->next;
    return w;
}

bool nats_topic_store(struct nats_shard *h, struct bytes topic, const struct log_record *r,
                      const struct log_header *more, size_t count,
                      void (*done)(void *context, bool safe), void *context)
{
    struct topic *t = view_topic(broker_view(), topic);
    struct log_header all[64], one;
    struct bytes rest = r->headers;
    size_t n = 0;
    if (t == NULL) {
        broker_create_topic(broker_self(), topic);
        return false;
    }
    while (n < COUNT_OF(all) - count && log_header_next(&rest, &one))
        all[n++] = one;
    for (size_t i = 0; i < count; i++)
        all[n++] = more[i];
    int32_t index = nats_partition_of(topic, r->key, t->partition_count);
    struct partition *p = topic_partition(t, index);
    if (p != NULL && log_record_deadline(r, -1) != 0)
        partition_ttl(p);
    struct nats_batch *b = p == NULL ? NULL : batch_for(h, p);
    struct waiter *w = b == NULL ? NULL : want_answer(b, (struct bytes){0});
    if (w == NULL)
        return false;
    w->done = done;
    w->context = context;
    (void)log_builder_add(&b->builder, h->shard->wall_ms, r->key, r->value, all, (int32_t)n);
    return true;
}

bool nats_topic_publish(struct nats_session *s, struct live_message *m)
{
    struct nats_shard *h = s->home;
    struct nats_topic t;
    struct nats_parts parts;
    char ttl[32];
    if (unlikely(m->subject.at[0] == '$'))
        return nats_api(s, m);
    if (!nats_topic_of(m->subject, &t))
        return false;
    if (!nats_to_record(m, t.topic->name, &h->scratch, &parts))
        return true; /* no memory: lost, as core NATS may */
    if (parts.key.at == NULL && t.topic->config.cleanup_compact)
        parts.key = m->subject; /* the last value of each subject is kept */
    if (unlikely(m->deadline_ms != 0) && t.topic->config.message_ttl_ms < 0 &&
        nats_header(m->headers, NATS_TTL).size == 0) { /* its prefix's */
        int size = snprintf(ttl, sizeof ttl, "%lldms",
                            (long long)(m->deadline_ms - m->timestamp_ms));
        if (!nats_parts_add(&h->scratch, &parts, bytes_of(NATS_TTL), bytes_view(ttl, (size_t)size)))
            return true;
    }
    int32_t index = nats_partition_of(m->subject, parts.key, t.topic->partition_count);
    struct partition *p = topic_partition(t.topic, index);
    if (unlikely(m->deadline_ms != 0) && p != NULL)
        partition_ttl(p);
    struct nats_batch *b = p == NULL ? NULL : batch_for(h, p);
    if (b == NULL) {
        count(produce_errors, 1);
        return true;
    }
    if (m->reply.size > 0)
        (void)want_answer(b, m->reply);
    int32_t held_ms = partition_held_ms(p, h->shard->now_ns);
    if (unlikely(held_ms > 0))
        nats_slow(s, p, held_ms);
    size_t size = log_builder_add(&b->builder, m->timestamp_ms, parts.key, parts.value,
                                  parts.headers, parts.header_count);
    if (size >= BATCH_BYTES || size >= (size_t)t.topic->config.max_message_bytes / 2)
        finish(b);
    return true;
}

void nats_topics_close(struct nats_shard *h)
{
    if (h->routes != NULL)
        free(h->routes->routes);
    free(h->routes);
    nats_scratch_fini(&h->scratch);
    nats_taps_close(h);
    consumers_close(h);
    nats_timers_fini(&h->timers);
}

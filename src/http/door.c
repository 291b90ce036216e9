/* SPDX-License-Identifier: MIT */
/*
 * Metrics of the NATS door and of its fan-out. What its clients published and what became of it:
 *     matched = delivered + dropped (by reason) + expired + pending
 * where matched counts a message once for each subscription that it is for.
 */
#include "http/text.h"
#include "nats/nats.h"

static void add_traffic(struct text *t, const struct nats_figures *f)
{
    add(t, "fluxmq_nats_connections_active", "gauge", "Open connections of NATS clients",
        (double)f->connections);
    add(t, "fluxmq_nats_connections_total", "counter", "Connections accepted from NATS clients",
        (double)f->total_connections);
    add(t, "fluxmq_nats_subscriptions", "gauge", "Subscriptions of NATS clients",
        (double)f->subscriptions);
    add(t, "fluxmq_nats_messages_in_total", "counter", "Messages from NATS clients",
        (double)f->in_messages);
    add(t, "fluxmq_nats_messages_out_total", "counter", "Messages to NATS clients",
        (double)f->out_messages);
    add(t, "fluxmq_nats_bytes_in_total", "counter", "Bytes of messages from NATS clients",
        (double)f->in_bytes);
    add(t, "fluxmq_nats_bytes_out_total", "counter", "Bytes of messages to NATS clients",
        (double)f->out_bytes);
    add(t, "fluxmq_nats_slow_consumers_total", "counter",
        "NATS clients closed since they did not keep up", (double)f->slow_consumers);
    add(t, "fluxmq_nats_stale_connections_total", "counter",
        "NATS clients closed since they did not answer pings", (double)f->stale_connections);
    add(t, "fluxmq_nats_auth_failures_total", "counter", "NATS clients that were turned away",
        (double)f->auth_failures);
    add(t, "fluxmq_nats_protocol_errors_total", "counter",
        "NATS clients closed since they did not follow the protocol", (double)f->protocol_errors);
}

static void add_account(struct text *t, const struct live_figures *l)
{
    const struct live_account *a = &l->account;
    add(t, "fluxmq_live_published_total", "counter", "Messages handed to the fan-out",
        (double)l->published);
    add(t, "fluxmq_live_published_bytes_total", "counter", "Bytes of them",
        (double)l->bytes_published);
    add(t, "fluxmq_live_matched_total", "counter",
        "Deliveries due: each message once for each subscription it is for", (double)a->matched);
    add(t, "fluxmq_live_delivered_total", "counter", "Deliveries made", (double)a->delivered);
    add(t, "fluxmq_live_expired_total", "counter",
        "Deliveries not made since the message's time to live was over", (double)a->expired);
    add(t, "fluxmq_live_pending", "gauge", "Deliveries that wait in a backlog", (double)a->pending);
    text_add(t, "# HELP fluxmq_live_dropped_total Deliveries dropped, by reason\n"
             "# TYPE fluxmq_live_dropped_total counter\n"
             "fluxmq_live_dropped_total{reason=\"oldest\"} %llu\n"
             "fluxmq_live_dropped_total{reason=\"newest\"} %llu\n"
             "fluxmq_live_dropped_total{reason=\"gone\"} %llu\n",
             (unsigned long long)a->dropped[LIVE_DROPPED_OLDEST],
             (unsigned long long)a->dropped[LIVE_DROPPED_NEWEST],
             (unsigned long long)a->dropped[LIVE_DROPPED_GONE]);
    add(t, "fluxmq_live_cache_hits_total", "counter", "Subjects whose takers were known",
        (double)l->cache_hits);
    add(t, "fluxmq_live_cache_misses_total", "counter",
        "Subjects whose takers were looked for in the tree", (double)l->cache_misses);
    add(t, "fluxmq_live_no_memory_total", "counter",
        "Look-ups and hand-overs that memory ran out for", (double)l->no_memory);
}

/* Names of the brokers that this door succeeds. */
static void add_family(struct text *t, const struct nats_figures *f, double topics)
{
    const struct live_account *a = &f->live.account;
    double full = (double)(a->dropped[LIVE_DROPPED_OLDEST] + a->dropped[LIVE_DROPPED_NEWEST]);
    add(t, "blipmq_published", "counter", "The same as `fluxmq_live_published_total`",
        (double)f->live.published);
    add(t, "blipmq_enqueued", "counter", "The same as `fluxmq_live_matched_total`",
        (double)a->matched);
    add(t, "blipmq_dropped_ttl", "counter", "The same as `fluxmq_live_expired_total`",
        (double)a->expired);
    add(t, "blipmq_dropped_sub_queue_full", "counter",
        "Deliveries dropped since a subscriber's backlog was full", full);
    add(t, "blipmq_flush_bytes", "counter", "The same as `fluxmq_nats_bytes_out_total`",
        (double)f->out_bytes);
    add(t, "topics", "gauge", "The same as `fluxmq_topics_total`", topics);
    add(t, "subscribers", "gauge", "The same as `fluxmq_nats_subscriptions`",
        (double)f->subscriptions);
    add(t, "messages_published_total", "counter", "The same as `fluxmq_live_published_total`",
        (double)f->live.published);
    add(t, "messages_delivered_total", "counter", "The same as `fluxmq_live_delivered_total`",
        (double)a->delivered);
    add(t, "messages_inflight", "gauge", "The same as `fluxmq_live_pending`", (double)a->pending);
}

/* ---- by topic ---- */

#define TOPICS_SHOWN 100 /* the busiest; the others are summed up, without a name */

static unsigned long long count_at(const struct nats_topic_sum *s, size_t at)
{
    uint64_t count;
    memcpy(&count, (const char *)s + at, sizeof count);
    return count;
}

static void add_by_topic(struct text *t, const struct nats_topic_sum *list, size_t count)
{
    static const char *const reasons[] = {"oldest", "newest", "gone"};
    static const struct column {
        const char *name, *head;
        size_t at;
    } columns[] = {
#define ACCOUNT(field) offsetof(struct nats_topic_sum, account.field)
        {"subscriptions", "# HELP fluxmq_live_topic_subscriptions Subscriptions to nothing but a "
         "topic\n# TYPE fluxmq_live_topic_subscriptions gauge\n",
         offsetof(struct nats_topic_sum, subscriptions)},
        {"matched_total", "# HELP fluxmq_live_topic_matched_total Deliveries due to them\n"
         "# TYPE fluxmq_live_topic_matched_total counter\n", ACCOUNT(matched)},
        {"delivered_total", "# HELP fluxmq_live_topic_delivered_total Deliveries made to them\n"
         "# TYPE fluxmq_live_topic_delivered_total counter\n", ACCOUNT(delivered)},
        {"expired_total", "# HELP fluxmq_live_topic_expired_total Deliveries to them not made "
         "since the time to live was over\n# TYPE fluxmq_live_topic_expired_total counter\n",
         ACCOUNT(expired)},
        {"pending", "# HELP fluxmq_live_topic_pending Deliveries to them that wait in a backlog\n"
         "# TYPE fluxmq_live_topic_pending gauge\n", ACCOUNT(pending)},
#undef ACCOUNT
    };
    for (size_t c = 0; c < COUNT_OF(columns); c++) {
        const struct column *k = &columns[c];
        text_add(t, "%s", k->head);
        for (size_t i = 0; i < count; i++)
            text_add(t, "fluxmq_live_topic_%s{topic=\"%.*s\"} %llu\n", k->name,
                     (int)list[i].topic.size, (const char *)list[i].topic.at,
                     count_at(&list[i], k->at));
    }
    text_add(t, "# HELP fluxmq_live_topic_dropped_total Deliveries to them dropped, by reason\n"
             "# TYPE fluxmq_live_topic_dropped_total counter\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t why = 0; why < COUNT_OF(reasons); why++)
            text_add(t, "fluxmq_live_topic_dropped_total{topic=\"%.*s\",reason=\"%s\"} %llu\n",
                     (int)list[i].topic.size, (const char *)list[i].topic.at, reasons[why],
                     (unsigned long long)list[i].account.dropped[why]);
    }
}

/* What is not shown by name becomes one row; returns how many there are. */
static size_t fold(struct nats_topic_sum *list, size_t count)
{
    struct nats_topic_sum rest = {0};
    size_t shown = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].topic.size > 0 && shown < TOPICS_SHOWN) {
            list[shown++] = list[i];
            continue;
        }
        others++;
        rest.subscriptions += list[i].subscriptions;
        live_account_add(&rest.account, &list[i].account);
    }
    if (others > 0)
        list[shown++] = rest;
    return shown;
}

/* Waits for the reactors. */
static void add_topics(struct text *t)
{
    struct nats_topic_sum *list = NULL;
    struct arena arena;
    size_t count;
    arena_init(&arena, MiB(16));
    if (nats_topic_sums(&arena, &list, &count) != OUT_OK)
        count = 0;
    add_by_topic(t, list, fold(list, count));
    arena_fini(&arena);
}

void add_door(struct text *t, const struct page *p)
{
    struct nats_figures f;
    if (!nats_figures(&f)) /* there is no door: nothing has happened at it */
        f = (struct nats_figures){0};
    add_traffic(t, &f);
    add_account(t, &f.live);
    if (p->ready)
        add_topics(t);
    add_family(t, &f, (double)p->figures.topics);
}

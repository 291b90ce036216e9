/* SPDX-License-Identifier: MIT */
/* /varz, the server; /subsz, its subscriptions; /healthz. */
#include "http/monitor.h"

#include "os/os.h"

#include <microhttpd.h>
#include <stdio.h>

#define LIST_MEMORY MiB(64)

static void put(json_t *to, const char *name, uint64_t value)
{
    json_object_set_new(to, name, json_integer((json_int_t)value));
}

static json_t *by_kind(uint64_t clients)
{
    return json_pack("{s:I, s:i, s:i, s:i}", "clients", (json_int_t)clients, "routes", 0,
                     "gateways", 0, "leafs", 0);
}

static void put_server(json_t *o, const struct monitor *m)
{
    const struct nats_figures *f = &m->figures;
    json_object_set_new(o, "server_id", json_string(f->server_id));
    json_object_set_new(o, "server_name", monitor_text(bytes_of(f->server_name)));
    json_object_set_new(o, "version", json_string(NATS_VERSION));
    put(o, "proto", 1);
    json_object_set_new(o, "go", json_string("none"));
    json_object_set_new(o, "host", monitor_text(bytes_of(f->host)));
    put(o, "port", (uint64_t)f->port);
    if (f->auth_required)
        json_object_set_new(o, "auth_required", json_true());
    put(o, "max_connections", (uint64_t)f->max_connections);
    put(o, "ping_interval", (uint64_t)f->ping_interval_ms * 1000000);
    put(o, "ping_max", (uint64_t)f->ping_max);
    json_object_set_new(o, "http_host", monitor_text(bytes_of(m->options->host)));
    put(o, "http_port", (uint64_t)m->options->port);
    json_object_set_new(o, "http_base_path", json_string(""));
    put(o, "https_port", 0);
    json_object_set_new(o, "auth_timeout", json_real((double)f->auth_timeout_ms / 1000));
    put(o, "max_control_line", (uint64_t)f->max_control_line);
    put(o, "max_payload", (uint64_t)f->max_payload);
    put(o, "max_pending", (uint64_t)f->max_pending);
    static const char *absent[] = {"cluster", "gateway", "leaf", "mqtt", "websocket", "jetstream"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        json_object_set_new(o, absent[i], json_object());
    put(o, "tls_timeout", 0);
    put(o, "write_deadline", (uint64_t)f->write_deadline_ms * 1000000);
}

static void put_traffic(json_t *o, const struct monitor *m)
{
    const struct nats_figures *f = &m->figures;
    json_object_set_new(o, "start", monitor_time(f->started_ms));
    json_object_set_new(o, "now", monitor_time(m->now_ms));
    json_object_set_new(o, "uptime", monitor_age(m->now_ms - f->started_ms));
    put(o, "mem", os_resident_bytes());
    put(o, "cores", (uint64_t)os_cores());
    put(o, "gomaxprocs", (uint64_t)os_cores());
    json_object_set_new(o, "cpu", json_real(m->cpu_percent));
    put(o, "connections", f->connections);
    put(o, "total_connections", f->total_connections);
    put(o, "routes", 0);
    put(o, "remotes", 0);
    put(o, "leafnodes", 0);
    put(o, "in_msgs", f->in_messages);
    put(o, "in_bytes", f->in_bytes);
    put(o, "in_client_msgs", f->in_messages);
    put(o, "in_client_bytes", f->in_bytes);
    put(o, "out_msgs", f->out_messages);
    put(o, "out_bytes", f->out_bytes);
    put(o, "out_client_msgs", f->out_messages);
    put(o, "out_client_bytes", f->out_bytes);
    put(o, "slow_consumers", f->slow_consumers);
    put(o, "stale_connections", f->stale_connections);
    put(o, "subscriptions", f->subscriptions);
    json_object_set_new(o, "config_load_time", monitor_time(f->started_ms));
    json_object_set_new(o, "slow_consumer_stats", by_kind(f->slow_consumers));
    json_object_set_new(o, "stale_connection_stats", by_kind(f->stale_connections));
}

unsigned monitor_varz(struct text *t, struct monitor *m)
{
    json_t *o = json_object();
    put_server(o, m);
    put_traffic(o, m);
    text_json(t, o);
    return MHD_HTTP_OK;
}

/* ---- subscriptions ---- */

struct wanted {
    struct bytes under;  /* a subject they would get, null: all */
    uint64_t offset, limit, seen, shown;
};

static void list_one(json_t *list, const struct nats_connection *c, struct wanted *w)
{
    for (uint32_t i = 0; i < c->subscriptions; i++) {
        const struct nats_subscription *s = &c->details[i];
        if (w->under.at != NULL && !live_matches(s->subject, w->under))
            continue;
        if (w->seen++ < w->offset || w->shown >= w->limit)
            continue;
        w->shown++;
        json_t *o = json_pack("{s:s, s:s, s:o}", "account", "$G", "account_tag", "$G", "subject",
                              monitor_text(s->subject));
        if (s->queue.size > 0)
            json_object_set_new(o, "qgroup", monitor_text(s->queue));
        json_object_set_new(o, "sid", monitor_text(s->sid));
        put(o, "msgs", s->messages);
        put(o, "cid", c->cid);
        json_array_append_new(list, o);
    }
}

static enum outcome list_all(json_t *list, struct wanted *w)
{
    struct nats_connection *connections;
    struct arena arena;
    size_t count;
    arena_init(&arena, LIST_MEMORY);
    enum outcome out = nats_connections(NATS_SUBSCRIPTIONS, &arena, &connections, &count);
    for (size_t i = 0; out == OUT_OK && i < count; i++)
        list_one(list, &connections[i], w);
    arena_fini(&arena);
    return out;
}

/* Ours: the topics that somebody subscribed to, and what became of their messages. */
static json_t *list_topics(const struct wanted *w)
{
    json_t *list = json_array();
    struct nats_topic_sum *sums;
    struct arena arena;
    size_t count;
    arena_init(&arena, LIST_MEMORY);
    if (nats_topic_sums(&arena, &sums, &count) != OUT_OK)
        count = 0;
    for (size_t i = w->offset; i < count && i - w->offset < w->limit; i++) {
        const struct live_account *a = &sums[i].account;
        json_t *o = json_pack("{s:o}", "topic", monitor_text(sums[i].topic));
        put(o, "num_subscriptions", sums[i].subscriptions);
        put(o, "matched", a->matched);
        put(o, "delivered", a->delivered);
        put(o, "dropped_oldest", a->dropped[LIVE_DROPPED_OLDEST]);
        put(o, "dropped_newest", a->dropped[LIVE_DROPPED_NEWEST]);
        put(o, "dropped_gone", a->dropped[LIVE_DROPPED_GONE]);
        put(o, "expired", a->expired);
        put(o, "pending", a->pending);
        json_array_append_new(list, o);
    }
    arena_fini(&arena);
    return list;
}

unsigned monitor_subsz(struct text *t, struct monitor *m)
{
    const struct nats_figures *f = &m->figures;
    const struct live_figures *l = &f->live;
    struct wanted w = {.under = bytes_of(monitor_word(m, "test")), .limit = MONITOR_LIMIT};
    bool listed = false, topics = false;
    if (!monitor_number(m, "offset", &w.offset) || !monitor_number(m, "limit", &w.limit) ||
        !monitor_flag(m, "subs", &listed) || !monitor_flag(m, "topics", &topics))
        return MHD_HTTP_BAD_REQUEST;
    w.limit = w.limit == 0 ? MONITOR_LIMIT : MIN(w.limit, MONITOR_LIMIT_MAX);
    if (w.under.at != NULL && live_subject_kind(w.under) != LIVE_LITERAL) {
        snprintf(m->wrong, sizeof m->wrong, "invalid test subject, must be valid literal subject");
        return MHD_HTTP_BAD_REQUEST;
    }
    json_t *list = json_array();
    if (listed && list_all(list, &w) != OUT_OK) {
        json_decref(list);
        snprintf(m->wrong, sizeof m->wrong, "no memory for all subscriptions");
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    double asked = (double)(l->cache_hits + l->cache_misses);
    json_t *o = json_pack("{s:s}", "server_id", f->server_id);
    json_object_set_new(o, "now", monitor_time(m->now_ms));
    put(o, "num_subscriptions", f->subscriptions);
    put(o, "num_inserts", f->subscriptions_made);
    put(o, "num_removes", f->subscriptions_made - f->subscriptions);
    put(o, "num_matches", l->cache_hits + l->cache_misses);
    json_object_set_new(o, "cache_hit_rate",
                        json_real(asked > 0 ? (double)l->cache_hits / asked : 0));
    json_object_set_new(o, "avg_fanout", json_real(l->published > 0 ? (double)l->account.matched /
                                                   (double)l->published : 0));
    put(o, "total", w.shown);
    put(o, "offset", w.offset);
    put(o, "limit", w.limit);
    if (listed)
        json_object_set_new(o, "subscriptions_list", list);
    else
        json_decref(list);
    if (topics)
        json_object_set_new(o, "topics", list_topics(&w));
    text_json(t, o);
    return MHD_HTTP_OK;
}

/* What only JetStream, leaf nodes or accounts could answer to is as good as the server is. */
unsigned monitor_healthz(struct text *t, struct monitor *m)
{
    const char *why = !m->ready ? "the server is starting"
                      : m->offline_partitions > 0 ? "partitions are offline" : NULL;
    if (why == NULL) {
        text_add(t, "{\"status\":\"ok\"}");
        return MHD_HTTP_OK;
    }
    text_add(t, "{\"status\":\"unavailable\",\"status_code\":%u,\"error\":\"%s\"}",
             MHD_HTTP_SERVICE_UNAVAILABLE, why);
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

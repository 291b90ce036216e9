/* SPDX-License-Identifier: MIT */
/* The pages: Prometheus text from the metric rows, JSON of the same, health, status. */
#include "http/text.h"

#include "os/os.h"
#include "watch/watch.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for more bytes; false: the page is too large, or no memory. */
static bool grow(struct text *t, size_t more)
{
    size_t room = MAX(t->room * 2, t->used + more + 1);
    char *at = room > TEXT_MAX ? NULL : realloc(t->at, room);
    if (at == NULL)
        return false;
    t->at = at;
    t->room = room;
    return true;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(t->at + t->used, t->room - t->used, format, args);
    if (size >= 0 && (size_t)size >= t->room - t->used && grow(t, (size_t)size))
        size = vsnprintf(t->at + t->used, t->room - t->used, format, again);
    if (size < 0 || (size_t)size >= t->room - t->used)
        t->cut = true;
    else
        t->used += (size_t)size;
    va_end(again);
    va_end(args);
}

void add(struct text *t, const char *name, const char *type, const char *help, double value)
{
    text_add(t, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

static void add_rows(struct text *t)
{
    for (int m = 0; m < WATCH_COUNT; m++) {
        bool counter = watch_kind((enum metric)m) == METRIC_COUNTER;
        add(t, watch_name((enum metric)m), counter ? "counter" : "gauge",
            watch_help((enum metric)m), (double)watch_value((enum metric)m));
    }
}

/* Names that dashboards made for other brokers of the family ask for. */
static const struct alias {
    const char *name;
    enum metric of;
} aliases[] = {
    {"messages_produced_total", WATCH_messages_produced},
    {"messages_fetched_total", WATCH_messages_consumed},
    {"bytes_in_total", WATCH_bytes_received},
    {"bytes_out_total", WATCH_bytes_sent},
    {"active_connections", WATCH_connections_active},
    {"segments_deleted_total", WATCH_segments_deleted},
};

static void add_aliases(struct text *t)
{
    for (size_t i = 0; i < COUNT_OF(aliases); i++) {
        bool counter = watch_kind(aliases[i].of) == METRIC_COUNTER;
        add(t, aliases[i].name, counter ? "counter" : "gauge", watch_help(aliases[i].of),
            (double)watch_value(aliases[i].of));
    }
}

static void add_latency(struct text *t)
{
    struct watch_distribution d;
    watch_distribution(WATCH_request_latency, &d);
    const char *name = "fluxmq_request_duration_seconds";
    text_add(t, "# HELP %s Time from a request's arrival to its reply\n"
             "# TYPE %s histogram\n", name, name);
    for (size_t i = 0; i < COUNT_OF(d.below); i++) {
        if (watch_bounds_ns[i] == INT64_MAX)
            text_add(t, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)d.below[i]);
        else
            text_add(t, "%s_bucket{le=\"%g\"} %llu\n", name, (double)watch_bounds_ns[i] / 1e9,
                     (unsigned long long)d.below[i]);
    }
    text_add(t, "%s_sum %.9f\n%s_count %llu\n", name, (double)d.sum_ns / 1e9, name,
             (unsigned long long)d.count);
    add(t, "fluxmq_latency_p50_ms", "gauge", "Median request latency", (double)d.p50_ns / 1e6);
    add(t, "fluxmq_latency_p95_ms", "gauge", "95th percentile of it", (double)d.p95_ns / 1e6);
    add(t, "fluxmq_latency_p99_ms", "gauge", "99th percentile of it", (double)d.p99_ns / 1e6);
    add(t, "fluxmq_latency_max_ms", "gauge", "Largest of it", (double)d.max_ns / 1e6);
}

static double error_rate(void)
{
    double all = (double)watch_value(WATCH_requests);
    double bad = (double)(watch_value(WATCH_requests_malformed) +
                          watch_value(WATCH_requests_unsupported) +
                          watch_value(WATCH_produce_errors));
    return all > 0 ? bad / all : 0;
}

static double cpu_percent(const struct page *p)
{
    return p->uptime_ms > 0 ? 100.0 * (double)os_cpu_ms() / (double)p->uptime_ms : 0;
}

static void add_rates(struct text *t, const struct page *p)
{
    add(t, "fluxmq_messages_produced_rate", "gauge", "Records produced per second",
        p->rates.produced_rate);
    add(t, "fluxmq_messages_consumed_rate", "gauge", "Records consumed per second",
        p->rates.consumed_rate);
    text_add(t, "# HELP fluxmq_messages_per_second Records per second\n"
             "# TYPE fluxmq_messages_per_second gauge\n"
             "fluxmq_messages_per_second{type=\"produce\"} %.17g\n"
             "fluxmq_messages_per_second{type=\"consume\"} %.17g\n",
             p->rates.produced_rate, p->rates.consumed_rate);
    text_add(t, "# HELP fluxmq_bytes_per_second Bytes of record batches per second\n"
             "# TYPE fluxmq_bytes_per_second gauge\n"
             "fluxmq_bytes_per_second{type=\"produce\"} %.17g\n"
             "fluxmq_bytes_per_second{type=\"consume\"} %.17g\n",
             p->rates.produced_bytes_rate, p->rates.consumed_bytes_rate);
}

void page_metrics(struct text *t, const struct page *p)
{
    const struct http_figures *f = &p->figures;
    double resident = (double)os_resident_bytes();
    add_rows(t);
    add_aliases(t);
    add_rates(t, p);
    add(t, "fluxmq_topics_total", "gauge", "Topics", (double)f->topics);
    add(t, "fluxmq_partitions_total", "gauge", "Partitions", (double)f->partitions);
    add(t, "fluxmq_partitions_offline", "gauge", "Partitions whose log is offline",
        f->offline_partitions);
    add(t, "fluxmq_storage_messages_total", "gauge", "Records stored", (double)f->stored_messages);
    add(t, "fluxmq_storage_bytes_total", "gauge", "Bytes stored", (double)f->stored_bytes);
    add(t, "fluxmq_storage_free_bytes", "gauge", "Free bytes of the data directory's file system",
        (double)f->free_bytes);
    add(t, "fluxmq_memory_usage_bytes", "gauge", "Resident memory", resident);
    add(t, "fluxmq_memory_usage_mb", "gauge", "Resident memory in MiB", resident / 1048576);
    add(t, "fluxmq_cpu_usage_percent", "gauge", "CPU since the start, per cent of one core",
        cpu_percent(p));
    add(t, "fluxmq_uptime_seconds", "gauge", "Seconds since the start",
        (double)p->uptime_ms / 1000);
    add(t, "fluxmq_error_rate", "gauge", "Refused requests and batches per request", error_rate());
    add_latency(t);
    add_groups(t, p);
    add_door(t, p);
}

/* jansson writes it, so that it is JSON whatever the values are. */
void text_json(struct text *t, json_t *root)
{
    char *body = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
    text_add(t, "%s\n", body == NULL ? "{}" : body);
    free(body);
    json_decref(root);
}

void page_json(struct text *t, const struct page *p)
{
    const struct http_figures *f = &p->figures;
    text_json(t, json_pack(
        "{s:I, s:{s:f, s:f, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I},"
        " s:{s:i, s:s, s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:f, s:f}}",
        "timestamp", (json_int_t)os_wall_ms(),
        "throughput", "produced_per_second", p->rates.produced_rate, "consumed_per_second",
        p->rates.consumed_rate, "produced_total", (json_int_t)watch_value(WATCH_messages_produced),
        "consumed_total", (json_int_t)watch_value(WATCH_messages_consumed),
        "bytes_in_total", (json_int_t)watch_value(WATCH_bytes_received),
        "bytes_out_total", (json_int_t)watch_value(WATCH_bytes_sent),
        "storage", "messages", (json_int_t)f->stored_messages, "bytes",
        (json_int_t)f->stored_bytes, "free_bytes", (json_int_t)f->free_bytes,
        "broker", "id", (int)f->node_id, "cluster_id", f->cluster_id, "topics",
        (json_int_t)f->topics, "partitions", (json_int_t)f->partitions, "connections",
        (json_int_t)watch_value(WATCH_connections_active), "requests_total",
        (json_int_t)watch_value(WATCH_requests),
        "consumer_groups", "active", (json_int_t)p->group_count,
        "rebalances", (json_int_t)watch_value(WATCH_group_rebalances),
        "system", "memory_bytes", (json_int_t)os_resident_bytes(), "cpu_percent", cpu_percent(p),
        "uptime_seconds", (double)p->uptime_ms / 1000));
}

void page_health(struct text *t, const struct page *p)
{
    const char *status = p->figures.offline_partitions > 0 ? "degraded" : "up";
    text_json(t, json_pack("{s:s, s:b, s:i}", "status", p->ready ? status : "starting", "ready",
                      p->ready, "offline_partitions", (int)p->figures.offline_partitions));
}

void page_status(struct text *t, const struct page *p)
{
    text_json(t, json_pack("{s:s, s:s, s:i, s:s, s:f}", "name", "FluxMQ", "version", FLUXMQ_VERSION,
                      "broker_id", (int)p->figures.node_id, "cluster_id", p->figures.cluster_id,
                      "uptime_seconds", (double)p->uptime_ms / 1000));
}

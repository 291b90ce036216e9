/* SPDX-License-Identifier: MIT */
/* What came of a load: for people, or as one JSON object. */
#include "bench/private.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static const char *const modes[] = {"produce", "consume", "e2e", "fan-out"};

static bool comes_back(const struct bench_options *o)
{
    return o->mode == BENCH_E2E || o->mode == BENCH_FAN_OUT || o->verify;
}

bool bench_good(const struct bench_options *o, const struct bench_report *r)
{
    if (r->wrong > 0 || r->gaps > 0)
        return false;
    if (comes_back(o) && r->received != r->sent)
        return false;
    return !comes_back(o) || o->mode == BENCH_FAN_OUT || r->checksum == r->checksum_back;
}

static double rate(double what, double seconds)
{
    return seconds > 0 ? what / seconds : 0;
}

/* ---- JSON ---- */

static json_t *times_us(const struct histogram *h)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    if (h->count == 0)
        return json_null();
    json_t *out = json_pack("{s:f, s:f}", "min", (double)h->smallest / 1e3, "mean",
                            histogram_mean(h) / 1e3);
    for (size_t i = 0; i < COUNT_OF(shares); i++)
        json_object_set_new(out, shares[i].name,
                            json_real((double)histogram_at(h, shares[i].share) / 1e3));
    return out;
}

static void put(json_t *to, const char *name, double value)
{
    json_object_set_new(to, name, json_real(value));
}

static void put_count(json_t *to, const char *name, uint64_t value)
{
    json_object_set_new(to, name, json_integer((json_int_t)value));
}

static void put_sum(json_t *to, const char *name, uint64_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    json_object_set_new(to, name, json_string(text));
}

static json_t *conditions(const struct bench_options *o, const struct bench_report *r)
{
    json_t *c = json_pack("{s:s, s:s, s:s, s:I, s:I}", "host", o->host, "port", o->port, "name",
                          o->name, "size", (json_int_t)o->size, "rate", (json_int_t)o->rate);
    put_count(c, "count", (uint64_t)o->count);
    put(c, "duration_s", (double)o->duration_ms / 1e3);
    put(c, "warm_s", (double)o->warm_ms / 1e3);
    if (o->mode == BENCH_FAN_OUT) {
        put_count(c, "publishers", (uint64_t)o->publishers);
        put_count(c, "subscribers", (uint64_t)o->subscribers);
        put_count(c, "window", (uint64_t)o->window);
        return c;
    }
    put_count(c, "connections", (uint64_t)o->connections);
    put_count(c, "threads", (uint64_t)o->threads);
    put_count(c, "partitions", (uint64_t)r->partitions);
    put_count(c, "brokers", (uint64_t)r->brokers);
    if (o->mode != BENCH_CONSUME) {
        json_object_set_new(c, "acks", json_integer(o->acks));
        put_count(c, "linger_ms", (uint64_t)o->linger_ms);
        put_count(c, "batch_bytes", (uint64_t)o->batch_bytes);
        put_count(c, "batch_records", (uint64_t)o->batch_records);
        put_count(c, "in_flight", (uint64_t)o->in_flight);
        put_count(c, "produce_version", (uint64_t)r->produce_version);
    }
    put_count(c, "fetch_bytes", (uint64_t)o->fetch_bytes);
    put_count(c, "fetch_wait_ms", (uint64_t)o->fetch_wait_ms);
    put_count(c, "fetch_version", (uint64_t)r->fetch_version);
    json_object_set_new(c, "checksums", json_boolean(!o->unchecked));
    return c;
}

static json_t *server(const struct bench_report *r)
{
    json_t *s = json_object();
    put(s, "cpu_s", r->server_cpu_s);
    put(s, "cpu_s_per_million", rate(r->server_cpu_s * 1e6, (double)r->records));
    put(s, "cpu_s_per_gib", rate(r->server_cpu_s * (double)GiB(1), (double)r->bytes));
    put(s, "rss_mib", r->server_rss_mib);
    put(s, "anonymous_mib", r->server_anonymous_mib);
    return s;
}

enum outcome bench_print_json(const struct bench_options *o, const struct bench_report *r)
{
    json_t *out = json_pack("{s:s, s:b, s:o}", "mode", modes[o->mode], "good",
                            (int)bench_good(o, r), "conditions", conditions(o, r));
    put_count(out, "records", r->records);
    put_count(out, "bytes", r->bytes);
    put(out, "seconds", r->seconds);
    put(out, "records_per_s", rate((double)r->records, r->seconds));
    put(out, "mib_per_s", rate((double)r->bytes / (double)MiB(1), r->seconds));
    json_object_set_new(out, "latency_us", times_us(&r->latency));
    if (o->mode != BENCH_CONSUME)
        json_object_set_new(out, "late_us", times_us(&r->late));
    if (o->mode == BENCH_E2E)
        json_object_set_new(out, "acked_us", times_us(&r->acked));
    if (o->mode != BENCH_FAN_OUT) {
        put_count(out, "batches", r->batches);
        put_count(out, "requests", r->requests);
        put_count(out, "gaps", r->gaps);
    }
    put_count(out, "wrong", r->wrong);
    if (comes_back(o)) {
        put_count(out, "sent", r->sent);
        put_count(out, "received", r->received);
    }
    if (o->mode != BENCH_FAN_OUT && o->mode != BENCH_CONSUME)
        put_sum(out, "checksum", r->checksum);
    if (o->mode == BENCH_CONSUME || (comes_back(o) && o->mode != BENCH_FAN_OUT))
        put_sum(out, "checksum_back", r->checksum_back);
    put(out, "generator_cpu_s", r->own_cpu_s);
    if (o->pid > 0)
        json_object_set_new(out, "server", server(r));
    char *text = json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(out);
    if (text == NULL)
        return fail(OUT_NO_MEMORY, "a report");
    puts(text);
    free(text);
    return OUT_OK;
}

/* ---- text ---- */

static void print_times(const char *name, const struct histogram *h)
{
    if (h->count == 0)
        return;
    printf("%-24s p50 %.1f us, p90 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n", name,
           (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.9) / 1e3,
           (double)histogram_at(h, 0.99) / 1e3, (double)histogram_at(h, 0.999) / 1e3,
           (double)h->largest / 1e3);
}

static void print_back(const struct bench_options *o, const struct bench_report *r)
{
    if (!comes_back(o)) {
        if (r->wrong + r->gaps > 0)
            printf("NOT GOOD: %" PRIu64 " records with a wrong checksum, %" PRIu64
                   " gaps in the offsets\n", r->wrong, r->gaps);
        return;
    }
    printf("%-24s %" PRIu64 " of %" PRIu64, "read back", r->received, r->sent);
    if (bench_good(o, r))
        printf(o->mode == BENCH_FAN_OUT ? ", whole and in order\n"
                                        : ", offsets and checksums are right\n");
    else
        printf("; NOT GOOD: %" PRIu64 " changed or in disorder, %" PRIu64 " gaps, checksums %s\n",
               r->wrong, r->gaps, r->checksum == r->checksum_back ? "the same" : "differ");
}

void bench_print_text(const struct bench_options *o, const struct bench_report *r)
{
    static const char *const verbs[] = {"produced", "consumed", "produced", "published"};
    printf("%-24s %" PRIu64 " records in %.3f s\n", verbs[o->mode], r->records, r->seconds);
    printf("%-24s %.0f records/s, %.1f MiB/s\n", "rate", rate((double)r->records, r->seconds),
           rate((double)r->bytes / (double)MiB(1), r->seconds));
    if (o->mode == BENCH_FAN_OUT)
        printf("%-24s %" PRIu64 ", %.0f/s\n", "deliveries", r->latency.count,
               rate((double)r->latency.count, r->seconds));
    print_times(o->mode == BENCH_PRODUCE ? "due to acknowledged"
                : o->mode == BENCH_CONSUME ? "a fetch" : "due to received", &r->latency);
    print_times("due to acknowledged", &r->acked);
    print_times("sent late by", &r->late);
    print_back(o, r);
    printf("%-24s %.2f s (generator)", "CPU", r->own_cpu_s);
    if (o->pid > 0)
        printf(", %.2f s (server: %.4f s a million records, %.3f s a GiB), %.1f MiB resident, "
               "%.1f of them anonymous", r->server_cpu_s,
               rate(r->server_cpu_s * 1e6, (double)r->records),
               rate(r->server_cpu_s * (double)GiB(1), (double)r->bytes), r->server_rss_mib,
               r->server_anonymous_mib);
    putchar('\n');
}

/* SPDX-License-Identifier: MIT */
/* fluxmq bench: a command line for the load generator. */
#include "bench/bench.h"
#include "cli/client.h"
#include "cli/message.h"
#include "cli/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MS 10000
#define SIZE_MAX_BYTES MiB(64)

static enum outcome dial(const char *host, const char *port, int *fd)
{
    struct cli_server s;
    snprintf(s.host, sizeof s.host, "%s", host);
    snprintf(s.port, sizeof s.port, "%s", port);
    return cli_dial(&s, fd);
}

static enum outcome find_mode(const struct cli_args *a, enum bench_mode *mode)
{
    static const char *const names[] = {"produce", "consume", "e2e", "fan-out"};
    for (size_t i = 0; a->word_count > 0 && i < COUNT_OF(names); i++) {
        if (strcmp(a->words[0], names[i]) == 0) {
            *mode = (enum bench_mode)i;
            return OUT_OK;
        }
    }
    return cli_fail(OUT_INVALID, "produce, consume, e2e or fan-out is wanted, and a topic");
}

/* What this kind of load does not know is refused, not ignored. */
static enum outcome check_known(const struct cli_args *a, enum bench_mode mode)
{
    static const struct {
        enum cli_option option;
        const char *name;
        unsigned modes;
    } rows[] = {
        {CLI_server, "--server", 1u << BENCH_FAN_OUT},
        {CLI_brokers, "--brokers", ~(1u << BENCH_FAN_OUT)},
        {CLI_partitions, "--partitions", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_connections, "--connections", ~(1u << BENCH_FAN_OUT)},
        {CLI_threads, "--threads", ~(1u << BENCH_FAN_OUT)},
        {CLI_size, "--size", ~(1u << BENCH_CONSUME)},
        {CLI_rate, "--rate", ~(1u << BENCH_CONSUME)},
        {CLI_acks, "--acks", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_linger, "--linger", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_batch_size, "--batch-size", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_batch_records, "--batch-records", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_in_flight, "--in-flight", 1u << BENCH_PRODUCE | 1u << BENCH_E2E},
        {CLI_fetch_size, "--fetch-size", 1u << BENCH_CONSUME | 1u << BENCH_E2E},
        {CLI_fetch_wait, "--fetch-wait", 1u << BENCH_CONSUME | 1u << BENCH_E2E},
        {CLI_from, "--from", 1u << BENCH_CONSUME},
        {CLI_unchecked, "--unchecked", 1u << BENCH_CONSUME},
        {CLI_verify, "--verify", 1u << BENCH_PRODUCE},
        {CLI_publishers, "--publishers", 1u << BENCH_FAN_OUT},
        {CLI_subscribers, "--subscribers", 1u << BENCH_FAN_OUT},
        {CLI_window, "--window", 1u << BENCH_FAN_OUT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (cli_given(a, rows[i].option) && (rows[i].modes & 1u << mode) == 0)
            return cli_fail(OUT_INVALID, "bench %s knows no %s", a->words[0], rows[i].name);
    }
    return OUT_OK;
}

static enum outcome take_acks(const struct cli_args *a, struct bench_options *o)
{
    static const char *const words[] = {"all", "0", "1"};
    const char *text = a->values[CLI_acks];
    o->acks = -1;
    for (int i = 0; text != NULL && i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            o->acks = i - 1;
            return OUT_OK;
        }
    }
    if (text != NULL && strcmp(text, "-1") != 0)
        return cli_fail(OUT_INVALID, "--acks %s: all, 1 or 0 is wanted", text);
    return OUT_OK;
}

struct number {
    enum cli_option option;
    int64_t least, standard, most;
    int64_t *to;
};

static enum outcome take_numbers(const struct cli_args *a, struct bench_options *o)
{
    int64_t partitions = 0, pid = 0;
    bool fan_out = o->mode == BENCH_FAN_OUT;
    const struct number rows[] = {
        {CLI_partitions, 1, 0, 1000000, &partitions},
        {CLI_connections, 1, 1, 100000, &o->connections},
        {CLI_threads, 1, 1, 256, &o->threads},
        {CLI_size, o->mode == BENCH_PRODUCE ? 0 : 16, fan_out ? 128 : 100, SIZE_MAX_BYTES,
         &o->size},
        {CLI_rate, 0, 0, 1000000000, &o->rate},
        {CLI_count, 1, 0, INT64_MAX, &o->count},
        {CLI_batch_size, 1, 65536, SIZE_MAX_BYTES, &o->batch_bytes},
        {CLI_batch_records, 1, 0, INT32_MAX, &o->batch_records},
        {CLI_in_flight, 1, 5, 10000, &o->in_flight},
        {CLI_fetch_size, 1, (int64_t)MiB(1), SIZE_MAX_BYTES, &o->fetch_bytes},
        {CLI_pid, 1, 0, INT32_MAX, &pid},
        {CLI_publishers, 1, 1, 10000, &o->publishers},
        {CLI_subscribers, 1, 48, 100000, &o->subscribers},
        {CLI_window, 1, 4096, INT32_MAX, &o->window},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct number *n = &rows[i];
        enum outcome out = cli_number(a, n->option, n->least, n->standard, n->to);
        if (out != OUT_OK)
            return out;
        if (*n->to > n->most)
            return cli_fail(OUT_INVALID, "%lld is too much; at most %lld", (long long)*n->to,
                            (long long)n->most);
    }
    o->create_partitions = (int32_t)partitions;
    o->pid = (int)pid;
    o->threads = MIN(o->threads, o->connections);
    return OUT_OK;
}

static enum outcome take_times(const struct cli_args *a, struct bench_options *o)
{
    bool timed = o->count == 0 && o->mode != BENCH_CONSUME;
    enum outcome out = cli_duration(a, CLI_duration, timed ? DURATION_MS : 0, &o->duration_ms);
    if (out == OUT_OK)
        out = cli_duration(a, CLI_warm, 0, &o->warm_ms);
    if (out == OUT_OK)
        out = cli_duration(a, CLI_linger, 0, &o->linger_ms);
    if (out == OUT_OK)
        out = cli_duration(a, CLI_fetch_wait, 500, &o->fetch_wait_ms);
    if (out == OUT_OK && cli_given(a, CLI_duration) && o->duration_ms == 0)
        out = cli_fail(OUT_INVALID, "--duration: more than nothing is wanted");
    return out;
}

static enum outcome take_from(const struct cli_args *a, struct bench_options *o)
{
    const char *text = a->values[CLI_from];
    if (text == NULL || strcmp(text, "start") == 0)
        return OUT_OK;
    if (strcmp(text, "end") != 0)
        return cli_fail(OUT_INVALID, "--from %s: start or end is wanted", text);
    if (o->count == 0 && o->duration_ms == 0)
        return cli_fail(OUT_INVALID, "--from end: also --count or --duration, or it is over at "
                                     "once");
    o->from = BENCH_FROM_END;
    return OUT_OK;
}

static enum outcome take_words(const struct cli_args *a, struct bench_options *o,
                               struct cli_servers *servers)
{
    bool fan_out = o->mode == BENCH_FAN_OUT;
    const char *where = a->values[fan_out ? CLI_server : CLI_brokers];
    if (where == NULL && fan_out)
        where = getenv("NATS_URL");
    if (a->word_count > 2)
        return cli_fail(OUT_INVALID, "%s: one topic is wanted", a->words[2]);
    if (a->word_count < 2 && !fan_out)
        return cli_fail(OUT_INVALID, "a topic is wanted");
    o->name = a->word_count < 2 ? "bench.fan-out" : a->words[1];
    enum outcome out = fan_out ? cli_subject(o->name, false) : OUT_OK;
    if (out == OUT_OK)
        out = cli_servers_parse(where == NULL ? "127.0.0.1" : where, fan_out ? "4222" : "9092",
                                servers);
    o->host = servers->list[0].host;
    o->port = servers->list[0].port;
    return out;
}

static enum outcome prepare(const struct cli_args *a, struct bench_options *o,
                            struct cli_servers *servers)
{
    enum outcome out = find_mode(a, &o->mode);
    if (out == OUT_OK)
        out = check_known(a, o->mode);
    if (out == OUT_OK)
        out = take_words(a, o, servers);
    if (out == OUT_OK)
        out = take_acks(a, o);
    if (out == OUT_OK)
        out = take_numbers(a, o);
    if (out == OUT_OK)
        out = take_times(a, o);
    if (out == OUT_OK)
        out = take_from(a, o);
    o->unchecked = cli_given(a, CLI_unchecked);
    o->verify = cli_given(a, CLI_verify);
    o->progress = cli_given(a, CLI_progress);
    o->dial = dial;
    o->stopped = cli_stopped;
    return out;
}

int cli_bench(const struct cli_args *a)
{
    static struct bench_report report;
    struct cli_servers servers = {0};
    struct bench_options o = {0};
    enum outcome out = prepare(a, &o, &servers);
    if (out != OUT_OK) {
        cli_complain(a, out);
        return CLI_USAGE;
    }
    enum outcome ended = bench_run(&o, &report);
    if (ended != OUT_OK && ended != OUT_END)
        return cli_complain(a, ended);
    if (ended == OUT_END && report.records == 0)
        return CLI_STOPPED;
    if (cli_given(a, CLI_json))
        out = bench_print_json(&o, &report);
    else
        bench_print_text(&o, &report);
    if (out != OUT_OK)
        return cli_complain(a, out);
    if (ended == OUT_END)
        return CLI_STOPPED;
    return bench_good(&o, &report) ? CLI_DONE : CLI_FAILED;
}

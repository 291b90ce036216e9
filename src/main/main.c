/* SPDX-License-Identifier: MIT */
/*
 * The program: settings, reactors, broker, doors; then it waits for SIGTERM or SIGINT and takes
 * everything down again in reverse order. `fluxmq VERB` is a tool and not the server.
 */
#include "broker/broker.h"
#include "cli/cli.h"
#include "config/config.h"
#include "http/http.h"
#include "kafka/kafka.h"
#include "main/await.h"
#include "nats/nats.h"
#include "net/net.h"
#include "watch/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define STOP_GRACE_MS 1000
#define EXIT_USAGE 2
#define DESCRIPTORS_LEAST 256

extern char **environ;

struct server {
    struct config *config;
    struct net *net;
    struct broker *broker;
    struct http *http;
};

static int complain(const char *what)
{
    const char *why = outcome_trail();
    fprintf(stderr, "fluxmq: %s%s%s\n", what, what[0] == '\0' ? "" : ": ", why);
    return EXIT_FAILURE;
}

static enum outcome open_net(struct server *s)
{
    const struct config *c = s->config;
    struct net_options o = {
        .reactor_count = c->reactors > 0 ? c->reactors : os_cores(),
        .connections_max = c->max_connections,
        .connections_per_ip_max = c->max_connections_per_ip,
        .request_bytes_max = c->socket_request_max_bytes,
        .receive_bytes_max = c->receive_memory_max_bytes,
        .idle_ms_max = c->connections_max_idle_ms,
        .busy_poll_ns = os_cores() > 1 ? c->busy_poll_ns : MAX(c->busy_poll_ns, 0),
    };
    for (int32_t i = 0; i < c->listener_count; i++)
        o.listeners[o.listener_count++] = (struct net_listener){
            .name = c->listeners[i].name, .host = c->listeners[i].host,
            .port = c->listeners[i].port, .door = &kafka_door,
            .option = c->listener_count == 1 ? "--port" : "listeners="};
    if (c->nats_port > 0)
        o.listeners[o.listener_count++] = (struct net_listener){
            .name = "NATS", .host = c->listeners[0].host, .port = c->nats_port,
            .door = &nats_door, .option = "--nats-port"};
    return net_open(&o, &s->net);
}

static void settings_changed(void *context, const struct config *c)
{
    struct server *s = context;
    net_limit(s->net, c->max_connections, c->max_connections_per_ip);
}

static void figures(void *context, struct http_figures *out)
{
    struct server *s = context;
    struct broker_figures f;
    broker_figures(s->broker, &f);
    *out = (struct http_figures){
        .topics = f.topics, .partitions = f.partitions, .stored_messages = f.messages,
        .stored_bytes = f.bytes, .free_bytes = f.free_bytes, .offline_partitions = f.offline,
        .node_id = broker_node_id(s->broker), .cluster_id = broker_cluster_id(s->broker)};
}

static enum outcome groups(void *context, struct bytes only, struct arena *arena,
                           struct broker_group **out, size_t *count)
{
    struct server *s = context;
    return broker_groups(s->broker, only, arena, out, count);
}

static enum outcome start_http(struct server *s)
{
    const struct config *c = s->config;
    struct http_options o = {.host = c->metrics_host, .port = c->metrics_port, .figures = figures,
                             .groups = groups, .context = s};
    return c->metrics_port == 0 ? OUT_OK : http_start(&o, &s->http);
}

static enum outcome start(struct server *s)
{
    int count;
    enum outcome o = open_net(s);
    if (o != OUT_OK)
        return o;
    struct shard **shards = net_shards(s->net, &count);
    int ports[CONFIG_LISTENERS];
    for (int i = 0; i < s->config->listener_count; i++)
        ports[i] = net_port(s->net, i);
    o = broker_open(s->config, ports, shards, count, &s->broker);
    if (o != OUT_OK)
        return o;
    broker_watch_settings(s->broker, &(struct broker_settings_watch){settings_changed, s});
    o = kafka_open(s->broker);
    if (o == OUT_OK)
        o = nats_open(s->broker);
    if (o == OUT_OK)
        o = broker_start(s->broker);
    if (o == OUT_OK)
        o = start_http(s);
    if (o == OUT_OK)
        o = net_start(s->net);
    if (o == OUT_OK && s->http != NULL)
        http_ready(s->http);
    return o;
}

static void greet(const struct server *s)
{
    struct broker_address a = broker_address(s->broker, NULL);
    printf("FluxMQ " FLUXMQ_VERSION " is ready on %s:%d; a first message: "
           "echo hello | kcat -b %s:%d -P -t demo\n",
           a.host, a.port, a.host, a.port);
    fflush(stdout);
}

static int stop(struct server *s)
{
    int code = EXIT_SUCCESS;
    if (s->http != NULL)
        http_stop(s->http);
    if (s->net != NULL)
        net_stop(s->net, STOP_GRACE_MS);
    if (s->broker != NULL) {
        kafka_close(s->broker);
        nats_close();
        if (broker_stop(&s->broker) != OUT_OK)
            code = complain("stopped, but not cleanly");
    }
    if (s->net != NULL)
        net_close(s->net);
    config_free(s->config);
    return code;
}

/* Runs until a signal says that it is the end. */
static int run_until(struct server *s, const sigset_t *signals)
{
    struct await a;
    int which = SIGHUP;
    await_begin(&a, signals, s->config->path);
    while (which == SIGUSR2 || which == SIGHUP) {
        if (await_next(&a, &which) == AWAIT_FILE || which == SIGHUP)
            broker_reload(s->broker);
        else if (which == SIGUSR2)
            nats_lame_duck();
    }
    await_end(&a);
    return which;
}

static int serve(struct server *s)
{
    sigset_t ends;
    int which;
    size_t files = os_files_limit();
    /* What is freed is soon wanted again: given back at once, as is usual, a quarter of the CPU of
     * messages that go from reactor to reactor was spent on page faults. */
    os_keep_memory();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGUSR2);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    watch_level_set((enum watch_level)s->config->log_level);
    if (s->config->warning[0] != '\0')
        watch_log(WATCH_WARN, "config", "%s", s->config->warning);
    if (files < DESCRIPTORS_LEAST) {
        fprintf(stderr, "fluxmq: only %zu open files are allowed, at least %d are needed: raise "
                "the limit (ulimit -n)\n", files, DESCRIPTORS_LEAST);
        config_free(s->config);
        return EXIT_FAILURE;
    }
    enum outcome o = start(s);
    if (o != OUT_OK) {
        int code = complain("can't start");
        if (s->http != NULL)
            http_stop(s->http);
        if (s->broker != NULL)
            kafka_close(s->broker);
        nats_close();
        if (s->broker != NULL && broker_stop(&s->broker) != OUT_OK)
            code = EXIT_FAILURE;
        if (s->net != NULL)
            net_close(s->net);
        config_free(s->config);
        return code;
    }
    greet(s);
    which = run_until(s, &ends);
    watch_log(WATCH_INFO, "main", "stopping on signal %d", which);
    return stop(s);
}

int main(int argc, char **argv)
{
    struct server s = {0};
    enum config_action action;
    if (cli_asked(argc, argv))
        return cli_main(argc, argv);
    if (config_load(argc, argv, environ, &s.config, &action) != OUT_OK) {
        complain("");
        return EXIT_USAGE;
    }
    if (action == CONFIG_EXIT) {
        config_free(s.config);
        return EXIT_SUCCESS;
    }
    return serve(&s);
}

/* SPDX-License-Identifier: MIT */
/* The command line and the environment: one table of options, from which --help is printed too. */
#include "config/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum kind { VALUE, FLAG, REFUSED, ACTION };

static const struct option {
    const char *name;    /* "--port" */
    const char *letter;  /* "-p" or NULL */
    enum kind kind;
    const char *setting; /* what a value sets */
    const char *value;   /* for --help */
    const char *help;
} options[] = {
    {"--host", NULL, VALUE, "host", "HOST", "address to listen on (0.0.0.0)"},
    {"--port", "-p", VALUE, "port", "PORT", "port for Kafka clients (9092)"},
    {"--nats-port", NULL, VALUE, "nats.port", "PORT", "port for NATS clients, 0: none (4222)"},
    {"--nats-users", NULL, VALUE, "nats.users.file", "FILE", "who may connect there (everyone)"},
    {"--advertised-listener", NULL, VALUE, "advertised.listener", "HOST:PORT",
     "where clients are told to connect; containers need it"},
    {"--data-dir", NULL, VALUE, "log.dirs", "DIR", "where everything is stored (./data)"},
    {"--broker-id", NULL, VALUE, "broker.id", "N", "id of this broker (0)"},
    {"--config", NULL, VALUE, "config", "FILE",
     "settings in the form of Kafka's server.properties"},
    {"--config-file", NULL, VALUE, "config", "FILE", "the same"},
    {"--log-level", "-l", VALUE, "log.level", "LEVEL", "trace, debug, info, warn or error (info)"},
    {"--metrics-port", NULL, VALUE, "metrics.port", "PORT",
     "port for metrics and health, 0: none (8080)"},
    {"--metrics-host", NULL, VALUE, "metrics.host", "HOST", "address for them (127.0.0.1)"},
    {"--max-connections", NULL, VALUE, "max.connections", "N", "connections at once (10000)"},
    {"--segment-size", NULL, VALUE, "log.segment.bytes", "BYTES", "size of a log segment (1 GiB)"},
    {"--retention-ms", NULL, VALUE, "log.retention.ms", "MS", "how long records are kept (7 days)"},
    {"--enable-replication", NULL, FLAG, NULL, NULL, "accepted; one node replicates to nobody"},
    {"--enable-consumer-groups", NULL, FLAG, NULL, NULL, "accepted; groups are always on"},
    {"--recovery-mode", NULL, FLAG, "recovery", NULL,
     "print what recovery did; it needs no option"},
    {"--enable-tls", NULL, REFUSED, NULL, NULL, "not in this version"},
    {"--tls-cert", NULL, REFUSED, NULL, "FILE", "not in this version"},
    {"--tls-key", NULL, REFUSED, NULL, "FILE", "not in this version"},
    {"--tls-port", NULL, REFUSED, NULL, "PORT", "not in this version"},
    {"--enable-acl", NULL, REFUSED, NULL, NULL, "not in this version"},
    {"--acl-config", NULL, REFUSED, NULL, "FILE", "not in this version"},
    {"--super-users", NULL, REFUSED, NULL, "A,B", "not in this version"},
    {"--acl-allow-everyone", NULL, FLAG, NULL, NULL, "accepted; everyone is allowed"},
    {"--peers", NULL, REFUSED, NULL, "LIST", "not in this version"},
    {"--version", "-V", ACTION, NULL, NULL, "print the version"},
    {"--help", "-h", ACTION, NULL, NULL, "print this"},
};

static void print_help(void)
{
    printf("Usage: fluxmq [OPTION]...\n"
           "       fluxmq VERB ...      a tool; fluxmq help lists the verbs\n\n"
           "A message broker that Kafka clients use unchanged.\n\n");
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct option *o = &options[i];
        char left[64];
        if (o->kind == REFUSED)
            continue;
        snprintf(left, sizeof left, "%s%s%s%s%s", o->letter == NULL ? "    " : o->letter,
                 o->letter == NULL ? "" : ", ", o->name, o->value == NULL ? "" : " ",
                 o->value == NULL ? "" : o->value);
        printf("  %-36s %s\n", left, o->help);
    }
    printf("\nEvery setting can also come from the environment: FLUXMQ_LOG_SEGMENT_BYTES sets\n"
           "log.segment.bytes; FLUXMQ_DATA_DIR and RUST_LOG work too.\n"
           "Order: option, environment, file, default. docs/CONFIG.md lists all settings.\n");
}

/* What options say before they become settings. */
struct given {
    const char *host, *port, *config, *rust_log;
    bool recovery;
};

static enum outcome take_value(struct config *c, struct given *g, const struct option *o,
                               const char *value)
{
    if (strcmp(o->setting, "host") == 0)
        g->host = value;
    else if (strcmp(o->setting, "port") == 0)
        g->port = value;
    else if (strcmp(o->setting, "config") == 0)
        g->config = value;
    else if (strcmp(o->setting, "log.level") == 0 && config_set(c, o->setting, value, RANK_OPTION))
        return fail(OUT_INVALID, "%s is no log level: use trace, debug, info, warn or error",
                    value);
    else if (strcmp(o->setting, "log.level") != 0) {
        enum outcome set = config_set(c, o->setting, value, RANK_OPTION);
        return set == OUT_OK ? set : outcome_add(set, "%s", o->name);
    }
    return OUT_OK;
}

static const struct option *find(const char *word, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct option *o = &options[i];
        if (strlen(o->name) == size && memcmp(o->name, word, size) == 0)
            return o;
        if (o->letter != NULL && strlen(o->letter) == size && memcmp(o->letter, word, size) == 0)
            return o;
    }
    return NULL;
}

static enum outcome take_options(struct config *c, struct given *g, int argc, char **argv,
                                 enum config_action *action)
{
    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t size = equals == NULL ? strlen(argv[i]) : (size_t)(equals - argv[i]);
        const struct option *o = find(argv[i], size);
        if (o == NULL)
            return fail(OUT_INVALID, "unknown option %s; see fluxmq --help", argv[i]);
        if (o->kind == REFUSED)
            return fail(OUT_UNSUPPORTED, "%s: TLS, ACLs and clusters are not in this version",
                        o->name);
        if (o->kind == ACTION) {
            *action = CONFIG_EXIT;
            if (strcmp(o->name, "--help") == 0)
                print_help();
            else
                printf("fluxmq %s\n", FLUXMQ_VERSION);
            return OUT_OK;
        }
        if (o->kind == FLAG) {
            g->recovery |= o->setting != NULL;
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : argv[++i];
        if (value == NULL)
            return fail(OUT_INVALID, "%s needs a value: %s", o->name, o->value);
        enum outcome set = take_value(c, g, o, value);
        if (set != OUT_OK)
            return set;
    }
    return OUT_OK;
}

/* RUST_LOG=info,module=debug: the first level found counts. */
static enum outcome take_rust_log(struct config *c, const char *value)
{
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    struct bytes rest = bytes_of(value), word;
    while (config_list_next(&rest, &word)) {
        const uint8_t *equals = memchr(word.at, '=', word.size);
        if (equals != NULL)
            word = (struct bytes){equals + 1, word.size - (size_t)(equals + 1 - word.at)};
        for (size_t i = 0; i < COUNT_OF(levels); i++) {
            if (word.size == strlen(levels[i]) &&
                strncasecmp((const char *)word.at, levels[i], word.size) == 0)
                return config_set(c, "log.level", levels[i], RANK_ENVIRONMENT);
        }
    }
    return OUT_OK;
}

/* What Kubernetes puts into the environment for a service called fluxmq is no setting. */
static bool of_a_service(const char *name, const char *value)
{
    return strncmp(name, "service.", 8) == 0 || strncmp(name, "port.", 5) == 0 ||
           (strcmp(name, "port") == 0 && strstr(value, "://") != NULL);
}

/* FLUXMQ_LOG_SEGMENT_BYTES is log.segment.bytes. */
static enum outcome take_environment(struct config *c, struct given *g, char **environment)
{
    for (char **e = environment; e != NULL && *e != NULL; e++) {
        char name[128];
        const char *equals = strchr(*e, '=');
        if (equals == NULL)
            continue;
        if (strncmp(*e, "RUST_LOG=", 9) == 0)
            g->rust_log = equals + 1;
        if (strncmp(*e, "FLUXMQ_", 7) != 0 || (size_t)(equals - *e) >= sizeof name)
            continue;
        size_t size = 0;
        for (const char *at = *e + 7; at < equals; at++)
            name[size++] = *at == '_' ? '.' : (char)(*at | 0x20);
        name[size] = '\0';
        if (of_a_service(name, equals + 1))
            continue;
        if (strcmp(name, "host") == 0 && g->host == NULL)
            g->host = equals + 1;
        else if (strcmp(name, "port") == 0 && g->port == NULL)
            g->port = equals + 1;
        else if (strcmp(name, "config") == 0 && g->config == NULL)
            g->config = equals + 1;
        if (strcmp(name, "host") == 0 || strcmp(name, "port") == 0 || strcmp(name, "config") == 0)
            continue;
        const char *setting = strcmp(name, "data.dir") == 0 ? "log.dirs" : name;
        enum outcome o = config_set(c, setting, equals + 1, RANK_ENVIRONMENT);
        if (o != OUT_OK)
            return outcome_add(o, "environment variable %.*s", (int)(equals - *e), *e);
    }
    enum config_source source; /* FLUXMQ_LOG_LEVEL says it more plainly */
    (void)config_text(c, "log.level", &source);
    return g->rust_log == NULL || source != CONFIG_FROM_DEFAULT ? OUT_OK
                                                                : take_rust_log(c, g->rust_log);
}

/* One id under both its names, wherever it was given. */
static enum outcome settle_ids(struct config *c)
{
    int node = broker_row_index("node.id"), broker = broker_row_index("broker.id");
    int given = c->text[node] != NULL ? node : broker;
    const char *id = c->text[given];
    uint8_t rank = id == NULL ? RANK_DEFAULT : c->source[given];
    char text[32];
    if (given == broker && id != NULL && id[0] == '-' && strcmp(id, "-1") != 0)
        return OUT_OK; /* it is refused later */
    snprintf(text, sizeof text, "%s", id == NULL || id[0] == '-' ? "0" : id);
    if (given == broker) {
        enum outcome o = config_set(c, "node.id", text, rank);
        if (o != OUT_OK)
            return o;
    }
    free(c->text[broker]);
    c->text[broker] = strdup(text);
    c->source[broker] = rank;
    return c->text[broker] == NULL ? fail(OUT_NO_MEMORY, "keep a setting") : OUT_OK;
}

enum outcome config_own_defaults(struct config *c)
{
    static const char *const pairs[][2] = {
        {"log.dirs", "./data"}, {"max.connections", "10000"},
        {"offsets.topic.replication.factor", "1"},
        {"transaction.state.log.replication.factor", "1"}, {"transaction.state.log.min.isr", "1"},
    };
    enum outcome o = settle_ids(c);
    for (size_t i = 0; i < COUNT_OF(pairs) && o == OUT_OK; i++) {
        enum config_source source;
        (void)config_text(c, "log.dir", &source);
        if (strcmp(pairs[i][0], "log.dirs") != 0 || source == CONFIG_FROM_DEFAULT)
            o = config_set(c, pairs[i][0], pairs[i][1], RANK_DEFAULT);
    }
    if (o == OUT_OK && !c->file_given) /* both benchmark suites rely on three */
        o = config_set(c, "num.partitions", "3", RANK_DEFAULT);
    return o;
}

/* A host or a port alone leaves the other as the file has it. */
static enum outcome take_listener(struct config *c, const struct given *g)
{
    if (g->host == NULL && g->port == NULL)
        return OUT_OK;
    char text[512], port[16];
    enum outcome o = config_settle(c);
    if (o != OUT_OK)
        return o;
    const struct config_listener *l = &c->listeners[0];
    const char *host = l->host[0] == '\0' ? "0.0.0.0" : l->host;
    snprintf(port, sizeof port, "%d", (int)l->port);
    snprintf(text, sizeof text, "%s://%s:%s", l->name, g->host == NULL ? host : g->host,
             g->port == NULL ? port : g->port);
    return config_set(c, "listeners", text, RANK_OPTION);
}

enum outcome config_load(int argc, char **argv, char **environment, struct config **out,
                         enum config_action *action)
{
    struct config *c = calloc(1, sizeof *c);
    struct given g = {0};
    errno = 0; /* a sentence about an option is not about the last file somebody looked for */
    *action = CONFIG_RUN;
    *out = NULL;
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "read the settings");
    enum outcome o = take_options(c, &g, argc, argv, action);
    if (o == OUT_OK && *action == CONFIG_RUN)
        o = take_environment(c, &g, environment);
    if (o == OUT_OK && *action == CONFIG_RUN && g.config != NULL)
        o = config_file(c, g.config);
    if (o == OUT_OK)
        o = config_own_defaults(c);
    if (o == OUT_OK)
        o = take_listener(c, &g);
    if (o == OUT_OK)
        o = config_settle(c);
    c->recovery_report = g.recovery;
    if (o != OUT_OK)
        config_free(c);
    else
        *out = c;
    return o;
}

enum outcome config_read_file(const char *path, struct config **out)
{
    struct config *c = calloc(1, sizeof *c);
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "read the settings");
    enum outcome o = config_file(c, path);
    if (o == OUT_OK)
        o = config_own_defaults(c);
    if (o == OUT_OK)
        o = config_settle(c);
    if (o != OUT_OK)
        config_free(c);
    else
        *out = c;
    return o;
}

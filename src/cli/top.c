/* SPDX-License-Identifier: MIT */
/* fluxmq top: /varz, /connz and the topics of /subsz, again and again. */
#include "cli/fetch.h"
#include "cli/verbs.h"

#include "os/os.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 20
#define INTERVAL_MS 1000
#define CLEAR "\033[H\033[2J"

static const char *const orders[] = {"cid", "subs", "pending", "msgs_to", "msgs_from", "bytes_to",
                                     "bytes_from", "last", "idle", "uptime", "rtt"};

struct counts {
    double in_messages, out_messages, in_bytes, out_bytes;
    int64_t at_ns; /* 0: not looked yet */
};

struct top {
    struct cli_servers servers;
    struct counts before;
    char path[128], topics_path[64];
    int64_t interval_ms, lines;
    bool once, clears;
};

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* Text of a server or of its clients: without what a terminal would obey. */
static const char *word(const json_t *o, const char *name, char *room, size_t size)
{
    const char *text = json_string_value(json_object_get(o, name));
    snprintf(room, size, "%s", text == NULL ? "" : text);
    for (char *at = room; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 127)
            *at = '?';
    }
    return room;
}

/* "1.5M": 1024 to the next letter. */
static const char *human(double value, char *room, size_t size)
{
    static const char letters[] = " KMGTP";
    int at = 0;
    for (; value >= 1024 && at < 5; at++)
        value /= 1024;
    if (at == 0)
        snprintf(room, size, "%.0f", value);
    else
        snprintf(room, size, "%.1f%c", value, letters[at]);
    return room;
}

static struct counts counts_of(const json_t *varz)
{
    return (struct counts){number(varz, "in_msgs"), number(varz, "out_msgs"),
                           number(varz, "in_bytes"), number(varz, "out_bytes"), os_now_ns()};
}

static void show_way(const char *name, double messages, double bytes, double messages_before,
                     double bytes_before, double seconds)
{
    char a[16], b[16];
    printf("%-4s", name);
    if (seconds > 0)
        printf("%12.0f msg/s %10s/s", (messages - messages_before) / seconds,
               human((bytes - bytes_before) / seconds, a, sizeof a));
    printf("  total %.0f messages, %s\n", messages, human(bytes, b, sizeof b));
}

static void show_server(struct top *t, const json_t *varz)
{
    char a[128], b[64], c[64], d[16];
    struct counts now = counts_of(varz), *before = &t->before;
    double seconds = before->at_ns == 0 ? 0 : (double)(now.at_ns - before->at_ns) / 1e9;
    printf("%s, version %s, up %s\n", word(varz, "server_name", a, sizeof a),
           word(varz, "version", b, sizeof b), word(varz, "uptime", c, sizeof c));
    printf("cpu %.1f %%, memory %s, connections %.0f, subscriptions %.0f, slow consumers %.0f\n",
           number(varz, "cpu"), human(number(varz, "mem"), d, sizeof d),
           number(varz, "connections"), number(varz, "subscriptions"),
           number(varz, "slow_consumers"));
    show_way("in", now.in_messages, now.in_bytes, before->in_messages, before->in_bytes, seconds);
    show_way("out", now.out_messages, now.out_bytes, before->out_messages, before->out_bytes,
             seconds);
    t->before = now;
}

static void show_connections(const json_t *connz)
{
    const json_t *list = json_object_get(connz, "connections");
    char host[64], address[80], name[32], lang[16], version[16], uptime[24], idle[24];
    char pending[16], to[16], from[16];
    printf("\n%8s %-21s %-16s %6s %8s %12s %12s %9s %10s %-8s %-9s %-10s %s\n", "CID", "ADDRESS",
           "NAME", "SUBS", "PENDING", "MSGS_TO", "MSGS_FROM", "BYTES_TO", "BYTES_FROM", "LANG",
           "VERSION", "UPTIME", "IDLE");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        snprintf(address, sizeof address, "%s:%.0f", word(c, "ip", host, sizeof host),
                 number(c, "port"));
        printf("%8.0f %-21s %-16s %6.0f %8s %12.0f %12.0f %9s %10s %-8s %-9s %-10s %s\n",
               number(c, "cid"), address, word(c, "name", name, sizeof name),
               number(c, "subscriptions"), human(number(c, "pending_bytes"), pending, 16),
               number(c, "out_msgs"), number(c, "in_msgs"), human(number(c, "out_bytes"), to, 16),
               human(number(c, "in_bytes"), from, 16), word(c, "lang", lang, sizeof lang),
               word(c, "version", version, sizeof version),
               word(c, "uptime", uptime, sizeof uptime), word(c, "idle", idle, sizeof idle));
    }
    double more = number(connz, "total") - (double)json_array_size(list);
    if (more > 0)
        printf("and %.0f more (--lines)\n", more);
}

/* Of a server that knows of topics. */
static void show_topics(const json_t *subsz)
{
    const json_t *list = json_object_get(subsz, "topics");
    char name[64];
    if (json_array_size(list) == 0)
        return;
    printf("\n%-32s %6s %12s %12s %10s %10s\n", "TOPIC", "SUBS", "DELIVERED", "DROPPED",
           "EXPIRED", "PENDING");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        double dropped = number(o, "dropped_oldest") + number(o, "dropped_newest") +
                         number(o, "dropped_gone");
        word(o, "topic", name, sizeof name);
        printf("%-32s %6.0f %12.0f %12.0f %10.0f %10.0f\n", name[0] == '\0' ? "(others)" : name,
               number(o, "num_subscriptions"), number(o, "delivered"), dropped,
               number(o, "expired"), number(o, "pending"));
    }
}

static enum outcome look(struct top *t)
{
    json_t *varz, *connz = NULL, *subsz = NULL;
    enum outcome o = cli_fetch(&t->servers.list[0], "/varz", &varz);
    if (o == OUT_OK)
        o = cli_fetch(&t->servers.list[0], t->path, &connz);
    if (o == OUT_OK)
        o = cli_fetch(&t->servers.list[0], t->topics_path, &subsz);
    if (o == OUT_OK) {
        if (t->clears)
            fputs(CLEAR, stdout);
        show_server(t, varz);
        show_connections(connz);
        show_topics(subsz);
        if (!t->once && !t->clears)
            putchar('\n');
        fflush(stdout);
    }
    json_decref(varz);
    json_decref(connz);
    json_decref(subsz);
    return o;
}

static enum outcome prepare(const struct cli_args *a, struct top *t)
{
    const char *where = a->values[CLI_monitor], *sort = a->values[CLI_sort];
    bool known = sort == NULL;
    for (size_t i = 0; !known && i < COUNT_OF(orders); i++)
        known = strcmp(sort, orders[i]) == 0;
    if (!known)
        return cli_fail(OUT_INVALID, "--sort %s: no such order; see fluxmq top --help", sort);
    if (a->word_count > 0)
        return cli_fail(OUT_INVALID, "%s: no words are wanted; --monitor says which server",
                    a->words[0]);
    t->once = cli_given(a, CLI_once);
    t->clears = !t->once && isatty(STDOUT_FILENO);
    enum outcome o = cli_servers_parse(where == NULL ? "127.0.0.1" : where, "8080", &t->servers);
    if (o == OUT_OK)
        o = cli_duration(a, CLI_interval, INTERVAL_MS, &t->interval_ms);
    if (o == OUT_OK && t->interval_ms < 1)
        o = cli_fail(OUT_INVALID, "--interval: more than nothing is wanted");
    if (o == OUT_OK)
        o = cli_number(a, CLI_lines, 1, LINES, &t->lines);
    snprintf(t->path, sizeof t->path, "/connz?limit=%lld&sort=%s", (long long)t->lines,
             sort == NULL ? "msgs_to" : sort);
    snprintf(t->topics_path, sizeof t->topics_path, "/subsz?topics=1&limit=%lld",
             (long long)t->lines);
    return o;
}

int cli_top(const struct cli_args *a)
{
    struct top t = {0};
    enum outcome o = prepare(a, &t);
    if (o != OUT_OK) {
        cli_complain(a, o);
        return CLI_USAGE;
    }
    o = look(&t);
    while (o == OUT_OK && !t.once && !cli_stopped() && ferror(stdout) == 0) {
        cli_pause(t.interval_ms);
        o = cli_stopped() ? OUT_END : look(&t);
    }
    if (o == OUT_END && !t.once)
        return CLI_DONE;
    return o == OUT_OK ? CLI_DONE : cli_complain(a, o);
}

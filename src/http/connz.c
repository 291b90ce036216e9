/* SPDX-License-Identifier: MIT */
/* /connz: connections of the NATS door, in the order and from the place that is asked for. */
#include "http/monitor.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_MEMORY MiB(64)

enum shown { NO_SUBSCRIPTIONS, SUBJECTS, DETAILS };

struct wanted {
    enum shown shown;
    uint64_t offset, limit, cid; /* cid 0: all */
    bool users, none;            /* none: closed ones, which are not kept */
    const struct order *order;
};

/* ---- order ---- */

#define ORDER(name, field)                                                                       \
    static int by_##name(const void *a, const void *b)                                           \
    {                                                                                            \
        const struct nats_connection *x = a, *y = b;                                             \
        return x->field == y->field ? (x->cid > y->cid) - (x->cid < y->cid)                      \
                                    : x->field < y->field ? -1 : 1;                              \
    }
ORDER(cid, cid)
ORDER(subs, subscriptions)
ORDER(pending, pending)
ORDER(msgs_to, out_messages)
ORDER(msgs_from, in_messages)
ORDER(bytes_to, out_bytes)
ORDER(bytes_from, in_bytes)
ORDER(last, last_activity_ms)
ORDER(start, started_ms)
ORDER(rtt, rtt_ns)
#undef ORDER

static const struct order {
    const char *name;
    int (*compare)(const void *a, const void *b);
    bool down;  /* the largest first */
} orders[] = {
    {"cid", by_cid, false},          {"start", by_cid, false},
    {"subs", by_subs, true},         {"pending", by_pending, true},
    {"msgs_to", by_msgs_to, true},   {"msgs_from", by_msgs_from, true},
    {"bytes_to", by_bytes_to, true}, {"bytes_from", by_bytes_from, true},
    {"last", by_last, true},         {"idle", by_last, false},
    {"uptime", by_start, true},      {"rtt", by_rtt, true},
};

static bool take_order(struct monitor *m, struct wanted *w)
{
    const char *word = monitor_word(m, "sort");
    w->order = &orders[0];
    if (word == NULL || word[0] == '\0')
        return true;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        if (strcmp(orders[i].name, word) == 0) {
            w->order = &orders[i];
            return true;
        }
    }
    if (strcmp(word, "stop") == 0 || strcmp(word, "reason") == 0) {
        if (w->none)
            return true;
        snprintf(m->wrong, sizeof m->wrong, "sort by %s only valid on closed connections", word);
    } else {
        snprintf(m->wrong, sizeof m->wrong, "invalid sorting option: %.40s", word);
    }
    return false;
}

/* ---- arguments ---- */

static bool take_state(struct monitor *m, struct wanted *w)
{
    const char *word = monitor_word(m, "state");
    static const char *known[] = {"", "open", "all", "any", "closed"};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (word == NULL || strcmp(word, known[i]) == 0) {
            w->none = word != NULL && strcmp(word, "closed") == 0;
            return true;
        }
    }
    snprintf(m->wrong, sizeof m->wrong, "Error decoding state for %.40s", word);
    return false;
}

static bool take_shown(struct monitor *m, struct wanted *w)
{
    const char *word = monitor_word(m, "subs");
    bool subjects = false;
    if (word != NULL && strcmp(word, "detail") == 0) {
        w->shown = DETAILS;
        return true;
    }
    if (!monitor_flag(m, "subs", &subjects))
        return false;
    w->shown = subjects ? SUBJECTS : NO_SUBSCRIPTIONS;
    return true;
}

static bool take_wanted(struct monitor *m, struct wanted *w)
{
    *w = (struct wanted){.limit = MONITOR_LIMIT};
    if (!take_state(m, w) || !take_order(m, w) || !take_shown(m, w) ||
        !monitor_flag(m, "auth", &w->users) || !monitor_number(m, "cid", &w->cid) ||
        !monitor_number(m, "offset", &w->offset) || !monitor_number(m, "limit", &w->limit))
        return false;
    w->limit = w->limit == 0 ? MONITOR_LIMIT : MIN(w->limit, MONITOR_LIMIT_MAX);
    return true;
}

/* ---- the page ---- */

static void put(json_t *to, const char *name, uint64_t value)
{
    json_object_set_new(to, name, json_integer((json_int_t)value));
}

static void put_word(json_t *to, const char *name, const char *word)
{
    if (word[0] != '\0')
        json_object_set_new(to, name, monitor_text(bytes_of(word)));
}

static json_t *subscriptions_of(const struct nats_connection *c, enum shown shown)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < c->subscriptions; i++) {
        const struct nats_subscription *s = &c->details[i];
        if (shown == SUBJECTS) {
            json_array_append_new(list, monitor_text(s->subject));
            continue;
        }
        json_t *o = json_pack("{s:o}", "subject", monitor_text(s->subject));
        if (s->queue.size > 0)
            json_object_set_new(o, "qgroup", monitor_text(s->queue));
        json_object_set_new(o, "sid", monitor_text(s->sid));
        put(o, "msgs", s->messages);
        put(o, "cid", c->cid);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *connection(const struct nats_connection *c, const struct wanted *w, int64_t now_ms)
{
    char rtt[MONITOR_DURATION];
    json_t *o = json_pack("{s:I, s:s, s:s, s:o, s:i}", "cid", (json_int_t)c->cid, "kind", "Client",
                          "type", "nats", "ip", monitor_text(bytes_of(c->peer)), "port",
                          c->peer_port);
    json_object_set_new(o, "start", monitor_time(c->started_ms));
    json_object_set_new(o, "last_activity", monitor_time(c->last_activity_ms));
    if (c->rtt_ns > 0) {
        monitor_duration(c->rtt_ns, rtt);
        json_object_set_new(o, "rtt", json_string(rtt));
    }
    json_object_set_new(o, "uptime", monitor_age(now_ms - c->started_ms));
    json_object_set_new(o, "idle", monitor_age(now_ms - c->last_activity_ms));
    put(o, "pending_bytes", c->pending);
    put(o, "in_msgs", c->in_messages);
    put(o, "out_msgs", c->out_messages);
    put(o, "in_bytes", c->in_bytes);
    put(o, "out_bytes", c->out_bytes);
    put(o, "subscriptions", c->subscriptions);
    put_word(o, "name", c->name);
    put_word(o, "lang", c->lang);
    put_word(o, "version", c->version);
    if (w->users)
        put_word(o, "authorized_user", c->user);
    if (w->shown != NO_SUBSCRIPTIONS && c->subscriptions > 0)
        json_object_set_new(o, w->shown == DETAILS ? "subscriptions_list_detail"
                                                   : "subscriptions_list",
                            subscriptions_of(c, w->shown));
    return o;
}

/* Those that are asked for, to the front; how many. */
static size_t choose(struct nats_connection *list, size_t count, const struct wanted *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < count && !w->none; i++) {
        if (w->cid == 0 || list[i].cid == w->cid)
            list[kept++] = list[i];
    }
    qsort(list, kept, sizeof *list, w->order->compare);
    for (size_t i = 0; w->order->down && i < kept / 2; i++) {
        struct nats_connection c = list[i];
        list[i] = list[kept - 1 - i];
        list[kept - 1 - i] = c;
    }
    return kept;
}

unsigned monitor_connz(struct text *t, struct monitor *m)
{
    struct nats_connection *list;
    struct wanted w;
    struct arena arena;
    size_t count;
    if (!take_wanted(m, &w))
        return MHD_HTTP_BAD_REQUEST;
    arena_init(&arena, LIST_MEMORY);
    if (nats_connections(w.shown == NO_SUBSCRIPTIONS ? NATS_CONNECTIONS : NATS_SUBSCRIPTIONS,
                         &arena, &list, &count) != OUT_OK) {
        arena_fini(&arena);
        snprintf(m->wrong, sizeof m->wrong, "no memory for all connections");
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    size_t kept = choose(list, count, &w), from = MIN(w.offset, kept);
    json_t *shown = json_array();
    for (size_t i = from; i < kept && i - from < w.limit; i++)
        json_array_append_new(shown, connection(&list[i], &w, m->now_ms));
    json_t *o = json_pack("{s:s}", "server_id", m->figures.server_id);
    json_object_set_new(o, "now", monitor_time(m->now_ms));
    put(o, "num_connections", json_array_size(shown));
    put(o, "total", kept);
    put(o, "offset", w.offset);
    put(o, "limit", w.cid != 0 ? 1 : w.limit);
    json_object_set_new(o, "connections", shown);
    arena_fini(&arena);
    text_json(t, o);
    return MHD_HTTP_OK;
}

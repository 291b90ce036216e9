/* SPDX-License-Identifier: MIT */
/*
 * The server: libmicrohttpd with one thread of its own, which sleeps when nobody asks. GET and HEAD
 * only; anything else is 405, an unknown path 404, both in JSON.
 */
#include "http/http.h"

#include "http/monitor.h"
#include "os/os.h"
#include "watch/watch.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 64
#define CONNECTION_TIMEOUT_S 15
#define CONNECTION_MEMORY KiB(16)
#define GROUPS_MEMORY MiB(16)
#define JSON "application/json"
#define RATE_MS 1000 /* rates are over at least this long */

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
    int64_t started_ms;
    struct rates rates;
    _Atomic bool ready;
    int fd;
};

static const struct route {
    const char *path, *type;
    void (*fill)(struct text *t, const struct page *p);
    bool needs_ready; /* 503 until then */
    enum { NO_GROUPS, ALL_GROUPS, ONE_GROUP } groups; /* ONE: the path goes on with its name */
} routes[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics, false, ALL_GROUPS},
    {"/metrics/json", JSON, page_json, false, ALL_GROUPS},
    {"/api/metrics", JSON, page_json, false, ALL_GROUPS},
    {"/health", JSON, page_health, true, NO_GROUPS},
    {"/health/live", JSON, page_health, false, NO_GROUPS},
    {"/health/ready", JSON, page_health, true, NO_GROUPS},
    {"/status", JSON, page_status, false, NO_GROUPS},
    {"/consumer-groups", JSON, page_groups, false, ALL_GROUPS},
    {"/consumer-groups/", JSON, page_group, false, ONE_GROUP},
};

/* As nats-server has them. */
static const struct {
    const char *path;
    unsigned (*fill)(struct text *t, struct monitor *m);
    bool of_door; /* there is none without it */
} monitors[] = {
    {"/varz", monitor_varz, true},
    {"/connz", monitor_connz, true},
    {"/subsz", monitor_subsz, true},
    {"/subscriptionsz", monitor_subsz, true},
    {"/healthz", monitor_healthz, false},
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              char *body, size_t size)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static double rate(uint64_t *before, enum metric m, double seconds)
{
    uint64_t now = watch_value(m);
    double grown = (double)(now - *before);
    *before = now;
    return grown / seconds;
}

static void measure_rates(struct http *h)
{
    int64_t now = os_now_ns() / 1000000;
    struct rates *r = &h->rates;
    if (now - r->at_ms < RATE_MS)
        return;
    double seconds = (double)(now - r->at_ms) / 1000;
    r->produced_rate = rate(&r->produced, WATCH_messages_produced, seconds);
    r->consumed_rate = rate(&r->consumed, WATCH_messages_consumed, seconds);
    r->produced_bytes_rate = rate(&r->produced_bytes, WATCH_bytes_produced, seconds);
    r->consumed_bytes_rate = rate(&r->consumed_bytes, WATCH_bytes_consumed, seconds);
    int64_t cpu_ms = os_cpu_ms();
    r->cpu_percent = (double)(cpu_ms - r->cpu_ms) / (10 * seconds);
    r->cpu_ms = cpu_ms;
    r->at_ms = now;
}

static enum MHD_Result complain(struct MHD_Connection *c, unsigned status, const char *why)
{
    char body[128];
    int size = snprintf(body, sizeof body, "{\"error\": \"%s\"}\n", why);
    return answer(c, status, JSON, body, (size_t)size);
}

/* The groups the page shows; 200, or the status to answer instead. */
static unsigned take_groups(struct http *h, const struct route *route, const char *name,
                            struct arena *arena, struct page *page)
{
    struct broker_group *groups = NULL;
    struct bytes only = bytes_of(route->groups == ONE_GROUP ? name : NULL);
    if (route->groups == NO_GROUPS || !page->ready || h->options.groups == NULL)
        return route->groups == ONE_GROUP ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK;
    if (h->options.groups(h->options.context, only, arena, &groups, &page->group_count) != OUT_OK)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    page->groups = groups;
    return route->groups == ONE_GROUP && page->group_count == 0 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK;
}

static enum MHD_Result fill_and_send(struct http *h, struct MHD_Connection *c,
                                     const struct route *route, struct page *page)
{
    struct text t = {.at = malloc(TEXT_ROOM), .room = TEXT_ROOM};
    if (t.at == NULL)
        return MHD_NO;
    measure_rates(h);
    page->rates = h->rates;
    page->uptime_ms = os_now_ns() / 1000000 - h->started_ms;
    page->figures.cluster_id = "";
    if (page->ready)
        h->options.figures(h->options.context, &page->figures);
    route->fill(&t, page);
    enum MHD_Result result;
    if (t.cut)
        result = complain(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the page is too large");
    else if (route->needs_ready && !page->ready)
        result = answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, route->type, t.at, t.used);
    else
        result = answer(c, MHD_HTTP_OK, route->type, t.at, t.used);
    free(t.at);
    return result;
}

static enum MHD_Result serve_route(struct http *h, struct MHD_Connection *c,
                                   const struct route *route, const char *name)
{
    struct page page = {.ready = atomic_load(&h->ready)};
    struct arena arena;
    enum MHD_Result result;
    arena_init(&arena, GROUPS_MEMORY);
    unsigned status = take_groups(h, route, name, &arena, &page);
    if (status == MHD_HTTP_NOT_FOUND)
        result = complain(c, status, "no such consumer group");
    else if (status != MHD_HTTP_OK)
        result = complain(c, status, "no memory for all consumer groups");
    else
        result = fill_and_send(h, c, route, &page);
    arena_fini(&arena);
    return result;
}

/* Why another status than 200: JSON of its own, or a line as nats-server gives. */
static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, struct text *t,
                              struct monitor *m)
{
    if (t->used > 0)
        return answer(c, status, JSON, t->at, t->used);
    return answer(c, status, "text/plain; charset=utf-8", m->wrong, strlen(m->wrong));
}

static enum MHD_Result serve_monitor(struct http *h, struct MHD_Connection *c, size_t which)
{
    struct monitor m = {.request = c, .options = &h->options, .now_ms = os_wall_ms(),
                        .ready = atomic_load(&h->ready)};
    struct http_figures f = {.cluster_id = ""};
    bool open = nats_figures(&m.figures);
    if (monitors[which].of_door && !open)
        return complain(c, MHD_HTTP_NOT_FOUND, "there is no NATS door (nats.port is 0)");
    if (monitors[which].of_door && !m.ready)
        return complain(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is starting");
    struct text t = {.at = malloc(TEXT_ROOM), .room = TEXT_ROOM};
    if (t.at == NULL)
        return MHD_NO;
    measure_rates(h);
    m.cpu_percent = h->rates.cpu_percent;
    if (m.ready)
        h->options.figures(h->options.context, &f);
    m.offline_partitions = f.offline_partitions;
    unsigned status = monitors[which].fill(&t, &m);
    enum MHD_Result result;
    if (t.cut)
        result = complain(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
                          "the page is too large: ask for parts of it (limit, offset)");
    else if (status != MHD_HTTP_OK)
        result = refuse(c, status, &t, &m);
    else
        result = answer(c, MHD_HTTP_OK, JSON, t.at, t.used);
    free(t.at);
    return result;
}

/* What comes behind the route's path: "" for most, a group's name; NULL: another path. */
static const char *rest_of(const struct route *route, const char *url)
{
    size_t size = strlen(route->path);
    if (strncmp(url, route->path, size) != 0)
        return NULL;
    return (url[size] != '\0') == (route->groups == ONE_GROUP) ? url + size : NULL;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **request)
{
    static int seen;
    (void)version;
    (void)upload;
    if (*request == NULL) { /* headers only: the body, if any, is refused when it has come */
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return complain(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are served");
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        const char *rest = rest_of(&routes[i], url);
        if (rest != NULL)
            return serve_route(context, c, &routes[i], rest);
    }
    for (size_t i = 0; i < COUNT_OF(monitors); i++) {
        if (strcmp(url, monitors[i].path) == 0)
            return serve_monitor(context, c, i);
    }
    return complain(c, MHD_HTTP_NOT_FOUND, "no such page; see /metrics, /health, /status");
}

enum outcome http_start(const struct http_options *o, struct http **out)
{
    struct http *h = calloc(1, sizeof *h);
    int bound;
    if (h == NULL)
        return fail(OUT_NO_MEMORY, "start the HTTP server");
    h->options = *o;
    h->started_ms = os_now_ns() / 1000000;
    h->rates.at_ms = h->started_ms;
    enum outcome result = os_bind(o->host, o->port, &h->fd, &bound);
    if (result == OUT_OK)
        result = os_listen(h->fd);
    if (result != OUT_OK) {
        os_close(h->fd);
        free(h);
        return outcome_add(result,
                           "the port of metrics and health (--metrics-port chooses another)");
    }
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, serve, h, MHD_OPTION_LISTEN_SOCKET, h->fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (h->daemon == NULL) {
        os_close(h->fd);
        free(h);
        return fail(OUT_IO, "start the HTTP server");
    }
    *out = h;
    return OUT_OK;
}

void http_ready(struct http *h)
{
    atomic_store(&h->ready, true);
}

void http_stop(struct http *h)
{
    MHD_stop_daemon(h->daemon);
    free(h);
}

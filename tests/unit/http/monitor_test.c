/* SPDX-License-Identifier: MIT */
/* The monitoring pages of the NATS door, over a stand-in for it. */
#include "door.h"
#include "http/http.h"
#include "http/monitor.h"
#include "os/os.h"

#include "tap.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { ROOM = 1 << 18 };

static struct http *http;
static int port;
static char reply[ROOM];

static void figures(void *context, struct http_figures *out)
{
    *out = (struct http_figures){.cluster_id = "", .offline_partitions = *(int *)context};
}

static int offline;

static void begin(void)
{
    int fd;
    expect_eq(os_bind("127.0.0.1", 0, &fd, &port), OUT_OK);
    os_close(fd);
    struct http_options o = {.host = "127.0.0.1", .port = port, .figures = figures,
                             .context = &offline};
    expect_eq(http_start(&o, &http), OUT_OK);
    door_open = true;
    door_figures.server_id = "NID";
    door_figures.server_name = "name";
    door_figures.host = "h";
}

/* The body of the answer; *status is its number. */
static const char *get(const char *path, int *status)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[512];
    size_t used = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n", path);
    expect_eq(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
    for (ssize_t n; (n = read(fd, reply + used, ROOM - 1 - used)) > 0;)
        used += (size_t)n;
    reply[used] = '\0';
    close(fd);
    expect_eq(sscanf(reply, "HTTP/1.%*d %d", status), 1);
    const char *end = strstr(reply, "\r\n\r\n");
    expect(end != NULL);
    return end + 4;
}

static json_t *json_of(const char *path)
{
    int status;
    const char *body = get(path, &status);
    expect_eq(status, 200);
    json_t *root = json_loads(body, 0, NULL);
    expect(root != NULL);
    return root;
}

static json_int_t number(const json_t *o, const char *name)
{
    expect(json_is_integer(json_object_get(o, name)));
    return json_integer_value(json_object_get(o, name));
}

static const char *word(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

void test_varz(void)
{
    begin();
    int status;
    get("/varz", &status);
    expect_eq(status, 503); /* nobody can be asked before the reactors run */
    http_ready(http);
    door_figures.in_messages = 7;
    door_figures.out_bytes = 1ull << 40;
    door_figures.slow_consumers = 3;
    door_figures.ping_interval_ms = 120000;
    door_figures.started_ms = os_wall_ms() - (86400 + 3661) * 1000ll;
    json_t *o = json_of("/varz");
    expect_eq(number(o, "in_msgs"), 7);
    expect_eq(number(o, "out_bytes"), 1ll << 40);
    expect_eq(number(o, "slow_consumers"), 3);
    expect_eq(number(json_object_get(o, "slow_consumer_stats"), "clients"), 3);
    expect_eq(number(o, "ping_interval"), 120000000000);
    expect(strncmp(word(o, "uptime"), "1d1h1m", 6) == 0);
    expect(json_object_get(o, "auth_required") == NULL);
    json_decref(o);
    door_open = false;
    get("/varz", &status);
    expect_eq(status, 404);
    http_stop(http);
}

void test_healthz(void)
{
    begin();
    int status;
    expect(strstr(get("/healthz", &status), "unavailable") != NULL);
    expect_eq(status, 503);
    http_ready(http);
    expect_str(get("/healthz?js-enabled-only=true", &status), "{\"status\":\"ok\"}");
    expect_eq(status, 200);
    offline = 1;
    expect(strstr(get("/healthz", &status), "offline") != NULL);
    expect_eq(status, 503);
    http_stop(http);
}

static struct nats_subscription subscriptions[] = {
    {{(const uint8_t *)"a.*", 3}, {NULL, 0}, {(const uint8_t *)"1", 1}, 5},
    {{(const uint8_t *)"b.>", 3}, {(const uint8_t *)"q", 1}, {(const uint8_t *)"x", 1}, 6},
};
static struct bytes subjects[] = {{(const uint8_t *)"a.*", 3}, {(const uint8_t *)"b.>", 3}};
static struct nats_connection connections[] = {
    {.cid = 3, .peer = "1.2.3.4", .peer_port = 5, .in_messages = 10, .pending = 1, .name = "three",
     .lang = "", .version = "", .user = "u", .rtt_ns = 500000, .subscriptions = 2,
     .subjects = subjects, .details = subscriptions},
    {.cid = 5, .peer = "::1", .in_messages = 30, .name = "", .lang = "", .version = "",
     .user = ""},
    {.cid = 8, .peer = "::1", .in_messages = 20, .name = "", .lang = "", .version = "",
     .user = ""},
};

static void expect_cids(const char *path, const char *expected, json_int_t total)
{
    char got[64] = "";
    size_t used = 0;
    json_t *o = json_of(path), *list = json_object_get(o, "connections");
    for (size_t i = 0; i < json_array_size(list); i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%d ",
                                 (int)number(json_array_get(list, i), "cid"));
    expect_str(got, expected);
    expect_eq(number(o, "num_connections"), (json_int_t)json_array_size(list));
    expect_eq(number(o, "total"), total);
    json_decref(o);
}

void test_connz_order_and_place(void)
{
    begin();
    http_ready(http);
    door_connections = connections;
    door_connection_count = COUNT_OF(connections);
    expect_cids("/connz", "3 5 8 ", 3);
    expect_cids("/connz?sort=msgs_from", "5 8 3 ", 3);
    expect_cids("/connz?sort=msgs_from&limit=1", "5 ", 3);
    expect_cids("/connz?sort=msgs_from&offset=1&limit=5", "8 3 ", 3);
    expect_cids("/connz?offset=18446744073709551615", "", 3);
    expect_cids("/connz?cid=8", "8 ", 1);
    expect_cids("/connz?state=closed&sort=stop", "", 0);
    expect_eq(door_asked, NATS_CONNECTIONS);
    http_stop(http);
}

void test_connz_refuses(void)
{
    static const char *paths[] = {
        "/connz?sort=bogus", "/connz?sort=stop", "/connz?limit=x", "/connz?offset=-1",
        "/connz?subs=yes", "/connz?state=ajar", "/connz?cid=99999999999999999999",
        "/subsz?test=a.*", "/subsz?limit=1x"};
    int status;
    begin();
    http_ready(http);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        expect(get(paths[i], &status)[0] != '\0');
        expect_eq(status, 400);
    }
    door_outcome = OUT_NO_MEMORY;
    get("/connz", &status);
    expect_eq(status, 503);
    http_stop(http);
}

void test_connz_subscriptions(void)
{
    begin();
    http_ready(http);
    door_connections = connections;
    door_connection_count = 1;
    json_t *o = json_of("/connz?subs=1&auth=true");
    json_t *c = json_array_get(json_object_get(o, "connections"), 0);
    json_t *list = json_object_get(c, "subscriptions_list");
    expect_eq(json_array_size(list), 2);
    expect_str(json_string_value(json_array_get(list, 1)), "b.>");
    expect_str(word(c, "authorized_user"), "u");
    expect_str(word(c, "rtt"), "500\xc2\xb5s");
    expect(json_object_get(c, "lang") == NULL);
    expect_eq(door_asked, NATS_SUBSCRIPTIONS);
    json_decref(o);
    o = json_of("/connz?subs=detail");
    c = json_array_get(json_object_get(o, "connections"), 0);
    list = json_array_get(json_object_get(c, "subscriptions_list_detail"), 1);
    expect_str(word(list, "qgroup"), "q");
    expect_str(word(list, "sid"), "x");
    expect_eq(number(list, "msgs"), 6);
    json_decref(o);
    http_stop(http);
}

void test_subsz(void)
{
    begin();
    http_ready(http);
    door_connections = connections;
    door_connection_count = COUNT_OF(connections);
    door_figures.subscriptions = 2;
    door_figures.subscriptions_made = 9;
    door_figures.live.cache_hits = 3;
    door_figures.live.cache_misses = 1;
    json_t *o = json_of("/subsz");
    expect_eq(number(o, "num_subscriptions"), 2);
    expect_eq(number(o, "num_removes"), 7);
    expect(json_real_value(json_object_get(o, "cache_hit_rate")) == 0.75);
    expect(json_object_get(o, "subscriptions_list") == NULL);
    json_decref(o);
    o = json_of("/subsz?subs=1&test=b.c.d");
    json_t *list = json_object_get(o, "subscriptions_list");
    expect_eq(json_array_size(list), 1);
    expect_str(word(json_array_get(list, 0), "subject"), "b.>");
    expect_eq(number(json_array_get(list, 0), "cid"), 3);
    json_decref(o);
    o = json_of("/subsz?subs=1&limit=1000000000");
    expect_eq(number(o, "limit"), MONITOR_LIMIT_MAX);
    json_decref(o);
    o = json_of("/subsz?subs=1&offset=1&limit=7");
    expect_eq(number(o, "total"), 1);
    json_decref(o);
    http_stop(http);
}

static void expect_duration(int64_t ns, const char *text)
{
    char got[MONITOR_DURATION];
    monitor_duration(ns, got);
    expect_str(got, text);
}

void test_durations(void)
{
    expect_duration(0, "0ns");
    expect_duration(812, "812ns");
    expect_duration(1001, "1.001\xc2\xb5s");
    expect_duration(1250000, "1.25ms");
    expect_duration(100000, "100\xc2\xb5s");
    expect_duration(2500000000, "2.5s");
    expect_duration(1000000001, "1.000000001s");
}

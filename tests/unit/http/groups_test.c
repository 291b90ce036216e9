/* SPDX-License-Identifier: MIT */
/* Consumer groups as a client of the HTTP port sees them. */
#include "http/http.h"
#include "watch/watch.h"

#include "tap.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <sys/socket.h>

static struct http *http;
static int port;
static char reply[1 << 20];
static int known = 2; /* groups there are */
static enum outcome result = OUT_OK;

static const struct broker_group_member members[] = {
    {.member_id = {(const uint8_t *)"m-1", 3}, .client_id = {(const uint8_t *)"c", 1},
     .client_host = {(const uint8_t *)"/127.0.0.1", 10}},
    {.member_id = {(const uint8_t *)"m-2", 3}, .client_id = {(const uint8_t *)"\xff\xfe", 2}},
};
static const struct broker_group_offset offsets[] = {
    {.topic = {(const uint8_t *)"t", 1}, .partition = 4, .committed = 10, .end = 15},
    {.topic = {(const uint8_t *)"gone", 4}, .partition = 0, .committed = 3, .end = -1},
    {.topic = {(const uint8_t *)"t", 1}, .partition = 5, .committed = 9, .end = 7},
};

static enum outcome groups(void *context, struct bytes only, struct arena *arena,
                           struct broker_group **out, size_t *count)
{
    (void)context;
    *count = 0;
    *out = arena_array(arena, struct broker_group, (size_t)known);
    expect(*out != NULL);
    for (int i = 0; i < known; i++) {
        struct bytes id = i == 0 ? bytes_of("a\"b\\c\nd") : arena_print(arena, "group-%d", i);
        if (only.at != NULL && !bytes_equal(id, only))
            continue;
        (*out)[(*count)++] = (struct broker_group){
            .id = id, .protocol_type = bytes_of("consumer"), .protocol = bytes_of("range"),
            .state = "Stable", .members = members, .member_count = 2, .offsets = offsets,
            .offset_count = 3, .lag = 5};
    }
    return result;
}

static void figures(void *context, struct http_figures *out)
{
    (void)context;
    *out = (struct http_figures){.cluster_id = "c"};
}

static void begin(void)
{
    int fd;
    expect_eq(os_bind("127.0.0.1", 0, &fd, &port), OUT_OK); /* a port that is free */
    os_close(fd);
    struct http_options o = {.host = "127.0.0.1", .port = port, .figures = figures,
                             .groups = groups};
    expect_eq(http_start(&o, &http), OUT_OK);
}

/* The status; the answer is in `reply`. */
static int get(const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[512];
    size_t used = 0;
    int status = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    expect_eq(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
    for (ssize_t n; (n = read(fd, reply + used, sizeof reply - 1 - used)) > 0;)
        used += (size_t)n;
    reply[used] = '\0';
    close(fd);
    expect(sscanf(reply, "HTTP/1.%*d %d", &status) == 1);
    return status;
}

static json_t *body(void)
{
    const char *at = strstr(reply, "\r\n\r\n");
    expect(at != NULL);
    json_t *j = json_loads(at + 4, 0, NULL);
    expect(j != NULL);
    return j;
}

static const char *text(const json_t *j, const char *name)
{
    const char *word = json_string_value(json_object_get(j, name));
    return word == NULL ? "(none)" : word;
}

static long long number(const json_t *j, const char *name)
{
    return json_integer_value(json_object_get(j, name));
}

void test_none_before_the_broker_is_ready(void)
{
    begin();
    expect_eq(get("/consumer-groups"), 200);
    json_t *j = body();
    expect_eq(json_array_size(json_object_get(j, "consumer_groups")), 0);
    json_decref(j);
    expect_eq(get("/consumer-groups/group-1"), 404);
    http_stop(http);
}

void test_the_list(void)
{
    begin();
    http_ready(http);
    expect_eq(get("/consumer-groups"), 200);
    json_t *j = body(), *list = json_object_get(j, "consumer_groups");
    expect_eq(json_array_size(list), 2);
    expect_str(text(json_array_get(list, 0), "group_id"), "a\"b\\c\nd");
    expect_str(text(json_array_get(list, 1), "state"), "Stable");
    expect_eq(number(json_array_get(list, 1), "member_count"), 2);
    expect_eq(number(json_array_get(list, 1), "lag"), 5);
    json_decref(j);
    http_stop(http);
}

void test_one_with_members_and_offsets(void)
{
    begin();
    http_ready(http);
    expect_eq(get("/consumer-groups/a%22b%5Cc%0Ad"), 200);
    json_t *j = body(), *list = json_object_get(j, "members");
    expect_str(text(j, "group_id"), "a\"b\\c\nd");
    expect_str(text(j, "protocol"), "range");
    expect_eq(json_array_size(list), 2);
    expect_str(text(json_array_get(list, 0), "client_host"), "/127.0.0.1");
    expect(json_is_null(json_object_get(json_array_get(list, 1), "client_id"))); /* no UTF-8 */
    list = json_object_get(j, "offsets");
    expect_eq(json_array_size(list), 3);
    expect_eq(number(json_array_get(list, 0), "lag"), 5);
    expect_eq(number(json_array_get(list, 0), "partition"), 4);
    expect_eq(number(json_array_get(list, 1), "lag"), -1); /* the partition is gone */
    expect_eq(number(json_array_get(list, 2), "lag"), 0);  /* ahead of the end: not negative */
    json_decref(j);
    http_stop(http);
}

void test_unknown_ones(void)
{
    begin();
    http_ready(http);
    expect_eq(get("/consumer-groups/nobody"), 404);
    expect(strstr(reply, "no such consumer group") != NULL);
    expect_eq(get("/consumer-groups/"), 404);
    expect_eq(get("/consumer-groupsX"), 404);
    result = OUT_NO_MEMORY;
    expect_eq(get("/consumer-groups"), 503);
    http_stop(http);
}

void test_metrics_escape_their_labels(void)
{
    begin();
    http_ready(http);
    expect_eq(get("/metrics"), 200);
    expect(strstr(reply, "fluxmq_consumer_group_lag{group=\"a\\\"b\\\\c\\nd\"} 5\n") != NULL);
    expect(strstr(reply, "fluxmq_consumer_group_members{group=\"group-1\"} 2\n") != NULL);
    expect(strstr(reply, "\nfluxmq_consumer_groups_active 2\n") != NULL);
    http_stop(http);
}

void test_names_of_other_brokers(void)
{
    begin();
    count(bytes_received, 77);
    count(messages_produced, 5);
    gauge_set(connections_active, 3);
    expect_eq(get("/metrics"), 200);
    expect(strstr(reply, "\n# TYPE bytes_in_total counter\nbytes_in_total 77\n") != NULL);
    expect(strstr(reply, "\nmessages_produced_total 5\n") != NULL);
    expect(strstr(reply, "\n# TYPE active_connections gauge\nactive_connections 3\n") != NULL);
    expect(strstr(reply, "\nfluxmq_bytes_per_second{type=\"produce\"} 0\n") != NULL);
    http_stop(http);
}

void test_a_page_grows_with_what_it_shows(void)
{
    begin();
    http_ready(http);
    known = 1000;
    expect_eq(get("/consumer-groups"), 200);
    json_t *j = body();
    expect_eq(json_array_size(json_object_get(j, "consumer_groups")), 1000);
    json_decref(j);
    expect_eq(get("/metrics"), 200);
    expect(strstr(reply, "fluxmq_consumer_group_lag{group=\"group-999\"} 5\n") != NULL);
    http_stop(http);
}

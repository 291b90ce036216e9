/* SPDX-License-Identifier: MIT */
/* The pages as a client sees them: a server of its own for each case, requests over a plain
 * socket. */
#include "http/http.h"
#include "os/os.h"
#include "watch/watch.h"

#include "tap.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>

enum { ROOM = 1 << 18 };

static struct http *http;
static int port;
static char reply[ROOM];
static struct http_figures numbers = {
    .topics = 3, .partitions = 9, .stored_messages = 12345678901, .stored_bytes = 1ll << 40,
    .free_bytes = 4096, .node_id = 7, .cluster_id = "abc\"\\def"};

static void figures(void *context, struct http_figures *out)
{
    (*(int *)context)++;
    *out = numbers;
}

static int asked;

static void begin(void)
{
    int fd;
    expect_eq(os_bind("127.0.0.1", 0, &fd, &port), OUT_OK); /* a port that is free */
    os_close(fd);
    struct http_options o = {.host = "127.0.0.1", .port = port, .figures = figures,
                             .context = &asked};
    expect_eq(http_start(&o, &http), OUT_OK);
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(fd >= 0);
    expect(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* Sends what is given, reads until the server closes; the status, 0 when there was no answer. */
static int raw(const char *request)
{
    int fd = dial(), status = 0;
    size_t used = 0, left = strlen(request);
    for (ssize_t n; left > 0 && (n = send(fd, request, left, MSG_NOSIGNAL)) > 0; left -= (size_t)n)
        request += n;
    for (ssize_t n; (n = read(fd, reply + used, ROOM - 1 - used)) > 0;)
        used += (size_t)n;
    reply[used] = '\0';
    expect(close(fd) == 0);
    return sscanf(reply, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

static int ask(const char *method, const char *path)
{
    char request[512];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             method, path);
    return raw(request);
}

static const char *body(void)
{
    const char *end = strstr(reply, "\r\n\r\n");
    expect(end != NULL);
    return end + 4;
}

static json_t *json_of(const char *path, int status)
{
    json_error_t error;
    expect_eq(ask("GET", path), status);
    expect(strstr(reply, "application/json") != NULL);
    json_t *root = json_loads(body(), 0, &error);
    expect(root != NULL);
    return root;
}

void test_health_before_and_after_ready(void)
{
    begin();
    json_t *j = json_of("/health/live", 200);
    json_decref(j);
    j = json_of("/health/ready", 503);
    expect_str(json_string_value(json_object_get(j, "status")), "starting");
    json_decref(j);
    expect_eq(ask("GET", "/health"), 503);
    expect_eq(asked, 0); /* what computes figures is not called before there is something */
    http_ready(http);
    j = json_of("/health/ready", 200);
    expect_str(json_string_value(json_object_get(j, "status")), "up");
    expect(json_is_true(json_object_get(j, "ready")));
    json_decref(j);
    numbers.offline_partitions = 2;
    j = json_of("/health", 200);
    expect_str(json_string_value(json_object_get(j, "status")), "degraded");
    expect_eq(json_integer_value(json_object_get(j, "offline_partitions")), 2);
    json_decref(j);
    http_stop(http);
}

void test_status_and_json(void)
{
    begin();
    http_ready(http);
    count(requests, 5);
    json_t *j = json_of("/status", 200);
    expect_str(json_string_value(json_object_get(j, "version")), FLUXMQ_VERSION);
    expect_str(json_string_value(json_object_get(j, "cluster_id")), numbers.cluster_id);
    json_decref(j);
    const char *paths[] = {"/metrics/json", "/api/metrics"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        j = json_of(paths[i], 200);
        json_t *broker = json_object_get(j, "broker"), *storage = json_object_get(j, "storage");
        expect_eq(json_integer_value(json_object_get(broker, "id")), 7);
        expect_eq(json_integer_value(json_object_get(broker, "topics")), 3);
        expect_eq(json_integer_value(json_object_get(broker, "requests_total")), 5);
        expect_eq(json_integer_value(json_object_get(storage, "messages")), 12345678901);
        expect(json_integer_value(json_object_get(j, "timestamp")) > 1500000000000);
        expect(json_is_object(json_object_get(j, "throughput")));
        expect(json_is_object(json_object_get(j, "consumer_groups")));
        expect(json_is_object(json_object_get(j, "system")));
        json_decref(j);
    }
    http_stop(http);
}

void test_what_is_not_served(void)
{
    begin();
    expect_eq(ask("GET", "/"), 404);
    expect_eq(ask("GET", "/metrics/"), 404);
    expect_eq(ask("GET", "/../etc/passwd"), 404);
    expect(strstr(reply, "application/json") != NULL);
    const char *methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        expect_eq(ask(methods[i], "/metrics"), 405);
        expect(strstr(reply, "Allow: GET, HEAD\r\n") != NULL);
    }
    expect_eq(raw("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n"
                  "\r\nhello"), 405);
    http_stop(http);
}

void test_head_is_get_without_the_body(void)
{
    begin();
    http_ready(http);
    expect_eq(ask("HEAD", "/health"), 200);
    expect_str(body(), "");
    const char *length = strstr(reply, "Content-Length: ");
    expect(length != NULL && atoll(length + 16) > 0);
    http_stop(http);
}

void test_garbage_and_too_much(void)
{
    static char request[70000];
    begin();
    http_ready(http);
    int status = raw("\x16\x03\x01\x02garbage\r\n\r\n");
    expect(status == 0 || status >= 400);
    size_t size = (size_t)snprintf(request, sizeof request,
                                   "GET /health HTTP/1.1\r\nHost: x\r\nA: ");
    memset(request + size, 'a', 60000); /* more than a connection's memory */
    snprintf(request + size + 60000, 64, "\r\nConnection: close\r\n\r\n");
    status = raw(request);
    expect(status == 0 || status >= 400);
    expect_eq(ask("GET", "/health"), 200); /* and all is well */
    http_stop(http);
}

void test_connections_are_bounded_and_come_back(void)
{
    int fds[80];
    begin();
    http_ready(http);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        fds[i] = dial();
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        expect(close(fds[i]) == 0);
    int status = 0; /* the server finds out about closed ones on its own time */
    for (int i = 0; i < 10000 && status != 200; i++)
        status = ask("GET", "/health");
    expect_eq(status, 200);
    http_stop(http);
}

void test_a_port_in_use(void)
{
    struct http *second;
    begin();
    struct http_options o = {.host = "127.0.0.1", .port = port, .figures = figures,
                             .context = &asked};
    expect_eq(http_start(&o, &second), OUT_IN_USE);
    expect(strstr(outcome_trail(), "--metrics-port") != NULL);
    http_stop(http);
    begin(); /* a stopped one leaves its port */
    http_stop(http);
}

static bool is_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    }
    return size > 0 && !isdigit((unsigned char)text[0]);
}

/* One sample: it belongs to the family whose HELP and TYPE came just before it. */
static void check_sample(const char *line, const char *family, const char *type)
{
    size_t size = strcspn(line, "{ ");
    char *end;
    expect(is_name(line, size));
    if (strcmp(type, "histogram") == 0)
        expect(strncmp(line, family, strlen(family)) == 0 && line[strlen(family)] == '_');
    else
        expect(strlen(family) == size && strncmp(line, family, size) == 0);
    if (line[size] == '{') {
        const char *close_at = strchr(line, '}');
        expect(close_at != NULL && close_at[-1] == '"' && strstr(line, "=\"") != NULL);
        size = (size_t)(close_at - line) + 1;
    }
    expect(line[size] == ' ');
    (void)strtod(line + size + 1, &end);
    expect(end > line + size + 1 && *end == '\0');
}

void test_the_form_of_metrics(void)
{
    char family[128] = "", type[32] = "", seen[16384] = "";
    begin();
    http_ready(http);
    count(messages_produced, 41);
    observe(request_latency, 2000000);
    observe(request_latency, 90000000000);
    expect_eq(ask("GET", "/metrics"), 200);
    expect(strstr(reply, "Content-Type: text/plain; version=0.0.4") != NULL);
    expect(reply[strlen(reply) - 1] == '\n');
    char *rest = NULL, *start = (char *)(uintptr_t)body(), key[160];
    for (char *line = strtok_r(start, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            expect(sscanf(line, "# HELP %127s", family) == 1);
            snprintf(key, sizeof key, "|%s|", family);
            expect(strstr(seen, key) == NULL); /* a family comes once */
            expect(strlen(seen) + strlen(key) < sizeof seen);
            memcpy(seen + strlen(seen), key, strlen(key) + 1);
            expect(strlen(line) > 8 + strlen(family));
            type[0] = '\0';
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char again[128];
            expect(sscanf(line, "# TYPE %127s %31s", again, type) == 2);
            expect_str(again, family);
            expect(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 ||
                   strcmp(type, "histogram") == 0);
        } else {
            expect(type[0] != '\0');
            check_sample(line, family, type);
        }
    }
    for (int m = 0; m < WATCH_COUNT; m++) {
        snprintf(key, sizeof key, "|%s|", watch_name((enum metric)m));
        expect(strstr(seen, key) != NULL);
    }
    http_stop(http);
}

void test_the_figures_of_metrics(void)
{
    static const char *const lines[] = {
        "\nfluxmq_messages_produced_total 41\n", "\nfluxmq_topics_total 3\n",
        "\nfluxmq_partitions_total 9\n", "\nfluxmq_storage_messages_total 12345678901\n",
        "\nfluxmq_storage_bytes_total 1099511627776\n", "\nfluxmq_storage_free_bytes 4096\n",
        "\nfluxmq_request_duration_seconds_bucket{le=\"0.0025\"} 1\n",
        "\nfluxmq_request_duration_seconds_bucket{le=\"1\"} 1\n",
        "\nfluxmq_request_duration_seconds_bucket{le=\"+Inf\"} 2\n",
        "\nfluxmq_request_duration_seconds_count 2\n",
        "\nfluxmq_request_duration_seconds_sum 90.002000000\n"};
    begin();
    http_ready(http);
    count(messages_produced, 41);
    observe(request_latency, 2000000);
    observe(request_latency, 90000000000);
    expect_eq(ask("GET", "/metrics"), 200);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        if (strstr(reply, lines[i]) == NULL)
            printf("# missing: %s", lines[i] + 1);
        expect(strstr(reply, lines[i]) != NULL);
    }
    const char *memory = strstr(reply, "\nfluxmq_memory_usage_bytes ");
    expect(memory != NULL && atoll(memory + 27) > 100000);
    http_stop(http);
}

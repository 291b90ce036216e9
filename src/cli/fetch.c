/* SPDX-License-Identifier: MIT */
/* One page of a monitoring port. */
#include "cli/fetch.h"

#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX MiB(64)
#define ANSWER_NS 5000000000

static enum outcome wait_readable(int fd, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left = (deadline_ns - os_now_ns()) / 1000000;
    int n = cli_stopped() ? -1 : poll(&p, 1, (int)MAX(left, 0));
    errno = 0;
    if (cli_stopped())
        return OUT_END;
    return n == 0 ? cli_fail(OUT_TIMED_OUT, "the monitoring port does not answer") : OUT_OK;
}

static enum outcome read_answer(int fd, struct cli_bytes *answer)
{
    uint8_t piece[KiB(16)];
    size_t got;
    int64_t deadline_ns = os_now_ns() + ANSWER_NS;
    for (;;) {
        enum outcome o = os_receive(fd, piece, sizeof piece, &got);
        if (o == OUT_END)
            return OUT_OK;
        if (o == OUT_AGAIN)
            o = wait_readable(fd, deadline_ns);
        else if (o == OUT_OK)
            o = cli_append(answer, piece, got);
        else
            return cli_fail(OUT_CLOSED, "the monitoring port broke the connection off");
        if (o != OUT_OK)
            return o;
        if (answer->used > ANSWER_MAX)
            return cli_fail(OUT_TOO_LARGE, "the monitoring port's answer is too large");
    }
}

static enum outcome parse(const struct cli_server *s, const char *path, struct cli_bytes *answer,
                          json_t **page)
{
    enum outcome o = cli_append(answer, "", 1);
    if (o != OUT_OK)
        return o;
    const char *text = (const char *)answer->at, *body = strstr(text, "\r\n\r\n");
    int status = 0;
    if (body == NULL || sscanf(text, "HTTP/1.%*d %d", &status) != 1)
        return cli_fail(OUT_MALFORMED, "%s:%s is no monitoring port", s->host, s->port);
    if (status != 200)
        return cli_fail(OUT_INVALID, "%s:%s%s answers %d: %.*s", s->host, s->port, path, status,
                    (int)strcspn(body + 4, "\r\n"), body + 4);
    *page = json_loads(body + 4, 0, NULL);
    if (!json_is_object(*page)) {
        json_decref(*page);
        *page = NULL;
        return cli_fail(OUT_MALFORMED, "%s:%s%s is no JSON", s->host, s->port, path);
    }
    return OUT_OK;
}

enum outcome cli_fetch(const struct cli_server *s, const char *path, json_t **page)
{
    struct cli_bytes answer = {0};
    char request[KiB(1)];
    size_t sent;
    int fd;
    *page = NULL;
    enum outcome o = cli_dial(s, &fd);
    if (o == OUT_CLOSED)
        return outcome_add(o, "no monitoring port (--monitor; FluxMQ's --metrics-port, "
                           "nats-server's -m)");
    if (o != OUT_OK)
        return o;
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path,
                        s->host);
    struct iovec piece = {.iov_base = request, .iov_len = (size_t)MIN(size,
                                                                      (int)sizeof request - 1)};
    o = os_send(fd, &piece, 1, false, &sent); /* a new connection takes that much at once */
    if (o == OUT_OK)
        o = read_answer(fd, &answer);
    if (o == OUT_OK)
        o = parse(s, path, &answer, page);
    os_close(fd);
    free(answer.at);
    return o;
}

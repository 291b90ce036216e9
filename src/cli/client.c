/* SPDX-License-Identifier: MIT */
/* The client: connecting, sending, receiving. */
#include "cli/client.h"

#include "os/os.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OUT_FLUSH KiB(64)
#define OUT_FIRST KiB(128)
#define IN_FIRST KiB(64)

/* What the option says, or else the environment; NULL: neither. */
static const char *said(const struct cli_args *a, enum cli_option o, const char *variable)
{
    return cli_given(a, o) ? a->values[o] : getenv(variable);
}

enum outcome cli_client_init(const struct cli_args *a, struct cli_client *c)
{
    const char *url = said(a, CLI_server, "NATS_URL");
    *c = (struct cli_client){.fd = -1, .name = "fluxmq",
                             .user = said(a, CLI_user, "NATS_USER"),
                             .password = said(a, CLI_password, "NATS_PASSWORD"),
                             .token = said(a, CLI_token, "NATS_TOKEN")};
    enum outcome o = cli_servers_parse(url == NULL ? "127.0.0.1" : url, "4222", &c->servers);
    if (o != OUT_OK)
        return o;
    c->in = malloc(c->in_room = IN_FIRST);
    c->out = malloc(c->out_room = OUT_FIRST);
    return c->in == NULL || c->out == NULL ? cli_fail(OUT_NO_MEMORY, "no memory") : OUT_OK;
}

void cli_client_fini(struct cli_client *c)
{
    os_close(c->fd);
    free(c->in);
    free(c->out);
    c->fd = -1;
    c->in = c->out = NULL;
}

static enum outcome lost(struct cli_client *c)
{
    const struct cli_server *s = &c->servers.list[c->at];
    os_close(c->fd);
    c->fd = -1;
    errno = 0;
    if (c->refused[0] != '\0')
        return cli_fail(OUT_CLOSED, "%s:%s closed the connection: %s", s->host, s->port,
                        c->refused);
    return cli_fail(OUT_CLOSED, "%s:%s closed the connection", s->host, s->port);
}

/* ---- sending ---- */

/* Until the socket does `what`; deadline as in cli_next. */
static enum outcome wait_for(int fd, short what, int also, int64_t deadline_ns)
{
    struct pollfd p[2] = {{.fd = fd, .events = what}, {.fd = also, .events = POLLIN}};
    while (!cli_stopped()) {
        int64_t left = -1;
        if (deadline_ns != CLI_NEVER)
            left = MAX((deadline_ns - os_now_ns() + 999999) / 1000000, 0);
        int n = poll(p, also < 0 ? 1 : 2, (int)MIN(left, 1000 * 3600));
        if (n > 0)
            return p[0].revents != 0 ? OUT_OK : OUT_AGAIN;
        if (n == 0 && deadline_ns != CLI_NEVER && os_now_ns() >= deadline_ns)
            return OUT_TIMED_OUT;
    }
    return OUT_END;
}

enum outcome cli_flush(struct cli_client *c)
{
    size_t at = 0, sent;
    while (at < c->out_used) {
        struct iovec piece = {.iov_base = c->out + at, .iov_len = c->out_used - at};
        enum outcome o = c->fd < 0 ? OUT_CLOSED : os_send(c->fd, &piece, 1, false, &sent);
        if (o == OUT_OK) {
            at += sent;
            continue;
        }
        if (o == OUT_AGAIN)
            o = wait_for(c->fd, POLLOUT, -1, os_now_ns() + CLI_FLUSH_MS * 1000000ll);
        if (o == OUT_TIMED_OUT)
            return cli_fail(o, "the server takes nothing any more");
        if (o == OUT_END)
            return o;
        if (o != OUT_OK)
            return lost(c);
    }
    c->out_used = 0;
    return OUT_OK;
}

enum outcome cli_write(struct cli_client *c, struct bytes b)
{
    if (c->out_used + b.size > c->out_room) {
        size_t room = MAX(c->out_room * 2, c->out_used + b.size);
        uint8_t *at = realloc(c->out, room);
        if (at == NULL)
            return cli_fail(OUT_NO_MEMORY, "no memory for a message of %zu bytes", b.size);
        c->out = at;
        c->out_room = room;
    }
    if (b.size > 0)
        memcpy(c->out + c->out_used, b.at, b.size);
    c->out_used += b.size;
    return c->out_used >= OUT_FLUSH ? cli_flush(c) : OUT_OK;
}

enum outcome cli_print(struct cli_client *c, const char *format, ...)
{
    char line[KiB(8)];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof line)
        return cli_fail(OUT_TOO_LARGE, "a subject is too long");
    return cli_write(c, bytes_view(line, (size_t)size));
}

enum outcome cli_publish(struct cli_client *c, const struct cli_message *m)
{
    size_t size = m->headers.size + m->payload.size;
    const char *blank = m->reply.size > 0 ? " " : "";
    enum outcome o;
    if (size > c->max_payload)
        return cli_fail(OUT_TOO_LARGE, "a message of %zu bytes, and the server takes at most %zu "
                    "(nats.max.payload)", size, c->max_payload);
    if (m->headers.size > 0 && !c->headers)
        return cli_fail(OUT_UNSUPPORTED, "the server does not know headers");
    if (m->headers.size > 0)
        o = cli_print(c, "HPUB %.*s%s%.*s %zu %zu\r\n", (int)m->subject.size, m->subject.at, blank,
                      (int)m->reply.size, m->reply.size > 0 ? (const char *)m->reply.at : "",
                      m->headers.size, size);
    else
        o = cli_print(c, "PUB %.*s%s%.*s %zu\r\n", (int)m->subject.size, m->subject.at, blank,
                      (int)m->reply.size, m->reply.size > 0 ? (const char *)m->reply.at : "", size);
    if (o == OUT_OK && m->headers.size > 0)
        o = cli_write(c, m->headers);
    if (o == OUT_OK)
        o = cli_write(c, m->payload);
    return o == OUT_OK ? cli_write(c, bytes_of("\r\n")) : o;
}

/* ---- receiving ---- */

/* Room for more of an operation that is not there as a whole. */
static enum outcome make_room(struct cli_client *c)
{
    if (c->in_at > 0) {
        memmove(c->in, c->in + c->in_at, c->in_used - c->in_at);
        c->in_used -= c->in_at;
        c->in_at = 0;
    }
    if (c->in_used < c->in_room)
        return OUT_OK;
    uint8_t *at = realloc(c->in, c->in_room * 2);
    if (at == NULL || c->in_room > 2 * CLI_MESSAGE_MAX)
        return cli_fail(OUT_NO_MEMORY, "no memory for a message");
    c->in = at;
    c->in_room *= 2;
    return OUT_OK;
}

static enum outcome receive_more(struct cli_client *c, int64_t deadline_ns, int also)
{
    size_t got;
    enum outcome o = make_room(c);
    if (o != OUT_OK)
        return o;
    if (c->fd < 0)
        return OUT_CLOSED;
    o = os_receive(c->fd, c->in + c->in_used, c->in_room - c->in_used, &got);
    if (o == OUT_AGAIN)
        return wait_for(c->fd, POLLIN, also, deadline_ns);
    if (o != OUT_OK)
        return lost(c);
    c->in_used += got;
    return OUT_OK;
}

static void take_info(struct cli_client *c, struct bytes text)
{
    json_t *o = json_loadb((const char *)text.at, text.size, 0, NULL);
    json_int_t most = json_integer_value(json_object_get(o, "max_payload"));
    c->headers = json_is_true(json_object_get(o, "headers"));
    c->max_payload = most > 0 ? (size_t)most : MiB(1);
    json_decref(o);
}

enum outcome cli_next(struct cli_client *c, int64_t deadline_ns, int also, struct cli_op *op)
{
    enum outcome o = c->out_used > 0 ? cli_flush(c) : OUT_OK;
    c->in_at += c->taken;
    c->taken = 0;
    while (o == OUT_OK) {
        o = cli_op_parse(bytes_view(c->in + c->in_at, c->in_used - c->in_at), op, &c->taken);
        if (o == OUT_MORE) {
            c->taken = 0;
            o = receive_more(c, deadline_ns, also);
            continue;
        }
        if (o != OUT_OK)
            return cli_fail(o, "%s:%s does not speak the NATS protocol",
                        c->servers.list[c->at].host, c->servers.list[c->at].port);
        if (op->kind == CLI_ERROR)
            snprintf(c->refused, sizeof c->refused, "%.*s", (int)MIN(op->text.size, 255),
                     op->text.at);
        if (op->kind == CLI_INFO)
            take_info(c, op->text);
        if (op->kind != CLI_PING)
            return OUT_OK;
        c->in_at += c->taken;
        c->taken = 0;
        o = cli_write(c, bytes_of("PONG\r\n"));
        if (o == OUT_OK)
            o = cli_flush(c);
    }
    return o;
}

enum outcome cli_barrier(struct cli_client *c)
{
    struct cli_op op = {.kind = CLI_PING};
    enum outcome o = cli_write(c, bytes_of("PING\r\n"));
    c->refused[0] = '\0';
    while (o == OUT_OK && op.kind != CLI_PONG)
        o = cli_next(c, os_now_ns() + CLI_FLUSH_MS * 1000000ll, -1, &op);
    if (o == OUT_TIMED_OUT)
        return cli_fail(o, "the server does not answer");
    if (o == OUT_OK && c->refused[0] != '\0')
        return cli_fail(OUT_INVALID, "the server refuses: %s", c->refused);
    return o;
}

/* SPDX-License-Identifier: MIT */
/* fluxmq sub. */
#include "cli/message.h"
#include "cli/verbs.h"

#include "os/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sub {
    struct cli_client client;
    struct cli_show show;
    struct cli_bytes subjects;  /* terminated words */
    size_t subscribed;          /* of these bytes, on this connection */
    int64_t count, timeout_ms, deadline_ns;
    const char *queue;
    uint64_t sid;
    bool tell, ack;
};

static enum outcome subscribe(struct sub *s)
{
    enum outcome o = OUT_OK;
    while (o == OUT_OK && s->subscribed < s->subjects.used) {
        const char *subject = (const char *)s->subjects.at + s->subscribed;
        s->subscribed += strlen(subject) + 1;
        o = cli_print(&s->client, "SUB %s %s %" PRIu64 "\r\n", subject,
                      s->queue == NULL ? "" : s->queue, ++s->sid);
    }
    return o;
}

static enum outcome add(struct sub *s, const char *subject)
{
    enum outcome o = cli_subject(subject, true);
    return o == OUT_OK ? cli_append(&s->subjects, subject, strlen(subject) + 1) : o;
}

static void remark(const struct sub *s, const char *what)
{
    if (s->tell)
        fprintf(stderr, "fluxmq sub: %s\n", what);
}

static enum outcome again(struct sub *s)
{
    remark(s, outcome_trail());
    enum outcome o = cli_reconnect(&s->client);
    s->subscribed = 0;
    if (o == OUT_OK)
        o = subscribe(s);
    if (o == OUT_OK) {
        const struct cli_server *at = &s->client.servers.list[s->client.at];
        if (s->tell)
            fprintf(stderr, "fluxmq sub: connected again, to %s:%s; what was published in "
                    "between is not shown\n", at->host, at->port);
    }
    return o;
}

static bool enough(const struct sub *s)
{
    return s->count > 0 && s->show.number >= (uint64_t)s->count;
}

/* OUT_END: enough. */
static enum outcome take(struct sub *s, const struct cli_op *op)
{
    if (op->kind == CLI_ERROR)
        return cli_fail(OUT_INVALID, "the server refuses: %s", s->client.refused);
    if (op->kind != CLI_MESSAGE)
        return OUT_OK;
    if (!cli_show(&s->show, op, os_wall_ms()))
        return fail(OUT_IO, "write what was received");
    if (s->timeout_ms > 0)
        s->deadline_ns = os_now_ns() + s->timeout_ms * 1000000;
    if (s->ack && op->reply.size > 0) {
        struct cli_message m = {.subject = op->reply, .payload = bytes_of("+ACK")};
        enum outcome o = cli_publish(&s->client, &m);
        if (o != OUT_OK)
            return o;
    }
    return enough(s) ? OUT_END : OUT_OK;
}

/* Whatever has come is shown before waiting: then the screen is up to date. */
static enum outcome next(struct sub *s, struct cli_op *op)
{
    enum outcome o = cli_next(&s->client, 0, -1, op);
    if (o != OUT_TIMED_OUT)
        return o;
    fflush(stdout);
    return cli_next(&s->client, s->deadline_ns, -1, op);
}

static enum outcome show_all(struct sub *s)
{
    struct cli_op op;
    enum outcome o = subscribe(s);
    while (o == OUT_OK && !cli_stopped()) {
        o = next(s, &op);
        if (o == OUT_OK)
            o = take(s, &op);
        else if (o == OUT_CLOSED)
            o = again(s);
    }
    return o;
}

static enum outcome got(void *context, const struct cli_op *op)
{
    enum outcome o = take(context, op);
    fflush(stdout);
    return o;
}

static enum outcome add_line(struct sub *s, struct bytes line)
{
    char subject[KiB(4)];
    snprintf(subject, sizeof subject, "%.*s", (int)MIN(line.size, sizeof subject - 1), line.at);
    if (line.size > 0 && add(s, subject) != OUT_OK)
        remark(s, outcome_trail());
    return subscribe(s);
}

/* Subjects from standard input until it ends, and messages meanwhile. */
static enum outcome ask_subjects(struct sub *s)
{
    struct cli_lines lines = {0};
    struct bytes line;
    enum outcome o = subscribe(s);
    if (isatty(STDIN_FILENO) && s->tell)
        fprintf(stderr, "each line is a subject to subscribe to; Ctrl-D ends the list\n");
    while (o == OUT_OK) {
        o = cli_line(&lines, &s->client, &line, got, s);
        if (o == OUT_CLOSED)
            o = again(s);
        else if (o == OUT_OK)
            o = add_line(s, line);
    }
    free(lines.in.at);
    return o == OUT_END && !enough(s) && !cli_stopped() ? OUT_OK : o;
}

static enum outcome prepare(const struct cli_args *a, struct sub *s)
{
    bool asks = cli_given(a, CLI_interactive);
    s->show = (struct cli_show){.json = cli_given(a, CLI_json), .raw = cli_given(a, CLI_raw),
                                .headers_only = cli_given(a, CLI_headers_only)};
    s->queue = a->values[CLI_queue];
    s->tell = !cli_given(a, CLI_quiet);
    s->ack = cli_given(a, CLI_ack);
    if (a->word_count == 0 && !asks)
        return cli_fail(OUT_INVALID, "a subject is wanted; \">\" stands for all");
    if (s->show.json && s->show.raw)
        return cli_fail(OUT_INVALID, "--json and --raw: only one of them can be");
    enum outcome o = cli_number(a, CLI_count, 1, 0, &s->count);
    if (o == OUT_OK)
        o = cli_duration(a, CLI_timeout, 0, &s->timeout_ms);
    for (int i = 0; o == OUT_OK && i < a->word_count; i++)
        o = add(s, a->words[i]);
    if (o == OUT_OK && s->queue != NULL && cli_subject(s->queue, false) != OUT_OK)
        o = cli_fail(OUT_INVALID, "\"%s\" is no name for a queue group", s->queue);
    if (o == OUT_OK)
        o = cli_client_init(a, &s->client);
    return o;
}

static int result(const struct cli_args *a, const struct sub *s, enum outcome o)
{
    if (enough(s) || (cli_stopped() && s->count == 0))
        return CLI_DONE;
    if (cli_stopped())
        return CLI_STOPPED;
    if (o == OUT_TIMED_OUT && s->deadline_ns != CLI_NEVER) {
        fprintf(stderr, "fluxmq sub: nothing came for %" PRId64 " ms\n", s->timeout_ms);
        return CLI_FAILED;
    }
    return cli_complain(a, o);
}

int cli_sub(const struct cli_args *a)
{
    struct sub s = {.client.fd = -1, .deadline_ns = CLI_NEVER};
    enum outcome o = prepare(a, &s);
    int code;
    if (o != OUT_OK) {
        cli_complain(a, o);
        code = CLI_USAGE;
    } else {
        o = cli_connect(&s.client);
        if (s.timeout_ms > 0)
            s.deadline_ns = os_now_ns() + s.timeout_ms * 1000000;
        if (o == OUT_OK && cli_given(a, CLI_interactive))
            o = ask_subjects(&s);
        if (o == OUT_OK)
            o = show_all(&s);
        fflush(stdout);
        code = result(a, &s, o);
    }
    if (s.client.fd >= 0 && s.ack && cli_flush(&s.client) != OUT_OK)
        code = code == CLI_DONE ? CLI_FAILED : code;
    cli_client_fini(&s.client);
    free(s.subjects.at);
    return code;
}

/* SPDX-License-Identifier: MIT */
/* fluxmq request. */
#include "cli/message.h"
#include "cli/verbs.h"

#include "os/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 5000

struct request {
    struct cli_client client;
    struct cli_message message;
    struct cli_bytes headers, payload;
    struct cli_show show;
    int64_t count, timeout_ms;
    char inbox[CLI_INBOX];
};

static enum outcome prepare(const struct cli_args *a, struct request *r)
{
    r->show = (struct cli_show){.json = cli_given(a, CLI_json), .raw = cli_given(a, CLI_raw),
                                .headers_only = cli_given(a, CLI_headers_only)};
    if (a->word_count < 1)
        return cli_fail(OUT_INVALID, "a subject is wanted");
    if (a->word_count > 2)
        return cli_fail(OUT_INVALID, "too many words: a message with blanks needs quotes");
    enum outcome o = cli_subject(a->words[0], false);
    if (o == OUT_OK)
        o = cli_number(a, CLI_count, 1, 1, &r->count);
    if (o == OUT_OK)
        o = cli_duration(a, CLI_timeout, WAIT_MS, &r->timeout_ms);
    if (o == OUT_OK)
        o = cli_headers(a, &r->headers);
    return o == OUT_OK ? cli_client_init(a, &r->client) : o;
}

static enum outcome ask(struct request *r)
{
    enum outcome o = cli_connect(&r->client);
    cli_inbox(r->inbox);
    r->message.reply = bytes_of(r->inbox);
    r->message.headers = bytes_view(r->headers.at, r->headers.used);
    r->message.payload = bytes_view(r->payload.at, r->payload.used);
    if (o == OUT_OK)
        o = cli_print(&r->client, "SUB %s 1\r\n", r->inbox);
    return o == OUT_OK ? cli_publish(&r->client, &r->message) : o;
}

static enum outcome wait_replies(struct request *r)
{
    int64_t deadline_ns = os_now_ns() + r->timeout_ms * 1000000;
    const char *subject = (const char *)r->message.subject.at;
    struct cli_op op;
    enum outcome o = OUT_OK;
    while (o == OUT_OK && r->show.number < (uint64_t)r->count) {
        o = cli_next(&r->client, deadline_ns, -1, &op);
        if (o != OUT_OK)
            break;
        if (op.kind == CLI_ERROR)
            return cli_fail(OUT_INVALID, "the server refuses: %s", r->client.refused);
        if (op.kind == CLI_MESSAGE && cli_status(op.headers) == 503 && op.payload.size == 0)
            return cli_fail(OUT_NOT_FOUND, "nobody listens at %s", subject);
        if (op.kind == CLI_MESSAGE && !cli_show(&r->show, &op, os_wall_ms()))
            return fail(OUT_IO, "write the reply");
    }
    if (o == OUT_TIMED_OUT && r->show.number == 0)
        return cli_fail(o, "no reply from %s within %" PRId64 " ms (--timeout)", subject,
                    r->timeout_ms);
    if (o == OUT_TIMED_OUT)
        return cli_fail(o,
                        "only %" PRIu64 " of %" PRId64 " replies within %" PRId64 " ms (--timeout)",
                    r->show.number, r->count, r->timeout_ms);
    return o;
}

int cli_request(const struct cli_args *a)
{
    struct request r = {.client.fd = -1};
    enum outcome o = prepare(a, &r);
    int code = CLI_DONE;
    if (o != OUT_OK) {
        cli_complain(a, o);
        code = CLI_USAGE;
    } else {
        r.message.subject = bytes_of(a->words[0]);
        o = cli_payload(a, a->word_count > 1 ? a->words[1] : NULL, &r.payload);
        if (o == OUT_OK)
            o = ask(&r);
        if (o == OUT_OK)
            o = wait_replies(&r);
        fflush(stdout);
        if (o != OUT_OK)
            code = cli_complain(a, o);
    }
    cli_client_fini(&r.client);
    free(r.headers.at);
    free(r.payload.at);
    return code;
}

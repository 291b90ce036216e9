/* SPDX-License-Identifier: MIT */
/* fluxmq pub. */
#include "cli/message.h"
#include "cli/verbs.h"

#include "os/os.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS 200000000 /* between two looks at what the server says, and the progress */
#define LOOK_EVERY 64     /* messages between two looks at the clock */
#define ACK_MS 5000

struct pub {
    struct cli_client client;
    struct cli_message message;
    struct cli_bytes headers, payload;
    int64_t count, started_ns, looked_ns;
    uint64_t done, bytes;
    bool ack, tell, shows_progress;
    char inbox[CLI_INBOX];
};

static void progress(struct pub *p, int64_t now_ns)
{
    double seconds = (double)(now_ns - p->started_ns) / 1e9;
    if (p->shows_progress)
        fprintf(stderr, "\r%" PRIu64 " of %" PRId64 ", %.0f messages/s ", p->done, p->count,
                seconds > 0 ? (double)p->done / seconds : 0);
}

/* Answers pings, and finds out early that the server refuses. */
static enum outcome look(struct pub *p)
{
    struct cli_op op;
    int64_t now_ns = os_now_ns();
    if (now_ns - p->looked_ns < LOOK_NS)
        return OUT_OK;
    p->looked_ns = now_ns;
    progress(p, now_ns);
    enum outcome o = OUT_OK;
    while ((o = cli_next(&p->client, now_ns, -1, &op)) == OUT_OK) {
        if (op.kind == CLI_ERROR)
            return cli_fail(OUT_INVALID, "the server refuses: %s", p->client.refused);
    }
    return o == OUT_TIMED_OUT ? OUT_OK : o;
}

/* Where a topic stored it, as its answer says. */
static enum outcome tell_stored(const struct cli_op *op)
{
    json_t *o = json_loadb((const char *)op->payload.at, op->payload.size, 0, NULL);
    const json_t *error = json_object_get(o, "error");
    const char *topic = json_string_value(json_object_get(o, "stream"));
    enum outcome out = OUT_OK;
    if (error != NULL) {
        const char *why = json_string_value(json_object_get(error, "description"));
        out = cli_fail(OUT_INVALID, "the topic refuses it: %s",
                       why == NULL ? "no reason given" : why);
    } else if (topic == NULL) {
        out = cli_fail(OUT_INVALID, "it went to somebody who is no topic: the answer is no "
                   "acknowledgement");
    } else {
        printf("topic %s, partition %d, offset %lld\n", topic,
               (int)json_integer_value(json_object_get(o, "partition")),
               (long long)json_integer_value(json_object_get(o, "seq")));
    }
    json_decref(o);
    return out;
}

static enum outcome wait_stored(struct pub *p)
{
    struct cli_op op;
    enum outcome o;
    while ((o = cli_next(&p->client, os_now_ns() + ACK_MS * 1000000ll, -1, &op)) == OUT_OK) {
        if (op.kind == CLI_ERROR)
            return cli_fail(OUT_INVALID, "the server refuses: %s", p->client.refused);
        if (op.kind == CLI_MESSAGE && cli_status(op.headers) == 503)
            return cli_fail(OUT_NOT_FOUND, "%s names no topic, and nobody listens there",
                        (const char *)p->message.subject.at);
        if (op.kind == CLI_MESSAGE)
            return tell_stored(&op);
    }
    if (o == OUT_TIMED_OUT)
        return cli_fail(o, "no acknowledgement: does %s name a topic?",
                    (const char *)p->message.subject.at);
    return o;
}

static enum outcome publish_one(struct pub *p)
{
    enum outcome o = cli_publish(&p->client, &p->message);
    if (o == OUT_OK && p->ack)
        o = wait_stored(p);
    if (o != OUT_OK)
        return o;
    p->done++;
    p->bytes += p->message.payload.size;
    return p->done % LOOK_EVERY == 0 ? look(p) : OUT_OK;
}

static enum outcome publish_lines(struct pub *p)
{
    struct cli_lines lines = {0};
    struct bytes line;
    bool asks = isatty(STDIN_FILENO) && p->tell;
    enum outcome o = OUT_OK;
    if (asks)
        fprintf(stderr, "each line is a message to %s; Ctrl-D ends\n",
                (const char *)p->message.subject.at);
    while (o == OUT_OK) {
        if (asks)
            fprintf(stderr, "> ");
        o = cli_line(&lines, &p->client, &line, NULL, NULL);
        p->message.payload = line;
        if (o == OUT_OK)
            o = publish_one(p);
    }
    free(lines.in.at);
    return o == OUT_END && !cli_stopped() ? OUT_OK : o;
}

static enum outcome publish_all(struct pub *p)
{
    enum outcome o = OUT_OK;
    p->message.payload = bytes_view(p->payload.at, p->payload.used);
    for (int64_t i = 0; o == OUT_OK && i < p->count; i++)
        o = cli_stopped() ? OUT_END : publish_one(p);
    return o;
}

static void summary(const struct pub *p)
{
    double seconds = (double)(os_now_ns() - p->started_ns) / 1e9;
    fprintf(stderr, "%spublished %" PRIu64 " message%s, %" PRIu64 " bytes, to %s",
            p->shows_progress ? "\r" : "", p->done, p->done == 1 ? "" : "s", p->bytes,
            (const char *)p->message.subject.at);
    if (p->done > 1)
        fprintf(stderr, " in %.3f s, %.0f messages/s", seconds, (double)p->done / seconds);
    fprintf(stderr, "\n");
}

static enum outcome prepare(const struct cli_args *a, struct pub *p)
{
    bool lines = cli_given(a, CLI_interactive);
    if (a->word_count < 1)
        return cli_fail(OUT_INVALID, "a subject is wanted");
    if (a->word_count > (lines ? 1 : 2))
        return cli_fail(OUT_INVALID, "too many words: a message with blanks needs quotes");
    if (cli_given(a, CLI_ack) && cli_given(a, CLI_reply))
        return cli_fail(OUT_INVALID, "--ack has a reply subject of its own: leave --reply out");
    if (lines && (cli_given(a, CLI_file) || cli_given(a, CLI_count)))
        return cli_fail(OUT_INVALID, "-i reads lines: leave --file and --count out");
    enum outcome o = cli_subject(a->words[0], false);
    if (o == OUT_OK && cli_given(a, CLI_reply))
        o = cli_subject(a->values[CLI_reply], false);
    if (o == OUT_OK)
        o = cli_number(a, CLI_count, 1, 1, &p->count);
    if (o == OUT_OK)
        o = cli_headers(a, &p->headers);
    return o;
}

static enum outcome begin(const struct cli_args *a, struct pub *p)
{
    p->ack = cli_given(a, CLI_ack);
    p->tell = !cli_given(a, CLI_quiet);
    p->shows_progress = p->tell && !p->ack && p->count > 1 && isatty(STDERR_FILENO);
    p->message.subject = bytes_of(a->words[0]);
    p->message.reply = bytes_of(a->values[CLI_reply]);
    p->message.headers = bytes_view(p->headers.at, p->headers.used);
    enum outcome o = cli_connect(&p->client);
    if (o == OUT_OK && p->ack) {
        cli_inbox(p->inbox);
        p->message.reply = bytes_of(p->inbox);
        o = cli_print(&p->client, "SUB %s 1\r\n", p->inbox);
    }
    p->started_ns = p->looked_ns = os_now_ns();
    return o;
}

int cli_pub(const struct cli_args *a)
{
    struct pub p = {.client.fd = -1};
    bool lines = cli_given(a, CLI_interactive);
    int code = CLI_DONE;
    enum outcome o = prepare(a, &p);
    if (o == OUT_OK)
        o = cli_client_init(a, &p.client);
    if (o != OUT_OK) {
        code = cli_complain(a, o) == CLI_FAILED ? CLI_USAGE : CLI_FAILED;
    } else {
        o = lines ? OUT_OK : cli_payload(a, a->word_count > 1 ? a->words[1] : NULL, &p.payload);
        if (o == OUT_OK)
            o = begin(a, &p);
        if (o == OUT_OK)
            o = lines ? publish_lines(&p) : publish_all(&p);
        enum outcome last = o == OUT_OK || o == OUT_END ? cli_barrier(&p.client) : o;
        o = o == OUT_OK ? last : o;
        if (p.tell && p.done > 0 && !p.ack)
            summary(&p);
        if (o != OUT_OK)
            code = cli_complain(a, o);
    }
    cli_client_fini(&p.client);
    free(p.headers.at);
    free(p.payload.at);
    return code;
}

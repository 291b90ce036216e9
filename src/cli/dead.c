/* SPDX-License-Identifier: MIT */
/*
 * fluxmq dead: what durable consumers gave up on, and giving it to them again. Dead letters are
 * records of a topic, read by direct gets; replaying publishes them once more where they came from
 * and waits until that is stored. They stay in the dead-letter topic.
 */
#include "cli/message.h"
#include "cli/verbs.h"

#include "os/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 5000
#define BATCH 100

struct dead {
    const struct cli_args *args;
    struct cli_client client;
    struct cli_show show;
    struct cli_bytes headers, payload;
    char subject[512];        /* where the one at hand came from */
    int64_t count, offset, next;
    uint64_t seen, replayed;
    char inbox[CLI_INBOX], answers[CLI_INBOX]; /* for reads, for what is stored */
};

static bool is(struct bytes name, const char *text)
{
    return bytes_equal(name, bytes_of(text));
}

/* Of the place in the dead-letter topic, or of being dead: not the message's own. */
static bool added(struct bytes name)
{
    static const char *const names[] = {
        "Nats-Stream", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Partition", "Nats-Subject",
        "Nats-Num-Pending", "Nats-Last-Sequence"};
    static const char prefix[] = "Dead-Letter-";
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (is(name, names[i]))
            return true;
    }
    return name.size > sizeof prefix - 1 && memcmp(name.at, prefix, sizeof prefix - 1) == 0;
}

static void set_subject(struct dead *d, struct bytes value)
{
    snprintf(d->subject, sizeof d->subject, "%.*s", (int)value.size, (const char *)value.at);
}

/* Takes the letter apart. The first Nats-Subject is the message's own if there are two: the second
 * says where the letter is now. */
static enum outcome open_letter(struct dead *d, const struct cli_op *op)
{
    struct bytes name, value, own = {0};
    int subjects = 0;
    enum outcome o = OUT_OK;
    d->subject[0] = '\0';
    d->headers.used = d->payload.used = 0;
    o = cli_append(&d->headers, "NATS/1.0\r\n", 10);
    for (size_t at = 0; o == OUT_OK && cli_header_next(op->headers, &at, &name, &value);) {
        if (is(name, "Nats-Subject") && subjects++ == 0)
            own = value;
        if (is(name, "Dead-Letter-Topic"))
            set_subject(d, value);
        if (is(name, "Nats-Sequence"))
            d->next = strtoll((const char *)value.at, NULL, 10) + 1;
        if (added(name))
            continue;
        o = cli_append(&d->headers, name.at, name.size);
        if (o == OUT_OK)
            o = cli_append(&d->headers, ": ", 2);
        if (o == OUT_OK)
            o = cli_append(&d->headers, value.at, value.size);
        if (o == OUT_OK)
            o = cli_append(&d->headers, "\r\n", 2);
    }
    if (subjects > 1 && d->subject[0] != '\0')
        set_subject(d, own);
    if (o == OUT_OK)
        o = cli_append(&d->headers, "\r\n", 2);
    return o == OUT_OK ? cli_append(&d->payload, op->payload.at, op->payload.size) : o;
}

/* The next message on a subscription. */
static enum outcome receive(struct dead *d, const char *sid, struct cli_op *op)
{
    int64_t deadline_ns = os_now_ns() + WAIT_MS * 1000000LL;
    for (;;) {
        enum outcome o = cli_next(&d->client, deadline_ns, -1, op);
        if (o == OUT_TIMED_OUT)
            return fail(o, "no answer within %d ms", WAIT_MS);
        if (o != OUT_OK)
            return o;
        if (op->kind == CLI_ERROR)
            return fail(OUT_INVALID, "the server refuses: %s", d->client.refused);
        if (op->kind == CLI_MESSAGE && bytes_equal(op->sid, bytes_of(sid)))
            return OUT_OK;
    }
}

static enum outcome replay(struct dead *d)
{
    struct cli_message m = {.subject = bytes_of(d->subject), .reply = bytes_of(d->answers),
                            .headers = bytes_view(d->headers.at, d->headers.used),
                            .payload = bytes_view(d->payload.at, d->payload.used)};
    struct cli_op op;
    if (d->subject[0] == '\0')
        return fail(OUT_INVALID, "offset %" PRId64 " is no dead letter: it has no "
                    "Dead-Letter-Topic", d->next - 1);
    enum outcome o = cli_publish(&d->client, &m);
    if (o == OUT_OK)
        o = receive(d, "2", &op);
    if (o != OUT_OK)
        return o;
    if (cli_status(op.headers) != 0 || memmem(op.payload.at, op.payload.size, "\"error\"", 7))
        return fail(OUT_INVALID, "%s does not take it: %.*s", d->subject, (int)op.payload.size,
                    (const char *)op.payload.at);
    d->replayed++;
    return OUT_OK;
}

static enum outcome ask(struct dead *d, int partition)
{
    char body[128];
    int64_t left = d->count == 0 ? BATCH : MIN(BATCH, d->count - (int64_t)d->seen);
    if (cli_given(d->args, CLI_replay))
        left = 1; /* each is stored before the next one is read */
    int size = snprintf(body, sizeof body,
                        "{\"seq\":%" PRId64 ",\"batch\":%" PRId64 ",\"partition\":%d}", d->next,
                        left, partition);
    return cli_print(&d->client, "PUB $JS.API.DIRECT.GET.%s %s %d\r\n%s\r\n", d->args->words[0],
                     d->inbox, size, body);
}

/* One answer; *status: that of the end of a batch, else 0. */
static enum outcome take(struct dead *d, struct cli_op *op, int *status)
{
    enum outcome o = receive(d, "1", op);
    *status = o == OUT_OK ? cli_status(op->headers) : 0;
    if (o != OUT_OK || *status != 0)
        return o;
    d->seen++;
    if (!cli_show(&d->show, op, os_wall_ms()))
        return fail(OUT_IO, "write the message");
    return open_letter(d, op);
}

static enum outcome read_partition(struct dead *d, int partition, bool *none)
{
    bool again = cli_given(d->args, CLI_replay);
    int status = 0;
    struct cli_op op;
    enum outcome o = OUT_OK;
    d->next = d->offset;
    while (o == OUT_OK && (d->count == 0 || (int64_t)d->seen < d->count)) {
        uint64_t before = d->seen;
        o = ask(d, partition);
        for (status = 0; o == OUT_OK && status == 0;)
            o = take(d, &op, &status);
        if (o == OUT_OK && status == 404)
            *none = memmem(op.headers.at, op.headers.size, "Partition", 9) != NULL ||
                    memmem(op.headers.at, op.headers.size, "Stream", 6) != NULL;
        if (o == OUT_OK && again && d->seen > before)
            o = replay(d);
        if (d->seen == before)
            break;
    }
    return o;
}

static enum outcome prepare(const struct cli_args *a, struct dead *d)
{
    d->args = a;
    d->show = (struct cli_show){.json = cli_given(a, CLI_json), .raw = cli_given(a, CLI_raw),
                                .headers_only = cli_given(a, CLI_headers_only)};
    if (a->word_count != 1)
        return fail(OUT_INVALID, "one topic of dead letters is wanted, \"orders.dead\" say");
    enum outcome o = cli_subject(a->words[0], false);
    if (o == OUT_OK)
        o = cli_number(a, CLI_count, 1, 0, &d->count);
    if (o == OUT_OK)
        o = cli_number(a, CLI_offset, 0, 0, &d->offset);
    return o == OUT_OK ? cli_client_init(a, &d->client) : o;
}

static enum outcome work(struct dead *d)
{
    enum outcome o = cli_connect(&d->client);
    bool none = false;
    cli_inbox(d->inbox);
    cli_inbox(d->answers);
    if (o == OUT_OK)
        o = cli_print(&d->client, "SUB %s 1\r\nSUB %s 2\r\n", d->inbox, d->answers);
    for (int partition = 0; o == OUT_OK && !none; partition++) {
        o = read_partition(d, partition, &none);
        if (none && partition == 0)
            return fail(OUT_NOT_FOUND, "there is no topic %s", d->args->words[0]);
        if (d->count > 0 && (int64_t)d->seen >= d->count)
            break;
    }
    return o;
}

int cli_dead(const struct cli_args *a)
{
    struct dead d = {.client.fd = -1};
    enum outcome o = prepare(a, &d);
    int code = CLI_DONE;
    if (o != OUT_OK) {
        cli_complain(a, o);
        code = CLI_USAGE;
    } else {
        o = work(&d);
        fflush(stdout);
        if (o != OUT_OK)
            code = cli_complain(a, o);
        if (!cli_given(a, CLI_quiet))
            fprintf(stderr, "%" PRIu64 " dead letters, %" PRIu64 " published again\n", d.seen,
                    d.replayed);
    }
    cli_client_fini(&d.client);
    free(d.headers.at);
    free(d.payload.at);
    return code;
}

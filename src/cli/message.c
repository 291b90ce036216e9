/* SPDX-License-Identifier: MIT */
/* Messages out of a command line: subject, headers, payload. */
#include "cli/message.h"

#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX MiB(64)

enum outcome cli_append(struct cli_bytes *b, const void *from, size_t size)
{
    if (b->used + size > b->room) {
        size_t room = MAX(MAX(b->room * 2, b->used + size), 256);
        uint8_t *at = realloc(b->at, room);
        if (at == NULL)
            return cli_fail(OUT_NO_MEMORY, "no memory for %zu bytes", room);
        b->at = at;
        b->room = room;
    }
    if (size > 0)
        memcpy(b->at + b->used, from, size);
    b->used += size;
    return OUT_OK;
}

enum outcome cli_subject(const char *text, bool wildcards)
{
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ".");
        bool star = size == 1 && *at == '*', rest = size == 1 && *at == '>';
        if (size == 0)
            return cli_fail(OUT_INVALID, "\"%s\" is no subject: words with dots between are wanted",
                        text);
        for (size_t i = 0; i < size; i++) {
            if ((uint8_t)at[i] <= ' ' || at[i] == 127)
                return cli_fail(OUT_INVALID, "\"%s\" is no subject: it holds a blank", text);
        }
        if ((star || rest) && !wildcards)
            return cli_fail(OUT_INVALID, "\"%s\": wildcards are for subscribing", text);
        if (rest && at[1] != '\0')
            return cli_fail(OUT_INVALID, "\"%s\": nothing can come behind >", text);
        at += size;
        if (*at == '\0')
            return OUT_OK;
    }
}

/* ---- headers ---- */

static enum outcome add_header(struct cli_bytes *b, struct bytes name, struct bytes value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] == '\r' || value.at[i] == '\n')
            return cli_fail(OUT_INVALID, "header %.*s: a value is one line", (int)name.size,
                            name.at);
    }
    for (size_t i = 0; i < name.size; i++) {
        if (name.at[i] <= ' ' || name.at[i] == 127)
            return cli_fail(OUT_INVALID, "header \"%.*s\": a name has no blanks", (int)name.size,
                        name.at);
    }
    enum outcome o = b->used > 0 ? OUT_OK : cli_append(b, "NATS/1.0\r\n", 10);
    if (o == OUT_OK)
        o = cli_append(b, name.at, name.size);
    if (o == OUT_OK)
        o = cli_append(b, ": ", 2);
    if (o == OUT_OK)
        o = cli_append(b, value.at, value.size);
    return o == OUT_OK ? cli_append(b, "\r\n", 2) : o;
}

static enum outcome add_given(struct cli_bytes *b, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text)
        return cli_fail(OUT_INVALID, "--header %s: NAME:VALUE is wanted", text);
    return add_header(b, bytes_view(text, (size_t)(colon - text)),
                      bytes_of(colon + 1 + strspn(colon + 1, " ")));
}

enum outcome cli_headers(const struct cli_args *a, struct cli_bytes *block)
{
    const char *ttl = a->values[CLI_ttl], *key = a->values[CLI_key];
    int64_t ms;
    enum outcome o = OUT_OK;
    for (int i = 0; o == OUT_OK && i < a->header_count; i++)
        o = add_given(block, a->headers[i]);
    if (o == OUT_OK && ttl != NULL && strcmp(ttl, "never") != 0)
        o = cli_duration(a, CLI_ttl, 0, &ms);
    if (o == OUT_OK && ttl != NULL)
        o = add_header(block, bytes_of("Nats-TTL"), bytes_of(ttl));
    if (o == OUT_OK && key != NULL)
        o = add_header(block, bytes_of("Kafka-Key"), bytes_of(key));
    return o == OUT_OK && block->used > 0 ? cli_append(block, "\r\n", 2) : o;
}

/* ---- payload ---- */

static enum outcome read_all(int fd, const char *name, struct cli_bytes *to)
{
    uint8_t piece[KiB(16)];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0)
            return OUT_OK;
        if (n < 0 && errno == EINTR && cli_stopped())
            return OUT_END;
        if (n < 0 && errno != EINTR)
            return fail(OUT_IO, "read %s", name);
        if (n > 0 && to->used + (size_t)n > INPUT_MAX)
            return cli_fail(OUT_TOO_LARGE, "%s is larger than a message can be", name);
        enum outcome o = n < 0 ? OUT_OK : cli_append(to, piece, (size_t)n);
        if (o != OUT_OK)
            return o;
    }
}

enum outcome cli_payload(const struct cli_args *a, const char *word, struct cli_bytes *to)
{
    const char *name = a->values[CLI_file];
    if (name != NULL && word != NULL)
        return cli_fail(OUT_INVALID, "a message and --file: only one of them can be");
    if (name == NULL && word == NULL)
        return OUT_OK;
    if (name == NULL && strcmp(word, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", to);
    if (name == NULL)
        return cli_append(to, word, strlen(word));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(OUT_IO, "open %s", name);
    enum outcome o = read_all(fd, name, to);
    os_close(fd);
    return o;
}

/* ---- lines ---- */

static bool cut_line(struct cli_lines *l, struct bytes *line)
{
    size_t left = l->in.used - l->at;
    const uint8_t *from = l->in.at + l->at, *end = left == 0 ? NULL : memchr(from, '\n', left);
    if (end == NULL && (!l->ended || left == 0))
        return false;
    *line = bytes_view(from, end == NULL ? left : (size_t)(end - from));
    l->at += line->size + (end != NULL);
    return true;
}

enum outcome cli_line(struct cli_lines *l, struct cli_client *c, struct bytes *line,
                      enum outcome (*got)(void *context, const struct cli_op *op), void *context)
{
    uint8_t piece[KiB(16)];
    struct cli_op op;
    while (!cut_line(l, line)) {
        if (l->ended)
            return OUT_END;
        if (l->at > 0)
            memmove(l->in.at, l->in.at + l->at, l->in.used - l->at);
        l->in.used -= l->at;
        l->at = 0;
        enum outcome o = cli_next(c, CLI_NEVER, STDIN_FILENO, &op);
        if (o == OUT_OK && op.kind == CLI_ERROR)
            return cli_fail(OUT_INVALID, "the server refuses: %s", c->refused);
        if (o == OUT_OK && got != NULL)
            o = got(context, &op);
        if (o == OUT_OK)
            continue;
        if (o != OUT_AGAIN)
            return o;
        ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
        l->ended = n == 0 || (n < 0 && errno != EINTR);
        errno = 0;
        if (l->in.used > INPUT_MAX)
            return cli_fail(OUT_TOO_LARGE, "a line is larger than a message can be");
        if (n > 0 && (o = cli_append(&l->in, piece, (size_t)n)) != OUT_OK)
            return o;
    }
    return OUT_OK;
}

void cli_inbox(char text[static CLI_INBOX])
{
    char id[UUID_TEXT_SIZE];
    struct uuid u = uuid_random();
    uuid_print(&u, id);
    snprintf(text, CLI_INBOX, "_INBOX.%s", id);
}

int cli_complain(const struct cli_args *a, enum outcome o)
{
    const char *why = outcome_trail();
    if (o == OUT_END)
        return CLI_STOPPED;
    fprintf(stderr, "fluxmq %s: %s\n", a->verb->name, why[0] == '\0' ? outcome_text(o) : why);
    return CLI_FAILED;
}

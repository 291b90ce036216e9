/* SPDX-License-Identifier: MIT */
/* The NATS protocol from the client's side: operations, headers. */
#include "cli/proto.h"

#include <string.h>
#include <strings.h>

#define FIELDS_MAX 6

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static int split(struct bytes line, struct bytes fields[static FIELDS_MAX])
{
    int count = 0;
    for (size_t i = 0; i < line.size;) {
        while (i < line.size && blank(line.at[i]))
            i++;
        size_t start = i;
        while (i < line.size && !blank(line.at[i]))
            i++;
        if (i > start && count == FIELDS_MAX)
            return -1;
        if (i > start)
            fields[count++] = bytes_view(line.at + start, i - start);
    }
    return count;
}

static bool number(struct bytes b, size_t *value)
{
    *value = 0;
    if (b.size == 0 || b.size > 9)
        return false;
    for (size_t i = 0; i < b.size; i++) {
        if (b.at[i] < '0' || b.at[i] > '9')
            return false;
        *value = *value * 10 + (size_t)(b.at[i] - '0');
    }
    return *value <= CLI_MESSAGE_MAX;
}

/* MSG subject sid [reply] size; HMSG subject sid [reply] size-of-headers size. */
static enum outcome message(struct bytes in, struct bytes line, size_t line_end, bool headers,
                            struct cli_op *op, size_t *used)
{
    struct bytes f[FIELDS_MAX];
    size_t head = 0, total;
    int count = split(line, f), least = headers ? 5 : 4;
    if (count != least && count != least + 1)
        return OUT_MALFORMED;
    if (!number(f[count - 1], &total) || (headers && !number(f[count - 2], &head)) || head > total)
        return OUT_MALFORMED;
    if (in.size < line_end + total + 2)
        return OUT_MORE;
    const uint8_t *body = in.at + line_end;
    if (body[total] != '\r' || body[total + 1] != '\n')
        return OUT_MALFORMED;
    *op = (struct cli_op){.kind = CLI_MESSAGE, .subject = f[1], .sid = f[2],
                          .headers = bytes_view(body, head),
                          .payload = bytes_view(body + head, total - head)};
    if (count == least + 1)
        op->reply = f[3];
    *used = line_end + total + 2;
    return OUT_OK;
}

static bool begins(struct bytes line, const char *word)
{
    size_t size = strlen(word);
    return line.size >= size && strncasecmp((const char *)line.at, word, size) == 0 &&
           (line.size == size || blank(line.at[size]));
}

static struct bytes rest(struct bytes line, size_t from)
{
    while (from < line.size && blank(line.at[from]))
        from++;
    while (line.size > from && blank(line.at[line.size - 1]))
        line.size--;
    return bytes_view(line.at + from, line.size - from);
}

enum outcome cli_op_parse(struct bytes in, struct cli_op *op, size_t *used)
{
    const uint8_t *end = in.size == 0 ? NULL : memchr(in.at, '\n', MIN(in.size, CLI_LINE_MAX));
    if (end == NULL)
        return in.size >= CLI_LINE_MAX ? OUT_MALFORMED : OUT_MORE;
    size_t line_end = (size_t)(end - in.at) + 1;
    struct bytes line = bytes_view(in.at, line_end - 1);
    if (line.size > 0 && line.at[line.size - 1] == '\r')
        line.size--;
    if (begins(line, "MSG"))
        return message(in, line, line_end, false, op, used);
    if (begins(line, "HMSG"))
        return message(in, line, line_end, true, op, used);
    *op = (struct cli_op){.kind = CLI_PING};
    *used = line_end;
    if (begins(line, "PING"))
        return OUT_OK;
    if (begins(line, "PONG")) {
        op->kind = CLI_PONG;
    } else if (begins(line, "+OK")) {
        op->kind = CLI_OK;
    } else if (begins(line, "INFO")) {
        op->kind = CLI_INFO;
        op->text = rest(line, 4);
    } else if (begins(line, "-ERR")) {
        op->kind = CLI_ERROR;
        op->text = rest(line, 4);
        if (op->text.size >= 2 && op->text.at[0] == '\'')
            op->text = bytes_view(op->text.at + 1, op->text.size - 2);
    } else {
        return OUT_MALFORMED;
    }
    return OUT_OK;
}

int cli_status(struct bytes headers)
{
    const char *at = (const char *)headers.at;
    if (headers.size < 14 || strncmp(at, "NATS/1.0 ", 9) != 0)
        return 0;
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (at[i] < '0' || at[i] > '9')
            return 0;
        status = status * 10 + (at[i] - '0');
    }
    return status;
}

/* A line's text, without its end; *at is moved behind it. */
static bool line_next(struct bytes b, size_t *at, struct bytes *line)
{
    const uint8_t *end = *at >= b.size ? NULL : memchr(b.at + *at, '\n', b.size - *at);
    if (end == NULL)
        return false;
    *line = bytes_view(b.at + *at, (size_t)(end - (b.at + *at)));
    *at += line->size + 1;
    if (line->size > 0 && line->at[line->size - 1] == '\r')
        line->size--;
    return true;
}

bool cli_header_next(struct bytes headers, size_t *at, struct bytes *name, struct bytes *value)
{
    struct bytes line;
    if (*at == 0 && !line_next(headers, at, &line)) /* the version */
        return false;
    while (line_next(headers, at, &line)) {
        const uint8_t *colon = line.size == 0 ? NULL : memchr(line.at, ':', line.size);
        if (colon == NULL)
            continue;
        *name = bytes_view(line.at, (size_t)(colon - line.at));
        *value = rest(line, name->size + 1);
        return true;
    }
    return false;
}

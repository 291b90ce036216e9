/* SPDX-License-Identifier: MIT */
/* Messages on the screen: text for people, JSON lines for programs. */
#include "cli/message.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes that are no UTF-8, in JSON. */
static json_t *base64(struct bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = (b.size + 2) / 3 * 4, used = 0;
    char *text = malloc(size + 1);
    if (text == NULL)
        return json_null();
    for (size_t i = 0; i < b.size; i += 3) {
        uint32_t v = (uint32_t)b.at[i] << 16;
        v |= i + 1 < b.size ? (uint32_t)b.at[i + 1] << 8 : 0;
        v |= i + 2 < b.size ? b.at[i + 2] : 0;
        for (int k = 0; k < 4; k++)
            text[used++] = i + (size_t)k > b.size ? '=' : digits[v >> (18 - 6 * k) & 63];
    }
    json_t *o = json_stringn(text, used);
    free(text);
    return o;
}

static json_t *word(struct bytes b)
{
    json_t *o = json_stringn((const char *)b.at, b.size);
    return o == NULL ? base64(b) : o;
}

static json_t *headers_of(struct bytes block)
{
    json_t *all = json_object();
    struct bytes name, value;
    char key[256];
    for (size_t at = 0; cli_header_next(block, &at, &name, &value);) {
        snprintf(key, sizeof key, "%.*s", (int)MIN(name.size, 255), name.at);
        json_t *list = json_object_get(all, key);
        if (list == NULL && json_object_set_new(all, key, json_array()) == 0)
            list = json_object_get(all, key);
        if (list != NULL)
            json_array_append_new(list, word(value));
    }
    return all;
}

static void put_payload(json_t *o, struct bytes payload)
{
    json_t *text = json_stringn((const char *)payload.at, payload.size);
    if (text != NULL)
        json_object_set_new(o, "payload", text);
    else
        json_object_set_new(o, "payload_base64", base64(payload));
}

static bool show_json(const struct cli_show *s, const struct cli_op *op, int64_t wall_ms)
{
    json_t *o = json_pack("{s:o}", "subject", word(op->subject));
    if (op->reply.size > 0)
        json_object_set_new(o, "reply", word(op->reply));
    if (op->headers.size > 0) {
        int status = cli_status(op->headers);
        if (status != 0)
            json_object_set_new(o, "status", json_integer(status));
        json_object_set_new(o, "headers", headers_of(op->headers));
    }
    json_object_set_new(o, "received_ms", json_integer(wall_ms));
    json_object_set_new(o, "size", json_integer((json_int_t)op->payload.size));
    if (!s->headers_only)
        put_payload(o, op->payload);
    char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
    json_decref(o);
    bool good = text != NULL && puts(text) >= 0;
    free(text);
    return good;
}

static void show_text(const struct cli_show *s, const struct cli_op *op)
{
    struct bytes name, value;
    printf("[%llu] %.*s", (unsigned long long)s->number, (int)op->subject.size, op->subject.at);
    if (op->reply.size > 0)
        printf(", reply to %.*s", (int)op->reply.size, op->reply.at);
    if (cli_status(op->headers) != 0)
        printf(", status %d", cli_status(op->headers));
    putchar('\n');
    for (size_t at = 0; cli_header_next(op->headers, &at, &name, &value);)
        printf("%.*s: %.*s\n", (int)name.size, name.at, (int)value.size, value.at);
    if (op->headers.size > 0 && !s->headers_only)
        putchar('\n');
}

bool cli_show(struct cli_show *s, const struct cli_op *op, int64_t wall_ms)
{
    s->number++;
    if (s->json)
        return show_json(s, op, wall_ms);
    if (!s->raw)
        show_text(s, op);
    if (!s->headers_only) {
        fwrite(op->payload.at, 1, op->payload.size, stdout);
        putchar('\n');
    }
    if (!s->raw)
        putchar('\n');
    return ferror(stdout) == 0;
}

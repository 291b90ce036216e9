/* SPDX-License-Identifier: MIT */
/* Reads the golden vectors: one JSON object a line, in a gzip file. */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define LINE_MAX_BYTES MiB(4)

static void stop(const char *why, size_t line)
{
    printf("Bail out! %s, line %zu\n", why, line);
    exit(1);
}

static const struct wire_message *find(const char *name, const char *kind)
{
    for (size_t i = 0; i < wire_message_count; i++) {
        const struct wire_message *m = wire_messages[i];
        bool same_kind = strcmp(kind, "request") == 0    ? m->kind == WIRE_REQUEST
                         : strcmp(kind, "response") == 0 ? m->kind == WIRE_RESPONSE
                         : strcmp(kind, "header") == 0   ? m->kind == WIRE_HEADER
                                                         : m->kind >= WIRE_METADATA;
        if (same_kind && strcmp(m->name, name) == 0)
            return m;
    }
    return NULL;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct bytes unhex(const char *hex)
{
    size_t size = strlen(hex) / 2;
    uint8_t *at = malloc(size + 1);
    for (size_t i = 0; at != NULL && i < size; i++)
        at[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return (struct bytes){at, size};
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static struct vector parse(const char *line, size_t number)
{
    struct vector v = {.json = json_loads(line, JSON_ALLOW_NUL, NULL)};
    if (v.json == NULL)
        stop("not JSON", number);
    v.message = find(text(v.json, "api"), text(v.json, "kind"));
    if (v.message == NULL)
        stop("unknown message", number);
    v.version = (int)json_integer_value(json_object_get(v.json, "version"));
    v.variant = text(v.json, "variant");
    v.body = unhex(text(v.json, "hex"));
    return v;
}

void vectors_load(struct vectors *v, const char *path)
{
    size_t room = v->count;
    gzFile file = gzopen(path, "rb");
    char *line = malloc(LINE_MAX_BYTES);
    if (file == NULL || line == NULL)
        stop(path, 0);
    while (gzgets(file, line, (int)LINE_MAX_BYTES) != NULL) {
        if (v->count == room) {
            room = room == 0 ? 1024 : 2 * room;
            v->rows = realloc(v->rows, room * sizeof *v->rows);
            if (v->rows == NULL)
                stop("out of memory", v->count);
        }
        v->rows[v->count] = parse(line, v->count + 1);
        v->count++;
    }
    gzclose(file);
    free(line);
}

void vectors_free(struct vectors *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free((void *)v->rows[i].body.at);
        json_decref(v->rows[i].json);
    }
    free(v->rows);
    *v = (struct vectors){NULL, 0};
}

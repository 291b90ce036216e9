/* SPDX-License-Identifier: MIT */
/* Reading the gzipped JSON lines of tests/data. */
#ifndef LOG_VECTORS_H
#define LOG_VECTORS_H

#include "base/bytes.h"
#include "tap.h"

#include <jansson.h>
#include <zlib.h>

#define VECTOR_LINE (1 << 20)

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif

__attribute__((unused)) static gzFile vectors_open(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    gzFile f = gzopen(path, "rb");
    expect(f != NULL);
    return f;
}

/* The next line as JSON, NULL at the end. */
__attribute__((unused)) static json_t *vectors_next(gzFile f)
{
    static char line[VECTOR_LINE];
    if (gzgets(f, line, sizeof line) == NULL)
        return NULL;
    json_t *j = json_loads(line, 0, NULL);
    expect(j != NULL);
    return j;
}

__attribute__((unused)) static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

__attribute__((unused)) static int64_t number_of(const json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    expect(json_is_integer(v));
    return json_integer_value(v);
}

/* Hex digits into malloc'ed bytes. */
__attribute__((unused)) static uint8_t *unhex(const char *hex, size_t *size)
{
    *size = strlen(hex) / 2;
    uint8_t *to = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++) {
        unsigned byte;
        expect(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        to[i] = (uint8_t)byte;
    }
    return to;
}

/* Whether `b` is what the vector says: null, hex, or {repeat, times}. */
__attribute__((unused)) static bool same_bytes(struct bytes b, const json_t *v)
{
    size_t size;
    if (json_is_null(v))
        return b.at == NULL;
    bool repeated = json_is_object(v);
    uint8_t *part = unhex(repeated ? text_of(v, "repeat") : json_string_value(v), &size);
    size_t times = repeated ? (size_t)number_of(v, "times") : 1;
    bool same = b.at != NULL && b.size == size * times;
    for (size_t i = 0; same && i < times; i++)
        same = memcmp(b.at + i * size, part, size) == 0;
    free(part);
    return same;
}

#endif

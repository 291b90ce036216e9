/* SPDX-License-Identifier: MIT */
/*
 * Printing a message as one line of JSON, for traces, tools and tests. Cold. The text grows in the
 * arena by doubling; when the arena is full the result is null.
 */
#include "wire/wire_same.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct level {
    const struct wire_step *back;
    const struct wire_program *program;
    const uint8_t *base;
    int32_t left;   /* elements after this one */
    bool is_array;
    bool has_field; /* a comma is due before the next field */
};

struct printer {
    struct arena *arena;
    char *text;
    size_t size, room;
    struct level *top;
    struct level levels[WIRE_DEPTH + 1];
};

static char *grow(struct printer *p, size_t more)
{
    if (p->text == NULL)
        return NULL;
    if (p->room - p->size < more) {
        size_t room = 2 * p->room + more;
        char *text = arena_take(p->arena, room);
        if (text != NULL)
            memcpy(text, p->text, p->size);
        p->text = text;
        p->room = room;
    }
    return p->text == NULL ? NULL : p->text + p->size;
}

static void add(struct printer *p, const char *text)
{
    size_t size = strlen(text);
    char *at = grow(p, size);
    if (at == NULL)
        return;
    memcpy(at, text, size);
    p->size += size;
}

PRINTF(2, 3) static void add_format(struct printer *p, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(p, text);
}

static void add_string(struct printer *p, struct bytes b)
{
    char *at = grow(p, 6 * b.size + 2);
    if (at == NULL)
        return;
    char *start = at;
    *at++ = '"';
    for (size_t i = 0; i < b.size; i++) {
        uint8_t c = b.at[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 32) {
            at += snprintf(at, 7, "\\u%04x", c);
        } else {
            *at++ = (char)c;
        }
    }
    *at++ = '"';
    p->size += (size_t)(at - start);
}

static void add_base64(struct printer *p, struct bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = grow(p, (b.size + 2) / 3 * 4 + 2);
    if (at == NULL)
        return;
    char *start = at;
    *at++ = '"';
    for (size_t i = 0; i < b.size; i += 3) {
        size_t n = MIN(b.size - i, (size_t)3);
        uint32_t v = (uint32_t)b.at[i] << 16 | (n > 1 ? (uint32_t)b.at[i + 1] << 8 : 0) |
                     (n > 2 ? b.at[i + 2] : 0);
        *at++ = digits[v >> 18];
        *at++ = digits[v >> 12 & 63];
        *at++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *at++ = n > 2 ? digits[v & 63] : '=';
    }
    *at++ = '"';
    p->size += (size_t)(at - start);
}

#define LOAD(type, name) \
    type name;           \
    memcpy(&name, at, sizeof name)

static void add_double(struct printer *p, const uint8_t *at)
{
    LOAD(double, v);
    char text[32];
    snprintf(text, sizeof text, "%.17g", v);
    add(p, text);
    if (strcspn(text, ".en") == strlen(text))
        add(p, ".0");
}

static void add_records(struct printer *p, const uint8_t *at)
{
    LOAD(struct wire_records, r);
    if (r.external != NULL)
        add_format(p, "{\"external\":%zu}", r.size);
    else if (r.at == NULL)
        add(p, "null");
    else
        add_base64(p, bytes_view(r.at, r.size));
}

static void add_uuid(struct printer *p, const uint8_t *at)
{
    LOAD(struct uuid, u);
    char text[UUID_TEXT_SIZE];
    uuid_print(&u, text);
    add_string(p, bytes_of(text));
}

/* A value without inner structs. */
static void add_value(struct printer *p, enum wire_code code, const uint8_t *at)
{
    switch ((int)code) {
    case WIRE_BOOL: add(p, *at != 0 ? "true" : "false"); break;
    case WIRE_INT8: add_format(p, "%d", (int8_t)*at); break;
    case WIRE_INT16: { LOAD(int16_t, v); add_format(p, "%d", v); break; }
    case WIRE_UINT16: { LOAD(uint16_t, v); add_format(p, "%d", v); break; }
    case WIRE_INT32: { LOAD(int32_t, v); add_format(p, "%" PRId32, v); break; }
    case WIRE_INT64: { LOAD(int64_t, v); add_format(p, "%" PRId64, v); break; }
    case WIRE_FLOAT64: add_double(p, at); break;
    case WIRE_UUID: add_uuid(p, at); break;
    case WIRE_RECORDS: add_records(p, at); break;
    default: { /* WIRE_STRING, WIRE_BYTES */
        struct bytes b = wire_bytes(at);
        if (b.at == NULL)
            add(p, "null");
        else if (code == WIRE_STRING)
            add_string(p, b);
        else
            add_base64(p, b);
        break;
    }
    }
}

static void add_array(struct printer *p, const struct wire_step *s, const uint8_t *field)
{
    int32_t count = wire_array_count(field);
    if (count < 0) {
        add(p, "null");
        return;
    }
    const uint8_t *at = wire_pointer(field);
    size_t size = s->arg == WIRE_STRING ? sizeof(struct bytes)
                                        : wire_plain_size((enum wire_code)s->arg);
    add(p, "[");
    for (int32_t i = 0; i < count; i++) {
        if (i > 0)
            add(p, ",");
        add_value(p, (enum wire_code)s->arg, at + (size_t)i * size);
    }
    add(p, "]");
}

static const struct wire_step *enter(struct printer *p, const struct wire_step *s,
                                     const uint8_t *base, int32_t count)
{
    bool is_array = s->code == WIRE_STRUCTS;
    if (count < 0 || (count > 0 && base == NULL)) {
        add(p, "null");
        return s + 1;
    }
    if (count == 0) {
        add(p, "[]");
        return s + 1;
    }
    add(p, is_array ? "[{" : "{");
    const struct wire_program *program = &wire_programs[s->arg];
    *++p->top = (struct level){s + 1, program, base, count - 1, is_array, false};
    return program->steps;
}

/* At the end of a struct, tagged fields included. */
static const struct wire_step *leave(struct printer *p)
{
    struct level *l = p->top;
    if (l->left > 0) {
        add(p, "},{");
        l->left--;
        l->base += l->program->size;
        l->has_field = false;
        return l->program->steps;
    }
    add(p, l->is_array ? "}]" : "}");
    p->top--;
    return l->back;
}

/* The next tagged field to print, from `s` (TAGS or TAG_END) on. */
static const struct wire_step *next_tag(struct printer *p, const struct wire_step *s)
{
    const struct level *l = p->top;
    const struct wire_step *tags = l->program->steps;
    while (tags->code != WIRE_TAGS)
        tags++;
    const struct wire_step *end = tags + 1 + 2 * tags->arg;
    for (s++; s < end; s += 2)
        if (!wire_is_default(s, l->base, l->program->defaults))
            return s;
    return leave(p);
}

static const struct wire_step *print_field(struct printer *p, const struct wire_step *s)
{
    const uint8_t *field = p->top->base + s->offset;
    if (p->top->has_field)
        add(p, ",");
    p->top->has_field = true;
    add_string(p, bytes_of(wire_step_name(s)));
    add(p, ":");
    switch ((int)s->code) {
    case WIRE_ARRAY:
        add_array(p, s, field);
        return s + 1;
    case WIRE_STRUCTS:
        return enter(p, s, wire_pointer(field), wire_array_count(field));
    case WIRE_STRUCT:
        return enter(p, s, field, 1);
    case WIRE_POINTER:
        return enter(p, s, wire_pointer(field), 1);
    default:
        add_value(p, (enum wire_code)s->code, field);
        return s + 1;
    }
}

struct bytes wire_print(const struct wire_message *m, int version, const void *in,
                        struct arena *arena)
{
    struct printer p = {.arena = arena, .room = 512};
    p.text = arena_take(arena, p.room);
    p.top = p.levels;
    *++p.top = (struct level){.program = wire_program_of(m, version), .base = in};
    add(&p, "{");
    const struct wire_step *s = p.top->program->steps;
    while (s != NULL) {
        if (s->code == WIRE_END)
            s = leave(&p);
        else if (s->code == WIRE_TAGS || s->code == WIRE_TAG_END)
            s = next_tag(&p, s);
        else
            s = print_field(&p, s);
    }
    return bytes_view(p.text, p.text == NULL ? 0 : p.size);
}

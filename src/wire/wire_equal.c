/* SPDX-License-Identifier: MIT */
/*
 * Comparison: of tagged fields with their defaults (while encoding), and of whole messages (tests).
 * Structs are compared field by field, since padding and the fields of other versions do not count.
 */
#include "wire/wire_same.h"

static bool strings_equal(const struct bytes *a, const struct bytes *b, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (!bytes_equal(a[i], b[i]))
            return false;
    return true;
}

static bool arrays_equal(const struct wire_step *s, const uint8_t *a, const uint8_t *b)
{
    int32_t count = wire_array_count(a);
    if (count != wire_array_count(b))
        return false;
    if (count <= 0)
        return true;
    const void *x = wire_pointer(a), *y = wire_pointer(b);
    if (s->arg == WIRE_STRING)
        return strings_equal(x, y, count);
    return memcmp(x, y, (size_t)count * wire_plain_size((enum wire_code)s->arg)) == 0;
}

static bool records_equal(const uint8_t *a, const uint8_t *b)
{
    struct wire_records x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x.external == y.external &&
           bytes_equal(bytes_view(x.at, x.size), bytes_view(y.at, y.size));
}

bool wire_field_equal(const struct wire_step *s, const uint8_t *a, const uint8_t *b)
{
    switch ((enum wire_code)s->code) {
    case WIRE_STRING:
    case WIRE_BYTES:
        return bytes_equal(wire_bytes(a), wire_bytes(b));
    case WIRE_RECORDS:
        return records_equal(a, b);
    case WIRE_ARRAY:
        return arrays_equal(s, a, b);
    case WIRE_STRUCTS:
        return wire_array_count(a) == wire_array_count(b);
    case WIRE_POINTER:
        return (wire_pointer(a) == NULL) == (wire_pointer(b) == NULL);
    case WIRE_INT8:
    case WIRE_BOOL:
    case WIRE_INT16:
    case WIRE_UINT16:
    case WIRE_INT32:
    case WIRE_INT64:
    case WIRE_FLOAT64:
    case WIRE_UUID:
        return memcmp(a, b, wire_plain_size((enum wire_code)s->code)) == 0;
    case WIRE_STRUCT:
    case WIRE_TAGS:
    case WIRE_TAG_END:
    case WIRE_END:
        break;
    }
    return true;
}

/* All fields but the tagged ones; genwire.py proves that structs in tagged fields have no others
 * and hold no structs in place. */
static bool flat_default(const struct wire_program *p, const uint8_t *base)
{
    const uint8_t *defaults = p->defaults;
    if (likely(memcmp(base, defaults, p->size) == 0)) /* padding may differ, but seldom does */
        return true;
    for (const struct wire_step *s = p->steps; s->code != WIRE_END && s->code != WIRE_TAGS; s++)
        if (!wire_field_equal(s, base + s->offset, defaults + s->offset))
            return false;
    return true;
}

bool wire_is_default(const struct wire_step *s, const uint8_t *base, const uint8_t *defaults)
{
    const uint8_t *field = base + s->offset, *usual = defaults + s->offset;
    if (s->code == WIRE_STRUCT)
        return flat_default(&wire_programs[s->arg], field);
    if (s->code == WIRE_POINTER && wire_pointer(field) != NULL && wire_pointer(usual) != NULL)
        return flat_default(&wire_programs[s->arg], wire_pointer(field));
    return wire_field_equal(s, field, usual);
}

struct level {
    const struct wire_step *back;
    const struct wire_program *program;
    const uint8_t *a, *b;
    int32_t left; /* elements after this one */
};

struct pair {
    struct level *top;
    struct level levels[WIRE_DEPTH + 1];
};

static const struct wire_step *enter(struct pair *p, const struct wire_step *s, const uint8_t *a,
                                     const uint8_t *b, int32_t count)
{
    if (count <= 0 || a == NULL)
        return s + 1;
    *++p->top = (struct level){s + 1, &wire_programs[s->arg], a, b, count - 1};
    return p->top->program->steps;
}

/* At the end of a struct, tagged fields included. */
static const struct wire_step *leave(struct pair *p)
{
    struct level *l = p->top;
    if (l->left > 0) {
        l->left--;
        l->a += l->program->size;
        l->b += l->program->size;
        return l->program->steps;
    }
    p->top--;
    return l->back;
}

/* The step after `s`, which stands in the tagged fields when the next one is a TAG_END. */
static const struct wire_step *after(struct pair *p, const struct wire_step *s)
{
    const struct wire_step *tags = p->top->program->steps;
    while (tags->code != WIRE_TAGS && tags->code != WIRE_END)
        tags++;
    return s - tags >= 2 * tags->arg ? leave(p) : s + 1;
}

bool wire_equal(const struct wire_message *m, int version, const void *a, const void *b)
{
    struct pair p;
    p.top = p.levels;
    *++p.top = (struct level){NULL, wire_program_of(m, version), a, b, 0};
    const struct wire_step *s = p.top->program->steps;
    while (s != NULL) {
        const uint8_t *x = p.top->a + s->offset, *y = p.top->b + s->offset;
        if (!wire_field_equal(s, x, y))
            return false;
        switch ((int)s->code) {
        case WIRE_STRUCTS:
            s = enter(&p, s, wire_pointer(x), wire_pointer(y), wire_array_count(x));
            break;
        case WIRE_POINTER:
            s = enter(&p, s, wire_pointer(x), wire_pointer(y), 1);
            break;
        case WIRE_STRUCT:
            s = enter(&p, s, x, y, 1);
            break;
        case WIRE_END:
            s = leave(&p);
            break;
        case WIRE_TAGS:
        case WIRE_TAG_END:
            s = after(&p, s);
            break;
        default:
            s++;
            break;
        }
    }
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * Made-up messages for property tests: runs the program of a version and fills each field with
 * edge values and noise. Fields of other versions and half of the tagged ones keep their defaults.
 */
#include "wire/wire_same.h"

#define ELEMENTS_MAX 4
#define SIZE_MAX_SHORT 9
#define SIZE_MAX_LONG 300 /* lengths that need two bytes as a varint */

struct level {
    const struct wire_step *back;
    const struct wire_program *program;
    uint8_t *base;
    int32_t left; /* elements after this one */
};

struct maker {
    uint64_t state;
    struct arena *arena;
    struct level *top;
    struct level levels[WIRE_DEPTH + 1];
};

/* splitmix64 */
static uint64_t number(struct maker *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool one_in(struct maker *r, uint64_t n)
{
    return number(r) % n == 0;
}

static void *memory(struct maker *r, size_t count, size_t size)
{
    return arena_take_zeroed(r->arena, count, size);
}

static void make_noise(struct maker *r, uint8_t *at, size_t size)
{
    static const uint8_t edges[] = {0, 1, 127, 128, 255};
    uint8_t fill = edges[number(r) % COUNT_OF(edges)];
    bool even = one_in(r, 3);
    for (size_t i = 0; i < size; i++)
        at[i] = even ? fill : (uint8_t)number(r);
}

static struct bytes make_bytes(struct maker *r, bool may_be_null)
{
    if (may_be_null && one_in(r, 4))
        return (struct bytes){NULL, 0};
    size_t size = number(r) % (one_in(r, 12) ? SIZE_MAX_LONG : SIZE_MAX_SHORT);
    uint8_t *at = memory(r, 1, size);
    if (at == NULL)
        return (struct bytes){NULL, 0};
    make_noise(r, at, size);
    return (struct bytes){at, size};
}

static void make_value(struct maker *r, enum wire_code code, bool may_be_null, uint8_t *at)
{
    if (code == WIRE_BOOL) {
        bool value = one_in(r, 2);
        memcpy(at, &value, sizeof value);
    } else if (code == WIRE_STRING || code == WIRE_BYTES) {
        struct bytes value = make_bytes(r, may_be_null);
        memcpy(at, &value, sizeof value);
    } else if (code == WIRE_RECORDS) {
        struct bytes b = make_bytes(r, may_be_null);
        struct wire_records value = {b.at, b.size, NULL};
        memcpy(at, &value, sizeof value);
    } else {
        make_noise(r, at, wire_plain_size(code));
    }
}

/* Sets up an array; its memory, or NULL when it has no elements. */
static uint8_t *make_array(struct maker *r, const struct wire_step *s, uint8_t *field, size_t size,
                           int32_t *count)
{
    *count = (int32_t)(number(r) % ELEMENTS_MAX);
    if ((s->flags & WIRE_NULLABLE) && one_in(r, 4))
        *count = -1;
    uint8_t *at = *count > 0 ? memory(r, (size_t)*count, size) : NULL;
    if (at == NULL && *count > 0)
        *count = 0;
    memcpy(field, &at, sizeof at);
    memcpy(field + WIRE_COUNT_AT, count, sizeof *count);
    return at;
}

static void make_values(struct maker *r, const struct wire_step *s, uint8_t *field)
{
    enum wire_code code = (enum wire_code)s->arg;
    size_t size = code == WIRE_STRING ? sizeof(struct bytes) : wire_plain_size(code);
    int32_t count;
    uint8_t *at = make_array(r, s, field, size, &count);
    for (int32_t i = 0; i < count; i++)
        make_value(r, code, false, at + (size_t)i * size);
}

static const struct wire_step *enter(struct maker *r, const struct wire_step *s, uint8_t *base,
                                     int32_t count)
{
    const struct wire_program *program = &wire_programs[s->arg];
    memcpy(base, program->defaults, program->size);
    *++r->top = (struct level){s + 1, program, base, count - 1};
    return program->steps;
}

static const struct wire_step *enter_structs(struct maker *r, const struct wire_step *s,
                                             uint8_t *field)
{
    int32_t count;
    uint8_t *at = make_array(r, s, field, wire_programs[s->arg].size, &count);
    return at == NULL ? s + 1 : enter(r, s, at, count);
}

static const struct wire_step *enter_pointer(struct maker *r, const struct wire_step *s,
                                             uint8_t *field)
{
    bool is_null = (s->flags & WIRE_NULLABLE) && one_in(r, 3);
    uint8_t *at = is_null ? NULL : memory(r, 1, wire_programs[s->arg].size);
    memcpy(field, &at, sizeof at);
    return at == NULL ? s + 1 : enter(r, s, at, 1);
}

/* At the end of a struct, tagged fields included. */
static const struct wire_step *leave(struct maker *r)
{
    struct level *l = r->top;
    if (l->left > 0) {
        l->left--;
        l->base += l->program->size;
        memcpy(l->base, l->program->defaults, l->program->size);
        return l->program->steps;
    }
    r->top--;
    return l->back;
}

static const struct wire_step *next_tag(struct maker *r, const struct wire_step *s)
{
    const struct wire_step *tags = r->top->program->steps;
    while (tags->code != WIRE_TAGS)
        tags++;
    const struct wire_step *end = tags + 1 + 2 * tags->arg;
    for (s++; s < end; s += 2)
        if (one_in(r, 2))
            return s;
    return leave(r);
}

static const struct wire_step *make_field(struct maker *r, const struct wire_step *s)
{
    uint8_t *field = r->top->base + s->offset;
    switch ((int)s->code) {
    case WIRE_END:
        return leave(r);
    case WIRE_TAGS:
    case WIRE_TAG_END:
        return next_tag(r, s);
    case WIRE_ARRAY:
        make_values(r, s, field);
        return s + 1;
    case WIRE_STRUCTS:
        return enter_structs(r, s, field);
    case WIRE_STRUCT:
        return enter(r, s, field, 1);
    case WIRE_POINTER:
        return enter_pointer(r, s, field);
    default:
        make_value(r, (enum wire_code)s->code, (s->flags & WIRE_NULLABLE) != 0, field);
        return s + 1;
    }
}

bool wire_random(const struct wire_message *m, int version, uint64_t *seed, struct arena *arena,
                 void *out)
{
    struct maker r = {.state = *seed, .arena = arena};
    const struct wire_program *program = wire_program_of(m, version);
    memcpy(out, program->defaults, program->size);
    r.top = r.levels + 1;
    r.levels[1] = (struct level){.program = program, .base = out};
    const struct wire_step *s = program->steps;
    while (s != NULL)
        s = make_field(&r, s);
    *seed = r.state;
    return !arena->failed;
}

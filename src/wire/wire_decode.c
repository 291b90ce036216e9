/* SPDX-License-Identifier: MIT */
/*
 * Decoding: runs a message's program over the input.
 *
 * One loop, one switch; a level of the explicit stack for each struct that is being read (the
 * message itself, a struct in it, an element of an array). The cursor is sticky: once `bad`,
 * reads give zeros and the run ends at the next end of a struct. An array's count is compared
 * with the bytes left before any memory is taken, so an input makes at most (struct size /
 * smallest encoding) times its own size of memory, and the arena's limit bounds that.
 *
 * Cost: an indirect jump, a bounds test and a store for each field; no call for the fixed ones.
 */
#include "base/check.h"
#include "base/varint.h"
#include "wire/wire_step.h"

#define STRING_MAX INT16_MAX

struct level {
    const struct wire_step *back;       /* where the outer struct goes on, NULL for the outermost */
    const struct wire_program *program;
    uint8_t *base;                      /* the struct being filled */
    int32_t left;                       /* elements to come after this one */
    int32_t tags_left;                  /* tagged fields to come */
    const struct wire_step *tags;       /* the TAGS step while in the tagged fields */
    const uint8_t *outer_end;           /* end of the input outside the tagged field being read */
};

struct decoder {
    const uint8_t *at, *end;
    bool bad;
    struct arena *arena;
    struct level *top;
    struct level levels[WIRE_DEPTH + 1]; /* [0] stands outside the message */
};

static const uint8_t zeros[sizeof(struct uuid)];

static inline size_t left(const struct decoder *d)
{
    return (size_t)(d->end - d->at);
}

COLD static void spoil(struct decoder *d)
{
    d->bad = true;
    d->at = d->end;
}

static inline const uint8_t *take(struct decoder *d, size_t size)
{
    if (unlikely(left(d) < size)) {
        spoil(d);
        return zeros;
    }
    const uint8_t *at = d->at;
    d->at += size;
    return at;
}

static inline uint32_t take_uvarint(struct decoder *d)
{
    if (likely(d->at < d->end && *d->at < 128))
        return *d->at++;
    uint32_t value = 0;
    size_t size = uvarint_get(d->at, d->end, &value);
    if (size == 0)
        spoil(d);
    d->at += size;
    return value;
}

/* Length or count; negative: null. A compact one is decremented as a 32-bit number, as Kafka
 * does. */
static inline int32_t take_length(struct decoder *d, const struct wire_step *s, bool is_short)
{
    if (s->flags & WIRE_COMPACT)
        return (int32_t)(take_uvarint(d) - 1);
    if (is_short)
        return (int16_t)get_be16(take(d, 2));
    return (int32_t)get_be32(take(d, 4));
}

static inline struct bytes take_sized(struct decoder *d, const struct wire_step *s, bool is_string)
{
    int32_t size = take_length(d, s, is_string);
    if (size < 0) {
        if (!(s->flags & WIRE_NULLABLE))
            spoil(d);
        return (struct bytes){NULL, 0};
    }
    if (unlikely((size_t)size > left(d) || (is_string && size > STRING_MAX))) {
        spoil(d);
        return (struct bytes){NULL, 0};
    }
    struct bytes b = {d->at, (size_t)size};
    d->at += size;
    return b;
}

/* The count of an array, 0 when bad, -1 for null; `size_min` bytes are the least an element
 * takes. */
static int32_t take_count(struct decoder *d, const struct wire_step *s, size_t size_min)
{
    int32_t count = take_length(d, s, false);
    if (count < 0) {
        if (s->flags & WIRE_NULLABLE)
            return -1;
        spoil(d);
        return 0;
    }
    if (unlikely((size_t)count > left(d) / size_min)) {
        spoil(d);
        return 0;
    }
    return count;
}

static void *take_memory(struct decoder *d, size_t count, size_t size)
{
    void *piece = arena_take(d->arena, count * size); /* both bounded: no overflow */
    if (piece == NULL)
        spoil(d);
    return piece;
}

static void store_array(uint8_t *field, void *at, int32_t count)
{
    memcpy(field, &at, sizeof at);
    memcpy(field + WIRE_COUNT_AT, &count, sizeof count);
}

static void copy_be16(uint8_t *to, const uint8_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t v = get_be16(from + 2 * i);
        memcpy(to + 2 * i, &v, 2);
    }
}

static void copy_be32(uint8_t *to, const uint8_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t v = get_be32(from + 4 * i);
        memcpy(to + 4 * i, &v, 4);
    }
}

static void copy_be64(uint8_t *to, const uint8_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t v = get_be64(from + 8 * i);
        memcpy(to + 8 * i, &v, 8);
    }
}

static void decode_strings(struct decoder *d, const struct wire_step *s, uint8_t *field)
{
    static const struct wire_step compact = {.flags = WIRE_COMPACT}, plain = {.flags = 0};
    const struct wire_step *element = s->flags & WIRE_COMPACT ? &compact : &plain;
    int32_t count = take_count(d, s, element == &compact ? 1 : 2);
    struct bytes *strings = count <= 0 ? NULL : take_memory(d, (size_t)count, sizeof *strings);
    for (int32_t i = 0; strings != NULL && i < count && !d->bad; i++)
        strings[i] = take_sized(d, element, true);
    store_array(field, strings, count);
}

/* An array of plain values. */
static void decode_array(struct decoder *d, const struct wire_step *s, uint8_t *field)
{
    if (s->arg == WIRE_STRING) {
        decode_strings(d, s, field);
        return;
    }
    size_t size = wire_plain_size((enum wire_code)s->arg);
    int32_t count = take_count(d, s, size);
    size_t n = count < 0 ? 0 : (size_t)count;
    uint8_t *values = n == 0 ? NULL : take_memory(d, n, size);
    store_array(field, values, count);
    if (values == NULL)
        return;
    const uint8_t *from = take(d, n * size);
    if (size == 2)
        copy_be16(values, from, n);
    else if (size == 4)
        copy_be32(values, from, n);
    else if (size == 8)
        copy_be64(values, from, n);
    else
        memcpy(values, from, n * size); /* single bytes and UUIDs */
}

/* Opens a level for `count` structs at `base`; returns the step to go on with. */
static const struct wire_step *enter(struct decoder *d, const struct wire_program *program,
                                     const struct wire_step *back, uint8_t *base, int32_t count)
{
    struct level *l = ++d->top;
    check_slow(l <= d->levels + WIRE_DEPTH);
    l->back = back;
    l->program = program;
    l->base = base;
    l->left = count - 1;
    return program->steps;
}

static const struct wire_step *enter_structs(struct decoder *d, const struct wire_step *s,
                                             uint8_t *field)
{
    const struct wire_program *program = &wire_programs[s->arg];
    int32_t count = take_count(d, s, program->size_min);
    uint8_t *elements = count <= 0 ? NULL : take_memory(d, (size_t)count, program->size);
    store_array(field, elements, count);
    if (elements == NULL)
        return s + 1;
    memcpy(elements, program->defaults, program->size);
    return enter(d, program, s + 1, elements, count);
}

static const struct wire_step *enter_pointer(struct decoder *d, const struct wire_step *s,
                                             uint8_t *field)
{
    const struct wire_program *program = &wire_programs[s->arg];
    int8_t present = (int8_t)*take(d, 1);
    bool is_null = present < 0 || (present == 0 && (s->flags & WIRE_TAGGED));
    if (is_null && !(s->flags & WIRE_NULLABLE))
        spoil(d);
    uint8_t *element = is_null || d->bad ? NULL : take_memory(d, 1, program->size);
    memcpy(field, &element, sizeof element);
    if (element == NULL)
        return s + 1;
    memcpy(element, program->defaults, program->size);
    return enter(d, program, s + 1, element, 1);
}

/* The end of a struct: the next element, or back to the outer struct. NULL: all done, or bad. */
static const struct wire_step *leave(struct decoder *d)
{
    struct level *l = d->top;
    if (unlikely(d->bad))
        return NULL;
    if (l->left > 0) {
        l->left--;
        l->base += l->program->size;
        memcpy(l->base, l->program->defaults, l->program->size);
        return l->program->steps;
    }
    d->top--;
    return l->back;
}

/* Skips unknown tagged fields up to the next known one, and returns its step. */
static const struct wire_step *next_tag(struct decoder *d)
{
    struct level *l = d->top;
    while (l->tags_left > 0 && !d->bad) {
        l->tags_left--;
        uint32_t tag = take_uvarint(d), size = take_uvarint(d);
        if (size > left(d)) {
            spoil(d);
            break;
        }
        const struct wire_step *s = l->tags + 1;
        for (uint16_t i = 0; i < l->tags->arg; i++, s += 2) {
            if (s->tag == tag) {
                l->outer_end = d->end;
                d->end = d->at + size;
                return s;
            }
        }
        d->at += size;
    }
    return leave(d);
}

/* A known tagged field must fill its size exactly. */
static const struct wire_step *end_tag(struct decoder *d)
{
    if (d->at != d->end)
        spoil(d);
    d->end = d->top->outer_end;
    return next_tag(d);
}

#define STORE(type, value)                       \
    do {                                         \
        type stored = (value);                   \
        memcpy(field, &stored, sizeof stored);   \
        s++;                                     \
    } while (0)

static void run(struct decoder *d, const struct wire_step *s)
{
    while (s != NULL) {
        uint8_t *field = d->top->base + s->offset;
        switch ((enum wire_code)s->code) {
        case WIRE_BOOL: STORE(bool, *take(d, 1) != 0); break;
        case WIRE_INT8: STORE(uint8_t, *take(d, 1)); break;
        case WIRE_INT16:
        case WIRE_UINT16: STORE(uint16_t, get_be16(take(d, 2))); break;
        case WIRE_INT32: STORE(uint32_t, get_be32(take(d, 4))); break;
        case WIRE_INT64:
        case WIRE_FLOAT64: STORE(uint64_t, get_be64(take(d, 8))); break;
        case WIRE_UUID:
            memcpy(field, take(d, sizeof(struct uuid)), sizeof(struct uuid));
            s++;
            break;
        case WIRE_STRING: STORE(struct bytes, take_sized(d, s, true)); break;
        case WIRE_BYTES: STORE(struct bytes, take_sized(d, s, false)); break;
        case WIRE_RECORDS: {
            struct bytes b = take_sized(d, s, false);
            STORE(struct wire_records, ((struct wire_records){b.at, b.size, NULL}));
            break;
        }
        case WIRE_ARRAY: decode_array(d, s, field); s++; break;
        case WIRE_STRUCTS: s = enter_structs(d, s, field); break;
        case WIRE_STRUCT: s = enter(d, &wire_programs[s->arg], s + 1, field, 1); break;
        case WIRE_POINTER: s = enter_pointer(d, s, field); break;
        case WIRE_TAGS:
            d->top->tags = s;
            d->top->tags_left = (int32_t)take_uvarint(d);
            s = next_tag(d);
            break;
        case WIRE_TAG_END: s = end_tag(d); break;
        case WIRE_END: s = leave(d); break;
        }
    }
}

enum outcome wire_decode(const struct wire_message *m, int version, struct bytes in,
                         struct arena *arena, void *out, size_t *used)
{
    if (unlikely(!wire_has_version(m, version)))
        return OUT_UNSUPPORTED;
    struct decoder d;
    d.at = in.at == NULL ? zeros : in.at;
    d.end = d.at + in.size;
    d.bad = false;
    d.arena = arena;
    d.top = d.levels;
    const struct wire_program *program = wire_program_of(m, version);
    memcpy(out, program->defaults, program->size);
    run(&d, enter(&d, program, NULL, out, 1));
    if (unlikely(d.bad))
        return arena->failed ? OUT_NO_MEMORY : OUT_MALFORMED;
    if (used != NULL)
        *used = (size_t)(d.at - (in.at == NULL ? zeros : in.at));
    return OUT_OK;
}

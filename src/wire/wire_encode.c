/* SPDX-License-Identifier: MIT */
/*
 * Measuring and encoding: runs a message's program over its struct, once to learn the size and once
 * to write; the same code does both, so that they cannot disagree.
 *
 * A tagged field's size comes before it as a varint: the field is written where the varint
 * belongs and then moved behind it (they are short, and never hold records). External records
 * leave only their length and a cut.
 */
#include "base/check.h"
#include "base/varint.h"
#include "wire/wire_same.h"

struct level {
    const struct wire_step *back;       /* where the outer struct goes on, NULL for the outermost */
    const struct wire_program *program;
    const uint8_t *base;                /* the struct being written */
    int32_t left;                       /* elements to come after this one */
    uint16_t tags_left;                 /* tagged fields not yet looked at */
    const struct wire_step *tag;        /* the next of them */
    size_t tag_start;                   /* where the tagged field being written began */
};

struct encoder {
    uint8_t *out; /* NULL: only measure */
    size_t position, size;
    uint64_t external_bytes;
    struct wire_cut *cuts;
    size_t cut_count, cut_room;
    enum outcome bad; /* OUT_OK, or the first thing that was wrong */
    struct level *top;
    struct level levels[WIRE_DEPTH + 1]; /* [0] stands outside the message */
};

COLD static void spoil(struct encoder *e, enum outcome why)
{
    if (e->bad == OUT_OK)
        e->bad = why;
}

/* Where to write `size` bytes, NULL when measuring. */
static inline uint8_t *put(struct encoder *e, size_t size)
{
    size_t position = e->position;
    e->position += size;
    if (e->out == NULL)
        return NULL;
    check(e->position <= e->size); /* the struct is not the one that was measured */
    return e->out + position;
}

static inline void put_uvarint(struct encoder *e, uint32_t value)
{
    uint8_t *at = put(e, value < 128 ? 1 : uvarint_size(value));
    if (at != NULL)
        (void)uvarint_put(at, value);
}

/* A length or count; null: negative. */
static void put_length(struct encoder *e, const struct wire_step *s, int64_t length, bool is_short)
{
    if (length < 0 && !(s->flags & WIRE_NULLABLE))
        spoil(e, OUT_INVALID);
    if (s->flags & WIRE_COMPACT) {
        put_uvarint(e, length < 0 ? 0 : (uint32_t)length + 1);
        return;
    }
    uint8_t *at = put(e, is_short ? 2 : 4);
    if (at != NULL && is_short)
        put_be16(at, (uint16_t)length);
    else if (at != NULL)
        put_be32(at, (uint32_t)length);
}

static void put_bytes(struct encoder *e, struct bytes b)
{
    uint8_t *at = put(e, b.size);
    if (at != NULL && b.size > 0)
        memcpy(at, b.at, b.size);
}

static void put_sized(struct encoder *e, const struct wire_step *s, struct bytes b, bool is_string)
{
    if (unlikely(b.size > (is_string ? (size_t)INT16_MAX : (size_t)INT32_MAX))) {
        spoil(e, is_string ? OUT_INVALID : OUT_TOO_LARGE);
        return;
    }
    put_length(e, s, b.at == NULL ? -1 : (int64_t)b.size, is_string);
    if (b.at != NULL)
        put_bytes(e, b);
}

static void put_records(struct encoder *e, const struct wire_step *s, const uint8_t *field)
{
    struct wire_records r;
    memcpy(&r, field, sizeof r);
    if (r.external == NULL) {
        put_sized(e, s, bytes_view(r.at, r.size), false);
        return;
    }
    if (r.size > INT32_MAX) {
        spoil(e, OUT_TOO_LARGE);
        return;
    }
    put_length(e, s, (int64_t)r.size, false);
    e->external_bytes += r.size;
    if (e->out == NULL)
        return;
    if (e->cut_count == e->cut_room) {
        spoil(e, OUT_FULL);
        return;
    }
    e->cuts[e->cut_count++] = (struct wire_cut){e->position, r.external, r.size};
}

static void put_strings(struct encoder *e, const struct wire_step *s, const uint8_t *field,
                        int32_t count)
{
    const struct wire_step element = {.flags = s->flags & WIRE_COMPACT};
    const struct bytes *strings = (const void *)wire_pointer(field);
    for (int32_t i = 0; i < count; i++)
        put_sized(e, &element, strings[i], true);
}

static void put_array(struct encoder *e, const struct wire_step *s, const uint8_t *field)
{
    int32_t count = wire_array_count(field);
    put_length(e, s, count, false);
    if (count <= 0)
        return;
    if (s->arg == WIRE_STRING) {
        put_strings(e, s, field, count);
        return;
    }
    size_t n = (size_t)count, size = wire_plain_size((enum wire_code)s->arg);
    const uint8_t *from = wire_pointer(field);
    uint8_t *at = put(e, n * size);
    if (at == NULL)
        return;
    if (size == 2 || size == 4 || size == 8) {
        for (size_t i = 0; i < n * size; i++) /* big end first, as the host is little-endian */
            at[i] = from[i ^ (size - 1)];
    } else {
        memcpy(at, from, n * size); /* single bytes and UUIDs */
    }
}

/* Opens a level for `count` structs at `base`; returns the step to go on with. */
static const struct wire_step *enter(struct encoder *e, const struct wire_program *program,
                                     const struct wire_step *back, const uint8_t *base,
                                     int32_t count)
{
    struct level *l = ++e->top;
    check_slow(l <= e->levels + WIRE_DEPTH);
    l->back = back;
    l->program = program;
    l->base = base;
    l->left = count - 1;
    return program->steps;
}

static const struct wire_step *enter_structs(struct encoder *e, const struct wire_step *s,
                                             const uint8_t *field)
{
    int32_t count = wire_array_count(field);
    put_length(e, s, count, false);
    if (count <= 0)
        return s + 1;
    return enter(e, &wire_programs[s->arg], s + 1, wire_pointer(field), count);
}

static const struct wire_step *enter_pointer(struct encoder *e, const struct wire_step *s,
                                             const uint8_t *field)
{
    const uint8_t *base = wire_pointer(field);
    if (base == NULL && !(s->flags & WIRE_NULLABLE))
        spoil(e, OUT_INVALID);
    uint8_t *at = put(e, 1);
    if (at != NULL) /* null is -1, but 0 in a tagged field */
        *at = base != NULL ? 1 : s->flags & WIRE_TAGGED ? 0 : 255;
    return base == NULL ? s + 1 : enter(e, &wire_programs[s->arg], s + 1, base, 1);
}

static const struct wire_step *leave(struct encoder *e)
{
    struct level *l = e->top;
    if (l->left > 0) {
        l->left--;
        l->base += l->program->size;
        return l->program->steps;
    }
    e->top--;
    return l->back;
}

/* Goes on with the next tagged field that is not at its default. */
static const struct wire_step *next_tag(struct encoder *e)
{
    struct level *l = e->top;
    while (l->tags_left > 0) {
        const struct wire_step *s = l->tag;
        l->tags_left--;
        l->tag += 2;
        if (!wire_is_default(s, l->base, l->program->defaults)) {
            put_uvarint(e, s->tag);
            l->tag_start = e->position;
            return s;
        }
    }
    return leave(e);
}

static const struct wire_step *begin_tags(struct encoder *e, const struct wire_step *s)
{
    struct level *l = e->top;
    uint32_t count = 0;
    for (uint16_t i = 0; i < s->arg; i++)
        count += !wire_is_default(s + 1 + 2 * i, l->base, l->program->defaults);
    put_uvarint(e, count);
    l->tags_left = count == 0 ? 0 : s->arg;
    l->tag = s + 1;
    return next_tag(e);
}

static const struct wire_step *end_tag(struct encoder *e)
{
    size_t start = e->top->tag_start, size = e->position - start;
    size_t shift = uvarint_size((uint32_t)size);
    if (put(e, shift) != NULL) {
        memmove(e->out + start + shift, e->out + start, size);
        (void)uvarint_put(e->out + start, (uint32_t)size);
    }
    return next_tag(e);
}

#define PUT(type, store)                              \
    do {                                              \
        type value;                                   \
        uint8_t *at = put(e, sizeof value);           \
        memcpy(&value, field, sizeof value);          \
        if (at != NULL)                               \
            store(at, value);                         \
        s++;                                          \
    } while (0)

static void put_byte(uint8_t *at, uint8_t value) { *at = value; }
static void put_bool(uint8_t *at, bool value) { *at = value ? 1 : 0; }
static void put_uuid(uint8_t *at, struct uuid value) { memcpy(at, value.b, sizeof value.b); }

static void run(struct encoder *e, const struct wire_step *s)
{
    while (s != NULL && e->bad == OUT_OK) {
        const uint8_t *field = e->top->base + s->offset;
        switch ((enum wire_code)s->code) {
        case WIRE_BOOL: PUT(bool, put_bool); break;
        case WIRE_INT8: PUT(uint8_t, put_byte); break;
        case WIRE_INT16:
        case WIRE_UINT16: PUT(uint16_t, put_be16); break;
        case WIRE_INT32: PUT(uint32_t, put_be32); break;
        case WIRE_INT64:
        case WIRE_FLOAT64: PUT(uint64_t, put_be64); break;
        case WIRE_UUID: PUT(struct uuid, put_uuid); break;
        case WIRE_STRING: put_sized(e, s, wire_bytes(field), true); s++; break;
        case WIRE_BYTES: put_sized(e, s, wire_bytes(field), false); s++; break;
        case WIRE_RECORDS: put_records(e, s, field); s++; break;
        case WIRE_ARRAY: put_array(e, s, field); s++; break;
        case WIRE_STRUCTS: s = enter_structs(e, s, field); break;
        case WIRE_STRUCT: s = enter(e, &wire_programs[s->arg], s + 1, field, 1); break;
        case WIRE_POINTER: s = enter_pointer(e, s, field); break;
        case WIRE_TAGS: s = begin_tags(e, s); break;
        case WIRE_TAG_END: s = end_tag(e); break;
        case WIRE_END: s = leave(e); break;
        }
    }
}

static enum outcome encode(struct encoder *e, const struct wire_message *m, int version,
                           const void *in)
{
    if (!wire_has_version(m, version))
        return OUT_UNSUPPORTED;
    e->top = e->levels;
    run(e, enter(e, wire_program_of(m, version), NULL, in, 1));
    if (e->bad == OUT_OK && e->position + e->external_bytes > INT32_MAX)
        spoil(e, OUT_TOO_LARGE);
    return e->bad;
}

enum outcome wire_measure(const struct wire_message *m, int version, const void *in, size_t *size)
{
    struct encoder e = {.out = NULL};
    enum outcome o = encode(&e, m, version, in);
    *size = e.position;
    if (o != OUT_OK)
        return fail(o, "%s version %d cannot be encoded", m->struct_name, version);
    return OUT_OK;
}

enum outcome wire_encode(const struct wire_message *m, int version, const void *in, uint8_t *out,
                         size_t size, struct wire_cut *cuts, size_t *cut_count)
{
    struct encoder e = {.out = out, .size = size, .cuts = cuts,
                        .cut_room = cut_count == NULL ? 0 : *cut_count};
    enum outcome o = encode(&e, m, version, in);
    if (o != OUT_OK)
        return fail(o, "%s version %d cannot be encoded", m->struct_name, version);
    check(e.position == size);
    if (cut_count != NULL)
        *cut_count = e.cut_count;
    return OUT_OK;
}

enum outcome wire_encode_new(const struct wire_message *m, int version, const void *in,
                             struct arena *arena, struct bytes *out)
{
    size_t size;
    enum outcome o = wire_measure(m, version, in, &size);
    if (o != OUT_OK)
        return o;
    uint8_t *at = arena_take(arena, size);
    if (at == NULL)
        return fail(OUT_NO_MEMORY, "no memory to encode %s", m->struct_name);
    *out = (struct bytes){at, size};
    return wire_encode(m, version, in, at, size, NULL, NULL);
}

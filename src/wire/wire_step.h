/* SPDX-License-Identifier: MIT */
/*
 * What the generated programs consist of. A program is the list of steps that reads or writes one
 * struct in one version (or in several, when they agree); genwire.py writes them, wire_decode.c and
 * its neighbours run them.
 *
 * A flexible struct ends with TAGS, behind which stand, for each of its arg known tagged fields,
 * the field's step and a TAG_END; every other struct ends with END.
 *
 * To add a kind of step: a code here, its row in genwire.py, a case in each engine file (the
 * compiler names them: -Wswitch-enum).
 */
#ifndef WIRE_STEP_H
#define WIRE_STEP_H

#include "wire/wire.h"

enum wire_code {
    WIRE_END,
    WIRE_TAGS,    /* arg: how many tagged fields are known */
    WIRE_TAG_END,
    WIRE_INT8,
    WIRE_BOOL,
    WIRE_INT16,
    WIRE_UINT16,
    WIRE_INT32,
    WIRE_INT64,
    WIRE_FLOAT64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_ARRAY,   /* of plain values; arg: their code */
    WIRE_STRUCTS, /* array of struct; arg: program */
    WIRE_STRUCT,  /* in place; arg: program */
    WIRE_POINTER, /* nullable struct; arg: program */
};

enum {
    WIRE_COMPACT = 1,  /* length + 1 as unsigned varint */
    WIRE_NULLABLE = 2,
    WIRE_TAGGED = 4,
};

struct wire_step {
    uint8_t code; /* enum wire_code */
    uint8_t flags;
    uint16_t offset; /* of the field in its struct; an array's count stands 8 bytes behind */
    uint16_t arg;
    uint16_t tag;    /* of a tagged field */
};
static_assert(sizeof(struct wire_step) == 8, "steps are meant to be small");

struct wire_program {
    const struct wire_step *steps;
    const void *defaults; /* image of the struct */
    uint32_t size;        /* of the struct in memory */
    uint32_t size_min;    /* of its encoding, never 0 */
};

/* Structs within structs, the outermost included; genwire.py proves that it suffices. */
#define WIRE_DEPTH 6

/* Where an array's count stands, seen from its pointer. */
#define WIRE_COUNT_AT sizeof(void *)

extern const struct wire_step wire_steps[];
extern const struct wire_program wire_programs[];
extern const struct wire_api wire_api_rows[];
extern const size_t wire_api_row_count;
extern const struct wire_message *const wire_metadata_rows[];
extern const size_t wire_metadata_row_count;

/* The camelCase name of a step's field: only printing needs the table. */
const char *wire_step_name(const struct wire_step *step);

/* Bytes of a plain value, the same in memory and on the wire; 0 for those that have a length. */
static inline size_t wire_plain_size(enum wire_code code)
{
    static const uint8_t sizes[WIRE_POINTER + 1] = {
        [WIRE_INT8] = 1, [WIRE_BOOL] = 1, [WIRE_INT16] = 2, [WIRE_UINT16] = 2,
        [WIRE_INT32] = 4, [WIRE_INT64] = 8, [WIRE_FLOAT64] = 8, [WIRE_UUID] = 16,
    };
    return sizes[code];
}

static inline const struct wire_program *wire_program_of(const struct wire_message *m, int version)
{
    return &wire_programs[m->programs[version - m->lowest]];
}

#endif

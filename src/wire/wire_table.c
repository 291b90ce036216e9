/* SPDX-License-Identifier: MIT */
/* Look-ups in the generated tables and in the table of error codes. Constant data, no failure. */
#include "wire/wire_step.h"

const struct wire_api *wire_api(int key)
{
    if (key < 0 || (size_t)key >= wire_api_row_count || wire_api_rows[key].name == NULL)
        return NULL;
    return &wire_api_rows[key];
}

const struct wire_message *wire_metadata_record(int type)
{
    if (type < 0 || (size_t)type >= wire_metadata_row_count)
        return NULL;
    return wire_metadata_rows[type];
}

const struct wire_message *wire_message_find(struct bytes struct_name)
{
    for (size_t i = 0; i < wire_message_count; i++)
        if (bytes_is(struct_name, wire_messages[i]->struct_name))
            return wire_messages[i];
    return NULL;
}

struct error_row {
    const char *name, *text;
    bool retriable;
};

#define FIRST_CODE KAFKA_UNKNOWN_SERVER_ERROR

static const struct error_row error_rows[] = {
#define KAFKA_ERROR(code, name, retriable, text) [(code) - FIRST_CODE] = {#name, text, retriable},
#include "wire/kafka_error.def"
#undef KAFKA_ERROR
};

static const struct error_row *error_row(int code)
{
    static const struct error_row unknown = {NULL, "", false};
    if (code < FIRST_CODE || code - FIRST_CODE >= (int)COUNT_OF(error_rows) ||
        error_rows[code - FIRST_CODE].name == NULL)
        return &unknown;
    return &error_rows[code - FIRST_CODE];
}

const char *kafka_error_name(int code)
{
    return error_row(code)->name;
}

const char *kafka_error_text(int code)
{
    return error_row(code)->text;
}

bool kafka_error_retriable(int code)
{
    return error_row(code)->retriable;
}

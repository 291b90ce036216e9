/* SPDX-License-Identifier: MIT */
/*
 * Golden vectors: tests/data/messages.jsonl.gz, written by the classes of Kafka 4.3.1, and
 * old-messages.jsonl.gz, by those of 3.9.2: the versions that 4.0 dropped. A line is {key, api,
 * kind, version, variant, hex, json}: the body without header and length, and its values.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "wire/messages.h"

#include <jansson.h>

struct vector {
    const struct wire_message *message;
    int version;
    const char *variant; /* default, full, min, random-1 to -4, unknown-tags */
    struct bytes body;
    json_t *json;        /* the whole line; the value is its member "json" */
};

struct vectors {
    struct vector *rows;
    size_t count;
};

/* Adds those of a file. Ends the program with a diagnostic when it cannot be read or names an
 * unknown message. */
void vectors_load(struct vectors *v, const char *path);
void vectors_free(struct vectors *v);

#endif

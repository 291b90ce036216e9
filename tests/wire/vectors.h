/* SPDX-License-Identifier: MIT */
/* Golden vectors: tests/data/messages.jsonl.gz, written by Kafka's own classes (docs in
 * README.md). */
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

/* Ends the program with a diagnostic when the file cannot be read or names an unknown message. */
struct vectors vectors_load(const char *path);
void vectors_free(struct vectors *v);

#endif

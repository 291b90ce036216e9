/* SPDX-License-Identifier: MIT */
/* What IncrementalAlterConfigs and AlterConfigs share (private to kafka/). */
#ifndef KAFKA_ALTER_H
#define KAFKA_ALTER_H

#include "kafka/call.h"

enum { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

/* One wish for one key of a resource. */
struct alteration {
    struct bytes name, value;
    int8_t operation;
};

/* All wishes for one resource, and where the reply wants to know what became of them. */
struct alter_resource {
    int8_t type;
    struct bytes name;
    const struct alteration *wishes; /* NULL: there was no memory for them */
    size_t count;
    int16_t *error;
    struct bytes *why; /* static or arena memory; may be null */
};

/* Does what is wished for each resource, unless it is refused: then nothing of it is done.
 * Control thread. */
void alter_all(struct call *c, const struct alter_resource *resources, size_t count,
               bool validate_only);

/* alter_broker.c: whether a broker's setting may be changed at all, and to this value. */
int16_t alter_broker_key(struct call *c, struct bytes resource, const struct alteration *w,
                         const struct config_row *row, struct bytes *why);
int16_t alter_broker_value(struct call *c, struct bytes resource, const struct config_row *row,
                           struct bytes value, struct bytes *why);

#endif

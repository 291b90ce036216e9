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

/* Plans all wishes for a resource on the newest image; on refusal nothing is added and *why says it
 * (static or arena memory; may be null). Control thread. */
int16_t alter_plan(struct call *c, int8_t type, struct bytes resource,
                   const struct alteration *wishes, size_t count, struct meta_change *change,
                   struct bytes *why);

#endif

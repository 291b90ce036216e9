/* SPDX-License-Identifier: MIT */
/* What produce.c and produce_old.c share. */
#ifndef KAFKA_PRODUCE_H
#define KAFKA_PRODUCE_H

#include "kafka/call.h"

#define RESULT struct produce_response_responses_partition_responses

/* Versions below this one may send message sets of magic 0 and 1. */
#define PRODUCE_BATCHES_SINCE 3

/* What such a version sent as a record batch: itself, or one in the request's arena. False: there
 * is nothing to append, because of the result's error, or without one because nothing whole was
 * sent. */
bool produce_convert(struct call *c, const struct partition *p, const struct wire_records *sent,
                     struct wire_records *batch, RESULT *out);

#endif

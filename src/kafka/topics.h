/* SPDX-License-Identifier: MIT */
/* What several handlers need of topics: finding them, duplicates in a request, creation on demand. */
#ifndef KAFKA_TOPICS_H
#define KAFKA_TOPICS_H

#include "kafka/call.h"

/* Creates a topic with the defaults behind the caller's back; any thread. Errors are logged once. */
void topics_auto_create(struct broker *b, struct bytes name);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * How many records a client without a fetch session has taken: what it was sent is not looked into,
 * but the offset it asks for next tells. Kept for each connection; the reactor's thread.
 */
#ifndef KAFKA_CONSUMED_H
#define KAFKA_CONSUMED_H

#include "kafka/fetch_session.h"

/* A request asks for this partition: counts what the reply before it carried. */
void consumed_count(struct call *c, const struct fetch_part *part);
/* A reply carries records of this partition. */
void consumed_note(struct call *c, const struct fetch_part *part);
/* The connection is over (door.closed). */
void consumed_free(void *session);

#endif

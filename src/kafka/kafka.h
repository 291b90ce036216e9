/* SPDX-License-Identifier: MIT */
/*
 * The Kafka door: every API of the Kafka protocol that is served, one handler file each.
 * Runs on reactor threads; reads the topics through broker/.
 */
#ifndef KAFKA_KAFKA_H
#define KAFKA_KAFKA_H

#include "broker/request.h"

/* Handed to net/ with a listener. */
extern const struct door kafka_door;

struct broker;

/* Main thread, before and after the reactors run: what the door keeps for the process. */
MUST enum outcome kafka_open(struct broker *b);
void kafka_close(struct broker *b);

#endif

/* SPDX-License-Identifier: MIT */
/* Stands in for the NATS door: what a test says it would tell. */
#ifndef TEST_DOOR_H
#define TEST_DOOR_H

#include "nats/nats.h"

extern bool door_open;
extern struct nats_figures door_figures;
extern struct nats_connection *door_connections;
extern size_t door_connection_count;
extern enum outcome door_outcome;
extern enum nats_detail door_asked;

#endif

/* SPDX-License-Identifier: MIT */
/* Stands in for the NATS door: what a test says it would tell. */
#include "door.h"

bool door_open;
struct nats_figures door_figures;
struct nats_connection *door_connections;
size_t door_connection_count;
enum outcome door_outcome;
enum nats_detail door_asked;

bool nats_figures(struct nats_figures *f)
{
    *f = door_figures;
    return door_open;
}

enum outcome nats_connections(enum nats_detail detail, struct arena *arena,
                              struct nats_connection **list, size_t *count)
{
    door_asked = detail;
    *count = door_connection_count;
    *list = arena_array(arena, struct nats_connection, *count);
    for (size_t i = 0; i < *count; i++)
        (*list)[i] = door_connections[i];
    return door_outcome;
}

enum outcome nats_topic_sums(struct arena *arena, struct nats_topic_sum **list, size_t *count)
{
    (void)arena;
    *list = NULL;
    *count = 0;
    return OUT_OK;
}

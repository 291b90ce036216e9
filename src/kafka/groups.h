/* SPDX-License-Identifier: MIT */
/* What the handlers of group requests share (private to kafka/): a call as work of the
 * coordinator. */
#ifndef KAFKA_GROUPS_H
#define KAFKA_GROUPS_H

#include "kafka/call.h"

typedef void group_answer(struct coordinator_work *w, size_t index, const struct group_reply *r);

/* Work with room for `events`; NULL: no memory. */
struct coordinator_work *group_work(struct call *c, size_t events, group_answer *answer);

static inline struct call *group_call(const struct coordinator_work *w)
{
    return w->context;
}

/* A copy for the response; null becomes empty. */
struct bytes group_text(struct call *c, struct bytes b);

/* Kafka's form of a client's address: "/127.0.0.1". */
struct bytes group_host(struct call *c);

/* Whether a filter of ListGroups lets the word through: empty, or it is named, in any case. */
bool group_filter(const struct bytes *filter, int32_t count, const char *word);

/* Operations that DescribeGroups reports without an authorizer: read, delete, describe, and
 * describe and alter the settings. */
#define GROUP_OPERATIONS (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)

#endif

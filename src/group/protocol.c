/* SPDX-License-Identifier: MIT */
/*
 * What members can speak: the vote for a generation's protocol, and, for consumers, the topics
 * their subscriptions name (only those are opaque to us no longer; any other protocol type stays
 * bytes).
 */
#include "group/private.h"
#include "wire/messages.h"
#include "wire/wire.h"

#include <stdlib.h>

#define MEMBER_OF(n) container_of(n, struct member, node)

bool protocols_match(const struct member *m, const struct group_join *j)
{
    if (m->protocol_count != j->protocol_count)
        return false;
    for (size_t i = 0; i < m->protocol_count; i++) {
        if (!bytes_equal(m->protocols[i].name, j->protocols[i].name) ||
            !bytes_equal(m->protocols[i].metadata, j->protocols[i].metadata))
            return false;
    }
    return true;
}

static const struct group_protocol *find(const struct member *m, struct bytes name)
{
    for (size_t i = 0; i < m->protocol_count; i++) {
        if (bytes_equal(m->protocols[i].name, name))
            return &m->protocols[i];
    }
    return NULL;
}

static bool all_support(const struct group *g, struct bytes name)
{
    list_each(node, &g->members) {
        if (find(MEMBER_OF(node), name) == NULL)
            return false;
    }
    return true;
}

bool protocols_supported(const struct group *g, const struct group_join *j)
{
    if (j->protocol_count > PROTOCOLS_MAX)
        return false;
    if (g->state == STATE_EMPTY)
        return j->protocol_type.size > 0 && j->protocol_count > 0;
    if (!bytes_equal(g->protocol_type, j->protocol_type))
        return false;
    for (size_t i = 0; i < j->protocol_count; i++) {
        if (all_support(g, j->protocols[i].name))
            return true;
    }
    return false;
}

/* Each member votes for the first of its protocols that everybody supports; the index into
 * `candidates`, or `count`. */
static size_t choice(const struct member *m, const struct bytes *candidates, size_t count)
{
    for (size_t i = 0; i < m->protocol_count; i++) {
        for (size_t c = 0; c < count; c++) {
            if (bytes_equal(candidates[c], m->protocols[i].name))
                return c;
        }
    }
    return count;
}

struct bytes protocol_vote(const struct group *g)
{
    if (list_empty(&g->members))
        return (struct bytes){0};
    const struct member *first = MEMBER_OF(g->members.next);
    struct bytes candidates[PROTOCOLS_MAX];
    size_t votes[PROTOCOLS_MAX + 1] = {0};
    size_t count = 0, best = 0;
    for (size_t i = 0; i < first->protocol_count && count < PROTOCOLS_MAX; i++) {
        if (all_support(g, first->protocols[i].name))
            candidates[count++] = first->protocols[i].name;
    }
    list_each(node, &g->members)
        votes[choice(MEMBER_OF(node), candidates, count)]++;
    for (size_t c = 1; c < count; c++)
        best = votes[c] > votes[best] ? c : best;
    return count == 0 ? (struct bytes){0} : candidates[best];
}

struct bytes protocol_metadata(const struct member *m, struct bytes protocol)
{
    const struct group_protocol *p = protocol.at == NULL ? NULL : find(m, protocol);
    return p == NULL ? bytes_of("") : p->metadata;
}

/* ---- subscriptions ---- */

void subscription_forget(struct group *g)
{
    for (size_t i = 0; i < g->topic_count; i++)
        let_go(&g->topics[i]);
    free(g->topics);
    g->topics = NULL;
    g->topic_count = 0;
    g->topics_known = false;
}

static bool topics_add(struct group *g, struct bytes topic)
{
    for (size_t i = 0; i < g->topic_count; i++) {
        if (bytes_equal(g->topics[i], topic))
            return true;
    }
    struct bytes *more = realloc(g->topics, (g->topic_count + 1) * sizeof *more);
    if (more == NULL) {
        g->shard->failed = true;
        return false;
    }
    g->topics = more;
    more[g->topic_count] = keep(g->shard, topic);
    if (more[g->topic_count].at == NULL)
        return false;
    g->topic_count++;
    return true;
}

/* Adds the topics of one member's subscription; false when it cannot be read. */
static bool subscription_read(struct group *g, const struct member *m)
{
    const struct wire_message *message = &wire_consumer_protocol_subscription;
    struct bytes metadata = protocol_metadata(m, g->protocol_name);
    if (metadata.size < 2)
        return false;
    int version = (int16_t)get_be16(metadata.at);
    if (version < message->lowest)
        return false;
    version = MIN(version, message->highest); /* later versions begin the same way */
    struct consumer_protocol_subscription subscription;
    struct bytes body = bytes_view(metadata.at + 2, metadata.size - 2);
    if (wire_decode(message, version, body, g->shard->arena, &subscription, NULL) != OUT_OK)
        return false;
    for (int32_t i = 0; i < subscription.topics_count; i++) {
        if (!topics_add(g, subscription.topics[i]))
            return false;
    }
    return true;
}

void subscription_refresh(struct group *g)
{
    subscription_forget(g);
    if (!bytes_is(g->protocol_type, "consumer"))
        return;
    if (!list_empty(&g->members) && g->protocol_name.at == NULL)
        return;
    list_each(node, &g->members) {
        if (!subscription_read(g, MEMBER_OF(node))) {
            subscription_forget(g);
            return;
        }
    }
    g->topics_known = true;
}

bool subscribed(const struct group *g, struct bytes topic)
{
    if (!g->topics_known)
        return bytes_is(g->protocol_type, "consumer");
    for (size_t i = 0; i < g->topic_count; i++) {
        if (bytes_equal(g->topics[i], topic))
            return true;
    }
    return false;
}

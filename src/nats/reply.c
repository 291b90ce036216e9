/* SPDX-License-Identifier: MIT */
/*
 * allow_responses: subjects that a client may publish to because it was sent a request with that
 * reply subject. Oldest first; each may be used so often and so long as the user's permissions say.
 */
#include "base/list.h"
#include "nats/auth.h"

#include <stdlib.h>

#define REPLIES_MAX 4096

struct nats_replies {
    struct list list; /* struct reply.node */
    size_t count;
};

struct reply {
    struct list node;
    int64_t until_ms; /* 0: without end */
    int64_t left;     /* -1: any number */
    size_t size;
    uint8_t subject[];
};

static void forget(struct nats_replies *r, struct reply *reply)
{
    list_remove(&reply->node);
    r->count--;
    free(reply);
}

static bool over(const struct reply *reply, int64_t wall_ms)
{
    return reply->until_ms > 0 && wall_ms >= reply->until_ms;
}

/* One user's replies last equally long: those that are over come first. */
static void forget_old(struct nats_replies *r, int64_t wall_ms)
{
    while (!list_empty(&r->list)) {
        struct reply *first = container_of(r->list.next, struct reply, node);
        if (r->count < REPLIES_MAX && !over(first, wall_ms))
            break;
        forget(r, first);
    }
}

void nats_reply_allow(struct nats_replies **replies, const struct nats_permissions *p,
                      struct bytes subject, int64_t wall_ms)
{
    struct nats_replies *r = *replies;
    if (p->replies_max == 0)
        return;
    if (r == NULL) {
        r = *replies = calloc(1, sizeof *r);
        if (r == NULL)
            return;
        list_init(&r->list);
    }
    forget_old(r, wall_ms);
    struct reply *reply = malloc(sizeof *reply + subject.size);
    if (reply == NULL)
        return;
    reply->until_ms = p->replies_ms == 0 ? 0 : wall_ms + p->replies_ms;
    reply->left = p->replies_max;
    reply->size = subject.size;
    memcpy(reply->subject, subject.at, subject.size);
    list_push(&r->list, &reply->node);
    r->count++;
}

bool nats_reply_use(struct nats_replies *r, struct bytes subject, int64_t wall_ms)
{
    if (r == NULL)
        return false;
    list_each(node, &r->list) {
        struct reply *reply = container_of(node, struct reply, node);
        if (!bytes_equal(bytes_view(reply->subject, reply->size), subject))
            continue;
        bool good = !over(reply, wall_ms);
        if (good && reply->left > 0)
            reply->left--;
        if (!good || reply->left == 0)
            forget(r, reply);
        return good;
    }
    return false;
}

void nats_replies_free(struct nats_replies *r)
{
    if (r == NULL)
        return;
    while (!list_empty(&r->list))
        forget(r, container_of(r->list.next, struct reply, node));
    free(r);
}

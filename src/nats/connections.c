/* SPDX-License-Identifier: MIT */
/*
 * A list of all connections, for people who look: each reactor in turn copies its own into the
 * asker's memory while the asker waits.
 */
#include "nats/private.h"

#include <semaphore.h>
#include <stdlib.h>

struct asking {
    struct mail mail;
    sem_t done;
    struct nats_shard *shard;
    enum nats_detail detail;
    struct arena *arena;
    struct nats_connection *list; /* of this shard */
    size_t count;
};

static const char *copy(struct arena *a, const char *text)
{
    struct bytes b = arena_print(a, "%s", text);
    return b.at == NULL ? "" : (const char *)b.at;
}

static void list_subscriptions(struct arena *a, const struct nats_session *s,
                               struct nats_connection *c)
{
    struct bytes *subjects = arena_array(a, struct bytes, s->subs.count);
    struct nats_subscription *list = arena_array(a, struct nats_subscription, s->subs.count);
    size_t at = 0;
    if (subjects == NULL || list == NULL)
        return;
    for (size_t i = 0; s->subs.mask != 0 && i <= s->subs.mask; i++) {
        const struct nats_sub *sub = s->subs.slots[i];
        if (sub == NULL)
            continue;
        list[at] = (struct nats_subscription){
            .subject = arena_copy(a, nats_sub_subject(sub)),
            .queue = arena_copy(a, nats_sub_queue(sub)),
            .sid = arena_copy(a, nats_sub_sid(sub)), .messages = sub->delivered};
        subjects[at] = list[at].subject;
        at++;
    }
    c->subjects = subjects;
    c->details = list;
}

static void describe(const struct asking *q, const struct nats_session *s,
                     struct nats_connection *c)
{
    const char *about[4] = {"", "", "", ""}, *at = s->about;
    for (int i = 0; i < 4 && at != NULL; i++) {
        about[i] = copy(q->arena, at);
        at += strlen(at) + 1;
    }
    *c = (struct nats_connection){
        .cid = s->cid, .peer = copy(q->arena, s->link->peer), .peer_port = s->link->peer_port,
        .started_ms = s->opened_ms, .last_activity_ms = s->last_in_ms, .rtt_ns = s->rtt_ns,
        .in_messages = s->in_messages, .out_messages = s->out_messages,
        .in_bytes = s->in_bytes, .out_bytes = s->out_bytes, .pending = s->link->pending,
        .subscriptions = s->subs.count, .name = about[0], .lang = about[1],
        .version = about[2], .user = about[3]};
    if (q->detail == NATS_SUBSCRIPTIONS)
        list_subscriptions(q->arena, s, c);
}

static void collect(struct mail *mail)
{
    struct asking *q = container_of(mail, struct asking, mail);
    size_t count = 0;
    list_each(node, &q->shard->sessions)
        count++;
    q->list = arena_array(q->arena, struct nats_connection, count);
    if (q->list != NULL) {
        list_each(node, &q->shard->sessions)
            describe(q, container_of(node, struct nats_session, node), &q->list[q->count++]);
    }
    sem_post(&q->done);
}

static void ask(struct asking *q)
{
    q->mail.deliver = collect;
    sem_init(&q->done, 0, 0);
    shard_post(q->shard->shard, &q->mail);
    while (sem_wait(&q->done) != 0)
        ;
    sem_destroy(&q->done);
}

static int in_order(const void *a, const void *b)
{
    const struct nats_connection *x = a, *y = b;
    return (x->cid > y->cid) - (x->cid < y->cid);
}

enum outcome nats_connections(enum nats_detail detail, struct arena *arena,
                              struct nats_connection **list, size_t *count)
{
    struct nats *n = nats_door_open;
    struct asking asked[LIVE_SHARDS_MAX];
    *count = 0;
    if (n == NULL)
        return OUT_CLOSED;
    for (int i = 0; i < n->options.shard_count; i++) {
        asked[i] = (struct asking){.shard = &n->shards[i], .detail = detail, .arena = arena};
        ask(&asked[i]);
        *count += asked[i].count;
    }
    *list = arena_array(arena, struct nats_connection, *count);
    if (arena->failed)
        return fail(OUT_NO_MEMORY, "the list of NATS connections");
    size_t at = 0;
    for (int i = 0; i < n->options.shard_count; i++) {
        for (size_t k = 0; k < asked[i].count; k++)
            (*list)[at++] = asked[i].list[k];
    }
    qsort(*list, *count, sizeof **list, in_order);
    return OUT_OK;
}

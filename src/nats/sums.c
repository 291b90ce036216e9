/* SPDX-License-Identifier: MIT */
/*
 * Accounts by topic: see sums.h. A row is found by name when a subscription is made, and by pointer
 * from then on; rows go only by mail, so never while something is being delivered.
 */
#include "nats/sums.h"

#include "broker/broker.h"

#include <semaphore.h>
#include <stdlib.h>

void nats_sums_init(struct nats_sums *sums)
{
    for (size_t i = 0; i < NATS_SUM_LISTS; i++)
        list_init(&sums->lists[i]);
    sums->count = 0;
}

void nats_sums_fini(struct nats_sums *sums)
{
    for (size_t i = 0; i < NATS_SUM_LISTS; i++) {
        for (struct list *n; (n = list_pop(&sums->lists[i])) != NULL;)
            free(container_of(n, struct nats_sum, node));
    }
    sums->count = 0;
}

static struct bytes name_of(const struct nats_sum *row)
{
    return bytes_view(row->name, row->size);
}

/* NULL: no memory, they are not counted then. */
static struct nats_sum *row_of(struct nats_sums *sums, struct bytes name)
{
    struct list *list = &sums->lists[bytes_hash(name) % NATS_SUM_LISTS];
    list_each(n, list) {
        struct nats_sum *row = container_of(n, struct nats_sum, node);
        if (bytes_equal(name_of(row), name))
            return row;
    }
    struct nats_sum *row = calloc(1, sizeof *row + name.size);
    if (row == NULL)
        return NULL;
    row->size = (uint16_t)name.size;
    if (name.size > 0)
        memcpy(row->name, name.at, name.size);
    list_push(list, &row->node);
    sums->count++;
    return row;
}

void nats_sum_join(struct nats_sums *sums, struct nats_sub *sub, const struct topic *topic)
{
    struct nats_sum *row = NULL;
    if (likely(topic == NULL))
        return;
    if (sums->count < NATS_SUMS_MAX)
        row = row_of(sums, topic->name);
    if (row == NULL)
        row = row_of(sums, (struct bytes){0});
    if (row == NULL)
        return;
    row->subscriptions++;
    sub->sum = row;
    sub->live.total = &row->account;
}

void nats_sum_leave(struct nats_sub *sub)
{
    if (sub->sum != NULL)
        sub->sum->subscriptions--;
    sub->sum = NULL;
}

/* ---- for people who look ---- */

struct asking {
    struct mail mail;
    sem_t done;
    struct nats_shard *shard;
    struct arena *arena;
    struct nats_topic_sum *list; /* of this shard */
    size_t count;
};

/* Nobody subscribes to it, and nobody can any more. */
static bool is_over(const struct nats_sum *row)
{
    const struct view *v = broker_view();
    return row->subscriptions == 0 && row->size > 0 &&
           (v == NULL || view_topic(v, name_of(row)) == NULL);
}

static void collect(struct mail *mail)
{
    struct asking *q = container_of(mail, struct asking, mail);
    struct nats_sums *sums = &q->shard->sums;
    q->list = arena_array(q->arena, struct nats_topic_sum, sums->count);
    for (size_t i = 0; i < NATS_SUM_LISTS && q->list != NULL; i++) {
        list_each_safe(n, after, &sums->lists[i]) {
            struct nats_sum *row = container_of(n, struct nats_sum, node);
            if (is_over(row)) {
                list_remove(n);
                free(row);
                sums->count--;
                continue;
            }
            q->list[q->count++] = (struct nats_topic_sum){
                .topic = arena_copy(q->arena, name_of(row)), .subscriptions = row->subscriptions,
                .account = row->account};
        }
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

static int by_name(const void *a, const void *b)
{
    const struct nats_topic_sum *x = a, *y = b;
    return bytes_compare(x->topic, y->topic);
}

static int by_size(const void *a, const void *b)
{
    const struct nats_topic_sum *x = a, *y = b;
    int order = (x->account.matched < y->account.matched) -
                (x->account.matched > y->account.matched);
    return order != 0 ? order : by_name(a, b);
}

/* Those of the same name become one. */
static size_t merge(struct nats_topic_sum *list, size_t count)
{
    size_t to = 0;
    qsort(list, count, sizeof *list, by_name);
    for (size_t i = 0; i < count; i++) {
        if (to == 0 || !bytes_equal(list[to - 1].topic, list[i].topic)) {
            list[to++] = list[i];
            continue;
        }
        list[to - 1].subscriptions += list[i].subscriptions;
        live_account_add(&list[to - 1].account, &list[i].account);
    }
    qsort(list, to, sizeof *list, by_size);
    return to;
}

enum outcome nats_topic_sums(struct arena *arena, struct nats_topic_sum **list, size_t *count)
{
    struct nats *n = nats_door_open;
    struct asking asked[LIVE_SHARDS_MAX];
    *count = 0;
    if (n == NULL)
        return OUT_CLOSED;
    for (int i = 0; i < n->options.shard_count; i++) {
        asked[i] = (struct asking){.shard = &n->shards[i], .arena = arena};
        ask(&asked[i]);
        *count += asked[i].count;
    }
    *list = arena_array(arena, struct nats_topic_sum, *count);
    if (arena->failed)
        return fail(OUT_NO_MEMORY, "the list of topics with subscribers");
    size_t at = 0;
    for (int i = 0; i < n->options.shard_count; i++) {
        for (size_t k = 0; k < asked[i].count; k++)
            (*list)[at++] = asked[i].list[k];
    }
    *count = merge(*list, *count);
    return OUT_OK;
}

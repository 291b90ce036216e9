/* SPDX-License-Identifier: MIT */
/*
 * Topics made on demand, by a Metadata request or for a coordinator: the caller goes on, the
 * control thread makes the topic. A name that is on its way already is not asked for twice.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>

#define CREATING_MAX 1000 /* on their way at once; clients ask again for the others */

struct creation {
    struct mail mail;
    struct list node;
    struct broker *broker;
    struct bytes name; /* behind this struct */
};

static struct meta_new_topic wish(struct broker *b, struct bytes name, struct meta_pair *configs,
                                  char *segment)
{
    const struct config *c = atomic_load(&b->config);
    struct meta_new_topic t = {.name = name, .partition_count = -1, .replication_factor = -1};
    enum config_source source;
    bool txns = bytes_is(name, TXN_TOPIC);
    if (!txns && !bytes_is(name, OFFSETS_TOPIC))
        return t;
    snprintf(segment, 16, "%d",
             txns ? c->transaction_topic_segment_bytes : c->offsets_topic_segment_bytes);
    t.partition_count =
        txns ? c->transaction_topic_num_partitions : c->offsets_topic_num_partitions;
    t.internal = true;
    t.configs = configs;
    configs[t.config_count++] = (struct meta_pair){bytes_of("cleanup.policy"), bytes_of("compact")};
    configs[t.config_count++] =
        (struct meta_pair){bytes_of("compression.type"),
                           bytes_of(txns ? "uncompressed" : "producer")};
    configs[t.config_count++] = (struct meta_pair){bytes_of("segment.bytes"), bytes_of(segment)};
    if (!txns)
        return t;
    const char *isr = config_text(c, "transaction.state.log.min.isr", &source);
    configs[t.config_count++] =
        (struct meta_pair){bytes_of("min.insync.replicas"), bytes_of(isr)};
    configs[t.config_count++] =
        (struct meta_pair){bytes_of("unclean.leader.election.enable"), bytes_of("false")};
    return t;
}

static void work(struct mail *mail)
{
    struct creation *c = container_of(mail, struct creation, mail);
    struct broker *b = c->broker;
    struct meta_change change;
    struct meta_pair configs[5];
    struct uuid id;
    char segment[16];
    struct meta_new_topic t = wish(b, c->name, configs, segment);
    struct meta_rules rules = broker_rules(b);
    meta_change_init(&change);
    enum outcome o = meta_plan_topic(b->view->image, &rules, &t, &change, &id);
    if (o == OUT_OK)
        o = broker_apply(b, &change);
    if (o != OUT_OK && o != OUT_EXISTS)
        watch_log(WATCH_WARN, "broker", "create topic %.*s: %s", (int)c->name.size,
                  (const char *)c->name.at, outcome_trail());
    meta_change_fini(&change);
    pthread_mutex_lock(&b->creating_lock);
    list_remove(&c->node);
    pthread_mutex_unlock(&b->creating_lock);
    free(c);
}

void broker_create_topic(struct broker *b, struct bytes name)
{
    struct creation *c = malloc(sizeof *c + name.size);
    size_t under_way = 0;
    if (c == NULL)
        return;
    *c = (struct creation){.mail.deliver = work, .broker = b, .name = {(uint8_t *)(c + 1),
                                                                       name.size}};
    memcpy(c + 1, name.at, name.size);
    pthread_mutex_lock(&b->creating_lock);
    bool there = false;
    list_each(n, &b->creating) {
        there |= bytes_equal(container_of(n, struct creation, node)->name, name);
        under_way++;
    }
    if (!there && under_way < CREATING_MAX)
        list_push(&b->creating, &c->node);
    else
        there = true;
    pthread_mutex_unlock(&b->creating_lock);
    if (there)
        free(c);
    else
        shard_post(&b->control, &c->mail);
}

void creations_free(struct broker *b)
{
    for (struct list *n; (n = list_pop(&b->creating)) != NULL;)
        free(container_of(n, struct creation, node));
}

/* SPDX-License-Identifier: MIT */
/*
 * Views: made by the control thread from a metadata image, shared with the one before topic by
 * topic, handed to every reactor by mail and taken back when all have let go.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <stdlib.h>

const struct view *broker_view(void)
{
    return shard_self()->view;
}

static size_t slot_of(const struct view *v, struct bytes key)
{
    return bytes_hash(key) & v->mask;
}

struct topic *view_topic(const struct view *v, struct bytes name)
{
    if (name.at == NULL)
        return NULL;
    for (size_t at = slot_of(v, name); v->by_name[at] != 0; at = (at + 1) & v->mask) {
        struct topic *t = v->topics[v->by_name[at] - 1];
        if (bytes_equal(t->name, name))
            return t;
    }
    return NULL;
}

struct topic *view_topic_by_id(const struct view *v, const struct uuid *id)
{
    size_t at = slot_of(v, bytes_view(id, sizeof *id));
    for (; v->by_id[at] != 0; at = (at + 1) & v->mask) {
        struct topic *t = v->topics[v->by_id[at] - 1];
        if (uuid_equal(&t->id, id))
            return t;
    }
    return NULL;
}

struct partition *topic_partition(const struct topic *t, int32_t index)
{
    return index < 0 || index >= t->partition_count ? NULL : t->partitions[index];
}

static void topic_drop(struct topic *t)
{
    if (atomic_fetch_sub(&t->holds, 1) != 1)
        return;
    for (int32_t i = 0; i < t->partition_count; i++) {
        if (t->partitions[i] != NULL)
            partition_drop(t->partitions[i]);
    }
    free(t->partitions);
    free(t);
}

void view_free(struct view *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->topic_count; i++)
        topic_drop(v->topics[i]);
    if (v->image != NULL)
        meta_image_drop(v->image);
    free(v->topics);
    free(v->by_name);
    free(v->by_id);
    free(v);
}

static bool is_offline(const struct partition *p)
{
    return p->dir != NULL && atomic_load_explicit(&p->dir->offline, memory_order_relaxed);
}

static bool any_offline(const struct topic *t)
{
    for (int32_t i = 0; i < t->partition_count; i++) {
        if (t->partitions[i] != NULL && is_offline(t->partitions[i]))
            return true;
    }
    return false;
}

/* The partition of the topic before, or a new one with its log opened (NULL in it: offline). At the
 * start logs are opened later, all at once. */
static struct partition *get_partition(struct broker *b, const struct topic *before,
                                       const struct topic *t, int32_t index)
{
    struct partition *p = before == NULL ? NULL : topic_partition(before, index);
    if (p != NULL && is_offline(p))
        return NULL;
    if (p == NULL && before != NULL && index < before->partition_count)
        return NULL; /* it was offline, and is until the next start */
    if (p != NULL) {
        partition_hold(p);
        if (memcmp(&before->config, &t->config, sizeof t->config) != 0 ||
            before->base->producer_id_expiration_ms != t->base->producer_id_expiration_ms)
            logs_configure(b, p, &t->config);
        return p;
    }
    p = partition_new(b, t->name, &t->id, index);
    if (p == NULL)
        return NULL;
    enum outcome o = logs_place(b, p, &t->config, t->meta->partitions[index].placement);
    if (o != OUT_OK) {
        watch_log(WATCH_ERROR, "broker", "partition %.*s-%d is offline: %s", (int)t->name.size,
                  (const char *)t->name.at, index, outcome_trail());
        partition_drop(p);
        return NULL;
    }
    if (b->view == NULL)
        return p;
    o = logs_load(b, p, &t->config, NULL);
    if (o == OUT_IO && b->data_dir_count > 1)
        dir_fails(p->dir);
    logs_loaded(b, p, o, outcome_trail());
    if (o == OUT_OK)
        return p;
    partition_drop(p);
    return NULL;
}

static void lead(struct partition *p, int32_t epoch)
{
    if (atomic_load(&p->leader_epoch) == epoch)
        return;
    atomic_store(&p->leader_epoch, epoch);
    if (partition_epoch_begin(p, epoch) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "note a leader epoch: %s", outcome_trail());
}

static struct topic *make_topic(struct broker *b, const struct view *from,
                                const struct meta_topic *meta, const struct meta_configs *configs)
{
    struct topic *before = from == NULL ? NULL : view_topic_by_id(from, &meta->id);
    const struct config *base = atomic_load(&b->config);
    if (before != NULL && before->meta == meta && before->overrides == configs &&
        before->base == base && !(dirs_any_offline(b) && any_offline(before))) {
        atomic_fetch_add(&before->holds, 1);
        return before;
    }
    struct topic *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    atomic_init(&t->holds, 1);
    t->meta = meta;
    t->overrides = configs;
    t->base = base;
    t->name = meta->name;
    t->id = meta->id;
    t->internal = meta_topic_internal(meta->name);
    topic_config_make(base, configs == NULL ? NULL : (const struct config_pair *)configs->pairs,
                      configs == NULL ? 0 : configs->count, &t->config);
    t->partitions = calloc((size_t)meta->partition_count + 1, sizeof(struct partition *));
    if (t->partitions == NULL) {
        free(t);
        return NULL;
    }
    t->partition_count = meta->partition_count;
    for (int32_t i = 0; i < t->partition_count; i++) {
        t->partitions[i] = get_partition(b, before, t, i);
        if (t->partitions[i] != NULL && b->view != NULL)
            lead(t->partitions[i], meta->partitions[i].leader_epoch);
    }
    return t;
}

/* At the start. */
static enum outcome open_all(struct broker *b, struct view *v)
{
    enum outcome o = logs_open_all(b, v);
    for (size_t i = 0; o == OUT_OK && i < v->topic_count; i++) {
        const struct topic *t = v->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++)
            if (t->partitions[k] != NULL)
                lead(t->partitions[k], t->meta->partitions[k].leader_epoch);
    }
    return o;
}

static_assert(sizeof(struct config_pair) == sizeof(struct meta_pair), "pairs are the same");

static void index_topic(struct view *v, size_t i)
{
    size_t at = slot_of(v, v->topics[i]->name);
    while (v->by_name[at] != 0)
        at = (at + 1) & v->mask;
    v->by_name[at] = (uint32_t)i + 1;
    at = slot_of(v, bytes_view(&v->topics[i]->id, sizeof v->topics[i]->id));
    while (v->by_id[at] != 0)
        at = (at + 1) & v->mask;
    v->by_id[at] = (uint32_t)i + 1;
}

enum outcome view_make(struct broker *b, const struct view *from, struct view **out)
{
    enum { TOPIC_RESOURCE = 2 };
    struct view *v = calloc(1, sizeof *v);
    if (v == NULL)
        return fail(OUT_NO_MEMORY, "make a view of the topics");
    v->image = meta_image_hold(meta_newest(b->meta));
    v->mask = 15;
    while (v->mask < v->image->topic_count * 2)
        v->mask = v->mask * 2 + 1;
    v->topics = calloc(v->image->topic_count + 1, sizeof(struct topic *));
    v->by_name = calloc(v->mask + 1, sizeof(uint32_t));
    v->by_id = calloc(v->mask + 1, sizeof(uint32_t));
    bool memory = v->topics != NULL && v->by_name != NULL && v->by_id != NULL;
    for (size_t i = 0; memory && i < v->image->topic_count; i++) {
        const struct meta_topic *meta = v->image->topics[i];
        v->topics[i] = make_topic(b, from, meta, meta_configs(v->image, TOPIC_RESOURCE,
                                                              meta->name));
        memory = v->topics[i] != NULL;
        v->topic_count += memory;
        if (memory)
            index_topic(v, i);
    }
    if (!memory) {
        view_free(v);
        return fail(OUT_NO_MEMORY, "make a view of the topics");
    }
    enum outcome o = b->view == NULL ? open_all(b, v) : OUT_OK;
    if (o != OUT_OK) {
        view_free(v);
        return o;
    }
    *out = v;
    return OUT_OK;
}

/* ---- handing it to the reactors ---- */

struct handover {
    struct mail mail;
    struct shard *shard;
    struct broker *broker;
    const struct view *view;
};

static void take_over(struct mail *mail)
{
    struct handover *h = container_of(mail, struct handover, mail);
    h->shard->view = h->view;
    struct broker *b = h->broker;
    pthread_mutex_lock(&b->ack_lock);
    if (--b->ack_pending == 0)
        pthread_cond_signal(&b->ack);
    pthread_mutex_unlock(&b->ack_lock);
}

/* Partitions that the new view does not have: their topic is gone. */
static void retire(const struct view *old, const struct view *now)
{
    for (size_t i = 0; old != NULL && i < old->topic_count; i++) {
        struct topic *t = old->topics[i];
        if (view_topic_by_id(now, &t->id) != NULL)
            continue;
        for (int32_t k = 0; k < t->partition_count; k++) {
            if (t->partitions[k] == NULL)
                continue;
            atomic_store(&t->partitions[k]->deleted, true);
            logs_delete(t->partitions[k]);
            partition_notify(t->partitions[k]);
        }
    }
}

void view_publish(struct broker *b, struct view *v)
{
    struct view *old = b->view;
    b->view = v;
    b->control.view = v;
    if (!b->started) {
        for (int i = 0; i < b->shard_count; i++)
            b->shards[i]->view = v;
    } else {
        struct handover mails[256];
        check(b->shard_count <= (int)COUNT_OF(mails));
        b->ack_pending = b->shard_count;
        for (int i = 0; i < b->shard_count; i++) {
            mails[i] = (struct handover){{NULL, take_over}, b->shards[i], b, v};
            shard_post(b->shards[i], &mails[i].mail);
        }
        pthread_mutex_lock(&b->ack_lock);
        while (b->ack_pending > 0)
            pthread_cond_wait(&b->ack, &b->ack_lock);
        pthread_mutex_unlock(&b->ack_lock);
    }
    /* From here on no reactor can be appending to what is gone: appends happen within a turn. */
    retire(old, v);
    view_free(old);
}

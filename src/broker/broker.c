/* SPDX-License-Identifier: MIT */
/* The broker's life: take the directory, replay, recover, run, flush, leave a clean mark. */
#include "broker/private.h"

#include "watch/watch.h"

#include <stdlib.h>

struct broker *broker_self(void)
{
    return shard_self()->broker;
}

const struct config *broker_config(struct broker *b)
{
    return atomic_load_explicit(&b->config, memory_order_acquire);
}

const char *broker_data_dir(const struct broker *b)
{
    return b->home->path;
}

struct broker_quorum broker_quorum(const struct broker *b)
{
    return (struct broker_quorum){meta_directory_id(b->meta), meta_epoch(b->meta),
                                  broker_view()->image->offset + 1};
}

int32_t broker_node_id(const struct broker *b)
{
    return b->configs[0]->node_id;
}

struct broker_address broker_address(const struct broker *b, const char *listener)
{
    const struct config *c = b->configs[0];
    int32_t i = 0;
    for (int32_t j = 1; listener != NULL && j < c->listener_count; j++) {
        if (strcmp(c->listeners[j].name, listener) == 0)
            i = j;
    }
    const struct config_listener *l = &c->listeners[i];
    return (struct broker_address){
        .host = l->advertised_host,
        .port = l->advertised_port == 0 ? b->ports[i] : l->advertised_port};
}

const char *broker_cluster_id(struct broker *b)
{
    return b->cluster_id;
}

struct shard *broker_shard(struct broker *b, int index)
{
    return b->shards[index];
}

int broker_shard_count(const struct broker *b)
{
    return b->shard_count;
}

void broker_slot_set(struct broker *b, enum broker_slot slot, void *value)
{
    b->slots[slot] = value;
}

void *broker_slot(struct broker *b, enum broker_slot slot)
{
    return b->slots[slot];
}

static enum outcome open_meta(struct broker *b)
{
    const struct config *c = b->configs[0];
    struct uuid others[CONFIG_LOG_DIRS];
    struct meta_options m = {
        .dir = b->home->path, .directories = others, .directory_count = dirs_others(b, others),
        .failed = dir_fails, .context = b->home, .node_id = c->node_id, .cluster_id = c->cluster_id,
        .host = c->listeners[0].advertised_host, .port = b->ports[0],
        .flush = c->flush_mode == FLUSH_MODE_GROUP,
        .clean = b->was == LOG_CLEAN, .now_ms = b->opened_ms,
    };
    return meta_open(&m, &b->meta);
}

static enum outcome open_logs(struct broker *b)
{
    struct view *v;
    enum outcome o = dirs_scan(b);
    if (o == OUT_OK)
        o = view_make(b, NULL, &v);
    if (o != OUT_OK)
        return o;
    view_publish(b, v);
    logs_report_recovery(b);
    logs_stray(b);
    dirs_scanned(b);
    return logs_tell_places(b);
}

static void give_up(struct broker **broker)
{
    struct broker *b = *broker;
    creations_free(b);
    view_free(b->view);
    if (b->meta != NULL) {
        enum outcome o = meta_close(&b->meta);
        (void)o; /* the caller tells the first failure */
    }
    dirs_release(b);
    for (size_t i = 1; i < b->config_count; i++)
        config_free((struct config *)(uintptr_t)b->configs[i]);
    shard_close(&b->control);
    free(b);
    *broker = NULL;
}

enum outcome broker_open(struct config *config, const int *ports, struct shard **shards,
                         int count, struct broker **out)
{
    struct broker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return fail(OUT_NO_MEMORY, "start the broker");
    atomic_init(&b->config, config);
    b->configs[b->config_count++] = b->base = config;
    b->reload.deliver = control_reload;
    memcpy(b->ports, ports, (size_t)config->listener_count * sizeof *ports);
    b->shards = shards;
    b->shard_count = count;
    b->opened_ms = os_wall_ms();
    pthread_mutex_init(&b->ack_lock, NULL);
    pthread_cond_init(&b->ack, NULL);
    pthread_mutex_init(&b->ids_lock, NULL);
    pthread_mutex_init(&b->creating_lock, NULL);
    list_init(&b->creating);
    for (int i = 0; i < count; i++)
        shards[i]->broker = b;
    enum outcome o = shard_open(&b->control, count);
    b->control.broker = b;
    if (o == OUT_OK)
        o = dirs_take(b);
    if (o == OUT_OK)
        o = open_meta(b);
    if (o == OUT_OK) {
        memcpy(b->cluster_id, meta_newest(b->meta)->cluster_id.at,
               MIN(meta_newest(b->meta)->cluster_id.size, sizeof b->cluster_id - 1));
        control_refresh_config(b);
        o = open_logs(b);
    }
    *out = b;
    if (o != OUT_OK)
        give_up(out);
    return o;
}

enum outcome broker_start(struct broker *b)
{
    enum outcome o = flusher_start(b, broker_config(b)->busy_poll_ns);
    if (o == OUT_OK)
        o = cleaner_start(b);
    if (o == OUT_OK)
        o = mover_start(b);
    return o == OUT_OK ? control_start(b) : o;
}

enum outcome broker_stop(struct broker **broker)
{
    struct broker *b = *broker;
    control_stop(b);
    mover_stop(b);
    cleaner_stop(b);
    flusher_stop(b);
    bool together;
    enum outcome o = logs_close(b, &together);
    view_free(b->view); /* closes every log clean */
    b->view = NULL;
    if (together && o == OUT_OK)
        o = dirs_sync(b);
    int64_t epoch = meta_newest(b->meta)->broker_epoch;
    enum outcome closed = meta_close(&b->meta);
    if (o == OUT_OK)
        o = closed;
    if (o == OUT_OK)
        o = dirs_mark_clean(b, epoch);
    if (atomic_load(&b->failed))
        o = fail(OUT_OFFLINE, "its disks have failed");
    give_up(broker);
    return o;
}

/* SPDX-License-Identifier: MIT */
/*
 * The control thread: metadata changes one after another, retention, checkpoints, the line with
 * rates that operators look for.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <signal.h>
#include <stdio.h>

#define NS_PER_MS INT64_C(1000000)
#define CHECKPOINT_LEAST_MS 100
#define REPORT_MS 60000
#define MEMORY_MS 1000      /* retention of topics in memory: age counts in seconds there */
#define MEMORY_PER_MS 10    /* partitions looked at, at most, on average */
#define PRODUCER_BLOCK 1000 /* ids granted at once, as Kafka's controller does */

void broker_control(struct request *r, void (*work)(struct request *))
{
    request_send(r, &broker_self()->control, work);
}

const struct view *broker_newest(struct broker *b)
{
    return b->view;
}

struct meta_rules broker_rules(struct broker *b)
{
    const struct config *c = atomic_load(&b->config);
    return (struct meta_rules){.node_id = c->node_id, .directory_id = b->home->id,
                               .place = dirs_place, .context = b,
                               .default_partitions = c->num_partitions,
                               .config_check = config_check};
}

/* ---- dynamic settings of the broker ---- */

struct config *control_config_over(struct broker *b)
{
    enum { BROKER_RESOURCE = 4 };
    char id[16];
    const struct meta_image *image = meta_newest(b->meta);
    struct bytes own_name = {(uint8_t *)id,
                             (size_t)snprintf(id, sizeof id, "%d", b->base->node_id)};
    const struct meta_configs *defaults = meta_configs(image, BROKER_RESOURCE, bytes_of(""));
    const struct meta_configs *own = meta_configs(image, BROKER_RESOURCE, own_name);
    return config_with(
        b->base, defaults == NULL ? NULL : (const struct config_pair *)defaults->pairs,
        defaults == NULL ? 0 : defaults->count,
        own == NULL ? NULL : (const struct config_pair *)own->pairs, own == NULL ? 0 : own->count);
}

void control_config_set(struct broker *b, struct config *c)
{
    b->configs[b->config_count++] = c;
    atomic_store(&b->config, c);
    watch_level_set((enum watch_level)c->log_level);
    if (b->watch.changed != NULL)
        b->watch.changed(b->watch.context, c);
}

void broker_watch_settings(struct broker *b, const struct broker_settings_watch *w)
{
    b->watch = *w;
    w->changed(w->context, atomic_load(&b->config));
}

void control_refresh_config(struct broker *b)
{
    if (b->config_count == CONFIGS_KEPT) {
        watch_log(WATCH_ERROR, "broker", "settings were changed %d times: the newest take effect "
                  "after a restart", CONFIGS_KEPT);
        return;
    }
    struct config *c = control_config_over(b);
    if (c == NULL) {
        watch_log(WATCH_ERROR, "broker", "a changed setting can't take effect: %s",
                  outcome_trail());
        return;
    }
    control_config_set(b, c);
}

static bool touches_broker(const struct meta_image *before, const struct meta_image *after)
{
    enum { BROKER_RESOURCE = 4 };
    size_t counts[2] = {0, 0};
    const struct meta_image *images[2] = {before, after};
    const struct meta_configs *found[2][8];
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < images[k]->config_count && counts[k] < 8; i++) {
            if (images[k]->configs[i]->type == BROKER_RESOURCE)
                found[k][counts[k]++] = images[k]->configs[i];
        }
    }
    if (counts[0] != counts[1])
        return true;
    for (size_t i = 0; i < counts[0]; i++) {
        if (found[0][i] != found[1][i])
            return true;
    }
    return false;
}

enum outcome broker_apply(struct broker *b, struct meta_change *change)
{
    struct view *v;
    const struct meta_image *before = b->view->image;
    enum outcome o = meta_commit(b->meta, change, b->control.wall_ms);
    if (o != OUT_OK || change->count == 0)
        return o;
    if (touches_broker(before, meta_newest(b->meta)))
        control_refresh_config(b);
    o = view_make(b, b->view, &v);
    dirs_placed(b);
    if (o == OUT_OK)
        view_publish(b, v);
    return o;
}

/* ---- producer ids ---- */

bool broker_producer_id(struct broker *b, int64_t *id)
{
    pthread_mutex_lock(&b->ids_lock);
    bool there = b->next_id < b->end_id;
    if (there)
        *id = b->next_id++;
    pthread_mutex_unlock(&b->ids_lock);
    return there;
}

enum outcome broker_producer_block(struct broker *b, int64_t *id)
{
    struct meta_change change;
    if (broker_producer_id(b, id))
        return OUT_OK; /* another request has just fetched a block */
    const struct meta_image *image = meta_newest(b->meta);
    int64_t first = image->next_producer_id;
    meta_change_init(&change);
    enum outcome o = meta_plan_producer_ids(image, meta_node_id(b->meta), PRODUCER_BLOCK, &change);
    if (o == OUT_OK)
        o = broker_apply(b, &change);
    meta_change_fini(&change);
    if (o != OUT_OK)
        return o;
    pthread_mutex_lock(&b->ids_lock);
    *id = first;
    b->next_id = first + 1;
    b->end_id = first + PRODUCER_BLOCK;
    pthread_mutex_unlock(&b->ids_lock);
    return OUT_OK;
}

/* ---- what comes again and again ---- */

static void again(struct shard_timer *t, int64_t ms)
{
    if (shard_timer_set(t->shard, t, t->shard->now_ns + ms * NS_PER_MS) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "a timer is lost: out of memory");
}

static void retain(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct broker *b = container_of(timer, struct broker, retention);
    int32_t all = 0;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++) {
            int32_t deleted = 0;
            if (t->partitions[k] != NULL &&
                partition_retain(t->partitions[k], timer->shard->wall_ms, &deleted) != OUT_OK)
                watch_log(WATCH_ERROR, "broker", "retention: %s", outcome_trail());
            all += deleted;
        }
    }
    if (all > 0) {
        count(segments_deleted, (uint64_t)all);
        broker_checkpoint_starts(b);
    }
    again(timer, atomic_load(&b->config)->log_retention_check_interval_ms);
}

/* Appends bound what they add to; this is for topics in memory that nobody appends to. */
static void retain_memory(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct broker *b = container_of(timer, struct broker, memory);
    int64_t seen = 0;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; t->config.memory && k < t->partition_count; k++) {
            struct partition *p = t->partitions[k];
            if (p != NULL && p->stream != NULL)
                stream_retain(p->stream, timer->shard->wall_ms);
            seen++;
        }
    }
    again(timer, MAX(MEMORY_MS, seen / MEMORY_PER_MS));
}

/* A number that changes when any checkpoint would. */
static uint64_t fingerprint(const struct broker *b)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++) {
            struct store_stat stat;
            if (t->partitions[k] == NULL || t->partitions[k]->log == NULL)
                continue;
            store_stat(t->partitions[k]->store, &stat);
            sum = sum * 31 + (uint64_t)(stat.flushed_offset + stat.high_watermark +
                                        stat.start_offset);
        }
    }
    return sum;
}

static int64_t checkpoint_ms(struct broker *b)
{
    return MAX(atomic_load(&b->config)->checkpoint_interval_ms, CHECKPOINT_LEAST_MS);
}

/* An idle broker leaves its disk alone. */
static void checkpoint(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct broker *b = container_of(timer, struct broker, checkpoint);
    uint64_t now = fingerprint(b);
    if (now != b->checkpointed)
        broker_checkpoint_starts(b);
    b->checkpointed = now;
    again(timer, checkpoint_ms(b));
}

static void report(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    static uint64_t produced, consumed; /* the control thread's own */
    uint64_t p = watch_value(WATCH_messages_produced), c = watch_value(WATCH_messages_consumed);
    double seconds = REPORT_MS / 1000.0;
    if (p != produced || c != consumed)
        watch_log(WATCH_INFO, "broker", "Messages/sec: produce=%.0f, consume=%.0f, total=%.0f",
                  (double)(p - produced) / seconds, (double)(c - consumed) / seconds,
                  (double)(p - produced + c - consumed) / seconds);
    produced = p;
    consumed = c;
    again(timer, REPORT_MS);
}

static void *control_main(void *context)
{
    struct broker *b = context;
    shard_become(&b->control);
    b->retention.fire = retain;
    b->memory.fire = retain_memory;
    b->checkpoint.fire = checkpoint;
    b->report.fire = report;
    b->memory.shard = &b->control;
    b->retention.shard = b->checkpoint.shard = b->report.shard = &b->control;
    shard_clock(&b->control);
    again(&b->retention, atomic_load(&b->config)->log_retention_check_interval_ms);
    again(&b->memory, MEMORY_MS);
    again(&b->checkpoint, checkpoint_ms(b));
    again(&b->report, REPORT_MS);
    b->flush_due.fire = broker_flush_due;
    b->flush_due.shard = &b->control;
    broker_flush_due(&b->flush_due, b->control.now_ns);
    cleaner_begin(b);
    while (!atomic_load(&b->stopping))
        shard_turn(&b->control);
    shard_become(NULL);
    return NULL;
}

enum outcome control_start(struct broker *b)
{
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    b->started = pthread_create(&b->control_thread, NULL, control_main, b) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return b->started ? OUT_OK : fail(OUT_NO_MEMORY, "start the control thread");
}

static void woken(struct mail *mail)
{
    (void)mail; /* the loop looks at `stopping` */
}

/* Ends at once when the thread does, else after some time. */
static bool control_ended(struct broker *b)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_timedjoin_np(b->control_thread, NULL, &until) == 0;
}

/* The reactors have stopped: whoever waits for them to take over a view, now or when what it does
 * (thousands of partitions to make) is done, is let go. */
void control_stop(struct broker *b)
{
    struct mail wake = {.deliver = woken};
    if (!b->started)
        return;
    atomic_store(&b->stopping, true);
    shard_post(&b->control, &wake);
    bool ended = false;
    while (!ended) {
        ended = control_ended(b);
        for (int i = 0; i < b->shard_count; i++) /* its last words, too */
            mailbox_deliver(&b->shards[i]->mailbox, INT32_MAX);
    }
    b->started = false;
}

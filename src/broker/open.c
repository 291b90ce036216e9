/* SPDX-License-Identifier: MIT */
/*
 * All logs at the start: num.recovery.threads.per.data.dir threads for each directory take one
 * after another. Which directory a log is in is decided before, and what comes of it is noted
 * behind that, both in the order of the topics, so that nothing depends on which thread was quick.
 * Whoever waits for a long recovery is told how far it is.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 64
#define TELL_S 5

/* A log that is to be opened, and what came of it. */
struct opening {
    struct topic *topic;
    struct partition *partition;
    enum outcome outcome;
    char *trail;                 /* NULL: none, or no memory for it */
};

struct opener {
    struct openings *all;
    struct broker_dir *dir;
    struct os_thread *thread;
    _Atomic size_t at;           /* which one; count: none */
    _Atomic int64_t verified;    /* bytes of it so far */
};

struct openings {
    struct broker *broker;
    struct opening *list;
    size_t count, room;
    _Atomic size_t next[CONFIG_LOG_DIRS]; /* of each directory */
    _Atomic size_t done;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int running;                 /* under the lock */
    struct opener openers[THREADS_MAX];
    int opener_count;
};

static void open_one(struct broker *b, struct opening *o, _Atomic int64_t *verified)
{
    struct partition *p = o->partition;
    o->outcome = logs_load(b, p, &o->topic->config, verified);
    if (o->outcome == OUT_OK)
        return;
    if (o->outcome == OUT_IO && b->data_dir_count > 1)
        dir_fails(p->dir);
    o->trail = strdup(outcome_trail());
}

/* The logs of one directory, until there is none left. */
static void open_some(struct opener *w)
{
    struct openings *all = w->all;
    _Atomic size_t *next = &all->next[w->dir - all->broker->dirs];
    for (size_t i; (i = atomic_fetch_add(next, 1)) < all->count;) {
        if (all->list[i].partition->dir != w->dir)
            continue;
        atomic_store(&w->verified, 0);
        atomic_store(&w->at, i);
        open_one(all->broker, &all->list[i], &w->verified);
        atomic_fetch_add(&all->done, 1);
    }
    atomic_store(&w->at, all->count);
}

static void opener_main(void *context)
{
    struct opener *w = context;
    open_some(w);
    pthread_mutex_lock(&w->all->lock);
    w->all->running--;
    pthread_cond_signal(&w->all->wake);
    pthread_mutex_unlock(&w->all->lock);
}

static void tell(const struct openings *all)
{
    watch_log(WATCH_INFO, "broker", "recovery: %zu of %zu logs are open", atomic_load(&all->done),
              all->count);
    for (int i = 0; i < all->opener_count; i++) {
        const struct opener *w = &all->openers[i];
        size_t at = atomic_load(&w->at);
        if (at == all->count)
            continue;
        const struct partition *p = all->list[at].partition;
        watch_log(WATCH_INFO, "broker", "recovery: %.*s-%d, %lld MiB verified", (int)p->topic.size,
                  (const char *)p->topic.at, p->index,
                  (long long)(atomic_load(&w->verified) / MiB(1)));
    }
}

static void wait_for_all(struct openings *all)
{
    struct timespec until;
    pthread_mutex_lock(&all->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TELL_S;
    while (all->running > 0) {
        if (pthread_cond_timedwait(&all->wake, &all->lock, &until) != ETIMEDOUT)
            continue;
        tell(all);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += TELL_S;
    }
    pthread_mutex_unlock(&all->lock);
    for (int i = 0; i < all->opener_count; i++)
        os_thread_join(&all->openers[i].thread);
}

/* Threads for one directory; without any, the caller does it. */
static void begin_dir(struct openings *all, struct broker_dir *d)
{
    int32_t wanted = atomic_load(&all->broker->config)->recovery_threads;
    int begun = 0;
    size_t logs = 0;
    for (size_t i = 0; i < all->count; i++)
        logs += all->list[i].partition->dir == d;
    for (int32_t i = 0; i < wanted && (size_t)i < logs && all->opener_count < THREADS_MAX; i++) {
        struct opener *w = &all->openers[all->opener_count];
        w->all = all;
        w->dir = d;
        atomic_store(&w->at, all->count);
        pthread_mutex_lock(&all->lock);
        all->running++;
        pthread_mutex_unlock(&all->lock);
        bool good = os_thread_start("recovery", opener_main, w, &w->thread) == OUT_OK;
        pthread_mutex_lock(&all->lock);
        all->running -= !good;
        pthread_mutex_unlock(&all->lock);
        if (!good)
            break;
        all->opener_count++;
        begun++;
    }
    struct opener own = {.all = all, .dir = d};
    if (begun == 0 && logs > 0)
        open_some(&own);
}

static enum outcome collect(struct openings *all, struct view *v)
{
    for (size_t i = 0; i < v->topic_count; i++)
        all->room += (size_t)v->topics[i]->partition_count;
    all->list = calloc(all->room + 1, sizeof *all->list);
    if (all->list == NULL)
        return fail(OUT_NO_MEMORY, "open the logs");
    for (size_t i = 0; i < v->topic_count; i++) {
        struct topic *t = v->topics[i];
        for (int32_t k = 0; k < t->partition_count; k++)
            if (t->partitions[k] != NULL && t->partitions[k]->stream == NULL)
                all->list[all->count++] = (struct opening){.topic = t,
                                                           .partition = t->partitions[k]};
    }
    return OUT_OK;
}

enum outcome logs_open_all(struct broker *b, struct view *v)
{
    struct openings *all = calloc(1, sizeof *all);
    if (all == NULL)
        return fail(OUT_NO_MEMORY, "open the logs");
    all->broker = b;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->wake, NULL);
    enum outcome o = collect(all, v);
    for (int i = 0; o == OUT_OK && i < b->data_dir_count; i++)
        begin_dir(all, &b->dirs[i]);
    wait_for_all(all);
    for (size_t i = 0; i < all->count; i++) {
        struct opening *at = &all->list[i];
        logs_loaded(b, at->partition, at->outcome, at->trail == NULL ? "" : at->trail);
        if (at->outcome != OUT_OK) {
            at->topic->partitions[at->partition->index] = NULL;
            partition_drop(at->partition);
        }
        free(at->trail);
    }
    pthread_cond_destroy(&all->wake);
    pthread_mutex_destroy(&all->lock);
    free(all->list);
    free(all);
    return o;
}

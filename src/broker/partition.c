/* SPDX-License-Identifier: MIT */
/*
 * Partitions: their lifetime, and waking the fetches that wait for them.
 *
 * The lock of a partition guards its lists and is held for a few pointer moves. An append pays one
 * atomic load when nobody waits.
 */
#include "broker/private.h"

#include "log/log.h"
#include "watch/watch.h"

#include <stdlib.h>

struct partition *partition_new(struct broker *b, struct bytes topic, const struct uuid *id,
                                int32_t index)
{
    struct partition *p = calloc(1, sizeof *p + topic.size + 1);
    if (p == NULL)
        return NULL;
    memcpy(p + 1, topic.at, topic.size);
    p->topic = bytes_view(p + 1, topic.size);
    p->topic_id = *id;
    p->index = index;
    p->broker = b;
    atomic_init(&p->holds, 1);
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->watching);
    list_init(&p->unflushed);
    list_init(&p->flush_node);
    return p;
}

struct partition *partition_hold(struct partition *p)
{
    uint32_t before = atomic_fetch_add_explicit(&p->holds, 1, memory_order_relaxed);
    check(before > 0);
    return p;
}

void partition_drop(struct partition *p)
{
    if (atomic_fetch_sub_explicit(&p->holds, 1, memory_order_acq_rel) != 1)
        return;
    check(list_empty(&p->watching) && list_empty(&p->unflushed));
    broker_log_gone(p);
    void *followed = atomic_load(&p->followed);
    if (followed != NULL)
        p->broker->follower.gone(followed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void partition_watch(struct partition *p, struct watch *w, struct watcher *by)
{
    w->partition = partition_hold(p);
    w->watcher = by;
    pthread_mutex_lock(&p->lock);
    list_push(&p->watching, &w->node);
    atomic_fetch_add(&p->watchers, 1);
    pthread_mutex_unlock(&p->lock);
}

void partition_unwatch(struct watch *w)
{
    struct partition *p = w->partition;
    pthread_mutex_lock(&p->lock);
    list_remove(&w->node);
    atomic_fetch_sub(&p->watchers, 1);
    pthread_mutex_unlock(&p->lock);
    w->partition = NULL;
    partition_drop(p);
}

/* Runs on the home thread of the watcher's request. */
static void deliver(struct mail *mail)
{
    struct watcher *w = container_of(mail, struct watcher, mail);
    atomic_store(&w->in_flight, false);
    w->wake(w->request);
}

void watcher_init(struct watcher *w, struct request *r, void (*wake)(struct request *))
{
    *w = (struct watcher){.mail.deliver = deliver, .request = r, .wake = wake};
}

void watcher_rearm(struct watcher *w)
{
    atomic_store(&w->fired, false);
}

bool watcher_idle(struct watcher *w)
{
    return !atomic_load(&w->in_flight);
}

void partition_notify(struct partition *p)
{
    /* Pairs with partition_watch: it adds itself before it reads the log, we append before this. */
    atomic_thread_fence(memory_order_seq_cst);
    if (likely(atomic_load_explicit(&p->watchers, memory_order_relaxed) == 0))
        return;
    /* Posted behind the lock: who is woken wants it at once. In flight, a watcher does not end. */
    struct mail *fired = NULL;
    pthread_mutex_lock(&p->lock);
    list_each(n, &p->watching) {
        struct watcher *w = container_of(n, struct watch, node)->watcher;
        if (atomic_exchange(&w->fired, true))
            continue;
        atomic_store(&w->in_flight, true);
        w->mail.next = fired;
        fired = &w->mail;
    }
    pthread_mutex_unlock(&p->lock);
    while (fired != NULL) {
        struct mail *next = fired->next;
        shard_post(container_of(fired, struct watcher, mail)->request->home, fired);
        fired = next;
    }
}

void broker_follow(struct broker *b, const struct broker_follower *f)
{
    b->follower = *f;
}

void partition_appended(struct partition *p, int64_t base_offset)
{
    partition_notify(p);
    if (p->broker->follower.appended != NULL)
        p->broker->follower.appended(p, base_offset);
}

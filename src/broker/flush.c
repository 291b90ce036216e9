/* SPDX-License-Identifier: MIT */
/*
 * Group commit: one disk flush answers every reply that waits for it.
 *
 * A partition with waiting replies stands once in the queue; a pool of threads takes partitions and
 * flushes them side by side (the file system joins their journal commits). Replies that arrive
 * while a flush runs wait for the next one. A failed flush is final: the log is offline, every
 * waiting reply fails, none is acknowledged.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <stdlib.h>

#define FLUSHERS 4

struct flusher {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list queue; /* struct partition.flush_node, first come first served */
    bool stopping;
    int64_t busy_ns;      /* busy.poll.us; 0: who has nothing to do sleeps */
    bool looking;         /* one thread looks for work and needs no wake-up */
    _Atomic bool queued;  /* what it looks at, without the lock: there is something new */
    int threads;
    pthread_t thread[FLUSHERS];
};

void broker_flush_begin(struct flush_set *s, struct request *r, void (*then)(struct request *))
{
    s->request = r;
    s->then = then;
    atomic_init(&s->pending, 1); /* the caller's own, until broker_flush_end */
    atomic_init(&s->failed, false);
}

static void enqueue(struct flusher *f, struct partition *p)
{
    pthread_mutex_lock(&f->lock);
    bool wake = !f->looking || !list_empty(&f->queue); /* that one is who looks' own */
    list_push(&f->queue, &p->flush_node);
    atomic_store(&f->queued, true);
    pthread_mutex_unlock(&f->lock);
    if (wake)
        pthread_cond_signal(&f->wake);
}

void broker_flush_add(struct flush_set *s, struct flush_wait *w, struct partition *p,
                      int64_t offset)
{
    if (p->stream != NULL)
        return; /* nothing is promised beyond memory, where it is */
    w->partition = partition_hold(p);
    w->offset = offset;
    w->set = s;
    atomic_fetch_add_explicit(&s->pending, 1, memory_order_relaxed);
    pthread_mutex_lock(&p->lock);
    list_push(&p->unflushed, &w->node);
    bool queue = !p->flush_queued;
    p->flush_queued = true;
    pthread_mutex_unlock(&p->lock);
    if (queue)
        enqueue(broker_flusher(p->broker), partition_hold(p));
}

void broker_flush_soon(struct partition *p)
{
    pthread_mutex_lock(&p->lock);
    bool queue = !p->flush_queued;
    p->flush_queued = true;
    pthread_mutex_unlock(&p->lock);
    if (queue)
        enqueue(broker_flusher(p->broker), partition_hold(p));
}

bool broker_flush_end(struct flush_set *s)
{
    return atomic_fetch_sub_explicit(&s->pending, 1, memory_order_acq_rel) != 1;
}

static void settle(struct flush_wait *w, bool failed)
{
    struct flush_set *s = w->set;
    partition_drop(w->partition);
    if (failed)
        atomic_store(&s->failed, true);
    if (atomic_fetch_sub_explicit(&s->pending, 1, memory_order_acq_rel) == 1)
        request_return(s->request, s->then);
}

/* Takes the waits that `flushed` satisfies (all when the flush failed) and says whether others are
 * left. The list is walked under the lock, the replies are sent after it. */
static bool collect(struct partition *p, int64_t flushed, bool failed, struct list *done)
{
    pthread_mutex_lock(&p->lock);
    list_each_safe(n, after, &p->unflushed) {
        if (!failed && container_of(n, struct flush_wait, node)->offset > flushed)
            continue;
        list_remove(n);
        list_push(done, n);
    }
    bool left = !list_empty(&p->unflushed);
    p->flush_queued = left;
    pthread_mutex_unlock(&p->lock);
    return left;
}

static void flush_one(struct flusher *f, struct partition *p)
{
    struct list done;
    int64_t flushed = 0;
    list_init(&done);
    enum outcome o = store_flush(p->store, &flushed);
    count(flushes, 1);
    if (o != OUT_OK)
        watch_log(WATCH_ERROR, "broker",
                  "a flush failed, nothing that waits for it is acknowledged: %s",
                  outcome_trail());
    bool left = collect(p, flushed, o != OUT_OK, &done);
    for (struct list *n; (n = list_pop(&done)) != NULL;)
        settle(container_of(n, struct flush_wait, node), o != OUT_OK);
    if (left)
        enqueue(f, p);
    else
        partition_drop(p);
}

/* Waits for work without sleeping, for a while. Under the lock, which is let go meanwhile. */
static void look(struct flusher *f)
{
    int64_t until = os_now_ns() + f->busy_ns;
    f->looking = true;
    atomic_store(&f->queued, false);
    pthread_mutex_unlock(&f->lock);
    while (!atomic_load(&f->queued) && os_now_ns() < until)
        os_thread_yield();
    pthread_mutex_lock(&f->lock);
    f->looking = false;
}

static void *flush_loop(void *context)
{
    struct flusher *f = context;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        if (f->busy_ns > 0 && list_empty(&f->queue) && !f->looking && !f->stopping)
            look(f);
        while (list_empty(&f->queue) && !f->stopping)
            pthread_cond_wait(&f->wake, &f->lock);
        struct list *n = list_pop(&f->queue);
        if (n == NULL)
            break;
        pthread_mutex_unlock(&f->lock);
        flush_one(f, container_of(n, struct partition, flush_node));
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

enum outcome flusher_start(struct broker *b, int64_t busy_ns)
{
    struct flusher *f = calloc(1, sizeof *f);
    if (f == NULL)
        return fail(OUT_NO_MEMORY, "start the flushers");
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    list_init(&f->queue);
    f->busy_ns = busy_ns;
    b->flusher = f;
    for (; f->threads < FLUSHERS; f->threads++) {
        if (pthread_create(&f->thread[f->threads], NULL, flush_loop, f) != 0)
            return fail(OUT_NO_MEMORY, "start a flusher");
    }
    return OUT_OK;
}

void flusher_stop(struct broker *b)
{
    struct flusher *f = b->flusher;
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    atomic_store(&f->queued, true);
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < f->threads; i++)
        pthread_join(f->thread[i], NULL);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->lock);
    free(f);
    b->flusher = NULL;
}

struct flusher *broker_flusher(struct broker *b)
{
    return b->flusher;
}

/* SPDX-License-Identifier: MIT */
/*
 * Partitions move to another log directory while they are written and read (KIP-113). One thread
 * copies, one partition after the other, with low priority; the control thread begins and ends
 * each move, when compaction and retention of the partition are not under way.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE MiB(1)
#define NICE 5
#define LATER_NS INT64_C(20000000)

/* One partition on its way. In the list until it is over; `copy` is the thread's until the mail. */
struct move {
    struct list node;
    struct partition *partition; /* held */
    struct broker_dir *to;
    struct log *copy;
    char path[LOG_PATH_MAX];     /* of the copy */
    _Atomic bool given_up;       /* another one was asked for, or none */
    enum outcome outcome;
    char trail[256];
    struct mail mail;            /* to the control thread: few records are left */
    struct shard_timer later;    /* something else is at the partition */
    _Atomic int64_t end_offset, bytes; /* of the copy, for those who look */
};

struct mover {
    struct broker *broker;
    pthread_t thread;
    pthread_mutex_t lock;        /* guards the lists */
    pthread_cond_t wake;
    struct list waiting, all_ending;
    struct move *current;
    bool started;
    _Atomic bool stopping;
};

static void copied(struct mail *mail);

/* ---- copying, in its own thread ---- */

static bool go_on(const struct mover *m, const struct move *v)
{
    return !atomic_load(&m->stopping) && !atomic_load(&v->given_up) &&
           !atomic_load(&v->partition->deleted) && !atomic_load(&v->to->offline);
}

static enum outcome copy_all(struct mover *m, struct move *v)
{
    struct store_stat stat;
    size_t left = SIZE_MAX;
    int64_t flushed;
    enum outcome o = OUT_OK;
    while (o == OUT_OK && left > 1) {
        if (!go_on(m, v))
            return OUT_CLOSED;
        o = log_copy(v->partition->log, v->copy, PIECE, os_wall_ms(), &left);
        store_stat(log_store(v->copy), &stat);
        atomic_store(&v->end_offset, stat.end_offset);
        atomic_store(&v->bytes, stat.size_bytes);
        if (o == OUT_OK && left <= 1)
            o = store_flush(log_store(v->copy), &flushed);
    }
    return o;
}

static void *mover_main(void *context)
{
    struct mover *m = context;
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE) != 0)
        errno = 0;
    pthread_mutex_lock(&m->lock);
    while (!atomic_load(&m->stopping)) {
        struct list *n = list_pop(&m->waiting);
        if (n == NULL) {
            pthread_cond_wait(&m->wake, &m->lock);
            continue;
        }
        struct move *v = container_of(n, struct move, node);
        m->current = v;
        pthread_mutex_unlock(&m->lock);
        v->outcome = copy_all(m, v);
        snprintf(v->trail, sizeof v->trail, "%s", v->outcome == OUT_OK ? "" : outcome_trail());
        pthread_mutex_lock(&m->lock);
        m->current = NULL;
        list_push(&m->all_ending, &v->node);
        shard_post(&m->broker->control, &v->mail);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- the control thread's side ---- */

static void move_free(struct move *v)
{
    if (v->copy != NULL) {
        enum outcome o = log_close(&v->copy, LOG_UNCLEAN);
        if (o != OUT_OK || log_delete_finish(v->path) != OUT_OK)
            watch_log(WATCH_WARN, "broker", "delete %s: %s", v->path, outcome_trail());
    }
    partition_drop(v->partition);
    free(v);
}

static void tell(const struct move *v, enum outcome o, const char *trail)
{
    const struct partition *p = v->partition;
    if (o == OUT_OK)
        watch_log(WATCH_INFO, "broker", "%.*s-%d is in %s now", (int)p->topic.size,
                  (const char *)p->topic.at, (int)p->index, v->to->path);
    else if (o != OUT_CLOSED)
        watch_log(WATCH_ERROR, "broker", "%.*s-%d can't be moved to %s: %s", (int)p->topic.size,
                  (const char *)p->topic.at, (int)p->index, v->to->path, trail);
}

/* The metadata and the checkpoints say where it is. */
static void settle_place(struct broker *b, struct partition *p)
{
    struct meta_change change;
    const struct meta_image *image = meta_newest(b->meta);
    const struct meta_topic *t = meta_topic_by_id(image, &p->topic_id);
    struct broker_dir *d = p->dir;
    meta_change_init(&change);
    enum outcome o = t == NULL ? OUT_OK : meta_plan_directory(image, t, p->index, &d->id, &change);
    if (o == OUT_OK)
        o = broker_apply(b, &change);
    meta_change_fini(&change);
    if (o != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "note a partition's place: %s", outcome_trail());
    broker_checkpoint_starts(b);
}

static enum outcome finish(struct broker *b, struct move *v)
{
    struct partition *p = v->partition;
    struct broker_dir *from = p->dir;
    char path[LOG_PATH_MAX], aside[LOG_PATH_MAX];
    snprintf(path, sizeof path, "%s/%.*s-%d", v->to->path, (int)p->topic.size,
             (const char *)p->topic.at, (int)p->index);
    logs_unique_path(p, from, LOGDIR_MOVED, aside);
    struct log_moved to = {.path = path, .aside = aside, .context = v->to,
                           .now_ms = os_wall_ms()};
    enum outcome o = log_move(p->log, &v->copy, &to);
    if (v->copy != NULL)
        return o;
    p->dir = v->to;
    from->logs--;
    v->to->logs++;
    partition_ttl_file(p);
    settle_place(b, p);
    if (log_delete_finish(aside) != OUT_OK)
        watch_log(WATCH_WARN, "broker", "delete %s: %s", aside, outcome_trail());
    return o;
}

static void end_move(struct move *v)
{
    struct broker *b = v->partition->broker;
    struct mover *m = b->mover;
    enum outcome o = v->outcome;
    if (o == OUT_OK && !go_on(m, v))
        o = OUT_CLOSED;
    if (o == OUT_OK && cleaner_busy(v->partition)) {
        if (shard_timer_set(&b->control, &v->later, b->control.now_ns + LATER_NS) == OUT_OK)
            return;
        o = OUT_NO_MEMORY;
    }
    if (o == OUT_OK)
        o = finish(b, v);
    tell(v, o, v->outcome == OUT_OK ? outcome_trail() : v->trail);
    pthread_mutex_lock(&m->lock);
    list_remove(&v->node);
    pthread_mutex_unlock(&m->lock);
    v->partition->moves--;
    move_free(v);
}

static void copied(struct mail *mail)
{
    end_move(container_of(mail, struct move, mail));
}

static void again(struct shard_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    end_move(container_of(timer, struct move, later));
}

static struct move *find_in(struct list *list, const struct partition *p)
{
    list_each(n, list) {
        struct move *v = container_of(n, struct move, node);
        if (v->partition == p && !atomic_load(&v->given_up))
            return v;
    }
    return NULL;
}

/* Under the lock. */
static struct move *find(struct mover *m, const struct partition *p)
{
    struct move *v = m->current;
    if (v != NULL && v->partition == p && !atomic_load(&v->given_up))
        return v;
    v = find_in(&m->waiting, p);
    return v != NULL ? v : find_in(&m->all_ending, p);
}

static enum outcome begin(struct mover *m, struct partition *p, struct broker_dir *to)
{
    struct move *v = calloc(1, sizeof *v);
    if (v == NULL)
        return OUT_NO_MEMORY;
    logs_unique_path(p, to, LOGDIR_FUTURE, v->path);
    enum outcome o = logs_open_copy(p, to, v->path, &v->copy);
    if (o != OUT_OK) {
        free(v);
        return o;
    }
    v->partition = partition_hold(p);
    v->to = to;
    v->mail.deliver = copied;
    v->later.fire = again;
    p->moves++;
    pthread_mutex_lock(&m->lock);
    list_push(&m->waiting, &v->node);
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    return OUT_OK;
}

enum outcome broker_move(struct partition *p, struct bytes path)
{
    struct broker *b = p->broker;
    struct broker_dir *to = dirs_by_path(b, path);
    if (to == NULL)
        return OUT_NOT_FOUND;
    if (atomic_load(&to->offline) || p->log == NULL)
        return OUT_OFFLINE;
    pthread_mutex_lock(&b->mover->lock);
    struct move *v = find(b->mover, p);
    if (v != NULL && v->to != to)
        atomic_store(&v->given_up, true);
    pthread_mutex_unlock(&b->mover->lock);
    if ((v != NULL && v->to == to) || to == p->dir)
        return OUT_OK;
    return begin(b->mover, p, to);
}

bool broker_moving(struct partition *p, struct broker_moving *to)
{
    struct mover *m = p->broker->mover;
    struct store_stat stat;
    pthread_mutex_lock(&m->lock);
    struct move *v = find(m, p);
    if (v != NULL) {
        store_stat(p->store, &stat);
        *to = (struct broker_moving){
            .dir = (int)(v->to - p->broker->dirs), .bytes = atomic_load(&v->bytes),
            .lag = MAX(stat.end_offset - atomic_load(&v->end_offset), 0)};
    }
    pthread_mutex_unlock(&m->lock);
    return v != NULL;
}

/* ---- life ---- */

enum outcome mover_start(struct broker *b)
{
    struct mover *m = calloc(1, sizeof *m);
    if (m == NULL)
        return fail(OUT_NO_MEMORY, "start the mover");
    m->broker = b;
    list_init(&m->waiting);
    list_init(&m->all_ending);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    b->mover = m;
    m->started = b->data_dir_count < 2 || pthread_create(&m->thread, NULL, mover_main, m) == 0;
    return m->started ? OUT_OK : fail(OUT_NO_MEMORY, "start the mover's thread");
}

/* The control thread has stopped. What was copied is copied again after the next wish. */
void mover_stop(struct broker *b)
{
    struct mover *m = b->mover;
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    atomic_store(&m->stopping, true);
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (m->started && b->data_dir_count > 1)
        pthread_join(m->thread, NULL);
    for (struct list *n; (n = list_pop(&m->waiting)) != NULL;)
        move_free(container_of(n, struct move, node));
    for (struct list *n; (n = list_pop(&m->all_ending)) != NULL;)
        move_free(container_of(n, struct move, node));
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
    b->mover = NULL;
}

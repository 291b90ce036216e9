/* SPDX-License-Identifier: MIT */
/*
 * The cleaner: compacts logs of topics with cleanup.policy=compact. The control thread picks the
 * dirtiest log when a slot is free (every log.cleaner.backoff.ms, and again at once after each
 * pass), notes how far a log is clean and writes the file cleaner-offset-checkpoint.
 *
 * A slot has a firm thread, and a gentle one for each pass. The gentle one does the work with the
 * lowest priority there is: with any other it keeps its core for a time slice of milliseconds while
 * a client's request waits for it. What is done under locks is lent to the firm one, so that nobody
 * waits for a thread that waits for everybody. When others leave the gentle one too little, or a
 * log is overdue (max.compaction.lag.ms), the firm one does all of it. The gentle one does not
 * outlive its pass: the process is gone when the last of its threads is, and beside busy programs
 * one of that priority takes seconds to end, with the port and the directories held meanwhile.
 */
#include "broker/private.h"

#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>

#define CLEANERS_MAX 8
#define NICE 5
#define RETRY_MS 60000 /* after a failure, so that others get their turn */
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define STARVED_NS (5 * NS_PER_S) /* in which a gentle pass must come to ... */
#define STARVED_RATE 8e6          /* ... that many bytes a second, or what it is throttled to */
#define FIRM_NS (60 * NS_PER_S)   /* how long passes are firm after one that starved */

struct cleaning;

/* Something that the firm thread does while the gentle one waits. */
struct lent {
    enum outcome (*work)(void *arg);
    void *arg;
    enum outcome outcome;
    char trail[256];
    bool done;
};

/* A slot. */
struct cleaning {
    struct cleaner *cleaner;
    struct os_thread *firm;
    struct mail mail;            /* to the control thread, when a pass has ended */
    struct partition *partition; /* held; NULL: idle. The control thread's, but for the threads */
    bool wanted;                 /* under the lock: a pass is to begin */
    struct lent *lent;           /* under the lock; NULL: nothing */
    bool gentle_over;            /* under the lock: it lends nothing any more */
    bool is_firm, starved;       /* this pass */
    struct log_compact what;
    struct log_compacted done;
    enum outcome outcome;
    char trail[256];
    double bytes_per_second;     /* of this pass */
    int64_t begun_ns, bytes;
};

struct cleaner {
    struct broker *broker;
    struct shard_timer timer;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stopping;
    int64_t firm_until_ns;       /* the control thread's */
    int threads;
    struct cleaning slots[CLEANERS_MAX];
};

/* ---- a pass, in its own thread ---- */

static void wait_for_rate(struct cleaner *c, int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns = until.tv_nsec + MIN(ns, NS_PER_S);
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = ns % NS_PER_S;
    pthread_mutex_lock(&c->lock);
    if (!atomic_load(&c->stopping))
        pthread_cond_timedwait(&c->wake, &c->lock, &until);
    pthread_mutex_unlock(&c->lock);
}

/* Keeps to the rate, and looks whether the broker stops or others leave this thread no time. */
static bool go_on(void *context, size_t bytes)
{
    struct cleaning *s = context;
    struct cleaner *c = s->cleaner;
    s->bytes += (int64_t)bytes;
    int64_t past_ns = os_now_ns() - s->begun_ns;
    double due_ns = (double)s->bytes / s->bytes_per_second * (double)NS_PER_S;
    if (due_ns < (double)(60 * NS_PER_S) * 60 && due_ns > (double)(past_ns + 10 * NS_PER_MS))
        wait_for_rate(c, (int64_t)due_ns - past_ns);
    double least = MIN(STARVED_RATE, s->bytes_per_second / 2) / (double)NS_PER_S;
    if (!s->is_firm && past_ns > STARVED_NS && (double)s->bytes < (double)past_ns * least)
        s->starved = true;
    return !s->starved && !atomic_load_explicit(&c->stopping, memory_order_relaxed) &&
           !atomic_load_explicit(&s->partition->deleted, memory_order_relaxed);
}

/* The gentle thread's: `work` is done by the firm one, even when the broker stops. */
static enum outcome lend(void *context, enum outcome (*work)(void *arg), void *arg)
{
    struct cleaning *s = context;
    struct cleaner *c = s->cleaner;
    struct lent lent = {.work = work, .arg = arg};
    pthread_mutex_lock(&c->lock);
    s->lent = &lent;
    pthread_cond_broadcast(&c->wake);
    while (!lent.done)
        pthread_cond_wait(&c->wake, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return lent.outcome == OUT_OK ? OUT_OK : fail(lent.outcome, "%s", lent.trail);
}

static void do_lent(struct cleaner *c, struct cleaning *s)
{
    struct lent *lent = s->lent;
    s->lent = NULL;
    pthread_mutex_unlock(&c->lock);
    lent->outcome = lent->work(lent->arg);
    if (lent->outcome != OUT_OK)
        snprintf(lent->trail, sizeof lent->trail, "%s", outcome_trail());
    pthread_mutex_lock(&c->lock);
    lent->done = true;
    pthread_cond_broadcast(&c->wake);
}

static void finished(struct mail *mail);

static void do_pass(struct cleaning *s)
{
    s->begun_ns = os_now_ns();
    s->bytes = 0;
    s->outcome = log_compact(s->partition->log, &s->what, &s->done);
    snprintf(s->trail, sizeof s->trail, "%s", s->outcome == OUT_OK ? "" : outcome_trail());
    count(cleaner_runs, 1);
    count(cleaner_bytes_read, (uint64_t)s->done.bytes_read);
    count(cleaner_bytes_written, (uint64_t)s->done.bytes_written);
    count(cleaner_records_dropped, (uint64_t)MAX(s->done.records_read - s->done.records_kept, 0));
}

static void gentle_main(void *context)
{
    struct cleaning *s = context;
    struct cleaner *c = s->cleaner;
    os_thread_lowest();
    do_pass(s);
    pthread_mutex_lock(&c->lock);
    s->gentle_over = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

/* Does what the gentle thread lends until it is over; false: there is no such thread. */
static bool gentle_pass(struct cleaner *c, struct cleaning *s)
{
    struct os_thread *gentle = NULL;
    s->gentle_over = false;
    if (os_thread_start("cleaner", gentle_main, s, &gentle) != OUT_OK)
        return false;
    pthread_mutex_lock(&c->lock);
    while (!s->gentle_over) {
        if (s->lent != NULL)
            do_lent(c, s);
        else
            pthread_cond_wait(&c->wake, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    os_thread_join(&gentle);
    return true;
}

static void firm_main(void *context)
{
    struct cleaning *s = context;
    struct cleaner *c = s->cleaner;
    os_thread_nice(NICE);
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->stopping)) {
        if (!s->wanted) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        s->wanted = false;
        pthread_mutex_unlock(&c->lock);
        if (s->is_firm || !gentle_pass(c, s)) {
            s->is_firm = true;
            s->what.lend = NULL;
            do_pass(s);
        }
        shard_post(&c->broker->control, &s->mail);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- the control thread's side ---- */

static bool is_busy(const struct cleaner *c, const struct partition *p)
{
    for (int i = 0; i < c->threads; i++)
        if (c->slots[i].partition == p)
            return true;
    return false;
}

bool cleaner_busy(const struct partition *p)
{
    const struct cleaner *c = p->broker->cleaner;
    return c != NULL && is_busy(c, p);
}

/* Every partition that may be compacted: internal offsets too, whatever is on disk. */
static bool next_partition(const struct view *v, size_t *topic, int32_t *index,
                           const struct topic **t, struct partition **p)
{
    for (; *topic < v->topic_count; (*topic)++, *index = 0) {
        *t = v->topics[*topic];
        while ((*t)->config.cleanup_compact && *index < (*t)->partition_count) {
            *p = (*t)->partitions[(*index)++];
            if (*p != NULL && (*p)->log != NULL)
                return true;
        }
    }
    return false;
}

static enum outcome write_dir(const struct view *v, struct broker_dir *d,
                              struct logdir_offset *list)
{
    size_t count = 0, topic = 0;
    int32_t index = 0;
    const struct topic *t;
    struct partition *p;
    while (next_partition(v, &topic, &index, &t, &p)) {
        if (p->first_dirty == 0 || p->dir != d)
            continue;
        struct logdir_offset *to = &list[count++];
        snprintf(to->topic, sizeof to->topic, "%.*s", (int)p->topic.size,
                 (const char *)p->topic.at);
        to->partition = p->index;
        to->offset = p->first_dirty;
    }
    return logdir_offsets_write(d->path, LOGDIR_CLEANER, list, count);
}

static void write_checkpoint(struct broker *b)
{
    size_t room = 0;
    for (size_t i = 0; i < b->view->topic_count; i++)
        room += (size_t)b->view->topics[i]->partition_count;
    struct logdir_offset *list = calloc(room + 1, sizeof *list);
    for (int i = 0; i < b->data_dir_count; i++) {
        struct broker_dir *d = &b->dirs[i];
        if (!atomic_load(&d->offline) &&
            (list == NULL || write_dir(b->view, d, list) != OUT_OK))
            watch_log(WATCH_ERROR, "broker", "write the cleaner's checkpoint: %s",
                      outcome_trail());
    }
    free(list);
}

/* The dirtiest log that is worth a pass, or NULL. */
static struct partition *choose(struct cleaner *c, int64_t now_ms, struct log_dirt *chosen)
{
    const struct view *v = c->broker->view;
    struct partition *p, *best = NULL;
    const struct topic *t;
    double most = 0;
    size_t topic = 0;
    int32_t index = 0;
    while (next_partition(v, &topic, &index, &t, &p)) {
        struct log_dirt d;
        if (now_ms < p->clean_after_ms || p->moves > 0 || is_busy(c, p) ||
            log_dirt(p->log, p->first_dirty, now_ms, &d) != OUT_OK)
            continue;
        int64_t all = d.clean_bytes + d.dirty_bytes;
        if (d.dirty_bytes == 0 || d.end <= d.first_dirty)
            continue;
        double ratio = (double)d.dirty_bytes / (double)all;
        if ((!d.due && ratio <= t->config.min_cleanable_ratio) || (best != NULL && ratio <= most))
            continue;
        best = p;
        most = ratio;
        *chosen = d;
    }
    return best;
}

static void begin(struct cleaning *s, struct partition *p, const struct log_dirt *d,
                  int64_t now_ms)
{
    struct cleaner *c = s->cleaner;
    const struct config *config = atomic_load(&c->broker->config);
    const struct topic *t = view_topic(c->broker->view, p->topic);
    bool firm = d->due || c->timer.shard->now_ns < c->firm_until_ns;
    int64_t ttl_ms = t == NULL ? -1 : t->config.message_ttl_ms;
    s->partition = partition_hold(p);
    s->outcome = OUT_CLOSED; /* until it was done */
    s->starved = false;
    s->is_firm = firm;
    s->what = (struct log_compact){
        .first_dirty = d->first_dirty, .end = d->end, .now_ms = now_ms,
        .expires = ttl_ms >= 0 || atomic_load(&p->has_ttl), .ttl_ms = ttl_ms,
        .key_bytes = (size_t)MAX(config->cleaner_key_bytes, 0) / (size_t)c->threads,
        .key_load = config->cleaner_key_load, .go_on = go_on, .context = s,
        .lend = firm ? NULL : lend,
    };
    s->bytes_per_second = config->cleaner_bytes_per_second / c->threads;
    pthread_mutex_lock(&c->lock);
    s->wanted = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

/* Gives every idle thread something to do, as long as there is. */
static void look(struct cleaner *c)
{
    int64_t now_ms = os_wall_ms();
    for (int i = 0; i < c->threads; i++) {
        struct log_dirt d;
        if (c->slots[i].partition != NULL)
            continue;
        struct partition *p = choose(c, now_ms, &d);
        if (p == NULL)
            return;
        begin(&c->slots[i], p, &d, now_ms);
    }
}

static void fire(struct shard_timer *timer, int64_t now_ns)
{
    struct cleaner *c = container_of(timer, struct cleaner, timer);
    look(c);
    int64_t ms = MAX(atomic_load(&c->broker->config)->cleaner_backoff_ms, 10);
    if (shard_timer_set(timer->shard, timer, now_ns + ms * NS_PER_MS) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "the cleaner's timer is lost: out of memory");
}

/* What a pass has come to. */
static void settle(struct cleaning *s)
{
    struct partition *p = s->partition;
    struct log_compacted *d = &s->done;
    const char *name = (const char *)p->topic.at;
    s->partition = NULL;
    if (s->outcome == OUT_CLOSED && s->starved) {
        s->cleaner->firm_until_ns = os_now_ns() + FIRM_NS;
        watch_log(WATCH_INFO, "broker", "compaction of %.*s-%d got no time beside others: it and "
                  "those of the next minute take it", (int)p->topic.size, name, p->index);
    } else if (s->outcome == OUT_OK) {
        p->first_dirty = d->next_dirty;
        watch_log(WATCH_INFO, "broker", "compacted %.*s-%d: %lld of %lld records stay, "
                  "%lld bytes read, %lld written, clean up to %lld", (int)p->topic.size, name,
                  p->index, (long long)d->records_kept, (long long)d->records_read,
                  (long long)d->bytes_read, (long long)d->bytes_written,
                  (long long)d->next_dirty);
    } else if (s->outcome != OUT_CLOSED && s->outcome != OUT_AGAIN &&
               !atomic_load(&p->deleted)) {
        count(cleaner_failures, 1);
        bool damaged = s->outcome == OUT_CORRUPT || s->outcome == OUT_TOO_LARGE;
        p->clean_after_ms = damaged ? INT64_MAX : os_wall_ms() + RETRY_MS;
        watch_log(WATCH_ERROR, "broker", "compaction of %.*s-%d failed%s: %s", (int)p->topic.size,
                  name, p->index, damaged ? " and is not tried again" : "", s->trail);
    }
    partition_drop(p);
}

static void finished(struct mail *mail)
{
    struct cleaning *s = container_of(mail, struct cleaning, mail);
    struct cleaner *c = s->cleaner;
    bool good = s->outcome == OUT_OK || s->starved;
    settle(s);
    if (!good)
        return; /* the next try comes with the timer */
    write_checkpoint(c->broker);
    look(c);
}

/* ---- life ---- */

static void read_checkpoint(struct broker *b, struct broker_dir *d)
{
    struct logdir_offset *list = NULL;
    size_t count = 0, topic = 0;
    int32_t index = 0;
    const struct topic *t;
    struct partition *p;
    if (logdir_offsets_read(d->path, LOGDIR_CLEANER, &list, &count) != OUT_OK) {
        watch_log(WATCH_WARN, "broker", "compaction begins anew: %s", outcome_trail());
        return;
    }
    while (next_partition(b->view, &topic, &index, &t, &p)) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)p->topic.size, (const char *)p->topic.at);
        if (p->dir == d)
            p->first_dirty = logdir_offset_of(list, count, name, p->index, 0);
    }
    free(list);
}

void cleaner_forget(struct partition *p)
{
    if (p->first_dirty == 0)
        return;
    p->first_dirty = 0;
    write_checkpoint(p->broker);
}

void cleaner_begin(struct broker *b)
{
    struct cleaner *c = b->cleaner;
    if (c != NULL)
        fire(&c->timer, c->timer.shard->now_ns);
}

enum outcome cleaner_start(struct broker *b)
{
    const struct config *config = atomic_load(&b->config);
    pthread_condattr_t monotonic;
    if (!config->cleaner_enable)
        return OUT_OK;
    struct cleaner *c = calloc(1, sizeof *c);
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "start the cleaner");
    for (int i = 0; i < b->data_dir_count; i++) {
        if (!atomic_load(&b->dirs[i].offline))
            read_checkpoint(b, &b->dirs[i]);
    }
    b->cleaner = c;
    c->broker = b;
    c->timer.fire = fire;
    c->timer.shard = &b->control;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int threads = MIN(MAX(config->cleaner_threads, 1), CLEANERS_MAX);
    for (; c->threads < threads; c->threads++) {
        struct cleaning *s = &c->slots[c->threads];
        s->cleaner = c;
        s->mail.deliver = finished;
        enum outcome o = os_thread_start("cleaner-firm", firm_main, s, &s->firm);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

/* The control thread has stopped. */
void cleaner_stop(struct broker *b)
{
    struct cleaner *c = b->cleaner;
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stopping, true);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < CLEANERS_MAX; i++)
        os_thread_join(&c->slots[i].firm);
    for (int i = 0; i < c->threads; i++)
        if (c->slots[i].partition != NULL)
            settle(&c->slots[i]);
    write_checkpoint(b);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
    b->cleaner = NULL;
}

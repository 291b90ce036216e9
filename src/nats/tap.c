/* SPDX-License-Identifier: MIT */
/*
 * Taps: what is appended to a topic, by whichever door, reaches the subscribers of its subjects.
 *
 * Each partition has one reactor that reads its log behind the appends and publishes what it finds;
 * the log is the queue, so a tap that is held back loses nothing. A tap reads while somebody
 * subscribes; it begins with the first append that it hears of then. Records of open transactions
 * wait for their end, those of aborted ones and control records are passed over.
 *
 * An append costs two atomic operations here, and a mail when the tap is not on its way already.
 */
#include "nats/topic.h"

#include <stdlib.h>

#define READ_BYTES KiB(256)  /* of a log in one go ... */
#define TURN_BYTES MiB(2)    /* ... and for one partition in a turn */
#define RECORDS_MAX MiB(64)  /* a batch unpacked */

struct tap {
    struct mail mail;
    struct list held;            /* in nats_shard.taps_held: publishing must wait */
    struct partition *partition; /* held while the mail is under way, or it is in a list */
    struct nats_shard *home;
    _Atomic int64_t from;        /* first offset not heard of before; -1: none */
    _Atomic bool posted;
    int64_t position;            /* next to be read; -1: nobody listens */
};

static void run(struct tap *t);

static void deliver(struct mail *mail)
{
    struct tap *t = container_of(mail, struct tap, mail);
    atomic_store(&t->posted, false);
    run(t);
}

/* The caller's hold of the partition goes with it. */
static void post(struct tap *t, struct partition *p)
{
    if (!atomic_exchange(&t->posted, true)) {
        partition_hold(p);
        shard_post(t->home->shard, &t->mail);
    }
}

static struct tap *make_tap(struct partition *p)
{
    struct nats *n = nats_door_open;
    struct tap *t = calloc(1, sizeof *t), *other = NULL;
    if (t == NULL)
        return NULL;
    uint64_t which = bytes_hash(p->topic) + (uint64_t)p->index;
    t->mail.deliver = deliver;
    t->partition = p;
    t->home = &n->shards[which % (uint64_t)n->options.shard_count];
    t->position = -1;
    list_init(&t->held);
    atomic_init(&t->from, -1);
    void *expected = NULL;
    if (atomic_compare_exchange_strong(&p->followed, &expected, t))
        return t;
    other = expected;
    free(t);
    return other;
}

/* Any reactor or the control thread, after an append. */
static void appended(struct partition *p, int64_t base_offset)
{
    struct nats *n = nats_door_open;
    struct tap *t = atomic_load_explicit(&p->followed, memory_order_acquire);
    int64_t none = -1;
    if (n == NULL || atomic_load_explicit(&n->connections, memory_order_relaxed) == 0)
        return;
    if (unlikely(t == NULL) && (t = make_tap(p)) == NULL)
        return;
    atomic_compare_exchange_strong(&t->from, &none, base_offset);
    post(t, p);
}

static void gone(void *followed)
{
    free(followed);
}

/* ---- reading ---- */

static bool anybody(struct tap *t, const struct nats_topic *topic)
{
    if (topic->pattern_count > 0) {
        struct live_figures f;
        live_figures(t->home->nats->live, &f);
        return f.subscriptions > 0;
    }
    return live_interest(t->home->live, t->partition->topic);
}

/* Whether a batch is of a transaction that was aborted. */
static bool aborted(struct tap *t, const struct log_batch *b, struct arena *arena)
{
    struct log_aborted *list;
    size_t count = 0;
    if (!(b->attributes & LOG_ATTR_TXN) || t->partition->log == NULL ||
        log_aborted(t->partition->log, b->base_offset, b->last_offset + 1, arena, &list,
                    &count) != OUT_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (list[i].producer_id == b->producer_id && list[i].first_offset <= b->base_offset)
            return true;
    }
    return false;
}

/* False: hold on, the engine is full. */
static bool publish_batch(struct tap *t, const struct nats_topic *topic, const struct log_batch *b)
{
    struct log_records records;
    struct log_record r;
    struct live_message m;
    bool room = true;
    enum outcome o = log_records_begin(&records, b, RECORDS_MAX);
    while (o == OUT_OK && room && (o = log_records_next(&records, &r)) == OUT_OK) {
        if (r.offset < t->position)
            continue;
        t->position = r.offset + 1;
        if (!nats_from_record(&r, t->partition->topic, topic->patterns, topic->pattern_count,
                              (struct bytes){0}, &t->home->scratch, &m))
            continue;
        m.deadline_ms = nats_record_deadline(&r, -1);
        struct live_reach reach = {0};
        nats_fan_out(t->home, &m, NULL, &reach);
        room = !reach.blocked;
    }
    log_records_fini(&records);
    return room;
}

/* Publishes what a view holds; *done: the bytes of it. False: hold on. */
static bool publish_view(struct tap *t, const struct nats_topic *topic,
                         const struct store_view *view)
{
    struct bytes rest = bytes_view(view->at, view->size);
    struct log_batch b;
    struct arena arena;
    bool room = true;
    arena_init(&arena, MiB(1));
    while (room && log_batch_next(&rest, &b) == OUT_OK) {
        if (!(b.attributes & LOG_ATTR_CONTROL) && !aborted(t, &b, &arena))
            room = publish_batch(t, topic, &b);
        if (room)
            t->position = MAX(t->position, b.last_offset + 1);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    return room;
}

enum progress { TAP_DONE, TAP_MORE, TAP_HELD };

static enum progress read_on(struct tap *t, const struct nats_topic *topic)
{
    size_t bytes = 0;
    while (bytes < TURN_BYTES) {
        struct store_stat stat;
        struct store_view view;
        store_stat(t->partition->store, &stat);
        int64_t before = t->position = MAX(t->position, stat.start_offset);
        struct store_read what = {.offset = t->position, .limit_offset = stat.stable_offset,
                                  .max_bytes = READ_BYTES, .map = STORE_MAPPED};
        if (t->position >= stat.stable_offset ||
            store_read(t->partition->store, &what, &view) != OUT_OK)
            return TAP_DONE;
        if (view.size == 0) {
            store_hold_drop(view.hold);
            return TAP_DONE;
        }
        bool room = publish_view(t, topic, &view);
        bytes += view.size;
        store_hold_drop(view.hold);
        if (!room)
            return TAP_HELD;
        if (t->position == before)
            return TAP_DONE; /* nothing that could be read: never again and again */
    }
    return TAP_MORE;
}

/* Home thread; holds the partition for the time being. */
static void run(struct tap *t)
{
    struct partition *p = t->partition;
    int64_t from = atomic_exchange(&t->from, -1);
    struct nats_topic topic;
    struct topic *named = NULL;
    if (nats_door_open != NULL && !atomic_load(&p->deleted)) /* else all is being taken down */
        named = view_topic(broker_view(), p->topic);
    if (named == NULL) {
        partition_drop(p);
        return;
    }
    nats_topic_patterns(named, &topic);
    if (!anybody(t, &topic)) {
        t->position = -1;
        partition_drop(p);
        return;
    }
    if (t->position < 0)
        t->position = from;
    enum progress progress = t->position < 0 ? TAP_DONE : read_on(t, &topic);
    if (progress == TAP_HELD && list_empty(&t->held)) {
        partition_hold(p);
        list_push(&t->home->taps_held, &t->held);
    } else if (progress == TAP_MORE) {
        post(t, p);
    }
    partition_drop(p);
}

void nats_taps_close(struct nats_shard *h)
{
    for (struct list *node; (node = list_pop(&h->taps_held)) != NULL;)
        partition_drop(container_of(node, struct tap, held)->partition);
}

void nats_taps_go_on(struct nats_shard *h)
{
    struct list *node;
    while (live_room(h->live) && (node = list_pop(&h->taps_held)) != NULL)
        run(container_of(node, struct tap, held));
}

void nats_tap_open(struct broker *b)
{
    static const struct broker_follower follower = {.appended = appended, .gone = gone};
    broker_follow(b, &follower);
}

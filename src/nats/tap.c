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
#include "nats/api.h"

#include <stdlib.h>

#define TURN_BYTES MiB(2) /* for one partition in a turn */

struct tap {
    struct mail mail;
    struct list held;            /* in nats_shard.taps_held: publishing must wait */
    struct live_held held_by;
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

struct reading {
    struct tap *tap;
    const struct nats_topic *topic;
    bool full;
};

static enum nats_walk publish(void *context, const struct log_record *r)
{
    struct reading *now = context;
    struct nats_shard *h = now->tap->home;
    struct live_message m;
    struct live_reach reach = {0};
    char place[400];
    int size = 0;
    if (unlikely(now->topic->topic->config.live_metadata))
        size = nats_place_lines(now->tap->partition, r, place, sizeof place);
    if (!nats_from_record(r, now->tap->partition->topic, now->topic->patterns,
                          now->topic->pattern_count, bytes_view(place, (size_t)size), &h->scratch,
                          &m))
        return NATS_WALK_ON;
    m.deadline_ms = nats_record_deadline(r, now->topic->topic->config.message_ttl_ms);
    nats_fan_out(h, &m, NULL, NULL, &reach);
    now->full = reach.blocked;
    if (unlikely(reach.blocked))
        now->tap->held_by = reach.held;
    return reach.blocked ? NATS_WALK_STOP : NATS_WALK_ON;
}

enum progress { TAP_DONE, TAP_MORE, TAP_HELD };

static enum progress read_on(struct tap *t, const struct nats_topic *topic)
{
    struct reading now = {.tap = t, .topic = topic};
    int64_t end, before = t->position;
    struct store_stat stat;
    store_stat(t->partition->store, &stat);
    if (unlikely(before < stat.start_offset))
        count(live_missed, (uint64_t)(stat.start_offset - before));
    t->position = nats_walk(t->partition, before, TURN_BYTES, &end, publish, &now);
    if (now.full)
        return TAP_HELD;
    return t->position < end && t->position > before ? TAP_MORE : TAP_DONE;
}

/* Whether those who append are to wait: from the first time that a full subscription stopped us
 * until we have read all there is. */
static void note_held(struct tap *t, enum progress progress)
{
    _Atomic int64_t *held_ns = &t->partition->held_ns;
    if (progress == TAP_DONE)
        atomic_store_explicit(held_ns, 0, memory_order_relaxed);
    else if (progress == TAP_HELD && t->held_by.full != 0 && atomic_load(held_ns) == 0)
        atomic_store_explicit(held_ns, t->home->shard->now_ns, memory_order_relaxed);
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
        note_held(t, TAP_DONE);
        partition_drop(p);
        return;
    }
    if (t->position < 0)
        t->position = from;
    enum progress progress = t->position < 0 ? TAP_DONE : read_on(t, &topic);
    note_held(t, progress);
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
    struct list waiting, *node;
    list_init(&waiting);
    while ((node = list_pop(&h->taps_held)) != NULL)
        list_push(&waiting, node);
    while ((node = list_pop(&waiting)) != NULL) {
        struct tap *t = container_of(node, struct tap, held);
        if (live_room_for(h->live, &t->held_by))
            run(t);
        else
            list_push(&h->taps_held, node);
    }
}

void nats_tap_open(struct broker *b)
{
    static const struct broker_follower follower = {.appended = appended, .gone = gone};
    broker_follow(b, &follower);
}

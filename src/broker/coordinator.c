/* SPDX-License-Identifier: MIT */
/*
 * The group coordinator's roads: a request travels to the owner of its group's partition (to
 * several owners in turn when it names several groups), is answered there, now or when others have
 * joined, and comes home, where it waits for the disk if it promises anything.
 *
 * A connection that dies while its request waits at the owner: `cancel` goes there as a second mail
 * and comes back; the request ends only when both are home, since both are its memory.
 */
#include "broker/coordinator.h"

#include "base/check.h"
#include "broker/keeper.h"
#include "watch/watch.h"

#include <stdlib.h>

#define NS_PER_MS INT64_C(1000000)

static const char *const topics[COORDINATOR_KINDS] = {OFFSETS_TOPIC, TXN_TOPIC};

static struct topic *topic_of(enum coordinator_kind kind)
{
    return view_topic(broker_view(), bytes_of(topics[kind]));
}

static struct keeper *own_keeper(struct coordinator *c)
{
    int index = shard_self()->index;
    check(index >= 0 && index < c->shard_count);
    return &c->keepers[index];
}

/* ---- replies ---- */

static void came_home(struct request *r);
static void go_on(struct coordinator_work *w);

static size_t answered_event(const struct coordinator_work *w)
{
    return w->everywhere ? 0 : w->at;
}

static void answer(struct coordinator_work *w, const struct group_reply *r)
{
    struct group_reply gone = *r;
    if (r->outcome == OUT_CLOSED)
        gone.outcome = OUT_COORDINATOR_NOT_AVAILABLE;
    w->answer(w, answered_event(w), &gone);
}

static void answer_txn(struct coordinator_work *w, const struct txn_reply *r)
{
    struct txn_reply gone = *r;
    if (r->outcome == OUT_CLOSED)
        gone.outcome = OUT_COORDINATOR_NOT_AVAILABLE;
    w->txn_answer(w, answered_event(w), &gone);
}

static void refuse(struct coordinator_work *w, enum outcome o)
{
    size_t at = answered_event(w);
    if (w->kind == COORDINATOR_GROUPS) {
        struct group_reply r = {.kind = w->events[at].kind, .outcome = o};
        answer(w, &r);
    } else {
        struct txn_reply r = {.kind = w->txn_events[at].kind, .outcome = o, .producer_id = -1,
                              .epoch = -1};
        answer_txn(w, &r);
    }
}

/* The reply promises the disk, and the next event is on. */
static void replied(struct seat *s, struct coordinator_work *w, int64_t end)
{
    if (end >= 0 && broker_config(s->partition->broker)->flush_mode != FLUSH_MODE_NONE) {
        w->partitions[w->wait_count] = partition_hold(s->partition);
        w->offsets[w->wait_count++] = end;
    }
    go_on(w);
}

/* Owner: from a seat's step. */
static void deliver(struct seat *s, const struct group_reply *r, int64_t end)
{
    struct coordinator_work *w = r->token;
    answer(w, r);
    if (w->everywhere)
        return;
    /* Only a new generation's leader is told the members to assign to. */
    if (r->kind == GROUP_JOIN && r->joined.member_count > 0 && !r->joined.skip_assignment)
        count(group_rebalances, 1);
    replied(s, w, end);
}

static void at_owner(struct request *r);

static void deliver_txn(struct seat *s, const struct txn_reply *r, int64_t end)
{
    struct coordinator_work *w = r->token;
    if (r->outcome == OUT_AGAIN) { /* it has waited for the transaction before */
        request_send(w->request, s->shard, at_owner);
        return;
    }
    answer_txn(w, r);
    if (!w->everywhere)
        replied(s, w, end);
}

static void markers(struct seat *s, const struct txn_markers *m, int64_t end)
{
    struct coordinator *c = broker_slot(s->partition->broker, BROKER_SLOT_COORDINATOR);
    errand_send(keeper_of(c, s->partition->index), s, m, end);
}

static const struct seat_owner owner = {.group_reply = deliver, .txn_reply = deliver_txn,
                                        .markers = markers};

/* ---- seats ---- */

/* Room for a partition of this keeper; NULL: no memory. */
static struct seat **slot_of(struct keeper *k, enum coordinator_kind kind, int32_t index)
{
    struct seats *seats = &k->seats[kind];
    size_t at = (size_t)(index / k->coordinator->shard_count);
    if (at >= seats->count) {
        size_t count = MAX(at + 1, seats->count * 2);
        struct seat **more = realloc(seats->list, count * sizeof(struct seat *));
        if (more == NULL)
            return NULL;
        memset(more + seats->count, 0, (count - seats->count) * sizeof(struct seat *));
        seats->list = more;
        seats->count = count;
    }
    return &seats->list[at];
}

struct seat **keeper_seat(struct keeper *k, enum coordinator_kind kind, int32_t index)
{
    struct topic *t = topic_of(kind);
    struct partition *p = t == NULL ? NULL : topic_partition(t, index);
    struct seat **slot = slot_of(k, kind, index);
    if (slot == NULL)
        return NULL;
    if (*slot != NULL && ((*slot)->state != OUT_OK || (*slot)->partition != p)) {
        seat_close(*slot);
        *slot = NULL;
    }
    if (*slot == NULL && p != NULL && (kind == COORDINATOR_GROUPS || !errand_busy(k, index)))
        *slot = seat_open(kind, p, k->shard, &owner);
    return *slot == NULL ? NULL : slot;
}

void keeper_step(struct seat **slot, union coordinator_event e)
{
    if (seat_step(*slot, e))
        return;
    seat_close(*slot);
    *slot = NULL;
}

static void step_group(struct seat **slot, struct group_event *e)
{
    keeper_step(slot, (union coordinator_event){.group = e});
}

static void step_all(struct keeper *k, const struct group_event *e)
{
    struct seats *seats = &k->seats[COORDINATOR_GROUPS];
    for (size_t i = 0; i < seats->count; i++) {
        struct group_event copy = *e;
        if (seats->list[i] != NULL)
            step_group(&seats->list[i], &copy);
    }
}

/* ---- on the way ---- */

/* Nobody but the owner appends: what the log would refuse later is known now. */
static enum outcome admit(const struct seat *s, const struct group_event *e)
{
    struct store_producer now;
    if (e->kind != GROUP_TXN_COMMIT && e->kind != GROUP_TXN_END)
        return OUT_OK;
    bool ends = e->kind == GROUP_TXN_END;
    store_producer(s->partition->store, ends ? e->end.producer_id : e->commit.producer_id, &now);
    if ((ends ? e->end.producer_epoch : e->commit.producer_epoch) < now.epoch)
        return OUT_INVALID_PRODUCER_EPOCH;
    if (ends)
        return e->end.coordinator_epoch < now.coordinator_epoch ? OUT_TXN_COORDINATOR_FENCED
                                                                : OUT_OK;
    return e->commit.guard != 0 && e->commit.guard != now.guard ? OUT_INVALID_TXN_STATE : OUT_OK;
}

static void at_owner(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct seat **slot = keeper_seat(own_keeper(w->coordinator), w->kind, w->index);
    enum outcome o = slot == NULL ? OUT_NOT_COORDINATOR : OUT_OK;
    if (o == OUT_OK && w->kind == COORDINATOR_GROUPS)
        o = admit(*slot, &w->events[w->at]);
    if (o != OUT_OK) {
        refuse(w, o);
        go_on(w);
    } else if (w->kind == COORDINATOR_GROUPS) {
        w->events[w->at].token = w;
        step_group(slot, &w->events[w->at]);
    } else {
        w->txn_events[w->at].token = w;
        keeper_step(slot, (union coordinator_event){.txn = &w->txn_events[w->at]});
    }
}

/* The partition of the event that is next. */
static int32_t index_of(const struct coordinator_work *w, const struct topic *t)
{
    if (w->kind == COORDINATOR_TXNS)
        return group_partition(w->txn_events[w->at].id, t->partition_count);
    if (w->events[w->at].kind == GROUP_TXN_END)
        return w->events[w->at].end.partition;
    return group_partition(w->events[w->at].group_id, t->partition_count);
}

/* Any thread: to the owner of the event that is next. */
static void send(struct coordinator_work *w)
{
    struct topic *t = topic_of(w->kind);
    if (t == NULL) {
        while (w->at < w->event_count) {
            refuse(w, OUT_NOT_COORDINATOR);
            w->at++;
        }
        w->answered = true;
        request_return(w->request, came_home);
        return;
    }
    struct coordinator *c = w->coordinator;
    w->index = index_of(w, t);
    request_send(w->request, keeper_of(c, w->index)->shard, at_owner);
}

/* Owner: an event is answered. */
static void go_on(struct coordinator_work *w)
{
    if (++w->at < w->event_count) {
        send(w);
        return;
    }
    w->answered = true;
    request_return(w->request, came_home);
}

/* The same event for every partition, shard after shard. */
static void everywhere(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct coordinator *c = w->coordinator;
    struct keeper *k = own_keeper(c);
    struct topic *t = topic_of(w->kind);
    for (int32_t i = (int32_t)w->at; t != NULL && i < t->partition_count; i += c->shard_count) {
        struct seat **slot = keeper_seat(k, w->kind, i);
        if (slot == NULL) {
            refuse(w, OUT_NOT_COORDINATOR);
        } else if (w->kind == COORDINATOR_GROUPS) {
            struct group_event e = w->events[0];
            e.token = w;
            step_group(slot, &e);
        } else {
            struct txn_event e = w->txn_events[0];
            e.token = w;
            keeper_step(slot, (union coordinator_event){.txn = &e});
        }
    }
    if (++w->at < (size_t)c->shard_count)
        request_send(r, c->keepers[w->at].shard, everywhere);
    else
        request_return(r, came_home);
}

/* ---- at home again ---- */

static void flushed(struct request *r)
{
    struct coordinator_work *w = r->work;
    if (atomic_load(&w->flush.failed)) {
        for (w->at = 0; w->at < w->event_count; w->at++)
            refuse(w, OUT_NOT_COORDINATOR);
    }
    w->done(r);
}

static void finish(struct coordinator_work *w)
{
    struct request *r = w->request;
    r->cancel = NULL;
    if (w->wait_count > 0) {
        broker_flush_begin(&w->flush, r, flushed);
        for (size_t i = 0; i < w->wait_count; i++) {
            broker_flush_add(&w->flush, &w->waits[i], w->partitions[i], w->offsets[i]);
            partition_drop(w->partitions[i]);
        }
        if (!broker_flush_end(&w->flush))
            flushed(r); /* the flusher was faster, in failing too */
        return;
    }
    w->done(r);
}

static void came_home(struct request *r)
{
    struct coordinator_work *w = r->work;
    w->returned = true;
    if (!w->cancelling)
        finish(w);
}

static void cancel_home(struct mail *mail)
{
    struct coordinator_work *w = container_of(mail, struct coordinator_work, cancel);
    w->cancelling = false;
    if (w->returned)
        finish(w);
}

static void cancel_at_owner(struct mail *mail)
{
    struct coordinator_work *w = container_of(mail, struct coordinator_work, cancel);
    struct shard *home = w->request->home;
    if (!w->answered) {
        struct seat **slot = slot_of(own_keeper(w->coordinator), COORDINATOR_GROUPS, w->index);
        struct group_event e = {.kind = GROUP_CANCEL, .group_id = w->events[0].group_id,
                                .token = w};
        if (slot != NULL && *slot != NULL)
            step_group(slot, &e);
    }
    w->cancel.deliver = cancel_home;
    shard_post(home, &w->cancel);
}

static void cancel(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct coordinator *c = w->coordinator;
    if (w->returned)
        return;
    w->cancelling = true;
    w->cancel.deliver = cancel_at_owner;
    shard_post(keeper_of(c, w->index)->shard, &w->cancel);
}

static bool prepare(struct coordinator_work *w)
{
    struct arena *a = &w->request->arena;
    size_t count = w->event_count;
    w->waits = arena_array(a, struct flush_wait, count);
    w->partitions = arena_array(a, struct partition *, count);
    w->offsets = arena_array(a, int64_t, count);
    return w->waits != NULL && w->partitions != NULL && w->offsets != NULL;
}

enum verdict coordinator_submit(struct coordinator_work *w)
{
    struct request *r = w->request;
    struct broker *b = broker_self();
    w->coordinator = broker_slot(b, BROKER_SLOT_COORDINATOR);
    r->work = w;
    if (!prepare(w))
        return REQ_CLOSE;
    if (topic_of(w->kind) == NULL) {
        for (; w->at < w->event_count && !w->everywhere; w->at++)
            refuse(w, OUT_NOT_COORDINATOR);
        return REQ_DONE;
    }
    if (w->event_count == 0)
        return REQ_DONE;
    if (w->everywhere) {
        request_send(r, w->coordinator->keepers[0].shard, everywhere);
        return REQ_PARKED;
    }
    send(w);
    if (w->kind != COORDINATOR_GROUPS)
        return REQ_PARKED;
    if (w->events[0].kind == GROUP_JOIN || w->events[0].kind == GROUP_SYNC)
        r->cancel = cancel;
    return REQ_PARKED;
}

static bool ready(struct broker *b, enum coordinator_kind kind)
{
    if (topic_of(kind) != NULL)
        return true;
    broker_create_topic(b, bytes_of(topics[kind]));
    return false;
}

bool coordinator_ready(struct broker *b)
{
    return ready(b, COORDINATOR_GROUPS);
}

bool coordinator_txn_ready(struct broker *b)
{
    return ready(b, COORDINATOR_TXNS);
}

struct partition *coordinator_group_partition(struct bytes group_id)
{
    struct topic *t = topic_of(COORDINATOR_GROUPS);
    return t == NULL ? NULL : topic_partition(t, group_partition(group_id, t->partition_count));
}

/* ---- visitors ---- */

struct visit {
    struct mail mail;
    struct keeper *keeper;
    struct coordinator_work *work;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
};

static void receive_visit(struct mail *mail)
{
    struct visit *v = container_of(mail, struct visit, mail);
    struct coordinator_work *w = v->work;
    struct topic *t = topic_of(COORDINATOR_GROUPS);
    int shards = v->keeper->coordinator->shard_count;
    for (size_t e = 0; e < w->event_count && t != NULL; e++) {
        struct group_event event = w->events[e];
        event.token = w;
        int32_t only = event.group_id.at == NULL
                           ? -1 : group_partition(event.group_id, t->partition_count);
        for (int32_t i = v->keeper->shard->index; i < t->partition_count; i += shards) {
            struct seat **slot = only < 0 || only == i
                                     ? keeper_seat(v->keeper, COORDINATOR_GROUPS, i) : NULL;
            struct group_event copy = event;
            if (slot != NULL)
                step_group(slot, &copy);
        }
    }
    pthread_mutex_lock(&v->lock);
    v->done = true;
    pthread_cond_signal(&v->over);
    pthread_mutex_unlock(&v->lock);
}

void coordinator_visit(struct broker *b, struct coordinator_work *w)
{
    struct coordinator *c = broker_slot(b, BROKER_SLOT_COORDINATOR);
    check(shard_self() == NULL && w->everywhere);
    for (int i = 0; c != NULL && i < c->shard_count; i++) {
        struct visit v = {.mail.deliver = receive_visit, .keeper = &c->keepers[i], .work = w};
        pthread_mutex_init(&v.lock, NULL);
        pthread_cond_init(&v.over, NULL);
        shard_post(c->keepers[i].shard, &v.mail);
        pthread_mutex_lock(&v.lock);
        while (!v.done)
            pthread_cond_wait(&v.over, &v.lock);
        pthread_mutex_unlock(&v.lock);
        pthread_cond_destroy(&v.over);
        pthread_mutex_destroy(&v.lock);
    }
}

/* ---- topics that go ---- */

struct farewell {
    struct mail mail;
    struct keeper *keeper;
    struct bytes topic; /* behind this struct */
};

static void say_farewell(struct mail *mail)
{
    struct farewell *f = container_of(mail, struct farewell, mail);
    struct group_event e = {.kind = GROUP_TOPIC_DELETED, .group_id = f->topic};
    step_all(f->keeper, &e);
    free(f);
}

void coordinator_topic_deleted(struct broker *b, struct bytes topic)
{
    struct coordinator *c = broker_slot(b, BROKER_SLOT_COORDINATOR);
    for (int i = 0; c != NULL && i < c->shard_count; i++) {
        struct farewell *f = malloc(sizeof *f + topic.size);
        if (f == NULL) {
            watch_log(WATCH_WARN, "broker", "offsets of a deleted topic stay: out of memory");
            return;
        }
        *f = (struct farewell){.mail.deliver = say_farewell, .keeper = &c->keepers[i],
                               .topic = {(uint8_t *)(f + 1), topic.size}};
        memcpy(f + 1, topic.at, topic.size);
        shard_post(c->keepers[i].shard, &f->mail);
    }
}

/* ---- life ---- */

static void again(struct keeper *k, struct shard_timer *timer, int64_t now_ns, int64_t interval_ms)
{
    int64_t at = now_ns + MAX(interval_ms, 1) * NS_PER_MS;
    if (shard_timer_set(k->shard, timer, at) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "a coordinator expires nothing more: out of memory");
}

static void sweep(struct shard_timer *timer, int64_t now_ns)
{
    struct keeper *k = container_of(timer, struct keeper, sweep);
    struct broker *b = k->coordinator->broker;
    struct group_event e = {.kind = GROUP_EXPIRE};
    step_all(k, &e);
    again(k, timer, now_ns, broker_config(b)->offsets_retention_check_interval_ms);
}

static void sweep_txns(struct shard_timer *timer, int64_t now_ns)
{
    struct keeper *k = container_of(timer, struct keeper, txn_sweep);
    struct seats *seats = &k->seats[COORDINATOR_TXNS];
    for (size_t i = 0; i < seats->count; i++) {
        struct txn_event e = {.kind = TXN_EXPIRE};
        if (seats->list[i] != NULL)
            keeper_step(&seats->list[i], (union coordinator_event){.txn = &e});
    }
    again(k, timer, now_ns,
          broker_config(k->coordinator->broker)->transaction_expiry_interval_ms);
}

static void start(struct mail *mail)
{
    struct keeper *k = container_of(mail, struct keeper, start);
    if (shard_self() != k->shard)
        return; /* the reactors never ran; the broker is being taken down again */
    int count = k->coordinator->shard_count;
    for (enum coordinator_kind kind = 0; kind < COORDINATOR_KINDS; kind++) {
        struct topic *t = topic_of(kind);
        for (int32_t i = k->shard->index; t != NULL && i < t->partition_count; i += count)
            (void)keeper_seat(k, kind, i);
    }
    sweep(&k->sweep, k->shard->now_ns);
    sweep_txns(&k->txn_sweep, k->shard->now_ns);
}

enum outcome coordinator_open(struct broker *b)
{
    int count = broker_shard_count(b);
    struct coordinator *c = calloc(1, sizeof *c + (size_t)count * sizeof(struct keeper));
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "start the coordinators");
    c->broker = b;
    c->shard_count = count;
    for (int i = 0; i < count; i++) {
        struct keeper *k = &c->keepers[i];
        k->coordinator = c;
        k->shard = broker_shard(b, i);
        check(k->shard->index == i);
        k->sweep = (struct shard_timer){.shard = k->shard, .fire = sweep};
        k->txn_sweep = (struct shard_timer){.shard = k->shard, .fire = sweep_txns};
        list_init(&k->errands);
        k->start.deliver = start;
        shard_post(k->shard, &k->start);
    }
    broker_slot_set(b, BROKER_SLOT_COORDINATOR, c);
    return OUT_OK;
}

/* The requests that still wait belong to nobody: the reactors have ended. */
static void ignore(struct seat *s, const struct group_reply *r, int64_t end)
{
    (void)s;
    (void)r;
    (void)end;
}

static void ignore_txn(struct seat *s, const struct txn_reply *r, int64_t end)
{
    (void)s;
    (void)r;
    (void)end;
}

static const struct seat_owner nobody = {.group_reply = ignore, .txn_reply = ignore_txn};

static void close_seats(struct seats *seats)
{
    for (size_t i = 0; i < seats->count; i++) {
        if (seats->list[i] == NULL)
            continue;
        seats->list[i]->owner = &nobody;
        seat_close(seats->list[i]);
    }
    free(seats->list);
}

void coordinator_close(struct broker *b)
{
    struct coordinator *c = broker_slot(b, BROKER_SLOT_COORDINATOR);
    if (c != NULL)
        errands_finish(c);
    for (int i = 0; c != NULL && i < c->shard_count; i++) {
        struct keeper *k = &c->keepers[i];
        mailbox_deliver(&k->shard->mailbox, INT32_MAX); /* our start, if the reactors never ran */
        shard_timer_cancel(&k->sweep);
        shard_timer_cancel(&k->txn_sweep);
        for (enum coordinator_kind kind = 0; kind < COORDINATOR_KINDS; kind++)
            close_seats(&k->seats[kind]);
    }
    free(c);
    broker_slot_set(b, BROKER_SLOT_COORDINATOR, NULL);
}

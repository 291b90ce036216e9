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
#include "broker/seat.h"
#include "watch/watch.h"

#include <stdlib.h>

#define NS_PER_MS INT64_C(1000000)

/* What one shard owns. */
struct keeper {
    struct coordinator *coordinator;
    struct shard *shard;
    struct seat **seats;      /* by partition / shard count; NULL: not loaded */
    size_t seat_count;
    struct shard_timer sweep;
    struct mail start;
};

struct coordinator {
    struct broker *broker;
    int shard_count;
    struct keeper keepers[];
};

static struct topic *offsets_topic(void)
{
    return view_topic(broker_view(), bytes_of(OFFSETS_TOPIC));
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

static void answer(struct coordinator_work *w, const struct group_reply *r)
{
    struct group_reply gone = *r;
    if (r->outcome == OUT_CLOSED)
        gone.outcome = OUT_COORDINATOR_NOT_AVAILABLE;
    w->answer(w, w->everywhere ? 0 : w->at, &gone);
}

static void refuse(struct coordinator_work *w, enum outcome o)
{
    struct group_reply r = {.kind = w->events[w->everywhere ? 0 : w->at].kind, .outcome = o};
    answer(w, &r);
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
    if (end >= 0 && broker_config(s->partition->broker)->flush_mode != FLUSH_MODE_NONE) {
        w->partitions[w->wait_count] = partition_hold(s->partition);
        w->offsets[w->wait_count++] = end;
    }
    go_on(w);
}

/* ---- seats ---- */

/* Room for a partition of this keeper; NULL: no memory. */
static struct seat **slot_of(struct keeper *k, int32_t index)
{
    size_t at = (size_t)(index / k->coordinator->shard_count);
    if (at >= k->seat_count) {
        size_t count = MAX(at + 1, k->seat_count * 2);
        struct seat **more = realloc(k->seats, count * sizeof(struct seat *));
        if (more == NULL)
            return NULL;
        memset(more + k->seat_count, 0, (count - k->seat_count) * sizeof(struct seat *));
        k->seats = more;
        k->seat_count = count;
    }
    return &k->seats[at];
}

/* The seat, loaded if need be; NULL: not available. */
static struct seat **seat_for(struct keeper *k, int32_t index)
{
    struct topic *t = offsets_topic();
    struct partition *p = t == NULL ? NULL : topic_partition(t, index);
    struct seat **slot = slot_of(k, index);
    if (slot == NULL)
        return NULL;
    if (*slot != NULL && ((*slot)->state != OUT_OK || (*slot)->partition != p)) {
        seat_close(*slot);
        *slot = NULL;
    }
    if (*slot == NULL && p != NULL)
        *slot = seat_open(p, k->shard, deliver);
    return *slot == NULL ? NULL : slot;
}

static void step(struct seat **slot, struct group_event *e)
{
    if (seat_step(*slot, e))
        return;
    seat_close(*slot);
    *slot = NULL;
}

static void step_all(struct keeper *k, const struct group_event *e)
{
    for (size_t i = 0; i < k->seat_count; i++) {
        struct group_event copy = *e;
        if (k->seats[i] != NULL)
            step(&k->seats[i], &copy);
    }
}

/* ---- on the way ---- */

static void at_owner(struct request *r)
{
    struct coordinator_work *w = r->work;
    struct seat **slot = seat_for(own_keeper(w->coordinator), w->index);
    if (slot == NULL) {
        refuse(w, OUT_NOT_COORDINATOR);
        go_on(w);
        return;
    }
    w->events[w->at].token = w;
    step(slot, &w->events[w->at]);
}

/* Any thread: to the owner of the event that is next. */
static void send(struct coordinator_work *w)
{
    struct topic *t = offsets_topic();
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
    w->index = group_partition(w->events[w->at].group_id, t->partition_count);
    request_send(w->request, c->keepers[w->index % c->shard_count].shard, at_owner);
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
    struct topic *t = offsets_topic();
    for (int32_t i = (int32_t)w->at; t != NULL && i < t->partition_count; i += c->shard_count) {
        struct seat **slot = seat_for(k, i);
        struct group_event e = w->events[0];
        e.token = w;
        if (slot == NULL)
            refuse(w, OUT_NOT_COORDINATOR);
        else
            step(slot, &e);
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
        if (broker_flush_end(&w->flush))
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
        struct seat **slot = slot_of(own_keeper(w->coordinator), w->index);
        struct group_event e = {.kind = GROUP_CANCEL, .group_id = w->events[0].group_id,
                                .token = w};
        if (slot != NULL && *slot != NULL)
            step(slot, &e);
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
    shard_post(c->keepers[w->index % c->shard_count].shard, &w->cancel);
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
    if (offsets_topic() == NULL) {
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
    if (w->events[0].kind == GROUP_JOIN || w->events[0].kind == GROUP_SYNC)
        r->cancel = cancel;
    return REQ_PARKED;
}

bool coordinator_ready(struct broker *b)
{
    if (offsets_topic() != NULL)
        return true;
    broker_create_topic(b, bytes_of(OFFSETS_TOPIC));
    return false;
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
    struct topic *t = offsets_topic();
    int shards = v->keeper->coordinator->shard_count;
    for (size_t e = 0; e < w->event_count && t != NULL; e++) {
        struct group_event event = w->events[e];
        event.token = w;
        int32_t only = event.group_id.at == NULL
                           ? -1 : group_partition(event.group_id, t->partition_count);
        for (int32_t i = v->keeper->shard->index; i < t->partition_count; i += shards) {
            struct seat **slot = only < 0 || only == i ? seat_for(v->keeper, i) : NULL;
            struct group_event copy = event;
            if (slot != NULL)
                step(slot, &copy);
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

static void sweep(struct shard_timer *timer, int64_t now_ns)
{
    struct keeper *k = container_of(timer, struct keeper, sweep);
    struct broker *b = k->coordinator->broker;
    struct group_event e = {.kind = GROUP_EXPIRE};
    step_all(k, &e);
    int64_t interval = MAX(broker_config(b)->offsets_retention_check_interval_ms, 1);
    if (shard_timer_set(k->shard, timer, now_ns + interval * NS_PER_MS) != OUT_OK)
        watch_log(WATCH_ERROR, "broker", "offsets expire no more: out of memory");
}

static void start(struct mail *mail)
{
    struct keeper *k = container_of(mail, struct keeper, start);
    if (shard_self() != k->shard)
        return; /* the reactors never ran; the broker is being taken down again */
    struct topic *t = offsets_topic();
    int count = k->coordinator->shard_count;
    for (int32_t i = k->shard->index; t != NULL && i < t->partition_count; i += count)
        (void)seat_for(k, i);
    sweep(&k->sweep, k->shard->now_ns);
}

enum outcome coordinator_open(struct broker *b)
{
    int count = broker_shard_count(b);
    struct coordinator *c = calloc(1, sizeof *c + (size_t)count * sizeof(struct keeper));
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "start the group coordinator");
    c->broker = b;
    c->shard_count = count;
    for (int i = 0; i < count; i++) {
        struct keeper *k = &c->keepers[i];
        k->coordinator = c;
        k->shard = broker_shard(b, i);
        check(k->shard->index == i);
        k->sweep = (struct shard_timer){.shard = k->shard, .fire = sweep};
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

void coordinator_close(struct broker *b)
{
    struct coordinator *c = broker_slot(b, BROKER_SLOT_COORDINATOR);
    for (int i = 0; c != NULL && i < c->shard_count; i++) {
        struct keeper *k = &c->keepers[i];
        shard_timer_cancel(&k->sweep);
        for (size_t s = 0; s < k->seat_count; s++) {
            if (k->seats[s] == NULL)
                continue;
            k->seats[s]->deliver = ignore;
            seat_close(k->seats[s]);
        }
        free(k->seats);
    }
    free(c);
    broker_slot_set(b, BROKER_SLOT_COORDINATOR, NULL);
}

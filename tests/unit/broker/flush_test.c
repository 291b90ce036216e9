/* SPDX-License-Identifier: MIT */
/* Group commit over a store whose flushes the test lets through one by one. */
#include "broker/private.h"
#include "tap.h"

#include <semaphore.h>

/* A store that only knows how to flush: each flush waits for a permit and says what it covered. */
struct fake {
    struct store store;
    sem_t permit, begun;
    _Atomic int64_t appended;
    _Atomic int flushes;
    _Atomic bool broken;
};

static enum outcome fake_flush(struct store *s, int64_t *flushed)
{
    struct fake *f = container_of(s, struct fake, store);
    int64_t covered = atomic_load(&f->appended);
    sem_post(&f->begun);
    sem_wait(&f->permit);
    atomic_fetch_add(&f->flushes, 1);
    *flushed = covered;
    return atomic_load(&f->broken) ? OUT_OFFLINE : OUT_OK;
}

static const struct store_ops fake_ops = {.flush = fake_flush};

static struct broker b;
static struct shard home;
static struct fake fake;
static struct partition *p;
static int answered;

static void begin_busy(int64_t busy_ns)
{
    static const struct uuid id = {.b = {1}};
    expect(shard_open(&home, 0) == OUT_OK);
    expect(flusher_start(&b, busy_ns) == OUT_OK);
    sem_init(&fake.permit, 0, 0);
    sem_init(&fake.begun, 0, 0);
    fake.store.ops = &fake_ops;
    p = partition_new(&b, bytes_of("t"), &id, 0);
    expect(p != NULL);
    p->store = &fake.store;
    answered = 0;
}

static void begin(void)
{
    begin_busy(0);
}

static void end(void)
{
    flusher_stop(&b);
    partition_drop(p);
    shard_close(&home);
}

static void note(struct request *r)
{
    (void)r;
    answered++;
}

struct waiter {
    struct request request;
    struct flush_set set;
    struct flush_wait wait;
};

static void append(struct waiter *w)
{
    *w = (struct waiter){.request.home = &home};
    int64_t to = atomic_fetch_add(&fake.appended, 1) + 1;
    broker_flush_begin(&w->set, &w->request, note);
    broker_flush_add(&w->set, &w->wait, p, to);
    expect(broker_flush_end(&w->set));
}

/* Takes the mail of the home thread until `count` replies were given. */
static void wait_for(int count)
{
    while (answered < count)
        shard_turn(&home);
}

void test_no_reply_before_its_flush(void)
{
    struct waiter w;
    begin();
    append(&w);
    sem_wait(&fake.begun);
    mailbox_deliver(&home.mailbox, 100);
    expect_eq(answered, 0);
    sem_post(&fake.permit);
    wait_for(1);
    expect(!atomic_load(&w.set.failed));
    end();
}

void test_one_flush_answers_all_that_came_during_the_last(void)
{
    struct waiter first, rest[50];
    begin();
    append(&first);
    sem_wait(&fake.begun); /* the first flush covers only the first append */
    for (size_t i = 0; i < COUNT_OF(rest); i++)
        append(&rest[i]);
    sem_post(&fake.permit);
    wait_for(1);
    expect_eq(answered, 1);
    sem_post(&fake.permit);
    wait_for(51);
    expect_eq(atomic_load(&fake.flushes), 2);
    end();
}

void test_a_failed_flush_fails_every_waiter(void)
{
    struct waiter w[3];
    begin();
    atomic_store(&fake.broken, true);
    append(&w[0]);
    sem_wait(&fake.begun);
    append(&w[1]);
    append(&w[2]);
    sem_post(&fake.permit);
    wait_for(3);
    for (int i = 0; i < 3; i++)
        expect(atomic_load(&w[i].set.failed));
    end();
}

static void wait_for_all(int64_t busy_ns)
{
    static const struct uuid id = {.b = {2}};
    struct flush_wait second;
    struct waiter w = {.request.home = &home};
    atomic_store(&fake.flushes, 0);
    begin_busy(busy_ns);
    struct partition *other = partition_new(&b, bytes_of("u"), &id, 0);
    expect(other != NULL);
    other->store = &fake.store;
    atomic_store(&fake.appended, 1);
    broker_flush_begin(&w.set, &w.request, note);
    broker_flush_add(&w.set, &w.wait, p, 1);
    broker_flush_add(&w.set, &second, other, 1);
    expect(broker_flush_end(&w.set));
    sem_wait(&fake.begun);
    sem_wait(&fake.begun);
    sem_post(&fake.permit);
    while (atomic_load(&fake.flushes) < 1)
        sched_yield();
    mailbox_deliver(&home.mailbox, 100);
    expect_eq(answered, 0);
    sem_post(&fake.permit);
    wait_for(1);
    partition_drop(other);
    end();
}

void test_a_set_waits_for_all_its_partitions(void)
{
    wait_for_all(0);
}

/* The one that looks takes one of them: somebody has to be woken for the other. */
void test_flushes_go_side_by_side_while_one_looks(void)
{
    wait_for_all(3600000000000);
    for (int i = 0; i < 200; i++)
        wait_for_all(20000); /* looking ends at any point of it */
}

void test_nothing_to_wait_for_is_said_at_once(void)
{
    struct waiter w = {.request.home = &home};
    begin();
    broker_flush_begin(&w.set, &w.request, note);
    expect(!broker_flush_end(&w.set));
    end();
}

/* SPDX-License-Identifier: MIT */
/* Parked fetches: woken once for each arming, on their own thread, never after they are gone. */
#include "broker/private.h"
#include "tap.h"

static struct broker b;
static struct shard home;
static int woken;

static void wake(struct request *r)
{
    (void)r;
    woken++;
}

static struct partition *make(const char *name)
{
    static const struct uuid id = {.b = {1}};
    struct partition *p = partition_new(&b, bytes_of(name), &id, 3);
    expect(p != NULL && bytes_is(p->topic, name) && p->index == 3);
    return p;
}

void test_an_append_wakes_once(void)
{
    struct request r = {.home = &home};
    struct watcher w;
    struct watch on;
    expect(shard_open(&home, 0) == OUT_OK);
    struct partition *p = make("t");
    watcher_init(&w, &r, wake);
    partition_watch(p, &on, &w);
    expect(watcher_idle(&w));
    partition_notify(p);
    partition_notify(p);
    expect(!watcher_idle(&w));
    mailbox_deliver(&home.mailbox, 10);
    expect_eq(woken, 1);
    expect(watcher_idle(&w));
    partition_notify(p); /* not armed again */
    mailbox_deliver(&home.mailbox, 10);
    expect_eq(woken, 1);
    watcher_rearm(&w);
    partition_notify(p);
    mailbox_deliver(&home.mailbox, 10);
    expect_eq(woken, 2);
    partition_unwatch(&on);
    partition_drop(p);
    shard_close(&home);
}

void test_two_partitions_wake_one_watcher_once(void)
{
    struct request r = {.home = &home};
    struct watcher w;
    struct watch on[2];
    expect(shard_open(&home, 0) == OUT_OK);
    struct partition *p = make("t"), *q = make("u");
    watcher_init(&w, &r, wake);
    partition_watch(p, &on[0], &w);
    partition_watch(q, &on[1], &w);
    partition_notify(p);
    partition_notify(q);
    mailbox_deliver(&home.mailbox, 10);
    expect_eq(woken, 1);
    partition_unwatch(&on[0]);
    partition_unwatch(&on[1]);
    partition_drop(p);
    partition_drop(q);
    shard_close(&home);
}

void test_after_unwatch_nothing_comes(void)
{
    struct request r = {.home = &home};
    struct watcher w;
    struct watch on;
    expect(shard_open(&home, 0) == OUT_OK);
    struct partition *p = make("t");
    watcher_init(&w, &r, wake);
    partition_watch(p, &on, &w);
    partition_unwatch(&on);
    expect_eq(atomic_load(&p->watchers), 0);
    partition_notify(p);
    mailbox_deliver(&home.mailbox, 10);
    expect_eq(woken, 0);
    expect(watcher_idle(&w));
    partition_drop(p);
    shard_close(&home);
}

/* Another thread appends while this one watches, reads and unwatches: no append is missed. */
static _Atomic int64_t appended;

static void *append_many(void *context)
{
    for (int i = 0; i < 20000; i++) {
        atomic_fetch_add(&appended, 1);
        partition_notify(context);
    }
    return NULL;
}

void test_no_append_is_missed(void)
{
    struct request r = {.home = &home};
    struct watcher w;
    pthread_t other;
    expect(shard_open(&home, 0) == OUT_OK);
    struct partition *p = make("t");
    expect(pthread_create(&other, NULL, append_many, p) == 0);
    int64_t seen = 0;
    while (seen < 20000) {
        struct watch on;
        watcher_init(&w, &r, wake);
        int before = woken;
        partition_watch(p, &on, &w);
        if (atomic_load(&appended) == seen) {
            while (woken == before)
                shard_turn(&home); /* hangs, and the alarm ends it, if the wake-up is lost */
        }
        partition_unwatch(&on);
        while (!watcher_idle(&w))
            shard_turn(&home);
        seen = atomic_load(&appended);
    }
    pthread_join(other, NULL);
    partition_drop(p);
    shard_close(&home);
}

/* SPDX-License-Identifier: MIT */
/* Shards: a thread's clock, mailbox and timers. */
#include "broker/shard.h"

static _Thread_local struct shard *self;

enum outcome shard_open(struct shard *s, int index)
{
    *s = (struct shard){.index = index, .mailbox.wake_fd = -1};
    shard_clock(s);
    return mailbox_open(&s->mailbox);
}

void shard_close(struct shard *s)
{
    mailbox_close(&s->mailbox);
    heap_fini(&s->timers);
}

struct shard *shard_self(void)
{
    return self;
}

void shard_become(struct shard *s)
{
    self = s;
}

void shard_post(struct shard *s, struct mail *mail)
{
    mailbox_post(&s->mailbox, mail);
}

enum outcome shard_timer_set(struct shard *s, struct shard_timer *t, int64_t deadline_ns)
{
    t->shard = s;
    heap_remove(&s->timers, &t->node);
    return heap_add(&s->timers, &t->node, deadline_ns);
}

void shard_timer_cancel(struct shard_timer *t)
{
    if (t->shard != NULL)
        heap_remove(&t->shard->timers, &t->node);
}

void shard_clock(struct shard *s)
{
    s->now_ns = os_now_ns();
    s->wall_ms = os_wall_ms();
}

int shard_run_timers(struct shard *s, int most)
{
    int fired = 0;
    for (struct heap_node *n; fired < most && (n = heap_first(&s->timers)) != NULL; fired++) {
        if (n->key > s->now_ns)
            break;
        struct shard_timer *t = container_of(n, struct shard_timer, node);
        heap_remove(&s->timers, n);
        t->fire(t, s->now_ns);
    }
    return fired;
}

int64_t shard_wait_ns(const struct shard *s)
{
    const struct heap_node *first = heap_first(&s->timers);
    return first == NULL ? -1 : MAX(first->key - s->now_ns, 0);
}

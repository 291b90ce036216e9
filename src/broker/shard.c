/* SPDX-License-Identifier: MIT */
/* Shards: a thread's clock, mailbox and timers. */
#include "broker/shard.h"

#define MAIL_MAX 1024
#define TIMERS_MAX 1024

static _Thread_local struct shard *self;

enum outcome shard_open(struct shard *s, int index)
{
    *s = (struct shard){.index = index, .mailbox.wake_fd = -1};
    list_init(&s->at_end);
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

int shard_run_mail(struct shard *s, int most)
{
    return mailbox_deliver(&s->mailbox, most);
}

void shard_at_end(struct shard *s, struct shard_hook *h)
{
    if (h->node.next == NULL)
        list_init(&h->node);
    if (list_empty(&h->node))
        list_push(&s->at_end, &h->node);
}

void shard_end_turn(struct shard *s)
{
    for (struct list *n; (n = list_pop(&s->at_end)) != NULL;) {
        struct shard_hook *h = container_of(n, struct shard_hook, node);
        h->run(h, s);
    }
}

void shard_turn(struct shard *s)
{
    mailbox_wait(&s->mailbox, shard_wait_ns(s));
    shard_clock(s);
    shard_run_mail(s, MAIL_MAX);
    shard_run_timers(s, TIMERS_MAX);
    shard_end_turn(s);
}

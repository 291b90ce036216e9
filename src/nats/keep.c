/* SPDX-License-Identifier: MIT */
/*
 * What happens by time: clients that do not say who they are, pings and their answers, clients that
 * take nothing of what waits for them, the end of a lame duck.
 */
#include "broker/broker.h"
#include "nats/private.h"

#define MS INT64_C(1000000)
#define FIRST_PING_MS 2000
#define SWEEP_MS 250

static void set(struct nats_session *s, int64_t after_ms)
{
    struct shard *home = s->home->shard;
    if (shard_timer_set(home, &s->timer, home->now_ns + after_ms * MS) != OUT_OK)
        nats_end(s, NULL);
}

static void send_ping(struct nats_session *s)
{
    s->pings_out++;
    s->ping_ns = os_now_ns();
    nats_say(s, bytes_of("PING\r\n"));
}

static void fire(struct shard_timer *timer, int64_t now_ns)
{
    struct nats_session *s = container_of(timer, struct nats_session, timer);
    const struct nats_options *o = &s->home->nats->options;
    if (s->closing)
        return;
    if (!s->authorized) {
        nats_count(s->home, NATS_AUTH_FAILED, 1);
        nats_end(s, "Authentication Timeout");
        return;
    }
    bool silent = now_ns - s->last_in_ns >= o->ping_interval_ms * MS;
    if (silent || s->rtt_ns == 0) {
        if (s->pings_out >= o->ping_max) {
            nats_count(s->home, NATS_STALE, 1);
            nats_end(s, "Stale Connection");
            return;
        }
        send_ping(s);
    }
    if (!s->closing)
        set(s, o->ping_interval_ms);
}

void nats_keep_alive(struct nats_session *s)
{
    s->timer.fire = fire;
    if (!s->closing)
        set(s, s->authorized ? s->home->nats->options.ping_interval_ms
                             : s->home->nats->options.auth_timeout_ms);
}

/* The first ping measures the round trip; many clients that came at once are not pinged at once. */
void nats_first_ping(struct nats_session *s)
{
    int64_t first = MIN(s->home->nats->options.ping_interval_ms, FIRST_PING_MS);
    s->timer.fire = fire;
    if (!s->closing)
        set(s, first + (int64_t)(s->cid * 7919 % (uint64_t)(first / 5 + 1)));
}

/* ---- clients that take nothing ---- */

static uint64_t sent(const struct nats_session *s)
{
    return s->link->out_bytes - s->link->pending;
}

static void sweep(struct shard_timer *timer, int64_t now_ns)
{
    struct nats_shard *h = container_of(timer, struct nats_shard, sweep);
    int64_t deadline = h->nats->options.write_deadline_ms * MS;
    list_each_safe(node, after, &h->pressed) {
        struct nats_session *s = container_of(node, struct nats_session, pressed);
        if (s->closing || s->link->pending == 0) {
            nats_relieved(s);
        } else if (sent(s) != s->sent_mark) {
            s->sent_mark = sent(s);
            s->mark_ns = now_ns;
        } else if (now_ns - s->mark_ns >= deadline) {
            nats_relieved(s);
            nats_slow_consumer(s);
        }
    }
    /* Without memory for the timer the next one who is pressed tries again. */
    if (!list_empty(&h->pressed) &&
        shard_timer_set(h->shard, timer, now_ns + SWEEP_MS * MS) != OUT_OK)
        timer->shard = NULL;
}

void nats_pressed(struct nats_session *s)
{
    struct nats_shard *h = s->home;
    if (s->is_pressed)
        return;
    s->is_pressed = true;
    s->sent_mark = sent(s);
    s->mark_ns = h->shard->now_ns;
    bool first = list_empty(&h->pressed);
    list_push(&h->pressed, &s->pressed);
    h->sweep.fire = sweep;
    if (first && shard_timer_set(h->shard, &h->sweep, h->shard->now_ns + SWEEP_MS * MS) != OUT_OK)
        nats_relieved(s);
}

void nats_relieved(struct nats_session *s)
{
    s->is_pressed = false;
    list_remove(&s->pressed);
}

/* ---- publishers that are faster than their subscribers ---- */

/* Closing a subscriber that is merely slower than a burst is a last resort: before that, those who
 * publish what it gets are read with pauses, one for so many bytes. */
#define STALL_NOTE_MS 10
#define STALL_MS 3
#define STALL_BYTES KiB(64)

static _Atomic int64_t *stall_of(struct nats *n, struct bytes subject)
{
    return &n->stall_until[bytes_hash(subject) & (NATS_STALLS - 1)];
}

void nats_stall_note(struct nats_shard *h, struct bytes subject)
{
    int64_t until = h->shard->now_ns + STALL_NOTE_MS * MS;
    atomic_store_explicit(stall_of(h->nats, subject), until, memory_order_relaxed);
    if (atomic_load_explicit(&h->nats->stalling_until, memory_order_relaxed) < until)
        atomic_store_explicit(&h->nats->stalling_until, until, memory_order_relaxed);
}

void nats_slow_over(struct nats_session *s)
{
    if (s->slow_for != NULL)
        partition_drop(s->slow_for);
    s->slow_for = NULL;
}

static bool must_wait(const struct nats_session *s, int64_t now_ns)
{
    return s->slow_for != NULL && !s->closing && now_ns < s->slow_until &&
           partition_held_ms(s->slow_for, now_ns) > 0;
}

static void stall_over(struct shard_timer *timer, int64_t now_ns)
{
    struct nats_shard *h = container_of(timer, struct nats_shard, stall);
    bool more = false;
    list_each(node, &h->stalled)
        more |= must_wait(container_of(node, struct nats_session, stalled), now_ns);
    if (more && shard_timer_set(h->shard, timer, now_ns + STALL_MS * MS) != OUT_OK)
        more = false; /* nobody would come again: all go on */
    list_each_safe(node, after, &h->stalled) {
        struct nats_session *s = container_of(node, struct nats_session, stalled);
        if (more && must_wait(s, now_ns))
            continue;
        list_remove(node);
        s->is_stalled = false;
        nats_slow_over(s);
        if (!s->closing)
            link_resume(s->link);
    }
}

/* Nothing of it is read until stall_over; false: no memory for the timer. */
static bool pause_for_now(struct nats_session *s)
{
    struct nats_shard *h = s->home;
    h->stall.fire = stall_over;
    if (!heap_holds(&h->stall.node) &&
        shard_timer_set(h->shard, &h->stall, h->shard->now_ns + STALL_MS * MS) != OUT_OK)
        return false;
    s->is_stalled = true;
    list_push(&h->stalled, &s->stalled);
    link_pause(s->link);
    return true;
}

void nats_slow(struct nats_session *s, struct partition *p, int32_t most_ms)
{
    if (s->closing || s->is_stalled || !pause_for_now(s))
        return;
    count(produce_throttled, 1);
    s->slow_for = partition_hold(p);
    s->slow_until = s->home->shard->now_ns + most_ms * MS;
}

void nats_stall(struct nats_session *s, struct bytes subject)
{
    struct nats_shard *h = s->home;
    int64_t now = h->shard->now_ns;
    uint64_t published = s->in_bytes + s->in_messages * 64;
    if (s->closing || s->is_held || s->is_stalled || published - s->stall_mark < STALL_BYTES ||
        atomic_load_explicit(stall_of(h->nats, subject), memory_order_relaxed) <= now)
        return;
    s->stall_mark = published;
    (void)pause_for_now(s);
}

/* ---- lame duck ---- */

static void duck_step(struct shard_timer *timer, int64_t now_ns)
{
    struct nats_shard *h = container_of(timer, struct nats_shard, duck_timer);
    if (list_empty(&h->sessions))
        return;
    list_each(node, &h->sessions) {
        struct nats_session *s = container_of(node, struct nats_session, node);
        if (s->closing)
            continue;
        nats_end(s, NULL);
        break;
    }
    if (shard_timer_set(h->shard, timer, now_ns + h->duck_step_ns) != OUT_OK)
        watch_log(WATCH_WARN, "nats", "no memory to close the rest of the connections");
}

/* Tells everyone, and closes them spread over lame_duck_ms after a tenth of it as a grace. */
void nats_duck(struct mail *mail)
{
    struct nats_shard *h = container_of(mail, struct nats_shard, lame_duck);
    int64_t whole = h->nats->options.lame_duck_ms * MS, members = 0;
    list_each(node, &h->sessions) {
        struct nats_session *s = container_of(node, struct nats_session, node);
        members++;
        if (s->protocol >= 1)
            nats_info_send(s, NATS_INFO_LAME_DUCK);
    }
    h->duck_step_ns = (whole - whole / 10) / MAX(members, 1);
    h->duck_timer.fire = duck_step;
    if (shard_timer_set(h->shard, &h->duck_timer, h->shard->now_ns + whole / 10) != OUT_OK)
        watch_log(WATCH_WARN, "nats", "no memory to close connections one by one");
}

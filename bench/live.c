/* SPDX-License-Identifier: MIT */
/*
 * The live engine by itself, in process: publications and deliveries per second, look-ups among a
 * million subjects, memory of idle subscriptions, the timer wheel. deliver() only counts. Prints a
 * line for each.
 */
#include "base/wheel.h"
#include "live/live.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t taken;

static enum live_taken take(struct live_sub *sub, const struct live_message *m)
{
    (void)sub;
    taken += m->payload.size != 0;
    return LIVE_TAKEN;
}

static struct mail *posted;

static void post(void *context, int shard, struct mail *mail)
{
    (void)context;
    (void)shard;
    mail->next = posted;
    posted = mail;
}

static void ignore(void *context, int shard)
{
    (void)context;
    (void)shard;
}

static int64_t wall(void *context, int shard)
{
    (void)context;
    (void)shard;
    return 1000;
}

static struct live *engine(int shard_count)
{
    struct live_options o = {.shard_count = shard_count, .post = post, .want_flush = ignore,
                             .unblocked = ignore, .wall_ms = wall};
    struct live *live;
    if (live_new(&o, &live) != OUT_OK)
        exit(1);
    return live;
}

static void subscribe(struct live *live, int shard, struct live_sub *sub, const char *pattern,
                      const char *queue)
{
    sub->deliver = take;
    if (live_subscribe(live_shard(live, shard), sub, bytes_of(pattern), bytes_of(queue)) != OUT_OK)
        exit(1);
}

static void turn(struct live *live)
{
    live_flush(live_shard(live, 0));
    while (posted != NULL) {
        struct mail *mail = posted;
        posted = mail->next;
        mail->deliver(mail);
    }
}

/* `count` publications to `subscribers`, of which every other is on a second shard if there is one;
 * a turn is 64 of them. */
static void fan_out(const char *name, int shard_count, int subscribers, const char *queue,
                    uint64_t count)
{
    static struct live_sub subs[64];
    char payload[128] = "payload";
    struct live *live = engine(shard_count);
    struct live_message m = {.subject = bytes_of("bench.subject.one"), .offset = -1,
                             .payload = bytes_view(payload, sizeof payload)};
    struct live_reach reach;
    for (int i = 0; i < subscribers; i++)
        subscribe(live, i % shard_count, &subs[i], i % 4 == 3 ? "bench.>" : "bench.subject.one",
                  queue);
    taken = 0;
    int64_t start = os_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        live_publish(live_shard(live, 0), &m, NULL, &reach);
        if (i % 64 == 63)
            turn(live);
    }
    turn(live);
    double ns = (double)(os_now_ns() - start);
    printf("%-34s %8.2f M publishes/s %8.2f M deliveries/s %7.1f ns each\n", name,
           (double)count / ns * 1e3, (double)taken / ns * 1e3,
           taken == 0 ? 0 : ns / (double)taken);
    for (int i = 0; i < subscribers; i++)
        live_unsubscribe(&subs[i]);
    live_free(live);
}

static void million(uint32_t count)
{
    struct live *live = engine(1);
    struct live_reach reach;
    char text[64];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    struct live_sub *subs = calloc(count, sizeof *subs);
    if (subs == NULL)
        exit(1);
    int64_t start = os_now_ns();
    for (uint32_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "device.%u.status", i);
        subscribe(live, 0, &subs[i], text, NULL);
    }
    double ns = (double)(os_now_ns() - start);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    printf("%u literal subscriptions: %.0f ns each to add, %zu B each\n", count, ns / count,
           (after - before) / count);
    for (int wild = 0; wild < 2; wild++) {
        static struct live_sub patterns[8];
        static const char *const some[] = {"device.*.alarm", "*.1.>", "device.*.status.x", "a.*",
                                           "device.7.*", "device.9.>", "*.*", "x.>"};
        for (int i = 0; wild != 0 && i < 8; i++)
            subscribe(live, 0, &patterns[i], some[i], NULL);
        uint64_t random = 1;
        taken = 0;
        start = os_now_ns();
        for (int i = 0; i < 1000000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int size = snprintf(text, sizeof text, "device.%u.status",
                                (uint32_t)((random >> 32) * count >> 32));
            struct live_message m = {.subject = bytes_view(text, (size_t)size),
                                     .payload = bytes_of("x"), .offset = -1};
            live_publish(live_shard(live, 0), &m, NULL, &reach);
        }
        ns = (double)(os_now_ns() - start);
        printf("random of %u subjects, %d patterns: %.0f ns a publish (its text included), "
               "%.2f reached\n", count, wild * 8, ns / 1e6, (double)taken / 1e6);
        for (int i = 0; wild != 0 && i < 8; i++)
            live_unsubscribe(&patterns[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        live_unsubscribe(&subs[i]);
    free(subs);
    live_free(live);
}

static uint64_t fired;

static void fire(struct wheel_timer *t, void *context)
{
    (void)t;
    (void)context;
    fired++;
}

static void wheel(size_t count)
{
    static struct wheel w;
    struct wheel_timer *timers = calloc(count, sizeof *timers);
    uint64_t random = 1;
    int rounds = (int)(4000000 / count);
    int64_t add = 0, cancel = 0, expire = 0, now = 0;
    if (timers == NULL)
        exit(1);
    fired = 0;
    wheel_init(&w, 0);
    for (int round = 0; round < rounds; round++) {
        int64_t start = os_now_ns();
        for (size_t i = 0; i < count; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            wheel_add(&w, &timers[i], now + 1 + (int64_t)((random >> 40) % 60000));
        }
        int64_t added = os_now_ns();
        for (size_t i = 0; i < count; i += 2)
            wheel_remove(&w, &timers[i]);
        int64_t cancelled = os_now_ns();
        now += 60001;
        wheel_advance(&w, now, fire, NULL);
        expire += os_now_ns() - cancelled;
        cancel += cancelled - added;
        add += added - start;
    }
    double total = (double)count * rounds;
    printf("wheel of %zu timers: add %.0f ns, cancel %.0f ns, expire %.0f ns\n", count,
           (double)add / total, (double)cancel / (total / 2), (double)expire / (double)fired);
    free(timers);
}

int main(void)
{
    fan_out("1 subscriber", 1, 1, NULL, 20000000);
    fan_out("48 subscribers", 1, 48, NULL, 2000000);
    fan_out("48 subscribers on 2 shards", 2, 48, NULL, 2000000);
    fan_out("queue of 48", 1, 48, "workers", 10000000);
    fan_out("nobody", 1, 0, NULL, 20000000);
    million(100000);
    million(1000000);
    for (size_t count = 1000; count <= 1000000; count *= 10)
        wheel(count);
    return 0;
}
